"""Subtitles for players and web pages: SubRip (`.srt`) and WebVTT (`.vtt`).

A gloss often lasts a fifth of a second, too short to read. Each cue of a subtitle file is shown for at least
`MIN_CUE_SECONDS`. Annotation documents and all other formats have the exact times.
"""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cslr_cli.output.formats import FormatOptions
from cslr_cli.output.text import sentences_of
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

MIN_CUE_SECONDS = 0.7
# Usual limits of subtitles, for example in the BBC's and Netflix' guidelines.
MAX_CUE_SECONDS = 7.0
LINE_WIDTH, MAX_LINES = 42, 2  # a Chinese character has the width 2


@dataclass(frozen=True)
class Cue:
    """One subtitle, or one annotation.

    Attributes:
        start: start in milliseconds.
        end: end in milliseconds, later than `start`.
        text: one line of text.
    """

    start: int
    end: int
    text: str


def make_cues(glosses: Sequence[TimedGloss]) -> list[Cue]:
    """Make one cue per gloss with its exact times, ordered; no cue is empty in time and no two overlap.

    Glosses that start in the same millisecond share a cue. A cue ends at the latest when the next one starts.
    """
    ordered = sorted(glosses, key=lambda timed: (timed.start, timed.end))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda timed: _milliseconds(timed.start))]
    starts = [_milliseconds(group[0].start) for group in groups]
    cues = []
    for group, start, next_start in itertools.zip_longest(groups, starts, starts[1:]):
        end = max(start + 1, *(_milliseconds(timed.end) for timed in group))
        text = " ".join(" ".join(timed.gloss.split()) for timed in group)
        cues.append(Cue(start, end if next_start is None else min(end, next_start), text))
    return cues


def make_subtitles(recognition: Recognition, options: FormatOptions) -> list[Cue]:
    """Make cues that can be read: ordered, without overlap, within the recording, and long enough.

    Each cue starts with its first gloss. A cue shorter than `MIN_CUE_SECONDS` is extended into the free time after
    it; if that is too short, the cue is joined with the next one. At the end of the recording, a cue starts earlier
    or is joined with the one before it.
    """
    if options.cues == "gloss":
        parts: Iterable[Sequence[TimedGloss]] = ([timed] for timed in recognition.glosses)
    else:
        sentences = (sentence.glosses for sentence in sentences_of(recognition) if sentence.glosses)
        parts = itertools.chain.from_iterable(_divide(glosses, options.show_confidence) for glosses in sentences)
    cues = make_cues([_merge(part, options.show_confidence) for part in parts])
    start = _milliseconds(recognition.start)
    return _lengthen(cues, start, _milliseconds(recognition.start + recognition.duration))


def format_srt(recognition: Recognition, options: FormatOptions) -> str:
    """Format numbered cues, `00:00:01,440 --> 00:00:01,760`."""
    return "\n".join(
        f"{number}\n{_format_time(cue.start, ',')} --> {_format_time(cue.end, ',')}\n{_break_lines(cue.text)}\n"
        for number, cue in enumerate(make_subtitles(recognition, options), start=1)
    )


def format_vtt(recognition: Recognition, options: FormatOptions) -> str:
    """Format cues, `00:00:01.440 --> 00:00:01.760`, with `<` and `&` as entities."""
    return "".join(
        f"\n{_format_time(cue.start, '.')} --> {_format_time(cue.end, '.')}\n"
        f"{html.escape(_break_lines(cue.text), quote=False)}\n"
        for cue in make_subtitles(recognition, options)
    )


def _lengthen(cues: Sequence[Cue], start: int, end: int) -> list[Cue]:
    """Give each cue the minimum length, within the start and end of the recording in milliseconds."""
    min_length = _milliseconds(MIN_CUE_SECONDS)
    cues = [replace(cue, start=min(cue.start, max(start, end - 1))) for cue in cues]
    done: list[Cue] = []
    waiting: Cue | None = None  # the last cue, still too short for lack of free time after it
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        if waiting is not None:
            cue = Cue(waiting.start, cue.end, f"{waiting.text} {cue.text}")
        limit = end if following is None else min(following.start, end)
        cue = replace(cue, end=min(max(cue.end, cue.start + min_length), max(limit, cue.start + 1)))
        waiting = cue if cue.end - cue.start < min_length else None
        if waiting is None:
            done.append(cue)
    if waiting is not None:
        _append_last(done, waiting, start, min_length)
    return done


def _append_last(done: list[Cue], last: Cue, start: int, min_length: int) -> None:
    """Append a cue that is too short and has no time after it: it starts earlier, or joins the cue before it."""
    early = last.end - min_length
    if not done:
        done.append(replace(last, start=min(last.start, max(start, early))))
    elif early - done[-1].start >= min_length:
        done[-1] = replace(done[-1], end=min(done[-1].end, early))
        done.append(replace(last, start=early))
    else:
        done[-1] = Cue(done[-1].start, last.end, f"{done[-1].text} {last.text}")


def _divide(glosses: Sequence[TimedGloss], show_confidence: bool) -> Iterator[Sequence[TimedGloss]]:
    """Divide a sentence into parts that fit into one cue, at the longest pause near its middle."""
    whole = _merge(glosses, show_confidence)
    fits = whole.end - whole.start <= MAX_CUE_SECONDS and _break_lines(whole.gloss).count("\n") < MAX_LINES
    if fits or len(glosses) == 1:
        yield glosses
        return
    middle, quarter = (whole.start + whole.end) / 2, (whole.end - whole.start) / 4

    def preference(index: int) -> tuple[bool, float, float]:
        pause_start, pause_end = glosses[index - 1].end, glosses[index].start
        distance = abs((pause_start + pause_end) / 2 - middle)
        return distance <= quarter, max(0.0, pause_end - pause_start), -distance

    cut = max(range(1, len(glosses)), key=preference)
    yield from _divide(glosses[:cut], show_confidence)
    yield from _divide(glosses[cut:], show_confidence)


def _merge(glosses: Sequence[TimedGloss], show_confidence: bool) -> TimedGloss:
    """Merge the glosses of one cue."""
    text = " ".join(_format_gloss(timed, show_confidence) for timed in glosses)
    return TimedGloss(text, min(timed.start for timed in glosses), max(timed.end for timed in glosses))


def _format_gloss(timed: TimedGloss, show_confidence: bool) -> str:
    gloss = " ".join(timed.gloss.split())
    return f"{gloss} ({timed.confidence:.0%})" if show_confidence and timed.confidence is not None else gloss


def _break_lines(text: str) -> str:
    """Break a text between words, so that no line is wider than `LINE_WIDTH`; a wider word stays whole."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if (
            lines[-1]
            and sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in longer) > LINE_WIDTH
        ):
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)


def _format_time(milliseconds: int, decimal_mark: str) -> str:
    seconds, millisecond = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{decimal_mark}{millisecond:03d}"
