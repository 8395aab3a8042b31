"""Inspection of a prepared corpus: its contents, and its faults.

- `corpus_inspection`: counts, and the order of the checks.
- `checks`: the checks of manifests and vocabulary; each yields findings.
- `frame_checks`: missing, unreadable, equal and still pictures.
- `plots`: plots of clip lengths and gloss frequencies.
- `contact_sheet`: a picture with frames of some clips.
"""

from cslr_cli.corpora.inspection.checks import Finding
from cslr_cli.corpora.inspection.contact_sheet import draw_contact_sheet
from cslr_cli.corpora.inspection.corpus_inspection import CorpusInspection, SplitContents, inspect_corpus
from cslr_cli.corpora.inspection.plots import check_plot_name, draw_plots

__all__ = [
    "CorpusInspection",
    "Finding",
    "SplitContents",
    "check_plot_name",
    "draw_contact_sheet",
    "draw_plots",
    "inspect_corpus",
]
