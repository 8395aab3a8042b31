"""The files of a report."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cslr_cli.files import write_text
from cslr_cli.report.page import page
from cslr_cli.report.score_text import round_figure
from cslr_cli.report.sections import Analysis, ClipFacts
from cslr_cli.scoring import ClipScore, GroupScore

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
    figures = {
        "title": title,
        "facts": dict(facts),
        "sections": {analysis.section.name: section_figures(analysis) for analysis in analyses},
    }
    write_text(folder / FIGURES, json.dumps(figures, ensure_ascii=False, separators=(",", ":")) + "\n")
    write_text(folder / PAGE, page(analyses, folder, title=title, facts=facts))
    return folder / PAGE


def section_figures(analysis: Analysis) -> dict[str, Any]:
    """Return all figures of a section for JSON, with the first system's totals at the top."""
    section, breakdown = analysis.section, analysis.breakdown
    first = section.systems[0].score
    return {
        **breakdown.total.as_dict(),
        "protocol": first.protocol.name,
        "missing": list(first.missing),
        "facts": dict(section.facts),
        "systems": {
            system.name: total.as_dict() for system, total in zip(section.systems, analysis.totals, strict=True)
        },
        "beside": _parts(analysis.further_scores),
        "comparison": analysis.comparison and analysis.comparison.as_dict(),
        "by_signer": _parts(breakdown.by_signer),
        "by_clip_length": _parts(breakdown.by_clip_length),
        "by_reference_length": _parts(breakdown.by_reference_length),
        "confusions": [asdict(confusion) for confusion in breakdown.confusions],
        "glosses": [
            {
                **asdict(row),
                "references": row.references,
                "hypotheses": row.hypotheses,
                "precision": row.precision,
                "recall": row.recall,
            }
            for row in breakdown.glosses
        ],
        "unseen_glosses": breakdown.unseen and breakdown.unseen.as_dict(),
        "worst": [clip.sample_id for clip in breakdown.worst],
        "alignments": [_clip_figures(analysis, clips) for clips in _clips_of_systems(analysis)],
    }


def clips_csv(analysis: Analysis) -> str:
    """Return a CSV table with one line per clip, in the order of the references."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    two = len(analysis.section.systems) > 1
    writer.writerow([*_COLUMNS, *_GLOSS_COLUMNS, *(_SECOND_COLUMNS if two else ())])
    for clip, *others in _clips_of_systems(analysis):
        facts = analysis.section.clips.get(clip.sample_id) or ClipFacts()
        counts = clip.counts
        row = [clip.sample_id, clip.signer, facts.seconds, round_figure(counts.wer), counts.correct]
        row += [counts.substitutions, counts.deletions, counts.insertions, counts.references]
        row += [" ".join(clip.reference), " ".join(clip.hypothesis)]
        for other in others:
            row += [round_figure(other.counts.wer), other.counts.errors, " ".join(other.hypothesis)]
        writer.writerow(row)
    return lines.getvalue()


def _parts(parts: Sequence[GroupScore]) -> dict[str, Any]:
    return {each.name: each.as_dict() for each in parts}


def _clips_of_systems(analysis: Analysis) -> list[tuple[ClipScore, ...]]:
    """Return the alignments of each clip, one per system, in the order of the first system."""
    first, *others = (system.score.clips for system in analysis.section.systems)
    by_id = [{clip.sample_id: clip for clip in clips} for clips in others]
    return [(clip, *(clips[clip.sample_id] for clips in by_id)) for clip in first]


def _clip_figures(analysis: Analysis, clips: Sequence[ClipScore]) -> dict[str, Any]:
    first, section = clips[0], analysis.section
    facts = section.clips.get(first.sample_id) or ClipFacts()
    recognised = facts.recognised
    return {
        "sample_id": first.sample_id,
        "signer": first.signer,
        "seconds": facts.seconds,
        "recognised": None if recognised is None else [asdict(timed) for timed in recognised],
        "systems": {
            system.name: {
                **clip.counts.as_dict(),
                "pairs": [[pair.operation, pair.reference, pair.hypothesis] for pair in clip.pairs],
            }
            for system, clip in zip(section.systems, clips, strict=True)
        },
    }


def _file_name(section: str) -> str:
    """Convert the name of a section to a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", section).strip(".") or "clips"
