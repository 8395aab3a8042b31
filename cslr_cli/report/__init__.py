"""Reports of scores: one page that opens anywhere, the same figures as JSON, and a CSV by clip; no torch here.

`sections` says what goes in and makes the figures, `corpus_facts` knows more of the clips of a prepared corpus;
`page` shows them, with `summary`, `plots`, `sentences` and `page_data`; `files` writes.
"""

from __future__ import annotations

from cslr_cli.report.corpus_facts import corpus_clips, training_glosses
from cslr_cli.report.files import PAGE, write_report
from cslr_cli.report.sections import Analysis, ClipFacts, Section, System, analyse

__all__ = [
    "PAGE",
    "Analysis",
    "ClipFacts",
    "Section",
    "System",
    "analyse",
    "corpus_clips",
    "training_glosses",
    "write_report",
]
