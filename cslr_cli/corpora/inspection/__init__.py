"""Inspection of a prepared corpus: its contents, and its faults.

- `corpus_inspection`: counts, and the order of the checks.
- `checks`: the checks; each yields findings.
- `plots`: plots of clip lengths and gloss frequencies.
"""

from cslr_cli.corpora.inspection.checks import Finding
from cslr_cli.corpora.inspection.corpus_inspection import CorpusInspection, SplitContents, inspect_corpus
from cslr_cli.corpora.inspection.plots import check_plot_name, draw_plots

__all__ = ["CorpusInspection", "Finding", "SplitContents", "check_plot_name", "draw_plots", "inspect_corpus"]
