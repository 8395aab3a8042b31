"""Transcripts as tables: CSV and TSV with a header, also those that `predict` and `evaluate` write.

The names of columns are found in any order and in upper or lower case. A table has one row per clip, with all glosses
in one cell, or one row per gloss, with its times.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.transcripts import (
    EMPTY_HYPOTHESIS,
    TimedGloss,
    Transcript,
    parse_number,
    split_fields,
    untimed,
)
from cslr_cli.untrusted import abbreviate

# What a file contains for `cslr score`. A table can have both, such as the `SPLIT.clips.csv` of `evaluate`.
Side = Literal["references", "hypotheses"]

DELIMITERS = ",;\t|"
# Ids that may be paths of a video.
PATH_NAMES = (*("video", "video_path", "file", "filename", "file_name", "path", "audio_filepath", "source", "input"),)
ID_NAMES = (
    *("id", "sample_id", "clip", "clip_id", "utterance", "utt_id", "uttid", "utt", "key", "segment_id", "recording"),
    *("video_id", "name"),
    *PATH_NAMES,
)
_GLOSS_NAMES = ("glosses", "gloss", "annotation", "orth", "transcript", "transcription", "text", "words", "sentence")
TEXT_NAMES: dict[Side, tuple[str, ...]] = {
    "references": ("reference", "references", "ref", "ground_truth", "gt", "target", "label", *_GLOSS_NAMES),
    "hypotheses": (
        *("hypothesis", "hypotheses", "hyp", "prediction", "predicted", "pred", "pred_text", "output"),
        *_GLOSS_NAMES,
    ),
}
SIGNER_NAMES = ("signer", "speaker", "signer_id")
_CONFIDENCE_NAMES = ("confidence", "conf")
_RANK_NAMES = ("hypothesis", "rank")  # in a table with one row per gloss: 1 for the best hypothesis


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are used, by index; None if the table does not have them.

    Attributes:
        is_path: whether names may be paths of videos.
        per_gloss: whether each row is one gloss with its times, not one clip.
    """

    sample_id: int
    text: int
    is_path: bool
    per_gloss: bool
    start: int | None
    end: int | None
    duration: int | None
    confidence: int | None
    signer: int | None
    channel: int | None
    rank: int | None


def find_columns(header: Sequence[str], side: Side) -> Columns | None:
    """Find the columns of a table by its header; None if the names or the glosses are missing."""
    names = [name.strip().lower() for name in header]

    def find(candidates: Iterable[str]) -> int | None:
        return next((names.index(name) for name in candidates if name in names), None)

    sample_id = find(ID_NAMES)
    per_gloss = "gloss" in names and "start" in names
    text = names.index("gloss") if per_gloss else find(TEXT_NAMES[side])
    if sample_id is None or text is None or sample_id == text:
        return None
    rank = find(_RANK_NAMES) if per_gloss else None
    return Columns(
        sample_id=sample_id,
        text=text,
        is_path=names[sample_id] in PATH_NAMES,
        per_gloss=per_gloss,
        start=find(("start",)),
        end=find(("end",)),
        duration=find(("duration", "dur")),
        confidence=find(_CONFIDENCE_NAMES),
        signer=find(SIGNER_NAMES),
        channel=find(("channel",)),
        rank=rank,
    )


def table_header(text: str) -> tuple[str, list[str]] | None:
    """Return the delimiter and the cells of the first line of a table; None if it has only one cell."""
    for line in text.split("\n"):
        if line.strip() and not line.lower().startswith("sep="):
            delimiter = max(DELIMITERS, key=line.count)
            cells = next(csv.reader([line], delimiter=delimiter), [])
            return (delimiter, cells) if len(cells) > 1 else None
    return None


def parse_table(text: str, faults: list[str], side: Side) -> list[Transcript]:
    """Parse a table with a header; adds what is wrong to `faults`, with the number of the line."""
    found = table_header(text)
    columns = None if found is None else find_columns(found[1], side)
    if found is None or columns is None:
        shown = ", ".join(found[1]) if found else abbreviate(text.partition("\n")[0])
        wanted = f"a header with a column id and a column {side.removesuffix('s')} or glosses"
        faults.append(f"line 1: the columns are {shown}; expected {wanted}".replace("hypothese ", "hypothesis "))
        return []
    rows = _read_rows(csv.reader(io.StringIO(text), delimiter=found[0]), len(found[1]), faults)
    transcripts = []
    for line, cells in rows:
        try:
            transcript = _parse_row(cells, columns)
        except ValueError as error:
            faults.append(f"line {line}: {error}")
            continue
        if transcript is not None:
            transcripts.append(replace(transcript, line=line))
    return _join_glosses(transcripts) if columns.per_gloss else check_names(transcripts, faults)


