"""Transcripts on disk: references as STM, hypotheses as CTM, the two formats of NIST's sclite.

An STM line is one clip, or one segment of a recording: `ID 1 SIGNER 0.0 1.79769e+308 GLOSS GLOSS …`. A CTM line is one
gloss, `ID 1 START END GLOSS`, with times in seconds. ASCII white space separates fields, lines that begin with `;;` are
comments. `forms` has the other forms of transcripts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.choices import CtmTimes
from cslr_cli.errors import ScoringError, join_faults
from cslr_cli.files import write_text
from cslr_cli.scoring.gloss_network import NO_GLOSS, MarkError, first_reading, has_alternatives, split_marks
from cslr_cli.untrusted import read_text

STM_LAYOUT = "ID 1 SIGNER START END GLOSS GLOSS …"
CTM_LAYOUT = "ID 1 START END GLOSS"
EMPTY_HYPOTHESIS = "[EMPTY]"  # the only gloss of a hypothesis without glosses
UNKNOWN_SIGNER = "unknown"  # an STM line must name a signer
IGNORE_MARK = "IGNORE_TIME_SEGMENT_IN_SCORING"  # text of an STM line whose time is not scored

# First line of a CTM file with durations, so that its times are not guessed.
NIST_TIMES_COMMENT = ";; the fourth field is a duration"

_CHANNEL = "1"
_WHOLE_CLIP = "0.0 1.79769e+308"  # start and end of a segment that contains every time
_MAX_TIME = 1e300  # seconds; a later end means that the segment has none
_FIELD = re.compile(r"[^ \t\r\f\v]+")  # not str.split, which also splits at ideographic spaces
_LABEL_COMMENT = re.compile(r';;\s*LABEL\s+"([^"]*)"\s+"([^"]*)"', re.IGNORECASE)
_ALT_TAGS = {"<alt_begin>": "{", "<alt>": "/", "<alt_end>": "}"}  # alternatives in a CTM file, one tag per line
_MIN_CTM_FIELDS, _MAX_CTM_FIELDS = 5, 8  # file, channel, start, duration, gloss, confidence, type, speaker
_NO_CONFIDENCE = "NA"


@dataclass(frozen=True)
class Reference:
    """The reference of one clip, or of one segment of a recording.

    Attributes:
        sample_id: name of the clip; names of segments contain their times.
        glosses: signed glosses in order; empty if nothing is signed. With alternatives, those of the first reading.
        signer: name of the signer; None if unknown.
        tokens: glosses and alternatives (`{ A / B }`) in order; None without alternatives.
        labels: categories of the clip (`<o,f>` in an STM file).
        recording: name of the recording that the segment belongs to; None for a clip.
        start: start of the segment in seconds.
        end: end of the segment in seconds.
        is_ignored: whether nothing in the segment is scored.
    """

    sample_id: str
    glosses: tuple[str, ...]
    signer: str | None = None
    tokens: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    recording: str | None = None
    start: float = field(default=0.0, compare=False)
    end: float = field(default=math.inf, compare=False)
    is_ignored: bool = False


@dataclass(frozen=True)
class TimedGloss:
    """A recognised gloss with its time.

    Attributes:
        gloss: label.
        start: start in seconds from the beginning of the clip.
        end: end in seconds from the beginning of the clip. `read_ctm` returns the fourth field of a line, which is a
            duration in CTM files of other tools.
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


@dataclass(frozen=True, slots=True)
class Transcript:
    """One clip, or one segment of a recording, in a file of transcripts of any form.

    Attributes:
        sample_id: name of the clip or the recording, as written.
        glosses: glosses in order; a form without times has the time 0 for all.
        has_times: whether the glosses have times.
        signer: name of the signer; None if unknown.
        channel: name of the channel; None if the form has none.
        start: start of the segment in seconds.
        end: end of the segment in seconds; infinite for a whole clip.
        labels: categories.
        text: glosses with marks (`{ A / B }`, `@`) if the form has marks and the line uses them; otherwise None.
        is_ignored: whether nothing in the segment is scored.
        is_path: whether the name may be a path of a video.
        line: number of the first line in the file.
    """

    sample_id: str
    glosses: tuple[TimedGloss, ...]
    has_times: bool = False
    signer: str | None = None
    channel: str | None = None
    start: float = 0.0
    end: float = math.inf
    labels: tuple[str, ...] = ()
    text: str | None = None
    is_ignored: bool = False
    is_path: bool = False
    line: int = 0

    @property
    def labels_of_glosses(self) -> tuple[str, ...]:
        """The glosses without their times."""
        return tuple(timed.gloss for timed in self.glosses)

    def to_reference(self) -> Reference:
        """Return the reference that the transcript contains; the name is that of the clip or the recording."""
        tokens = None if self.text is None else split_marks(self.text)
        glosses = self.labels_of_glosses if tokens is None else first_reading(tokens)
        return Reference(
            sample_id=self.sample_id,
            glosses=glosses,
            signer=self.signer,
            tokens=tokens,
            labels=self.labels,
            start=self.start,
            end=self.end,
            is_ignored=self.is_ignored,
        )


