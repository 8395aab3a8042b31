"""What is in a prepared corpus, and what is wrong with it; what a checkpoint is.

- `corpus`: the counts, and all checks one after the other.
- `checks`: each check gives findings.
- `plots`: lengths and gloss frequencies as a picture.
- `checkpoint`: what a checkpoint says of itself.
"""

from cslr_cli.corpora.inspection.checks import Finding
from cslr_cli.corpora.inspection.corpus import CorpusInspection, SplitContents, inspect_corpus
from cslr_cli.corpora.inspection.plots import check_plot_name, draw_plots

__all__ = ["CorpusInspection", "Finding", "SplitContents", "check_plot_name", "draw_plots", "inspect_corpus"]
