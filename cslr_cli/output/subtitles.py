"""Subtitles for players and web pages: SubRip (`.srt`) and WebVTT (`.vtt`)."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cslr_cli.output.formats import FormatOptions
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class Cue:
    """One subtitle.

    Attributes:
        start: start in milliseconds.
        end: end in milliseconds, later than `start`.
        text: one line of text.
    """

    start: int
    end: int
    text: str


def make_cues(glosses: Sequence[TimedGloss], *, show_confidence: bool = False) -> list[Cue]:
    """Make one cue per gloss, ordered by time; no cue is empty in time and no two overlap.

    Glosses that start in the same millisecond share a cue. A cue ends at the latest when the next one starts.

    Args:
        glosses: glosses with their times.
        show_confidence: whether the confidence follows each gloss.
    """
    ordered = sorted(glosses, key=lambda timed: (timed.start, timed.end))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda timed: round(1000 * timed.start))]
    starts = [round(1000 * group[0].start) for group in groups]
    cues = []
    for group, start, next_start in itertools.zip_longest(groups, starts, starts[1:]):
        end = max(start + 1, *(round(1000 * timed.end) for timed in group))
        text = " ".join(_format_gloss(timed, show_confidence) for timed in group)
        cues.append(Cue(start, end if next_start is None else min(end, next_start), text))
    return cues


def format_srt(recognition: Recognition, options: FormatOptions) -> str:
    """Format numbered cues, `00:00:01,440 --> 00:00:01,760`."""
    return "\n".join(
        f"{number}\n{_format_time(cue.start, ',')} --> {_format_time(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(make_cues(recognition.glosses, show_confidence=options.show_confidence), start=1)
    )


def format_vtt(recognition: Recognition, options: FormatOptions) -> str:
    """Format cues, `00:00:01.440 --> 00:00:01.760`, with `<` and `&` as entities."""
    return "".join(
        f"\n{_format_time(cue.start, '.')} --> {_format_time(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in make_cues(recognition.glosses, show_confidence=options.show_confidence)
    )


def _format_gloss(timed: TimedGloss, show_confidence: bool) -> str:
    gloss = " ".join(timed.gloss.split())
    return f"{gloss} ({timed.confidence:.0%})" if show_confidence and timed.confidence is not None else gloss


def _format_time(milliseconds: int, decimal_mark: str) -> str:
    seconds, millisecond = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{decimal_mark}{millisecond:03d}"