def untimed(glosses: Iterable[str]) -> tuple[TimedGloss, ...]:
    """Return glosses of a form without times."""
    return tuple(TimedGloss(gloss, 0.0, 0.0) for gloss in glosses)


def read_stm(path: Path) -> list[Reference]:
    """Read references with one line per clip.

    A line without a gloss after its times is a clip with an empty reference. As in sclite, a sixth field that begins
    with an angle bracket (`<o,f0,male>`) contains categories, not a gloss.

    Raises:
        ScoringError: the file cannot be read or is not UTF-8; lines have another layout; a clip has more than one
            line, or alternatives are wrong.
    """
    faults: list[str] = []
    transcripts = parse_stm(read_transcript_text(path), faults)
    seen = set()
    for transcript in transcripts:
        if transcript.sample_id in seen:
            faults.append(f"line {transcript.line}: clip {transcript.sample_id!r} occurs twice")
        seen.add(transcript.sample_id)
    raise_faults(path, faults, f"use one line per clip: {STM_LAYOUT}")
    return [transcript.to_reference() for transcript in transcripts]


def read_ctm(path: Path) -> dict[str, tuple[TimedGloss, ...]]:
    """Read hypotheses: for each clip, in the file's order, the glosses in order of their start.

    A clip whose only gloss is `[EMPTY]` has an empty hypothesis.

    Raises:
        ScoringError: the file cannot be read or is not UTF-8; lines have another layout; the lines of a clip are not
            adjacent, as in joined files, or have two channels.
    """
    faults: list[str] = []
    hypotheses: dict[str, tuple[TimedGloss, ...]] = {}
    channels: dict[str, str | None] = {}
    for transcript in parse_ctm(read_transcript_text(path), faults, times="end"):
        name = transcript.sample_id
        if name in hypotheses:
            two = f"{channels[name]!r} and {transcript.channel!r}"
            faults.append(f"line {transcript.line}: clip {name!r} has two channels, {two}; expected one")
        hypotheses[name], channels[name] = transcript.glosses, transcript.channel
    raise_faults(path, faults, f"use one line per gloss: {CTM_LAYOUT}")
    return hypotheses


def parse_stm(text: str, faults: list[str]) -> list[Transcript]:
    """Parse the text of an STM file; adds what is wrong to `faults`, with the number of the line."""
    transcripts: list[Transcript] = []
    places: set[tuple[str, str, float, float]] = set()
    for number, fields in _split_lines(text):
        if len(fields) < 5:
            faults.append(f"line {number}: {len(fields)} fields, expected at least 5")
            continue
        sample_id, channel, signer, start_text, end_text, *glosses = fields
        start, end = parse_number(start_text), parse_number(end_text)
        if start is None or end is None:
            faults.append(f"line {number}: start and end are {start_text!r} and {end_text!r}, expected two numbers")
            continue
        if end < start:
            faults.append(f"line {number}: the segment ends at {end_text}, before its start {start_text}")
            continue
        end = math.inf if end > _MAX_TIME else end
        if (sample_id, channel, start, end) in places:
            faults.append(f"line {number}: clip {sample_id!r} occurs twice")
            continue
        places.add((sample_id, channel, start, end))
        labels: tuple[str, ...] = ()
        if _has_label(glosses):
            labels = tuple(filter(None, glosses.pop(0).strip("<>").split(",")))
        is_ignored = any(IGNORE_MARK in gloss.upper() for gloss in glosses)
        try:
            marked = None if is_ignored else parse_marks(" ".join(glosses))
        except MarkError as error:
            faults.append(f"line {number}: {error}")
            continue
        transcripts.append(
            Transcript(
                sample_id,
                () if is_ignored or marked is not None else untimed(glosses),
                signer=None if signer == UNKNOWN_SIGNER else signer,
                channel=channel,
                start=start,
                end=end,
                labels=labels,
                text=marked,
                is_ignored=is_ignored,
                line=number,
            )
        )
    return transcripts


def parse_label_titles(text: str) -> dict[str, str]:
    """Return the titles of the categories in an STM file, from its comments `;; LABEL "ID" "TITLE" "DESCRIPTION"`."""
    return {match[1]: match[2] or match[1] for match in _LABEL_COMMENT.finditer(text)}


