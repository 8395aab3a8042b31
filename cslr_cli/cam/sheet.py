"""Draws the maps as sheets of pictures: one sheet of the glosses, and one of the network's own maps.

Lengths and positions are in inches, from the left and upper edge of the sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.explanation import Correlations, Explanation, Film, Maps
from cslr_cli.cam.options import CamMethod
from cslr_cli.cam.overlay import HEAT_COLOURS, SIGNED_COLOURS, ColourMap, fade_to_grey, normalise_maps, overlay_map
from cslr_cli.choices import Head
from cslr_cli.files import atomic_file
from cslr_cli.media.frame_source import Frame
from cslr_cli.output.fonts import hide_missing_glyph_warnings, plot_font_families

_METHOD_NAMES: Mapping[CamMethod, str] = {"grad-cam": "Grad-CAM", "hires-cam": "HiResCAM"}
_HEAD_NAMES: Mapping[Head, str] = {"sequence": "sequence head", "conv": "convolution head"}

_MAX_COLUMNS = 8  # pictures in a row
_MAX_FRAME_WIDTH = 480  # pixels; larger frames do not look sharper on the sheet
_MIN_GATE = 1e-3  # maps whose largest value is below this are drawn as blank

_PICTURE_WIDTH = 1.0
_GAP = 0.06
_MARGIN = 0.12
_CAPTION_HEIGHT = 0.17
_LABEL_WIDTH = 1.2  # the text to the left of a row
_TITLE_HEIGHT = 0.28
_BAR_HEIGHT = 0.24
_MIN_WIDTH = 6.2  # wide enough for the longest line of text
_DPI = 200
_MAX_PIXELS = 30_000  # along a side of a sheet; matplotlib can draw at most 65,535
_MARK_COLOUR = "#d1495b"


@dataclass(frozen=True)
class TextStyle:
    """Font size, colour and weight of a line of text."""

    points: float
    colour: str = "#1f1f1f"
    bold: bool = False


_FAINT = "#6b6b6b"
_TITLE = TextStyle(9, bold=True)
_HEADING = TextStyle(8, bold=True)
_DETAIL = TextStyle(6.5, _FAINT)
_CAPTION = TextStyle(6, _FAINT)
_SCALE = TextStyle(6)


def write_sheet(explanation: Explanation, output: Path) -> None:
    """Draw one row of frames per gloss, with its heat maps.

    The frame with the largest value of all maps of the gloss is always shown; the colours of the row are relative to
    that value. A line below a frame marks the time of the gloss.

    Args:
        explanation: the explanation of a video.
        output: a picture file; its suffix decides the format.
    """
    film, glosses = explanation.film.limit_width(_MAX_FRAME_WIDTH), explanation.glosses
    hot_spots = [film.hottest(gloss_map) for gloss_map in glosses]
    rows = [
        choose_evenly(gloss_map.pictures, _MAX_COLUMNS, including=hot_spot.picture if hot_spot else None)
        for gloss_map, hot_spot in zip(glosses, hot_spots, strict=True)
    ]
    frames = film.read_frames([picture for row in rows for picture in row])
    row_height = _row_height(film)
    sheet = Sheet(_sheet_width(max(map(len, rows))), _MARGIN * 2 + _TITLE_HEIGHT + len(rows) * row_height + _BAR_HEIGHT)
    title = f"{_METHOD_NAMES[explanation.method]} at {explanation.layer}, {_HEAD_NAMES[explanation.head]}"
    top = _draw_title(sheet, _MARGIN, title)
    for gloss_map, row in zip(glosses, rows, strict=True):
        timed = gloss_map.timed
        lines = [f"{timed.start:.2f}–{timed.end:.2f} s", f"confidence {gloss_map.confidence:.2f}"]
        _draw_label(sheet, top, timed.gloss, [*lines, "blank map"] if gloss_map.blank_reason else lines)
        indices = [picture - gloss_map.pictures.start for picture in row]
        heat = film.resize_maps(normalise_maps(gloss_map.maps)[indices])
        for column, picture in enumerate(row):
            axes = _draw_frame(sheet, top, column, overlay_map(frames[picture], heat[column]), film, picture)
            if timed.start <= film.middle_of(picture) <= timed.end:
                axes.axhline(film.size[1], color=_MARK_COLOUR, linewidth=2.5)
        top += row_height
    _draw_colour_bar(
        sheet, top, HEAT_COLOURS, ("0", "1"), "relative to the largest value of the gloss;  red line: time of the gloss"
    )
    sheet.save(output)


def write_correlation_sheet(explanation: Explanation, output: Path) -> bool:
    """Draw the network's own maps: the correlation maps of a place or frame, and the identification maps.

    Returns whether the sheet was written: networks without correlation blocks have no such maps.
    """
    correlations = explanation.correlations
    if correlations is None:
        return False
    film = explanation.film.limit_width(_MAX_FRAME_WIDTH)
    row = _choose_identification_row(explanation, correlations)
    offsets = {offset for maps in correlations.correlation_maps for offset in maps.offsets}
    neighbours = [film.nearest_picture(correlations.picture + offset) for offset in offsets]
    frames = film.read_frames([correlations.picture, *neighbours, *row])
    num_stages = len(correlations.correlation_maps)
    num_columns = max(len(row), 1 + max(len(maps.offsets) for maps in correlations.correlation_maps))
    height = _MARGIN * 3 + 2 * (_TITLE_HEIGHT + num_stages * _row_height(film) + _BAR_HEIGHT)
    sheet = Sheet(_sheet_width(num_columns), height)
    bottom = _draw_correlations(sheet, _MARGIN, film, correlations, frames)
    _draw_identification(sheet, bottom + _MARGIN, film, correlations, row, frames)
    sheet.save(output)
    return True


def choose_evenly(pictures: range, number: int, including: int | None = None) -> list[int]:
    """Choose at most `number` evenly spaced pictures; `including` replaces the nearest of them."""
    number = min(number, len(pictures))
    chosen = [pictures[int((index + 0.5) / number * len(pictures))] for index in range(number)]
    if including is not None:
        nearest = min(chosen, key=lambda picture: abs(picture - including))
        chosen[chosen.index(nearest)] = including
    return chosen


# Rows of pictures


def _draw_correlations(
    sheet: Sheet, top: float, film: Film, correlations: Correlations, frames: dict[int, Frame]
) -> float:
    """Draw one row per stage: the frame, and the maps over its neighbours; return their lower edge."""
    place, seconds = correlations.place, film.middle_of(correlations.picture)
    correlated = "summary of the frame" if place is None else "place marked ×"
    title = f"Correlation maps: {correlated} at {seconds:.2f} s, compared with the neighbouring frames"
    top = _draw_title(sheet, top, title)
    for maps in correlations.correlation_maps:
        _draw_label(sheet, top, maps.stage, _describe_maps(maps.weights))
        offsets = list(maps.offsets)
        heat = dict(zip(offsets, film.resize_maps(2 * maps.weights), strict=True))  # from -½…½ to -1…1
        for column, offset in enumerate(sorted([0, *offsets])):
            picture = film.nearest_picture(correlations.picture + offset)
            frame = frames[picture]
            drawn = overlay_map(frame, heat[offset], SIGNED_COLOURS) if offset else fade_to_grey(frame)
            axes = _draw_frame(sheet, top, column, drawn, film, picture)
            if offset == 0 and place is not None:
                x, y = (coordinate * film.scale for coordinate in place)
                axes.plot([x], [y], marker="x", color=_MARK_COLOUR, markersize=6, markeredgewidth=1.6)
        top += _row_height(film)
    _draw_colour_bar(sheet, top, SIGNED_COLOURS, ("−½", "½"), "σ(A) − ½;  blue: dissimilar, red: similar")
    return top + _BAR_HEIGHT


def _draw_identification(
    sheet: Sheet, top: float, film: Film, correlations: Correlations, pictures: Sequence[int], frames: dict[int, Frame]
) -> None:
    """Draw one row per stage: the identification map over some frames."""
    top = _draw_title(sheet, top, "Identification maps")
    for stage, maps in correlations.identification_maps.items():
        _draw_label(sheet, top, stage, _describe_maps(maps))
        normalised = normalise_maps(maps) if np.abs(maps).max() >= _MIN_GATE else np.zeros_like(maps)
        heat = film.resize_maps(normalised[list(pictures)])
        for column, picture in enumerate(pictures):
            drawn = overlay_map(frames[picture], heat[column], SIGNED_COLOURS)
            _draw_frame(sheet, top, column, drawn, film, picture)
        top += _row_height(film)
    _draw_colour_bar(
        sheet, top, SIGNED_COLOURS, ("−1", "1"),
        "mean of σ(M) − ½ over the channels, relative to the largest value of the stage",
    )  # fmt: skip


def _choose_identification_row(explanation: Explanation, correlations: Correlations) -> list[int]:
    """Choose the pictures with identification maps: the correlated one, and others of the gloss it belongs to."""
    picture = correlations.picture
    candidates = [gloss_map for gloss_map in explanation.glosses if picture in gloss_map.pictures]
    best = max(candidates, key=lambda gloss_map: gloss_map.confidence, default=None)
    return choose_evenly(best.pictures, _MAX_COLUMNS, including=picture) if best else [picture]


def _draw_frame(sheet: Sheet, top: float, column: int, drawn: NDArray[np.uint8], film: Film, picture: int) -> Any:
    """Draw one frame of a row, with its time, and a thin line around what the network sees; return its axes."""
    left = _MARGIN + _LABEL_WIDTH + column * (_PICTURE_WIDTH + _GAP)
    axes = sheet.picture(left, top, drawn, f"{film.middle_of(picture):.2f} s")
    area = film.visible_area
    if area != (0, 0, *film.size):
        x1, y1, x2, y2 = area
        axes.plot(
            [x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1],
            color="white", linewidth=0.5, linestyle=(0, (4, 3)), alpha=0.8,
        )  # fmt: skip
    return axes


def _draw_title(sheet: Sheet, top: float, title: str) -> float:
    """Draw a title and return its lower edge."""
    sheet.text(_MARGIN, top + _TITLE_HEIGHT / 3, title, _TITLE)
    return top + _TITLE_HEIGHT


def _draw_label(sheet: Sheet, top: float, heading: str, lines: Sequence[str]) -> None:
    sheet.text(_MARGIN, top + 0.1, heading, _HEADING, max_width=_LABEL_WIDTH - 0.1)
    for index, line in enumerate(lines):
        sheet.text(_MARGIN, top + 0.28 + 0.14 * index, line, _DETAIL)


def _draw_colour_bar(sheet: Sheet, top: float, colours: ColourMap, ends: tuple[str, str], label: str) -> None:
    sheet.colour_bar(_MARGIN + _LABEL_WIDTH + 0.1, top + _BAR_HEIGHT / 2, colours, ends, label)


def _describe_maps(maps: Maps) -> list[str]:
    """Describe the number of cells of maps and their largest value."""
    largest = float(np.abs(maps).max(initial=0.0))
    strength = f"maximum {largest:.2g}" if largest >= _MIN_GATE else "nearly zero"
    return [f"{maps.shape[1]}×{maps.shape[2]} cells", strength]


def _row_height(film: Film) -> float:
    return _PICTURE_WIDTH * film.size[1] / film.size[0] + _CAPTION_HEIGHT + _GAP


def _sheet_width(num_columns: int) -> float:
    return _MARGIN * 2 + _LABEL_WIDTH + num_columns * (_PICTURE_WIDTH + _GAP)


class Sheet:
    """A white sheet on which pictures and text are placed.

    Args:
        width: width in inches; the sheet is at least `_MIN_WIDTH` wide.
        height: height in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        # Imported here because it takes a while and no other command needs it.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._width, self._height = max(width, _MIN_WIDTH), height
        self._dpi = min(_DPI, _MAX_PIXELS / max(self._width, self._height))
        self._figure = Figure(figsize=(self._width, self._height), dpi=self._dpi, facecolor="white")
        FigureCanvasAgg(self._figure)  # else matplotlib makes a new canvas of this size to measure each text
        self._fonts = plot_font_families()

    def text(
        self, x: float, y: float, text: str, style: TextStyle, *, align: str = "left", max_width: float | None = None
    ) -> None:
        """Write a line of text, centred vertically at y; a line wider than `max_width` gets a smaller font."""
        drawn = self._figure.text(
            x / self._width, 1 - y / self._height, text, fontsize=style.points, color=style.colour, ha=align,
            va="center", family=self._fonts, weight="bold" if style.bold else "normal", parse_math=False,
        )  # fmt: skip
        if max_width is not None:
            with hide_missing_glyph_warnings():
                width = drawn.get_window_extent().width / self._dpi
            drawn.set_fontsize(style.points * min(1.0, max_width / width))

    def picture(self, x: float, y: float, picture: NDArray[np.uint8], caption: str) -> Any:
        """Draw a picture with its upper left corner at (x, y); return its axes, in pixels of the picture."""
        height = _PICTURE_WIDTH * picture.shape[0] / picture.shape[1]
        axes = self._figure.add_axes(self._rectangle(x, y, _PICTURE_WIDTH, height))
        axes.imshow(picture, extent=(0, picture.shape[1], picture.shape[0], 0), interpolation="lanczos", aspect="auto")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_linewidth(0.4)
            side.set_color("#b0b0b0")
        self.text(x + _PICTURE_WIDTH / 2, y + height + _CAPTION_HEIGHT / 2, caption, _CAPTION, align="center")
        return axes

    def colour_bar(self, x: float, y: float, colours: ColourMap, ends: tuple[str, str], label: str) -> None:
        """Draw the scale of the colours on one line: the values of its ends, and what they mean."""
        axes = self._figure.add_axes(self._rectangle(x, y - 0.04, 1.2, 0.08))
        scale = np.linspace(-1 if colours == SIGNED_COLOURS else 0, 1, 256, dtype=np.float32)[None]
        axes.imshow(overlay_map(np.full((1, 256, 3), 160, np.uint8), scale, colours), aspect="auto")
        axes.set_axis_off()
        self.text(x - 0.05, y, ends[0], _SCALE, align="right")
        self.text(x + 1.25, y, f"{ends[1]}   {label}", _SCALE)

    def save(self, output: Path) -> None:
        """Write the sheet; the suffix decides the format."""
        with atomic_file(output) as unfinished, hide_missing_glyph_warnings():
            self._figure.savefig(unfinished)

    def _rectangle(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Convert a rectangle to matplotlib's form: relative to the sheet, from its lower left corner."""
        left, bottom = x / self._width, 1 - (y + height) / self._height
        return left, bottom, width / self._width, height / self._height
