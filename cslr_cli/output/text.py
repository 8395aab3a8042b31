"""Recognitions as plain text, JSON, CSV and CTM."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cslr_cli.output.formats import FormatOptions
from cslr_cli.recognition import Alternative, Recognition, Sentence
from cslr_cli.scoring import TimedGloss
from cslr_cli.scoring.transcripts import ctm_lines

_NO_GLOSS = "  no gloss recognised\n"


def sentences_of(recognition: Recognition) -> tuple[Sentence, ...]:
    """Return the sentences of a recording; a recording that was not split is one sentence."""
    if recognition.sentences or not recognition.glosses:
        return recognition.sentences
    nbest = recognition.nbest or (Alternative(recognition.glosses, recognition.score),)
    return (Sentence(recognition.start, recognition.start + recognition.duration, nbest),)


def ranked_hypotheses(recognition: Recognition) -> list[tuple[TimedGloss, ...]]:
    """Return the glosses of each rank, the best first: at least one entry, which may be empty.

    In a long recording each sentence has its own n-best list; rank 2 holds the second best hypothesis of every
    sentence that has one.
    """
    lists = [[alternative.glosses for alternative in sentence.nbest] for sentence in sentences_of(recognition)]
    num_ranks = max(map(len, lists), default=0)
    lower_ranks = [
        tuple(timed for nbest in lists if rank < len(nbest) for timed in nbest[rank]) for rank in range(1, num_ranks)
    ]
    return [recognition.glosses, *lower_ranks]


# Plain text


def format_text(recognition: Recognition, options: FormatOptions) -> str:
    """Format the source, then one line per gloss: start, end, gloss, and its confidence if wanted.

    An empty line separates the sentences of a long recording. The alternatives of a sentence follow it, each with
    its score and without times.
    """
    parts = [format_sentence(sentence, options) for sentence in sentences_of(recognition)] or [_NO_GLOSS]
    return f"{recognition.source}\n" + "\n".join(parts)


def format_sentence(sentence: Sentence, options: FormatOptions) -> str:
    """Format the lines of one sentence."""
    lines = "".join(f"{_format_line(timed, options)}\n" for timed in sentence.glosses) or _NO_GLOSS
    alternatives = (_format_alternative(rank, other) for rank, other in enumerate(sentence.nbest[1:], start=2))
    return lines + "".join(f"{line}\n" for line in alternatives)


def format_glosses(recognition: Recognition, options: FormatOptions) -> str:
    """Format the glosses of the best hypothesis on one line, without the source."""
    return f"{recognition.text}\n"


def _format_line(timed: TimedGloss, options: FormatOptions) -> str:
    line = f"{timed.start:8.2f} {timed.end:8.2f}  {timed.gloss}"
    return f"{line}  ({timed.confidence:.0%})" if options.show_confidence and timed.confidence is not None else line


def _format_alternative(rank: int, alternative: Alternative) -> str:
    glosses = " ".join(timed.gloss for timed in alternative.glosses)
    return f"  {rank}. ({alternative.score:.2f}) {glosses}".rstrip()


# JSON


def format_json(recognition: Recognition, options: FormatOptions) -> str:
    """Format one JSON object over several lines."""
    return json.dumps(recognition_to_dict(recognition), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def format_jsonl(recognition: Recognition, options: FormatOptions) -> str:
    """Format one JSON object on one line."""
    return json.dumps(recognition_to_dict(recognition), ensure_ascii=False, allow_nan=False) + "\n"


def recognition_to_dict(recognition: Recognition) -> dict[str, Any]:
    """Convert a recognition to plain values: times in seconds, confidences 0 to 1, scores as natural logarithms."""
    return {
        "source": recognition.source,
        "glosses": _glosses_to_dicts(recognition.glosses),
        "score": _finite_or_none(recognition.score),
        "num_frames": recognition.num_frames,
        "fps": recognition.fps,
        "start": recognition.start,
        "duration": recognition.duration,
        "nbest": _nbest_to_dicts(recognition.nbest),
        "conv_glosses": _glosses_to_dicts(recognition.conv_glosses),
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "glosses": _glosses_to_dicts(sentence.glosses),
                "score": _finite_or_none(sentence.score),
                "nbest": _nbest_to_dicts(sentence.nbest),
            }
            for sentence in sentences_of(recognition)
        ],
        "warnings": list(recognition.warnings),
    }


def _glosses_to_dicts(glosses: Iterable[TimedGloss]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(timed) for timed in glosses]


def _nbest_to_dicts(nbest: Iterable[Alternative]) -> list[dict[str, Any]]:
    return [{"glosses": _glosses_to_dicts(other.glosses), "score": _finite_or_none(other.score)} for other in nbest]


def _finite_or_none(value: float) -> float | None:
    """Replace an infinite score by None: JSON has no infinities."""
    return value if math.isfinite(value) else None


# Tables: one row or line per gloss


def format_csv(recognition: Recognition, options: FormatOptions) -> str:
    """Format one row per gloss of every hypothesis, times in seconds; `hypothesis` 1 is the best."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rank, glosses in enumerate(ranked_hypotheses(recognition), start=1):
        for timed in glosses:
            confidence = "" if timed.confidence is None else f"{timed.confidence:.4f}"
            writer.writerow(
                (recognition.source, rank, f"{timed.start:.3f}", f"{timed.end:.3f}", timed.gloss, confidence)
            )
    return text.getvalue()


def format_ctm(recognition: Recognition, options: FormatOptions) -> str:
    """Format one line per gloss, `ID 1 START END GLOSS CONFIDENCE`, which `cslr score` reads.

    The ID is `options.recording_name`, or the stem of the source's file name. White space in the ID becomes `_`.

    Raises:
        ScoringError: a gloss has white space, which the format cannot hold.
    """
    name = options.recording_name or Path(recognition.source).stem or recognition.source
    return "".join(ctm_lines(re.sub(r"\s", "_", name), recognition.glosses))
