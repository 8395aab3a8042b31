"""The maps as sheets for paper and screen: one of the glosses, and one of the network's own maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.cam.drawing import (
    CAPTION_HEIGHT,
    FAINT,
    GAP,
    HEAT_COLOURS,
    MARGIN,
    PICTURE_WIDTH,
    SIGNED_COLOURS,
    Sheet,
    coloured,
    grey,
)
from cslr_cli.cam.explanation import Correlations, Explanation, Film, GlossMap
from cslr_cli.cam.placing import Maps
from cslr_cli.media.frame_source import Frame

_COLUMNS = 8  # pictures of a row
_WIDEST = 480  # pixels of a frame: more than can be printed
_NOTHING = 1e-3  # of ½: a gate that is opened no further is closed
_LABEL_WIDTH = 1.2  # of what stands to the left of a row
_TITLE_HEIGHT = 0.28
_BAR_HEIGHT = 0.24
METHOD_NAMES = {"grad-cam": "Grad-CAM", "hires-cam": "HiResCAM"}
HEAD_NAMES = {"sequence": "sequence head", "conv": "convolution head"}


def relative(maps: Maps) -> Maps:
    """Maps in shares of their largest value, by its amount; blank ones stay blank."""
    largest = float(np.abs(maps).max(initial=0.0))
    return maps / np.float32(largest) if largest > 0 else maps


def evenly(pictures: range, number: int, including: int | None = None) -> list[int]:
    """At most so many of some pictures, evenly over all of them; one that must be there takes its neighbour's place."""
    number = min(number, len(pictures))
    chosen = [pictures[int((place + 0.5) / number * len(pictures))] for place in range(number)]
    if including is not None:
        nearest = min(chosen, key=lambda picture: abs(picture - including))
        chosen[chosen.index(nearest)] = including
    return chosen


def write_sheet(explanation: Explanation, output: Path) -> None:
    """Draw a row of frames for each gloss, with what in them speaks for it.

    The frame with the largest value of all of the gloss' maps is always shown; the colours of the row are relative
    to that. A line below a frame says that it is of the gloss' time.

    Args:
        explanation: of a video.
        output: a picture file; its suffix says the format.

    Raises:
        MediaError: the video cannot be read any more.
    """
    film, glosses = explanation.film.no_wider_than(_WIDEST), explanation.glosses
    spots = [film.hottest(single) for single in glosses]
    rows = [
        evenly(single.pictures, _COLUMNS, including=spot.picture if spot else None)
        for single, spot in zip(glosses, spots, strict=True)
    ]
    frames = film.chosen_frames([picture for row in rows for picture in row])
    row_height = _row_height(film)
    width = MARGIN * 2 + _LABEL_WIDTH + max(map(len, rows)) * (PICTURE_WIDTH + GAP)
    sheet = Sheet(width, MARGIN * 2 + _TITLE_HEIGHT + len(rows) * row_height + _BAR_HEIGHT)
    title = f"{METHOD_NAMES[explanation.method]} at {explanation.layer}, {HEAD_NAMES[explanation.head]}"
    sheet.text(MARGIN, MARGIN + _TITLE_HEIGHT / 3, title, points=9, bold=True)
    top = MARGIN + _TITLE_HEIGHT
    for single, row in zip(glosses, rows, strict=True):
        _draw_label(sheet, top, single)
        heat = film.placed(relative(single.maps)[[picture - single.pictures.start for picture in row]])
        for column, picture in enumerate(row):
            x = MARGIN + _LABEL_WIDTH + column * (PICTURE_WIDTH + GAP)
            shown = coloured(frames[picture], heat[column])
            axes = sheet.picture(x, top, shown, f"{film.time(picture):.2f} s")
            _mark_what_is_seen(axes, film)
            if single.timed.start <= film.time(picture) <= single.timed.end:
                axes.axhline(film.size[1], color="#d1495b", linewidth=2.5)
        top += row_height
    sheet.colour_bar(
        MARGIN + _LABEL_WIDTH + 0.1, top + _BAR_HEIGHT / 2, HEAT_COLOURS, ("0", "1"),
        "share of the gloss' largest value;  red line: the time of the gloss",
    )  # fmt: skip
    sheet.save(output)


def write_correlation_sheet(explanation: Explanation, output: Path) -> bool:
    """Draw the network's own maps: what is found again of a place around its frame, and the identification maps.

    Args:
        explanation: of a video.
        output: a picture file; its suffix says the format.

    Returns:
        Whether there was anything to draw: networks without correlation blocks have no such maps.

    Raises:
        MediaError: the video cannot be read any more.
    """
    correlations = explanation.correlations
    if correlations is None:
        return False
    film = explanation.film.no_wider_than(_WIDEST)
    identified = _identified(explanation, correlations)
    offsets = {offset for maps in correlations.around for offset in maps.offsets}
    around = [film.padded_picture(correlations.picture + offset) for offset in offsets]
    frames = film.chosen_frames([correlations.picture, *around, *identified])
    stages, row_height = len(correlations.around), _row_height(film)
    columns = max(len(identified), 1 + max(len(maps.offsets) for maps in correlations.around))
    width = MARGIN * 2 + _LABEL_WIDTH + columns * (PICTURE_WIDTH + GAP)
    sheet = Sheet(width, MARGIN * 3 + 2 * (_TITLE_HEIGHT + stages * row_height + _BAR_HEIGHT))
    top = _draw_correlations(sheet, MARGIN, film, correlations, frames)
    _draw_identification(sheet, top, film, correlations, identified, frames)
    sheet.save(output)
    return True


