"""The files of a report."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cslr_cli.documents import format_json
from cslr_cli.files import write_text
from cslr_cli.report.figures import clips_of_systems, report_document
from cslr_cli.report.page import page
from cslr_cli.report.score_text import round_figure
from cslr_cli.report.sections import Analysis, ClipFacts

PAGE, FIGURES = "report.html", "report.json"

_COLUMNS = ("sample_id", "signer", "seconds", "wer", "correct", "substitutions", "deletions", "insertions")
_GLOSS_COLUMNS = ("references", "reference", "hypothesis")
_SECOND_COLUMNS = ("second_wer", "second_errors", "second_hypothesis")


def write_report(
    folder: Path, analyses: Sequence[Analysis], *, title: str, facts: Mapping[str, str] | None = None
) -> Path:
    """Write `report.html`, `report.json` and for each section `NAME.clips.csv`; returns the path of the page.

    Args:
        folder: output folder; the page's links to frames are relative to it.
        analyses: sections, in order.
        title: title of the page.
        facts: facts about all sections as text, by name, such as the checkpoint and the corpus.
    """
    facts = facts or {}
    for analysis in analyses:
        write_text(folder / f"{_file_name(analysis.section.name)}.clips.csv", clips_csv(analysis))
    write_text(folder / FIGURES, format_json(report_document(analyses, title, facts), compact=True) + "\n")
    write_text(folder / PAGE, page(analyses, folder, title=title, facts=facts))
    return folder / PAGE


def report_files(sections: Iterable[str]) -> list[str]:
    """Return the names of the files that `write_report` writes for sections of these names."""
    return [PAGE, FIGURES, *(f"{_file_name(name)}.clips.csv" for name in sections)]


def clips_csv(analysis: Analysis) -> str:
    """Return a CSV table with one line per clip, in the order of the references."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    two = len(analysis.section.systems) > 1
    writer.writerow([*_COLUMNS, *_GLOSS_COLUMNS, *(_SECOND_COLUMNS if two else ())])
    for clip, *others in clips_of_systems(analysis):
        facts = analysis.section.clips.get(clip.sample_id) or ClipFacts()
        counts = clip.counts
        row = [clip.sample_id, clip.signer, facts.seconds, round_figure(counts.wer), counts.correct]
        row += [counts.substitutions, counts.deletions, counts.insertions, counts.references]
        row += [" ".join(clip.reference), " ".join(clip.hypothesis)]
        for other in others:
            row += [round_figure(other.counts.wer), other.counts.errors, " ".join(other.hypothesis)]
        writer.writerow(row)
    return lines.getvalue()


def _file_name(section: str) -> str:
    """Convert the name of a section to a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", section).strip(".") or "clips"
