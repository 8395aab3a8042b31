"""Reports of scores: one HTML page, the same figures as JSON, and a CSV by clip; without torch.

`sections` has the records of a report and computes its figures. `files` writes the files. `figures` makes the JSON
documents, and `page` builds the page from `summary`, `plots` and `page_data`. `score_text` describes scores in
sentences.
"""

from __future__ import annotations

from cslr_cli.report.files import PAGE, report_files, write_report
from cslr_cli.report.sections import (
    Analysis,
    ClipFacts,
    Section,
    System,
    analyse,
    collect_clip_facts,
    collect_training_counts,
    collect_training_glosses,
)

__all__ = [
    "PAGE",
    "Analysis",
    "ClipFacts",
    "Section",
    "System",
    "analyse",
    "collect_clip_facts",
    "collect_training_counts",
    "collect_training_glosses",
    "report_files",
    "write_report",
]
