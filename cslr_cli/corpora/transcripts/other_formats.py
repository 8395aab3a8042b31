"""Read Praat TextGrids, subtitles (SRT, VTT), and the JSON that `cslr predict` writes."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from cslr_cli.corpora.annotation_files import AnnotationError, Fault, read_annotation_text
from cslr_cli.corpora.transcripts.transcript import (
    GLOSS_TIER,
    AnnotationDocument,
    MediaLink,
    Tier,
    TimedText,
    TranscriptError,
    sort_by_start,
)
from cslr_cli.untrusted import UntrustedDataError, abbreviate, parse_json

_SENTENCES = "sentences"

# Praat


def read_textgrid(path: Path) -> AnnotationDocument:
    """Read a TextGrid of Praat, long or short; point tiers are left out.

    Raises:
        TranscriptError: it is not a TextGrid of text.
    """
    tokens = _Tokens(path, _read(path))
    if tokens.take_text() != "ooTextFile" or tokens.take_text() != "TextGrid":
        raise TranscriptError([Fault(str(path), "not a TextGrid in text form; save it with Save as text file")])
    tokens.take_numbers(2)
    tiers = []
    for _ in range(int(tokens.take_numbers(1)[0])):
        kind, name = tokens.take_text(), tokens.take_text()
        tokens.take_numbers(2)
        annotations = []
        for _ in range(int(tokens.take_numbers(1)[0])):
            if kind == "IntervalTier":
                start, end = tokens.take_numbers(2)
                annotations.append(TimedText(start, end, " ".join(tokens.take_text().split())))
            else:
                tokens.take_numbers(1)
                tokens.take_text()
        if kind == "IntervalTier":
            tiers.append(Tier(name, sort_by_start(annotation for annotation in annotations if annotation.text)))
    return AnnotationDocument(path, tuple(tiers))


class _Tokens:
    """The texts and numbers of a TextGrid in order; the words between them (`xmin =`) have no meaning."""

    # Text in quotes, in which two quotes mean one; an index in brackets; a comment; a word or a number.
    _TOKEN = re.compile(r'"((?:[^"]|"")*)"|\[[^\]\n]*\]|!.*|[^\s"\[!]+')

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._values = self._split(text)

    def _split(self, text: str) -> Iterator[tuple[int, str | float]]:
        for match in self._TOKEN.finditer(text):
            if match[1] is not None:
                yield match.start(), match[1].replace('""', '"')
            elif re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", match[0]):
                try:
                    yield match.start(), float(match[0])
                except ValueError:
                    continue

    def _take(self, kind: type, what: str) -> Any:
        position, value = next(self._values, (len(self._text), None))
        if not isinstance(value, kind) or (isinstance(value, float) and not math.isfinite(value)):
            line = self._text.count("\n", 0, position) + 1
            raise TranscriptError([Fault(f"{self._path}:{line}", f"expected {what}, found {abbreviate(value)}")])
        return value

    def take_text(self) -> str:
        """Return the next text."""
        return str(self._take(str, 'a text in quotes, such as "HELLO"'))

    def take_numbers(self, count: int) -> list[float]:
        """Return the next numbers."""
        return [float(self._take(float, "a number, such as 12.4")) for _ in range(count)]


# Subtitles

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIME_LINE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")


def read_subtitles(path: Path) -> AnnotationDocument:
    """Read SRT or VTT. If a cue has several words, each cue is a sentence of glosses; otherwise it is one gloss.

    Raises:
        TranscriptError: lines with times are invalid; all of them are listed.
    """
    cues: list[TimedText] = []
    faults = []
    lines = _read(path).split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if "-->" not in line:
            continue
        match = _TIME_LINE.fullmatch(line)
        if match is None:
            expected = "expected 00:00:12,400 --> 00:00:15,200"
            faults.append(Fault(f"{path}:{number}", f"invalid times {line.strip()[:60]!r}; {expected}"))
            continue
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if end < start:
            faults.append(Fault(f"{path}:{number}", f"the cue ends at {end:g} s, before its start at {start:g} s"))
            continue
        text = []
        while number < len(lines) and lines[number].strip():
            text.append(lines[number])
            number += 1
        plain = " ".join(html.unescape(re.sub(r"<[^<>]*>|\{\\[^}]*\}", "", " ".join(text))).split())
        if plain:
            cues.append(TimedText(start, end, plain))
    if faults:
        raise TranscriptError(faults)
    if not cues:
        raise TranscriptError(
            [Fault(str(path), "it has no cues; expected lines such as 00:00:12,400 --> 00:00:15,200")]
        )
    are_sentences = any(" " in cue.text for cue in cues)
    return AnnotationDocument(
        path, (Tier(GLOSS_TIER, sort_by_start(cues)),), sentence_tier=GLOSS_TIER if are_sentences else None
    )


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0) + float(f"0.{fraction or 0}")


# JSON of `cslr predict`


def read_recognitions(path: Path) -> list[AnnotationDocument]:
    """Read the JSON of `cslr predict`: one document, a list of documents, or one per line.

    A corrected document is read: either its `glosses`, or the `glosses` of its `sentences`.

    Raises:
        TranscriptError: documents are not recognitions, or both kinds of glosses were corrected differently.
    """
    transcripts: list[AnnotationDocument] = []
    faults: list[Fault] = []
    for where, value in _json_documents(path, faults):
        try:
            transcripts.append(_read_recognition(path, where, value))
        except TranscriptError as error:
            faults += error.faults
    if faults:
        raise TranscriptError(faults)
    return transcripts


def _json_documents(path: Path, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    text = _read(path)
    if path.suffix.lower() == ".json":
        try:
            value = parse_json(text)
        except UntrustedDataError as error:
            faults.append(Fault(str(path), error.message))
            return
        for place, document in enumerate(value if isinstance(value, list) else [value]):
            yield f"{path}[{place}]" if isinstance(value, list) else str(path), document
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", parse_json(line)
            except UntrustedDataError as error:
                faults.append(Fault(f"{path}:{number}", error.message))


def _read_recognition(path: Path, where: str, value: Any) -> AnnotationDocument:
    if not isinstance(value, dict) or "glosses" not in value:
        what = f"not a recognition: {abbreviate(value)}; expected an object with source and glosses"
        raise TranscriptError([Fault(where, what)])
    glosses = _timed_glosses(value["glosses"], where)
    sentences = value.get(_SENTENCES) or []
    if not isinstance(sentences, list) or not all(isinstance(sentence, dict) for sentence in sentences):
        raise TranscriptError([Fault(where, "sentences is not a list of objects")])
    inner = [
        _timed_glosses(sentence.get("glosses", []), f"{where}: sentence {n}") for n, sentence in enumerate(sentences)
    ]
    in_sentences = tuple(chain.from_iterable(inner))
    if sentences and in_sentences != glosses:
        glosses = _corrected(value, glosses, in_sentences, where)
    bounds = [_interval(sentence, f"{where}: sentence {n}", "") for n, sentence in enumerate(sentences)]
    tiers = [Tier(GLOSS_TIER, sort_by_start(glosses))]
    if bounds:
        tiers.append(Tier(_SENTENCES, sort_by_start(bounds)))
    source = value.get("source")
    media = (MediaLink((source, str(Path(source).absolute()))),) if isinstance(source, str) and source else ()
    return AnnotationDocument(path, tuple(tiers), media, _SENTENCES if bounds else None, where)


def _corrected(
    value: dict[str, Any], glosses: tuple[TimedText, ...], in_sentences: tuple[TimedText, ...], where: str
) -> tuple[TimedText, ...]:
    """Return the glosses that were corrected, of the two lists of a document: those that differ from the best ones."""
    nbest = value.get("nbest")
    best = nbest[0].get("glosses") if isinstance(nbest, list) and nbest and isinstance(nbest[0], dict) else None
    original = None if best is None else _timed_glosses(best, f"{where}: nbest")
    if original == glosses:
        return in_sentences
    if original == in_sentences or original is None:
        return glosses
    what = "glosses and the glosses of sentences were both changed, differently; change one, and remove the other"
    raise TranscriptError([Fault(where, what)])


def _timed_glosses(values: Any, where: str) -> tuple[TimedText, ...]:
    if not isinstance(values, list):
        raise TranscriptError([Fault(where, "glosses is not a list")])
    return tuple(_interval(value, f"{where}: gloss {number}", None) for number, value in enumerate(values))


def _interval(value: Any, where: str, text: str | None) -> TimedText:
    """Return an object with `start` and `end`, and with `gloss` unless `text` is given."""
    example = 'expected {"gloss": "HELLO", "start": 1.2, "end": 1.6}'
    if not isinstance(value, dict):
        raise TranscriptError([Fault(where, f"{abbreviate(value)}; {example}")])
    start, end = _number(value.get("start")), _number(value.get("end"))
    gloss = value.get("gloss") if text is None else text
    if not isinstance(gloss, str) or not 0 <= start <= end < math.inf:
        raise TranscriptError([Fault(where, f"{abbreviate(value)}; {example}")])
    return TimedText(start, end, " ".join(gloss.split()))


def _number(value: Any) -> float:
    """Return a number; NaN for another value."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def _read(path: Path) -> str:
    try:
        return read_annotation_text(path)
    except AnnotationError as error:
        raise TranscriptError(error.faults) from error
    except UntrustedDataError as error:
        raise TranscriptError([Fault(str(path), error.message)]) from error