def _draw_correlations(
    sheet: Sheet, top: float, film: Film, correlations: Correlations, frames: dict[int, Frame]
) -> float:
    """A row a stage: the frame, and the maps over those around it; gives where the rows end."""
    place, time = correlations.place, film.time(correlations.picture)
    looked_for = "the summary" if place is None else "the place ×"
    title = f"Correlation maps: {looked_for} of the frame at {time:.2f} s, in the frames around it"
    sheet.text(MARGIN, top + _TITLE_HEIGHT / 3, title, points=9, bold=True)
    top += _TITLE_HEIGHT
    for maps in correlations.around:
        _draw_lines(sheet, top, maps.stage, _of_what_size(maps.maps))
        offsets = list(maps.offsets)
        heat = dict(zip(offsets, film.placed(2 * maps.maps), strict=True))  # −½…½ -> −1…1
        for column, offset in enumerate(sorted([0, *offsets])):
            picture = film.padded_picture(correlations.picture + offset)
            shown = coloured(frames[picture], heat[offset], SIGNED_COLOURS) if offset else grey(frames[picture])
            x = MARGIN + _LABEL_WIDTH + column * (PICTURE_WIDTH + GAP)
            axes = sheet.picture(x, top, shown, f"{film.time(picture):.2f} s")
            _mark_what_is_seen(axes, film)
            if offset == 0 and place is not None:
                x_marked, y_marked = (edge * film.factor for edge in place)
                axes.plot([x_marked], [y_marked], marker="x", color="#d1495b", markersize=6, markeredgewidth=1.6)
        top += _row_height(film)
    sheet.colour_bar(
        MARGIN + _LABEL_WIDTH + 0.1, top + _BAR_HEIGHT / 2, SIGNED_COLOURS, ("−½", "½"), "σ(A) − ½: unlike … alike"
    )
    return top + _BAR_HEIGHT + MARGIN


def _draw_identification(
    sheet: Sheet, top: float, film: Film, correlations: Correlations, pictures: Sequence[int], frames: dict[int, Frame]
) -> None:
    """A row a stage: the identification map over some frames."""
    sheet.text(MARGIN, top + _TITLE_HEIGHT / 3, "Identification maps", points=9, bold=True)
    top += _TITLE_HEIGHT
    for stage, maps in correlations.identification.items():
        _draw_lines(sheet, top, stage, _of_what_size(maps))
        shown_maps = relative(maps) if np.abs(maps).max() >= _NOTHING else np.zeros_like(maps)
        heat = film.placed(shown_maps[list(pictures)])
        for column, picture in enumerate(pictures):
            x = MARGIN + _LABEL_WIDTH + column * (PICTURE_WIDTH + GAP)
            shown = coloured(frames[picture], heat[column], SIGNED_COLOURS)
            _mark_what_is_seen(sheet.picture(x, top, shown, f"{film.time(picture):.2f} s"), film)
        top += _row_height(film)
    sheet.colour_bar(
        MARGIN + _LABEL_WIDTH + 0.1, top + _BAR_HEIGHT / 2, SIGNED_COLOURS, ("−1", "1"),
        "mean of σ(M) − ½ over the channels, as a share of the stage's largest value",
    )  # fmt: skip


def _of_what_size(maps: Maps) -> list[str]:
    """How fine the maps of a stage are, and how strong: where there is next to nothing in them, nothing is coloured."""
    largest = float(np.abs(maps).max(initial=0.0))
    strength = f"at most {largest:.2g}" if largest >= _NOTHING else "next to nothing"
    return [f"{maps.shape[1]}×{maps.shape[2]} places", strength]


def _identified(explanation: Explanation, correlations: Correlations) -> list[int]:
    """The frames whose identification maps are shown: the one with the place, and others of the gloss it belongs to."""
    picture = correlations.picture
    over = [single for single in explanation.glosses if picture in single.pictures]
    surest = max(over, key=lambda single: single.confidence, default=None)
    return evenly(surest.pictures, _COLUMNS, including=picture) if surest else [picture]


def _draw_label(sheet: Sheet, top: float, single: GlossMap) -> None:
    timed = single.timed
    lines = [f"{timed.start:.2f}–{timed.end:.2f} s", f"confidence {single.confidence:.2f}"]
    _draw_lines(sheet, top, timed.gloss, [*lines, *(["the map is blank"] if single.blank else [])])


def _draw_lines(sheet: Sheet, top: float, heading: str, lines: Sequence[str]) -> None:
    sheet.text(MARGIN, top + 0.1, heading, points=8, bold=True, width=_LABEL_WIDTH - 0.1)
    for place, line in enumerate(lines):
        sheet.text(MARGIN, top + 0.28 + 0.14 * place, line, points=6.5, colour=FAINT)


def _mark_what_is_seen(axes: Any, film: Film) -> None:
    """Draw a thin line around what the network sees of a frame."""
    left, top, right, bottom = film.seen
    if (left, top, right, bottom) != (0, 0, *film.size):
        axes.plot(
            [left, right, right, left, left], [top, top, bottom, bottom, top],
            color="white", linewidth=0.5, linestyle=(0, (4, 3)), alpha=0.8,
        )  # fmt: skip


def _row_height(film: Film) -> float:
    return PICTURE_WIDTH * film.size[1] / film.size[0] + CAPTION_HEIGHT + GAP
