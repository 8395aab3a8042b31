"""Plots as SVG text: drawn for the width of a phone, coloured by the page's style sheet."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cslr_cli.scoring import GroupScore, Interval
from cslr_cli.scoring.views import CurvePoint

# Lengths in SVG user units: CSS pixels if the page has space for the whole width.
WIDTH = 360
ROW_HEIGHT = 22
LABEL_WIDTH = 104
VALUE_WIDTH = 52
TOP = 6
AXIS_HEIGHT = 22
CURVE_HEIGHT = 190
MAX_ROWS = 40  # further rows are only in the table

_PLOT_LEFT, _PLOT_RIGHT = LABEL_WIDTH + 8, WIDTH - VALUE_WIDTH
# Widths of a letter in a label (12 px), in the widest font that a browser may choose: Chinese, capital, other.
_WIDE, _CAPITAL, _OTHER = 12.0, 8.5, 7.5
_ARROW = " → "


@dataclass(frozen=True)
class Bar:
    """A row of a bar plot.

    Attributes:
        glosses: counted gloss, or the two glosses of a confusion.
        value: count.
    """

    glosses: tuple[str, ...]
    value: int


def rate_plot(groups: Sequence[GroupScore], what: str) -> str:
    """Draw one word error rate per row, as a dot on the whisker of its interval; at most `MAX_ROWS` rows.

    Args:
        groups: groups of clips; those without a rate are not drawn.
        what: kind of the groups, for screen readers.
    """
    rows = [(each, each.counts.wer) for each in groups if each.counts.wer is not None][:MAX_ROWS]
    highest = max((max(wer, each.by_clip.high if each.by_clip else 0) for each, wer in rows), default=0)
    ticks = _ticks(highest)
    scale = (_PLOT_RIGHT - _PLOT_LEFT) / (ticks[-1] or 1)
    height = TOP + ROW_HEIGHT * len(rows) + AXIS_HEIGHT
    body = [_axis(ticks, scale, height)]
    for index, (each, wer) in enumerate(rows):
        middle = TOP + ROW_HEIGHT * (index + 0.5)
        body.append(_row(each, wer, middle, scale))
    return _svg(f"Word error rate by {what}, percent, with 95 % intervals", height, body)


def bar_plot(bars: Sequence[Bar], what: str, kind: str) -> str:
    """Draw one count per row.

    Args:
        bars: rows of the plot.
        what: title of the plot, for screen readers.
        kind: CSS class of the bars, which sets their colour.
    """
    highest = max((bar.value for bar in bars), default=1)
    left = LABEL_WIDTH * 1.75  # of two glosses
    scale = (WIDTH - VALUE_WIDTH * 0.7 - left) / highest
    body = []
    for index, bar in enumerate(bars):
        middle = TOP + ROW_HEIGHT * (index + 0.5)
        right = left + bar.value * scale
        body.append(
            f"<g><title>{escape(_ARROW.join(bar.glosses))}: {bar.value}</title>"
            f"{_label(bar.glosses, middle, left - 8)}"
            f'<rect class="bar {kind}" x="{left:g}" y="{middle - 7:g}" width="{bar.value * scale:.1f}" height="14" '
            f'rx="2"/><text class="value" x="{right + 6:.1f}" y="{middle + 4:g}">{bar.value}</text></g>'
        )
    return _svg(what, TOP + ROW_HEIGHT * len(bars) + TOP, body)


def curve_plot(points: Sequence[CurvePoint]) -> str:
    """Draw the word error rate against the share of clips, the most confident ones first."""
    shown = [(point, point.wer) for point in points if point.wer is not None]
    num_clips = points[-1].clips
    ticks = _ticks(max((wer for _, wer in shown), default=0))
    left, right, bottom = 46, WIDTH - 12, CURVE_HEIGHT - 34
    scale = (bottom - TOP) / ticks[-1]
    places = [
        (left + (right - left) * point.clips / num_clips, bottom - wer * scale, point, wer) for point, wer in shown
    ]
    lines = "".join(f"M{left} {bottom - tick * scale:.1f}H{right}" for tick in ticks)
    body = [f'<path class="grid" d="{lines}"/>']
    body += [
        f'<text class="tick" x="{left - 6}" y="{bottom - tick * scale + 4:.1f}" text-anchor="end">'
        f"{tick:g}{' %' if tick == ticks[-1] else ''}</text>"
        for tick in ticks
    ]
    body += [
        f'<text class="tick" x="{left + (right - left) * share:.1f}" y="{bottom + 16}" text-anchor="middle">'
        f"{share:.0%}{' of the clips' if share == 0.5 else ''}</text>"
        for share in (0, 0.5, 1)
    ]
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in places)
    body.append(f'<path class="curve" d="M{line}"/>')
    body += [
        f"<g><title>{point.clips:,} clips with a confidence of {point.confidence:.2f} or more: {wer:.1f} %</title>"
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/></g>'
        for x, y, point, wer in places
    ]
    return _svg("Word error rate of the most confident clips, percent", CURVE_HEIGHT, body)


def _row(each: GroupScore, wer: float, middle: float, scale: float) -> str:
    dot = _PLOT_LEFT + wer * scale
    title = f"{each.name}: {wer:.1f} % of {each.counts.references} glosses in {each.clips} clips"
    whisker = "" if each.by_clip is None else _whisker(each.by_clip, middle, scale)
    return (
        f"<g><title>{escape(title + _interval_title(each.by_clip))}</title>"
        f"{_label((each.name,), middle, LABEL_WIDTH)}{whisker}"
        f'<circle class="dot" cx="{dot:.1f}" cy="{middle:g}" r="4.5"/>'
        f'<text class="value" x="{WIDTH}" y="{middle + 4:g}" text-anchor="end">{wer:.1f}</text></g>'
    )


def _whisker(interval: Interval, middle: float, scale: float) -> str:
    low, high = (_PLOT_LEFT + end * scale for end in (interval.low, interval.high))
    return (
        f'<path class="whisker" d="M{low:.1f} {middle:g}H{high:.1f}'
        f'M{low:.1f} {middle - 4:g}v8M{high:.1f} {middle - 4:g}v8"/>'
    )


def _interval_title(interval: Interval | None) -> str:
    return "" if interval is None else f"; 95 % interval {interval.low:.1f} to {interval.high:.1f}"


def _axis(ticks: Sequence[float], scale: float, height: float) -> str:
    bottom = height - AXIS_HEIGHT + 2
    lines = "".join(f"M{_PLOT_LEFT + tick * scale:.1f} {TOP}V{bottom:g}" for tick in ticks)
    texts = "".join(
        f'<text class="tick" x="{_PLOT_LEFT + tick * scale:.1f}" y="{bottom + 15:g}" text-anchor="middle">'
        f"{tick:g}{' %' if tick == ticks[-1] else ''}</text>"
        for tick in ticks
    )
    return f'<path class="grid" d="{lines}"/>{texts}'


def _ticks(highest: float) -> list[float]:
    """Return about three to five round numbers from 0 to at least the highest value."""
    if highest <= 0:
        return [0, 1]
    power = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power * 4 >= highest)
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)]


def _label(texts: tuple[str, ...], middle: float, right: float) -> str:
    """Draw a label that ends at `right` and may use all the space to its left."""
    shown = _ARROW.join(shorten(texts, right))
    return f'<text class="label" x="{right:g}" y="{middle + 4:g}" text-anchor="end">{escape(shown)}</text>'


def shorten(texts: tuple[str, ...], width: float) -> tuple[str, ...]:
    """Shorten texts, with an ellipsis, so that they and the arrows between fit into a width in pixels.

    Each text gets an equal part of the width, and the space that the others do not need.
    """
    width -= sum(map(_letter_width, _ARROW)) * (len(texts) - 1)
    widths = [sum(map(_letter_width, text)) for text in texts]
    max_widths = [max(width / len(texts), width - sum(widths) + own) for own in widths]
    return tuple(
        _cut(text, limit) if own > limit else text for text, own, limit in zip(texts, widths, max_widths, strict=True)
    )


def _cut(text: str, width: float) -> str:
    ends = itertools.accumulate(map(_letter_width, text))
    return f"{text[: sum(end + _WIDE <= width for end in ends)]}…"


def _letter_width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    return _CAPITAL if letter.isupper() else _OTHER


def _svg(what: str, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg class="plot" role="img" aria-label="{escape(what)}" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}">{"".join(body)}</svg>'
    )