def parse_ctm(text: str, faults: list[str], times: CtmTimes = "auto") -> list[Transcript]:
    """Parse the text of a CTM file; adds what is wrong to `faults`, with the number of the line.

    Args:
        text: content of the file.
        faults: list of faults.
        times: meaning of the fourth field. `auto`: a duration if the first line is `NIST_TIMES_COMMENT`, or if it is
            smaller than the third one in any line.
    """
    parts: dict[tuple[str, str], list[TimedGloss]] = {}
    lines: dict[tuple[str, str], int] = {}
    finished: set[str] = set()
    latest_id = ""
    for number, fields in _split_lines(text):
        if not _MIN_CTM_FIELDS <= len(fields) <= _MAX_CTM_FIELDS:
            faults.append(f"line {number}: {len(fields)} fields, expected 5 to 8 (the sixth is a confidence)")
            continue
        sample_id, channel, start_text, end_text, gloss = fields[:5]
        confidence = parse_number(fields[5]) if len(fields) > 5 and fields[5] != _NO_CONFIDENCE else None
        if gloss.lower() in _ALT_TAGS:
            latest = parts.get((sample_id, channel))
            start: float | None = latest[-1].start if latest else 0.0
            end = start
        else:
            start, end = parse_number(start_text), parse_number(end_text)
        is_wrong = len(fields) > 5 and fields[5] != _NO_CONFIDENCE and confidence is None
        if is_wrong or start is None or end is None or math.isinf(start) or math.isinf(end):
            shown = " ".join((start_text, end_text, *fields[5:6]))
            faults.append(f"line {number}: {shown!r} are not all numbers")
            continue
        if sample_id != latest_id:
            if sample_id in finished:
                faults.append(f"line {number}: clip {sample_id!r} occurs twice, with other clips in between")
                continue
            finished.add(sample_id)
            latest_id = sample_id
        key = (sample_id, channel)
        if key not in parts:
            parts[key], lines[key] = [], number
        parts[key].append(TimedGloss(gloss, start, end, confidence))
    if times == "auto":
        is_said = text.startswith(NIST_TIMES_COMMENT)
        times = "duration" if is_said or _has_durations(parts.values()) else "end"
    if times == "duration":
        parts = {key: [_with_end(timed) for timed in glosses] for key, glosses in parts.items()}
    return [_ctm_transcript(*key, glosses, lines[key], faults) for key, glosses in parts.items()]


def write_stm(path: Path, references: Iterable[Reference]) -> None:
    """Write references, one line per clip, for `read_stm`; exceptions are those of `write_ctm`."""
    write_text(path, "".join(map(stm_line, references)))


def write_ctm(path: Path, hypotheses: Mapping[str, Sequence[TimedGloss]]) -> None:
    """Write hypotheses, one line per gloss, with times in seconds (three decimals).

    A clip without glosses gets the only gloss `[EMPTY]`, as in published systems, so that every decoded clip is in the
    file. `read_ctm` removes it.

    Raises:
        ScoringError: a name or a gloss is empty or has white space, which the format cannot represent.
    """
    write_text(path, "".join(line for item in hypotheses.items() for line in ctm_lines(*item)))


def ctm_lines(sample_id: str, glosses: Sequence[TimedGloss], channel: str = _CHANNEL) -> list[str]:
    """Return the lines of one clip in a CTM file, with line breaks; see `write_ctm`."""
    filled = glosses or (TimedGloss(EMPTY_HYPOTHESIS, 0.0, 0.0),)
    return [_ctm_line(sample_id, channel, timed) for timed in filled]


def stm_line(reference: Reference, channel: str = _CHANNEL) -> str:
    """Return the line of a clip or a segment in an STM file, with line break; exceptions are those of `write_ctm`."""
    signer = UNKNOWN_SIGNER if reference.signer is None else reference.signer
    name = reference.sample_id if reference.recording is None else reference.recording
    glosses = list(reference.tokens or reference.glosses)
    check_fields(name, channel, signer, *reference.labels, *([] if reference.tokens else glosses))
    if reference.tokens is None:
        _check_no_marks(name, glosses)
    if reference.is_ignored:
        glosses = [IGNORE_MARK]
    if reference.labels:
        glosses.insert(0, f"<{','.join(reference.labels)}>")
    elif _has_label(glosses):
        glosses.insert(0, "<>")  # an empty label, so that `<unk>` is not taken for one
    is_whole = reference.start == 0 and math.isinf(reference.end)
    times = _WHOLE_CLIP if is_whole else f"{reference.start:.3f} {min(reference.end, 1e9):.3f}"
    return " ".join([name, channel, signer, times, *glosses]) + "\n"


