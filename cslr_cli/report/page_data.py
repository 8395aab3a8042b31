"""The data inside the page, in compact form: glosses and signers are numbers, an alignment is a flat list of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cslr_cli.files import real_path
from cslr_cli.report.score_text import round_figure
from cslr_cli.report.sections import Analysis
from cslr_cli.scoring import GroupScore, Score
from cslr_cli.scoring.alignment import AlignedPair, fold_case

NOTHING = -1  # instead of the number of a gloss: a deletion has no hypothesis, an insertion no reference


class _Numbers:
    """Numbers for texts, in order of first occurrence."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def __call__(self, text: str | None) -> int:
        return NOTHING if text is None else self.of.setdefault(text, len(self.of))


def section_data(analysis: Analysis, folder: Path) -> dict[str, Any]:
    """Return the data of a section for the page's script; `folder` is the folder of the page."""
    section, breakdown = analysis.section, analysis.breakdown
    number, signer = _Numbers(), _Numbers()
    first = section.systems[0].score
    facts = [section.clips.get(clip.sample_id) for clip in first.clips]
    order = [clip.sample_id for clip in first.clips]
    data = {
        "name": section.name,
        "systems": [system.name for system in section.systems],
        "clips": {
            "ids": order,
            "signers": [signer(clip.signer) for clip in first.clips],
            "seconds": [None if each is None or each.seconds is None else round(each.seconds, 2) for each in facts],
            "frames": [None if each is None else _link(each.frames, folder) for each in facts],
            "pairs": [_pairs(system.score, order, number) for system in section.systems],
        },
        "tables": {
            "signer": _parts(breakdown.by_signer),
            "category": _parts(breakdown.by_label),
            "clip_length": _parts(breakdown.by_clip_length),
            "reference_length": _parts(breakdown.by_reference_length),
            "frequency": _parts(analysis.views.by_frequency),
            "position": _parts(analysis.views.by_position),
            "confusions": [
                [number(confusion.reference), number(confusion.hypothesis), confusion.count]
                for confusion in breakdown.confusions
            ],
            "glosses": [
                [
                    number(row.gloss),
                    row.references,
                    row.hypotheses,
                    row.correct,
                    row.substituted,
                    row.deleted,
                    row.inserted,
                    row.falsely_recognised,
                    round_figure(row.precision),
                    round_figure(row.recall),
                    row.seen,
                ]
                for row in breakdown.glosses
            ],
        },
        "unseen": None if breakdown.unseen is None else [number(gloss) for gloss, _ in breakdown.unseen.glosses],
        "signers": list(signer.of),
        "glosses": list(number.of),
    }
    data["same"] = _same(number.of)
    return data


def _pairs(score: Score, order: Iterable[str], number: _Numbers) -> list[list[int]]:
    """Return for each clip: reference, hypothesis, reference, hypothesis, and so on."""
    by_id = {clip.sample_id: clip for clip in score.clips}
    return [[number(gloss) for pair in by_id[sample_id].pairs for gloss in _shown_glosses(pair)] for sample_id in order]


def _shown_glosses(pair: AlignedPair) -> tuple[str | None, ...]:
    """Return both glosses of a pair; the page takes two equal glosses for correct.

    An optional gloss can be correct with another spelling, `(A)`, or without a counterpart, which is then left out.
    """
    if pair.operation != "correct" or pair.reference is None or pair.hypothesis is None:
        return () if pair.operation == "correct" else (pair.reference, pair.hypothesis)
    if fold_case(pair.reference) != fold_case(pair.hypothesis):
        return pair.reference, pair.reference
    return pair.reference, pair.hypothesis


def _same(glosses: Iterable[str]) -> list[int] | None:
    """Return for each gloss the first one that counts as the same; None if all differ, which is usual."""
    first: dict[str, int] = {}
    same = [first.setdefault(fold_case(gloss), index) for index, gloss in enumerate(glosses)]
    return same if len(first) < len(same) else None


def _parts(parts: Sequence[GroupScore]) -> list[list[object]]:
    return [
        [
            each.name,
            each.clips,
            each.clips_with_errors,
            each.counts.references,
            round_figure(each.counts.wer),
            each.by_clip and [round_figure(each.by_clip.low), round_figure(each.by_clip.high)],
            *(
                round_figure(each.counts.percent(number))
                for number in (each.counts.substitutions, each.counts.deletions, each.counts.insertions)
            ),
        ]
        for each in parts
    ]


def _link(frames: Path | None, folder: Path) -> str | None:
    """Return the path from the page to the frames of a clip, if they exist."""
    if frames is None or not frames.exists():
        return None
    try:
        path = os.path.relpath(real_path(frames), real_path(folder))
    except ValueError:  # on another drive of Windows
        return real_path(frames).as_uri()
    return quote(Path(path).as_posix())
