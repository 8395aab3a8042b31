"""Transcripts as plain lines: sclite's trn (`G G (ID)`), `ID G G`, and `ID|G G`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.gloss_network import MarkError
from cslr_cli.scoring.transcripts import (
    EMPTY_HYPOTHESIS,
    Transcript,
    check_fields,
    parse_marks,
    split_fields,
    untimed,
)

_TRN_LINE = re.compile(r"^(?P<text>.*?)[ \t]*\((?P<id>[^()\s]+)\)[ \t]*$")


def parse_trn(text: str, faults: list[str]) -> list[Transcript]:
    """Parse the text of a trn file; adds what is wrong to `faults`, with the number of the line."""

    def parse_line(number: int, line: str) -> Transcript:
        match = _TRN_LINE.match(line)
        if match is None:
            raise ValueError("no (ID) at the end of the line")
        marked = parse_marks(match["text"])
        glosses = () if marked is not None else untimed(_strip_empty_mark(split_fields(match["text"])))
        return Transcript(match["id"], glosses, text=marked, line=number)

    return _parse_lines(text, faults, parse_line)


def parse_text(text: str, faults: list[str]) -> list[Transcript]:
    """Parse lines `ID G G`; exceptions are those of `parse_trn`."""

    def parse_line(number: int, line: str) -> Transcript:
        sample_id, *glosses = split_fields(line)
        return Transcript(sample_id, untimed(_strip_empty_mark(glosses)), line=number)

    return _parse_lines(text, faults, parse_line)


def parse_bar(text: str, faults: list[str]) -> list[Transcript]:
    """Parse lines `ID|G G`; exceptions are those of `parse_trn`."""

    def parse_line(number: int, line: str) -> Transcript:
        fields = line.split("|")
        if len(fields) != 2:
            raise ValueError(f"{len(fields)} fields separated by '|', expected 2")
        sample_id = fields[0].strip()
        if not sample_id:
            raise ValueError("no name before '|'")
        glosses = untimed(_strip_empty_mark(split_fields(fields[1])))
        return Transcript(sample_id, glosses, is_path="/" in sample_id, line=number)

    return _parse_lines(text, faults, parse_line)


def format_trn(transcripts: Iterable[Transcript]) -> str:
    """Format transcripts as lines `G G (ID)`; a ScoringError if a name or a gloss has white space."""
    return _format_lines(transcripts, lambda name, text: f"{text} ({name})" if text else f"({name})")


def format_id_lines(transcripts: Iterable[Transcript]) -> str:
    """Format transcripts as lines `ID G G`; a ScoringError if a name or a gloss has white space."""
    return _format_lines(transcripts, lambda name, text: f"{name} {text}".rstrip(), with_marks=False)


def format_bar(transcripts: Iterable[Transcript]) -> str:
    """Format transcripts as lines `ID|G G`; a ScoringError if a name or a gloss has white space."""
    return _format_lines(transcripts, lambda name, text: f"{name}|{text}", with_marks=False)


def _parse_lines(text: str, faults: list[str], parse_line: Callable[[int, str], Transcript]) -> list[Transcript]:
    transcripts: list[Transcript] = []
    lines: dict[str, int] = {}
    for number, line in _content_lines(text):
        try:
            transcript = parse_line(number, line)
        except (MarkError, ValueError) as error:
            faults.append(f"line {number}: {error}")
            continue
        if transcript.sample_id in lines:
            first = lines[transcript.sample_id]
            faults.append(f"line {number}: clip {transcript.sample_id!r} occurs twice, first in line {first}")
            continue
        lines[transcript.sample_id] = number
        transcripts.append(transcript)
    return transcripts


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r\f\v")
        if stripped and not stripped.startswith(";;"):
            yield number, stripped


def _strip_empty_mark(glosses: list[str]) -> list[str]:
    return [] if glosses == [EMPTY_HYPOTHESIS] else glosses


def _format_lines(
    transcripts: Iterable[Transcript], format_line: Callable[[str, str], str], *, with_marks: bool = True
) -> str:
    lines = []
    for each in transcripts:
        check_fields(each.sample_id, *(timed.gloss for timed in each.glosses))
        if (each.text is not None and not with_marks) or each.is_ignored:
            raise ScoringError(
                f"clip {each.sample_id!r}: alternatives and ignored segments cannot be written in this form",
                "write STM or trn, which have alternatives; only STM has ignored segments",
            )
        text = " ".join(timed.gloss for timed in each.glosses) if each.text is None else each.text
        lines.append(format_line(each.sample_id, text) + "\n")
    return "".join(lines)