def format_table(transcripts: Sequence[Transcript], delimiter: str) -> str:
    """Format a table: one row per gloss if all glosses have times, otherwise one row per clip."""
    output = io.StringIO()
    writer = csv.writer(output, delimiter=delimiter, lineterminator="\n")
    if all(each.has_times for each in transcripts):
        writer.writerow(["id", "channel", "start", "end", "gloss", "confidence"])
        for each in transcripts:
            check_plain(each)
            for timed in each.glosses or (TimedGloss(EMPTY_HYPOTHESIS, 0.0, 0.0),):
                confidence = "" if timed.confidence is None else f"{timed.confidence:.4f}"
                times = [f"{timed.start:.3f}", f"{timed.end:.3f}"]
                writer.writerow([each.sample_id, each.channel or "", *times, timed.gloss, confidence])
        return output.getvalue()
    writer.writerow(["id", "signer", "channel", "start", "end", "glosses"])
    for each in transcripts:
        check_plain(each)
        times = ["" if math.isinf(each.end) else f"{time:.3f}" for time in (each.start, each.end)]
        row = [each.sample_id, each.signer or "", each.channel or "", *times, " ".join(each.labels_of_glosses)]
        writer.writerow(row)
    return output.getvalue()


def check_names(transcripts: list[Transcript], faults: list[str]) -> list[Transcript]:
    """Return transcripts; adds those to `faults` whose clip or segment occurs twice."""
    seen: set[tuple[str, str | None, float]] = set()
    for each in transcripts:
        key = (each.sample_id, each.channel, each.start)
        if key in seen:
            faults.append(f"line {each.line or 1}: clip {each.sample_id!r} occurs twice")
        seen.add(key)
    return transcripts


def check_plain(transcript: Transcript) -> None:
    """Raise a ScoringError if a transcript has something that only STM can hold."""
    if transcript.text is not None or transcript.is_ignored:
        raise ScoringError(
            f"clip {transcript.sample_id!r}: alternatives and ignored segments cannot be written in this form",
            "write STM, which has them",
        )


def _read_rows(reader: Any, width: int, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row after the header."""
    is_header = True
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            faults.append(f"line {reader.line_num}: not a table ({error})")
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells) or (is_header and cells[0].lower().startswith("sep=")):
            continue
        if is_header:
            is_header = False
            continue
        while len(cells) > width and not cells[-1].strip():  # a delimiter at the end of the line
            cells.pop()
        if len(cells) > width:
            faults.append(f"line {reader.line_num}: {len(cells)} cells, expected {width} as in the header")
            continue
        yield reader.line_num, [*cells, *[""] * (width - len(cells))]


def _parse_row(cells: Sequence[str], columns: Columns) -> Transcript | None:
    """Return the clip or the gloss of a row; None for a gloss of a hypothesis that is not the best one."""

    def number(name: str) -> float | None:
        place = getattr(columns, name)
        cell = "" if place is None else cells[place].strip()
        if cell in ("", "NA"):
            return None
        value = parse_number(cell)
        if value is None:
            raise ValueError(f"{name} is {abbreviate(cell)}, expected a number such as 1.25")
        return value

    def text(place: int | None) -> str | None:
        return None if place is None else cells[place].strip() or None

    sample_id = text(columns.sample_id)
    if sample_id is None:
        raise ValueError("the name of the clip is empty")
    if columns.rank is not None and (number("rank") or 1) != 1:
        return None
    start, end, duration = number("start"), number("end"), number("duration")
    if end is None and start is not None and duration is not None:
        end = start + duration
    glosses = split_fields(cells[columns.text])
    glosses = [] if glosses == [EMPTY_HYPOTHESIS] else glosses
    if columns.per_gloss and glosses and (start is None or end is None):
        raise ValueError("a gloss has no start or no end, expected for example 1.25 and 1.50")
    timed = untimed(glosses)
    if columns.per_gloss:
        confidence = number("confidence")
        timed = tuple(TimedGloss(gloss, start or 0.0, end or 0.0, confidence) for gloss in glosses)
    return Transcript(
        sample_id,
        timed,
        has_times=columns.per_gloss,
        signer=text(columns.signer),
        channel=text(columns.channel),
        start=start or 0.0,
        end=math.inf if end is None else end,
        is_path=columns.is_path,
    )


def _join_glosses(rows: Iterable[Transcript]) -> list[Transcript]:
    """Join the rows of each clip, one per gloss."""
    parts: dict[tuple[str, str | None], list[Transcript]] = {}
    for row in rows:
        parts.setdefault((row.sample_id, row.channel), []).append(row)
    joined = []
    for members in parts.values():
        glosses = sorted((timed for row in members for timed in row.glosses), key=lambda timed: timed.start)
        joined.append(replace(members[0], glosses=tuple(glosses), start=0.0, end=math.inf))
    return joined
