"""Transcripts on disk: references as STM, hypotheses as CTM, the two formats of NIST's sclite.

An STM line is one clip, `ID 1 SIGNER 0.0 1.79769e+308 GLOSS GLOSS …`. A CTM line is one gloss, `ID 1 START END GLOSS`,
with times in seconds. ASCII white space separates fields, lines that begin with `;;` are comments, and files are UTF-8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.errors import ScoringError, join_faults
from cslr_cli.files import write_text
from cslr_cli.untrusted import read_text

STM_LAYOUT = "ID 1 SIGNER START END GLOSS GLOSS …"
CTM_LAYOUT = "ID 1 START END GLOSS"
EMPTY_HYPOTHESIS = "[EMPTY]"  # the only gloss of a hypothesis without glosses
UNKNOWN_SIGNER = "unknown"  # an STM line must name a signer

_CHANNEL = "1"
_WHOLE_CLIP = "0.0 1.79769e+308"  # start and end of a segment that contains every time
_FIELD = re.compile(r"[^ \t\r\f\v]+")  # not str.split, which also splits at ideographic spaces
_ALTERNATIVES = re.compile(r"\{[^{}]*/[^{}]*\}")  # in an STM line; sclite scores the most similar one


@dataclass(frozen=True)
class Reference:
    """The reference of one clip.

    Attributes:
        sample_id: name of the clip.
        glosses: signed glosses in order; empty if nothing is signed.
        signer: name of the signer; None if unknown.
    """

    sample_id: str
    glosses: tuple[str, ...]
    signer: str | None = None


@dataclass(frozen=True)
class TimedGloss:
    """A recognised gloss with its time.

    Attributes:
        gloss: label.
        start: start in seconds from the beginning of the clip.
        end: end in seconds from the beginning of the clip. In CTM files of other tools this may be a duration, as NIST
            defines the column; scoring does not use it.
        confidence: confidence, 0 to 1; None if unknown. It is the optional sixth field of a CTM line.
    """

    gloss: str
    start: float
    end: float
    confidence: float | None = None

    @property
    def middle(self) -> float:
        """Middle between start and end, seconds."""
        return (self.start + self.end) / 2


def read_stm(path: Path) -> list[Reference]:
    """Read references.

    A line without a gloss after its times is a clip with an empty reference. As in sclite, a sixth field that begins
    with an angle bracket (`<o,f0,male>`) is a label, not a gloss.

    Raises:
        ScoringError: the file cannot be read or is not UTF-8; lines have another layout; a clip has more than one
            line, or a reference has alternatives in braces.
    """
    references: dict[str, Reference] = {}

    def parse_fields(fields: list[str]) -> str | None:
        if len(fields) < 5:
            return f"{len(fields)} fields, expected at least 5"
        sample_id, _, signer, start, end, *glosses = fields
        if not (_is_number(start) and _is_number(end)):
            return f"start and end are {start!r} and {end!r}, expected two numbers"
        if sample_id in references:
            return f"clip {sample_id!r} occurs twice"
        if _has_label(glosses):
            del glosses[0]
        alternatives = _ALTERNATIVES.search(" ".join(glosses))
        if alternatives:  # read as glosses, they would all be errors
            return f"alternatives {alternatives[0]!r} are not supported: keep only the signed gloss"
        known_signer = None if signer == UNKNOWN_SIGNER else signer
        references[sample_id] = Reference(sample_id, tuple(glosses), known_signer)
        return None

    _read_lines(path, parse_fields, f"use one line per clip: {STM_LAYOUT}")
    return list(references.values())


def read_ctm(path: Path) -> dict[str, tuple[TimedGloss, ...]]:
    """Read hypotheses: for each clip, in the file's order, the glosses in order of their start.

    A clip whose only gloss is `[EMPTY]` has an empty hypothesis.

    Raises:
        ScoringError: the file cannot be read or is not UTF-8; lines have another layout; the lines of a clip are not
            adjacent, as in joined files, or have two channels.
    """
    hypotheses: dict[str, list[TimedGloss]] = {}
    latest_id = latest_channel = ""

    def parse_fields(fields: list[str]) -> str | None:
        nonlocal latest_id, latest_channel
        if len(fields) not in (5, 6):
            return f"{len(fields)} fields, expected 5 (or 6, the last a confidence)"
        sample_id, channel, start, end, gloss, *rest = fields
        if not all(map(_is_finite, (start, end, *rest))):
            return f"{' '.join((start, end, *rest))!r} are not all numbers"
        if sample_id in hypotheses and sample_id != latest_id:
            return f"clip {sample_id!r} occurs twice, with other clips in between"
        if sample_id == latest_id and channel != latest_channel:
            return f"clip {sample_id!r} has two channels, {latest_channel!r} and {channel!r}; expected one"
        latest_id, latest_channel = sample_id, channel
        confidence = float(rest[0]) if rest else None
        timed = TimedGloss(gloss, float(start), float(end), confidence)
        hypotheses.setdefault(sample_id, []).append(timed)
        return None

    _read_lines(path, parse_fields, f"use one line per gloss: {CTM_LAYOUT}")
    return {sample_id: _sort_glosses(glosses) for sample_id, glosses in hypotheses.items()}


def write_stm(path: Path, references: Iterable[Reference]) -> None:
    """Write references, one line per clip, for `read_stm`; exceptions are those of `write_ctm`."""
    write_text(path, "".join(map(_stm_line, references)))


def write_ctm(path: Path, hypotheses: Mapping[str, Sequence[TimedGloss]]) -> None:
    """Write hypotheses, one line per gloss, with times in seconds (three decimals).

    A clip without glosses gets the only gloss `[EMPTY]`, as in published systems, so that every decoded clip is in the
    file. `read_ctm` removes it.

    Raises:
        ScoringError: a name or a gloss is empty or has white space, which the format cannot represent.
    """
    write_text(path, "".join(line for item in hypotheses.items() for line in ctm_lines(*item)))


def ctm_lines(sample_id: str, glosses: Sequence[TimedGloss]) -> list[str]:
    """Return the lines of one clip in a CTM file, with line breaks; see `write_ctm`."""
    return [_ctm_line(sample_id, timed) for timed in (glosses or (TimedGloss(EMPTY_HYPOTHESIS, 0.0, 0.0),))]


def strip_times(hypotheses: Mapping[str, Sequence[TimedGloss]]) -> dict[str, tuple[str, ...]]:
    """Return the glosses of each clip without their times."""
    return {sample_id: tuple(timed.gloss for timed in glosses) for sample_id, glosses in hypotheses.items()}


def _sort_glosses(glosses: list[TimedGloss]) -> tuple[TimedGloss, ...]:
    if [timed.gloss for timed in glosses] == [EMPTY_HYPOTHESIS]:
        return ()
    return tuple(sorted(glosses, key=lambda timed: timed.start))  # as sclite does


def _has_label(glosses: Sequence[str]) -> bool:
    """Return whether the sixth field of an STM line is a label: as for sclite, any word that begins with `<`."""
    return bool(glosses) and glosses[0].startswith("<")


def _stm_line(reference: Reference) -> str:
    signer = UNKNOWN_SIGNER if reference.signer is None else reference.signer
    glosses = list(reference.glosses)
    if _has_label(glosses):
        glosses.insert(0, "<>")  # an empty label, so that `<unk>` is not taken for one
    _check_fields(reference.sample_id, signer, *glosses)
    alternatives = _ALTERNATIVES.search(" ".join(glosses))
    if alternatives:
        raise ScoringError(
            f"clip {reference.sample_id!r}: {alternatives[0]!r} cannot be written to an STM file",
            "use another spelling of the gloss: in STM files, braces with a slash mean alternatives",
        )
    return " ".join([reference.sample_id, _CHANNEL, signer, _WHOLE_CLIP, *glosses]) + "\n"


def _ctm_line(sample_id: str, timed: TimedGloss) -> str:
    _check_fields(sample_id, timed.gloss)
    line = f"{sample_id} {_CHANNEL} {timed.start:.3f} {timed.end:.3f} {timed.gloss}"
    return f"{line}\n" if timed.confidence is None else f"{line} {timed.confidence:.4f}\n"


def _check_fields(sample_id: str, *fields: str) -> None:
    for field in (sample_id, *fields):
        if not _FIELD.fullmatch(field) or "\n" in field:
            raise ScoringError(
                f"clip {sample_id!r}: {field!r} cannot be written to an STM or CTM file",
                "use names and glosses that are not empty and have no white space, which separates fields",
            )
    if sample_id.startswith(";;"):
        raise ScoringError(
            f"clip {sample_id!r}: the name cannot be written to an STM or CTM file",
            "use another name: lines that begin with ;; are comments",
        )


def _read_lines(path: Path, parse_fields: Callable[[list[str]], str | None], layout: str) -> None:
    """Parse the fields of each line; `parse_fields` returns a fault or None. Faults raise a ScoringError."""
    faults = []
    for number, fields in _split_lines(path, layout):
        fault = parse_fields(fields)
        if fault is not None:
            faults.append(f"{path}, line {number}: {fault}")
    if faults:
        raise ScoringError(join_faults(faults), layout)


def _split_lines(path: Path, layout: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is neither blank nor a comment."""
    try:
        text = read_text(path)
    except OSError as error:
        raise ScoringError(
            f"{path}: cannot be read ({error.strerror})", "check the path and the permissions of the file"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScoringError(
            f"{path}, line {line}: not UTF-8", f"save the file as UTF-8, for example with iconv; {layout}"
        ) from error
    for number, line_text in enumerate(text.split("\n"), start=1):
        fields = _FIELD.findall(line_text)
        if fields and not fields[0].startswith(";;"):
            yield number, fields


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _is_finite(text: str) -> bool:
    return _is_number(text) and math.isfinite(float(text))
