"""A recognition as JSON: one document, or a line an input."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from cslr_cli.output.document import Shown
from cslr_cli.output.hypotheses import sentences
from cslr_cli.recognition import Alternative, Recognition
from cslr_cli.scoring import TimedGloss


def as_json(recognition: Recognition) -> dict[str, Any]:
    """The recognition in plain values: times in seconds, confidences 0 to 1, scores as natural logarithms."""
    return {
        "source": recognition.source,
        "glosses": _glosses(recognition.glosses),
        "score": _number(recognition.score),
        "num_frames": recognition.num_frames,
        "fps": recognition.fps,
        "start": recognition.start,
        "duration": recognition.duration,
        "nbest": _nbest(recognition.nbest),
        "conv_glosses": _glosses(recognition.conv_glosses),
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "glosses": _glosses(sentence.glosses),
                "score": _number(sentence.score),
                "nbest": _nbest(sentence.nbest),
            }
            for sentence in sentences(recognition)
        ],
        "warnings": list(recognition.warnings),
    }


def indented(recognition: Recognition, shown: Shown) -> str:
    """An object over several lines, for people who read it."""
    return json.dumps(as_json(recognition), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def line(recognition: Recognition, shown: Shown) -> str:
    """An object on one line, for programs that read results as they come."""
    return json.dumps(as_json(recognition), ensure_ascii=False, allow_nan=False) + "\n"


def _glosses(timed_glosses: Iterable[TimedGloss]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(timed) for timed in timed_glosses]


def _nbest(nbest: Iterable[Alternative]) -> list[dict[str, Any]]:
    return [{"glosses": _glosses(other.glosses), "score": _number(other.score)} for other in nbest]


def _number(value: float) -> float | None:
    """JSON has no infinities: the logarithm of an impossible hypothesis is null."""
    return value if math.isfinite(value) else None