def strip_times(hypotheses: Mapping[str, Sequence[TimedGloss]]) -> dict[str, tuple[str, ...]]:
    """Return the glosses of each clip without their times."""
    return {sample_id: tuple(timed.gloss for timed in glosses) for sample_id, glosses in hypotheses.items()}


def check_fields(sample_id: str, *fields: str) -> None:
    """Raise a ScoringError if a field is empty or has white space, which separates fields."""
    for text in (sample_id, *fields):
        if not _FIELD.fullmatch(text) or "\n" in text:
            raise ScoringError(
                f"clip {sample_id!r}: {text!r} cannot be written to an STM or CTM file",
                "use names and glosses that are not empty and have no white space, which separates fields",
            )
    if sample_id.startswith(";;"):
        raise ScoringError(
            f"clip {sample_id!r}: the name cannot be written to an STM or CTM file",
            "use another name: lines that begin with ;; are comments",
        )


def parse_marks(text: str) -> str | None:
    """Return the text of a reference with alternatives or `@`; None if it has only glosses. May raise a MarkError."""
    if "{" not in text and "@" not in text:
        return None
    tokens = split_marks(text)
    return " ".join(tokens) if has_alternatives(tokens) else None


def parse_number(text: str) -> float | None:
    """Parse a number that may be infinite; None for everything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) or "_" in text else number


def read_transcript_text(path: Path) -> str:
    """Read the text of a file of transcripts; raises a ScoringError with file and line if that is not possible."""
    try:
        return read_text(path)
    except OSError as error:
        raise ScoringError(
            f"{path}: cannot be read ({error.strerror})", "check the path and the permissions of the file"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScoringError(
            f"{path}, line {line}: not UTF-8 or UTF-16", "save the file as UTF-8, for example with iconv"
        ) from error


def raise_faults(path: Path, faults: Sequence[str], hint: str) -> None:
    """Raise a ScoringError with all faults of a file, if there are any."""
    if faults:
        raise ScoringError(join_faults([f"{path}, {fault}" for fault in faults]), hint)


def split_fields(line: str) -> list[str]:
    """Split a line at ASCII white space."""
    return _FIELD.findall(line)


def _split_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is neither blank nor a comment."""
    for number, line_text in enumerate(text.split("\n"), start=1):
        fields = _FIELD.findall(line_text)
        if fields and not fields[0].startswith(";;"):
            yield number, fields


def _ctm_transcript(
    sample_id: str, channel: str, glosses: list[TimedGloss], line: int, faults: list[str]
) -> Transcript:
    if [timed.gloss for timed in glosses] == [EMPTY_HYPOTHESIS]:
        glosses = []
    text = None
    if any(timed.gloss.lower() in _ALT_TAGS for timed in glosses):
        words = [_ALT_TAGS.get(timed.gloss.lower(), timed.gloss) for timed in glosses]
        try:
            text = " ".join(split_marks(" ".join(words)))
        except MarkError as error:
            faults.append(f"line {line}: {error}")
        glosses = []
    else:
        glosses.sort(key=lambda timed: timed.start)  # as sclite does
    return Transcript(sample_id, tuple(glosses), has_times=True, channel=channel, text=text, line=line)


def _has_durations(parts: Iterable[Sequence[TimedGloss]]) -> bool:
    return any(timed.end < timed.start for glosses in parts for timed in glosses)


def _with_end(timed: TimedGloss) -> TimedGloss:
    return TimedGloss(timed.gloss, timed.start, timed.start + timed.end, timed.confidence)


def _has_label(glosses: Sequence[str]) -> bool:
    """Return whether the sixth field of an STM line is a label: as for sclite, any word that begins with `<`."""
    return bool(glosses) and glosses[0].startswith("<")


def _check_no_marks(name: str, glosses: Sequence[str]) -> None:
    marks = [gloss for gloss in glosses if gloss == NO_GLOSS or "{" in gloss]
    if marks:
        raise ScoringError(
            f"clip {name!r}: {marks[0]!r} cannot be written to an STM file",
            "use another spelling of the gloss: in STM files, braces mean alternatives, and @ no gloss",
        )


def _ctm_line(sample_id: str, channel: str, timed: TimedGloss) -> str:
    check_fields(sample_id, channel, timed.gloss)
    line = f"{sample_id} {channel} {timed.start:.3f} {timed.end:.3f} {timed.gloss}"
    return f"{line}\n" if timed.confidence is None else f"{line} {timed.confidence:.4f}\n"
