"""Transcripts as JSON: JSON lines, and the documents that `predict` and `evaluate` write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

from cslr_cli.documents import format_json
from cslr_cli.scoring.table_forms import (
    ID_NAMES,
    PATH_NAMES,
    SIGNER_NAMES,
    TEXT_NAMES,
    Side,
    check_names,
    check_plain,
)
from cslr_cli.scoring.transcripts import EMPTY_HYPOTHESIS, TimedGloss, Transcript, split_fields, untimed
from cslr_cli.untrusted import UntrustedDataError, abbreviate, parse_json

# Keys of JSON documents that do not name a clip.
_DOCUMENT_KEYS = ("schema_version",)


class GlossDocument(TypedDict):
    """A gloss with its time in seconds.

    Attributes:
        gloss: label.
        start: start in seconds.
        end: end in seconds.
        confidence: confidence, 0 to 1; null if unknown.
    """

    gloss: str
    start: float
    end: float
    confidence: float | None


class TranscriptDocument(TypedDict):
    """One clip, or one segment of a recording: a line of a file that `cslr score --convert` writes as JSON lines.

    Attributes:
        schema_version: version of this document.
        id: name of the clip or the recording.
        glosses: glosses in order, with times if they are known.
        signer: name of the signer; only if known.
        channel: name of the channel; only if known.
        start: start of the segment in seconds; only of a segment.
        end: end of the segment in seconds; only of a segment.
    """

    schema_version: Literal[1]
    id: str
    glosses: list[str] | list[GlossDocument]
    signer: NotRequired[str]
    channel: NotRequired[str]
    start: NotRequired[float]
    end: NotRequired[float]


class TranscriptsDocument(TypedDict):
    """All clips of a file: what `cslr score --convert` writes as JSON.

    Attributes:
        schema_version: version of this document.
        transcripts: clips in order.
    """

    schema_version: Literal[1]
    transcripts: list[TranscriptDocument]


def parse_json_lines(text: str, faults: list[str], side: Side) -> list[Transcript]:
    """Parse JSON objects, one per line; error objects of `predict --json` are left out."""
    transcripts: list[Transcript] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
            if isinstance(value, dict) and "error" in value:
                continue
            transcripts.append(replace(_parse_object(value, side), line=number))
        except (UntrustedDataError, _ShapeError) as error:
            faults.append(f"line {number}: {error}")
    return check_names(transcripts, faults)


def parse_json_document(text: str, faults: list[str], side: Side) -> list[Transcript]:
    """Parse a JSON document: of `predict` or `evaluate`, a list of objects, or an object of glosses by clip."""
    try:
        return check_names(list(_parse_document(parse_json(text), side)), faults)
    except (UntrustedDataError, _ShapeError) as error:
        faults.append(f"line 1: {error}")
        return []


def format_json_lines(transcripts: Iterable[Transcript]) -> str:
    """Format one JSON object per clip, each in one line."""
    return "".join(format_json(_transcript_document(each)) + "\n" for each in transcripts)


def format_json_document(transcripts: Iterable[Transcript]) -> str:
    """Format one JSON document with all clips."""
    document: TranscriptsDocument = {
        "schema_version": 1,
        "transcripts": [_transcript_document(each) for each in transcripts],
    }
    return format_json(document, indent=1) + "\n"


class _ShapeError(ValueError):
    """A JSON value does not have the expected shape."""


def _parse_document(value: Any, side: Side) -> Iterator[Transcript]:
    if isinstance(value, list):
        for item in value:
            yield _parse_object(item, side)
        return
    if not isinstance(value, dict):
        raise _ShapeError(f"{abbreviate(value)} is no object and no list of objects")
    if isinstance(value.get("transcripts"), list):
        yield from _parse_document(value["transcripts"], side)
    elif isinstance(value.get("sections"), dict):  # report.json
        for section in value["sections"].values():
            for clip in _list_of(section, "alignments"):
                yield _parse_alignment(clip, side)
    elif isinstance(value.get("splits"), dict):  # evaluate --json
        for split in value["splits"].values():
            if isinstance(split, dict) and isinstance(split.get("hypotheses"), dict):
                yield from _parse_clips(split["hypotheses"], side)
    elif _find_key(value, ID_NAMES) is not None and _find_key(value, TEXT_NAMES[side]) is not None:
        yield _parse_object(value, side)
    else:
        yield from _parse_clips(value, side)


def _parse_clips(value: Mapping[str, Any], side: Side) -> Iterator[Transcript]:
    for name, item in value.items():
        if name in _DOCUMENT_KEYS:
            continue
        if isinstance(item, dict):
            key = _find_key(item, TEXT_NAMES[side])
            if key is None:
                raise _ShapeError(f"{name!r} has no glosses, expected for example {{{name!r}: ['A', 'B']}}")
            item = item[key]
        glosses, has_times = _parse_glosses(item, name)
        yield Transcript(name, glosses, has_times=has_times)


def _parse_object(value: Any, side: Side) -> Transcript:
    if not isinstance(value, dict):
        raise _ShapeError(f"{abbreviate(value)} is no object")
    id_key, text_key = _find_key(value, ID_NAMES), _find_key(value, TEXT_NAMES[side])
    if id_key is None or text_key is None:
        raise _ShapeError(f"the keys are {', '.join(map(str, value))[:80]}; expected id and glosses")
    name = value[id_key]
    if isinstance(name, bool) or not isinstance(name, (str, int)) or not str(name).strip():
        raise _ShapeError(f"{id_key} is {abbreviate(name)}, expected the name of a clip")
    glosses, has_times = _parse_glosses(value[text_key], str(name))
    signer, channel = (_text_or_none(value, names) for names in (SIGNER_NAMES, ("channel",)))
    start, end = value.get("start"), value.get("end")
    is_segment = not has_times and _is_real(start) and _is_real(end)
    return Transcript(
        str(name).strip(),
        glosses,
        has_times=has_times,
        signer=signer,
        channel=channel,
        start=float(start) if is_segment else 0.0,  # type: ignore[arg-type]
        end=float(end) if is_segment else math.inf,  # type: ignore[arg-type]
        is_path=id_key.lower() in PATH_NAMES,
    )


def _parse_glosses(value: Any, name: str) -> tuple[tuple[TimedGloss, ...], bool]:
    """Return glosses and whether they have times; from a text, a list of texts, or a list of objects."""
    if isinstance(value, str):
        glosses = split_fields(value)
        return (() if glosses == [EMPTY_HYPOTHESIS] else untimed(glosses)), False
    if not isinstance(value, list):
        raise _ShapeError(f"the glosses of {name!r} are {abbreviate(value)}, expected 'A B' or ['A', 'B']")
    if value and all(isinstance(item, str) for item in value):
        return untimed(value), False
    timed = []
    for item in value:
        if not (isinstance(item, dict) and isinstance(item.get("gloss"), str) and item["gloss"].strip()):
            raise _ShapeError(f"a gloss of {name!r} is {abbreviate(item)}, expected 'A' or {{'gloss': 'A'}}")
        start, end, confidence = item.get("start", 0.0), item.get("end", 0.0), item.get("confidence")
        if not (_is_real(start) and _is_real(end) and (confidence is None or _is_real(confidence))):
            raise _ShapeError(f"the times of a gloss of {name!r} are {abbreviate((start, end))}, expected two numbers")
        timed.append(TimedGloss(item["gloss"], float(start), float(end), confidence))
    return tuple(timed), all("start" in item for item in value)


def _parse_alignment(clip: Any, side: Side) -> Transcript:
    """Return a side of an alignment in `report.json`; the hypothesis is that of the first system, as decoded."""
    if not isinstance(clip, dict) or not isinstance(clip.get("sample_id"), str):
        raise _ShapeError("an alignment has no sample_id")
    name = clip["sample_id"]
    if side == "hypotheses" and clip.get("recognised") is not None:
        glosses, has_times = _parse_glosses(clip["recognised"], name)
        return Transcript(name, glosses, has_times=has_times)
    systems = clip.get("systems")
    first = next(iter(systems.values()), None) if isinstance(systems, dict) else None
    pairs = _list_of(first, "pairs")
    place = 1 if side == "references" else 2
    labels = [pair[place] for pair in pairs if isinstance(pair, list) and len(pair) == 3 and pair[place] is not None]
    if not all(isinstance(label, str) for label in labels):
        raise _ShapeError(f"the alignment of {name!r} has glosses that are no text")
    labels = [] if labels == [EMPTY_HYPOTHESIS] else labels
    signer = clip.get("signer")
    return Transcript(name, untimed(labels), signer=signer if isinstance(signer, str) else None)


def _find_key(value: Mapping[str, Any], candidates: Iterable[str]) -> str | None:
    names = {name.lower(): name for name in value if isinstance(name, str)}
    return next((names[name] for name in candidates if name in names), None)


def _list_of(value: Any, key: str) -> list[Any]:
    items = value.get(key) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise _ShapeError(f"no list {key!r}")
    return items


def _text_or_none(value: Mapping[str, Any], candidates: Iterable[str]) -> str | None:
    key = _find_key(value, candidates)
    found = None if key is None else value[key]
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) and str(found) else None


def _is_real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _transcript_document(transcript: Transcript) -> TranscriptDocument:
    check_plain(transcript)
    timed: list[GlossDocument] = [
        {"gloss": each.gloss, "start": each.start, "end": each.end, "confidence": each.confidence}
        for each in transcript.glosses
    ]
    document: TranscriptDocument = {
        "schema_version": 1,
        "id": transcript.sample_id,
        "glosses": timed if transcript.has_times else list(transcript.labels_of_glosses),
    }
    if transcript.signer is not None:
        document["signer"] = transcript.signer
    if transcript.channel is not None:
        document["channel"] = transcript.channel
    if not math.isinf(transcript.end):
        document["start"], document["end"] = transcript.start, transcript.end
    return document
