"""Subtitles for players and web pages: SubRip (`.srt`) and WebVTT (`.vtt`)."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cslr_cli.output.document import Shown
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

VTT_OPENING = "WEBVTT\n"


@dataclass(frozen=True)
class Cue:
    """A text and when it is shown.

    Attributes:
        start: milliseconds.
        end: milliseconds, later than `start`.
        text: one line.
    """

    start: int
    end: int
    text: str


def cues(glosses: Sequence[TimedGloss], *, confidence: bool = False) -> list[Cue]:
    """One cue a gloss, in order, none of them empty in time and no two at once.

    Glosses that begin in the same millisecond share a cue; a gloss that is still going on when the
    next one begins gives way to it.

    Args:
        glosses: with their times.
        confidence: say behind each how sure it is.
    """
    ordered = sorted(glosses, key=lambda timed: (timed.start, timed.end))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda timed: round(1000 * timed.start))]
    starts = [round(1000 * group[0].start) for group in groups]
    result = []
    for group, start, following in itertools.zip_longest(groups, starts, starts[1:]):
        end = max(start + 1, *(round(1000 * timed.end) for timed in group))
        text = " ".join(_said(timed, confidence) for timed in group)
        result.append(Cue(start, end if following is None else min(end, following), text))
    return result


def subrip(recognition: Recognition, shown: Shown) -> str:
    """Numbered cues, `00:00:01,440 --> 00:00:01,760`."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues(recognition.glosses, confidence=shown.confidence), start=1)
    )


def webvtt(recognition: Recognition, shown: Shown) -> str:
    """Cues, `00:00:01.440 --> 00:00:01.760`, in which `<` and `&` are written as entities."""
    return "".join(
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in cues(recognition.glosses, confidence=shown.confidence)
    )


def _said(timed: TimedGloss, confidence: bool) -> str:
    gloss = " ".join(timed.gloss.split())
    return f"{gloss} ({timed.confidence:.0%})" if confidence and timed.confidence is not None else gloss


def _clock(milliseconds: int, point: str) -> str:
    seconds, millisecond = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{point}{millisecond:03d}"
