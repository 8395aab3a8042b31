"""What the sheets of maps are drawn on: pictures in a grid, with text around them.

Lengths are inches of the printed sheet, from its left edge and from its upper edge down.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.placing import Maps
from cslr_cli.files import whole_file
from cslr_cli.media.clip_plan import LUMA
from cslr_cli.media.frame_source import Frame
from cslr_cli.output.fonts import hide_missing_glyph_warnings, plot_font_families

PICTURE_WIDTH = 1.0
GAP = 0.06
MARGIN = 0.12
CAPTION_HEIGHT = 0.17  # of the line below a picture
_NARROWEST = 6.2  # of a sheet: the longest line of text on one
_DPI = 200
_MOST_PIXELS = 30_000  # along a side of a sheet; matplotlib can draw no more than 65,535
TEXT, FAINT = "#1f1f1f", "#6b6b6b"

# Both are light where there is nothing, as the frames are below them.
HEAT_COLOURS, SIGNED_COLOURS = "YlOrRd", "RdBu_r"
# How much of the frame a map covers where it is strongest.
_STRONGEST = 0.9
_LIFT = 0.7
_LEVELS = 255  # of a map's values that the colours tell apart


def grey(frame: Frame) -> NDArray[np.uint8]:
    """A frame in light grey, so that the colours on it are a map's: uint8 (H, W, 3)."""
    return np.asarray(np.repeat(_light(frame)[..., None], 3, axis=2).round(), np.uint8)


def coloured(frame: Frame, heat: Maps, colours: str = HEAT_COLOURS) -> NDArray[np.uint8]:
    """A frame in grey under a map: the more there is at a place, the more colour.

    Args:
        frame: uint8 (H, W, 3).
        heat: float32 (H, W), from 0 to 1; with `SIGNED_COLOURS` from −1 to 1.
        colours: one of the two.

    Returns:
        uint8 (H, W, 3).
    """
    colour, left = _palette(colours)
    level = np.rint(heat * _LEVELS).astype(np.int16) + _LEVELS
    mixed = colour[level]
    mixed += (left[level] * _light(frame))[..., None]
    return np.asarray(mixed.round(), np.uint8)


def _light(frame: Frame) -> NDArray[np.float32]:
    """How light each pixel is below a map: float32 (H, W), from 60 to 255, so that dark frames show the colours too."""
    return np.asarray(60 + 0.764 * cv2.transform(frame.astype(np.float32), LUMA[None]), np.float32)


@functools.cache
def _palette(colours: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each level of a map, from −`_LEVELS` to `_LEVELS`: what it adds of colour, and how much it leaves of a frame.

    Returns:
        float32 (n, 3), 0 to 255, and (n,), 0 to 1.
    """
    from matplotlib import colormaps

    heat = np.arange(-_LEVELS, _LEVELS + 1) / _LEVELS
    # A power lifts what is weak, so that it can be seen beside a single hot place; the colour bar shows it too.
    lifted = np.sign(heat) * np.abs(heat) ** _LIFT
    covered = _STRONGEST * np.abs(lifted)
    scale = lifted / 2 + 0.5 if colours == SIGNED_COLOURS else lifted
    colour = 255 * covered[:, None] * colormaps[colours](scale)[:, :3]
    return colour.astype(np.float32), (1 - covered).astype(np.float32)


class Sheet:
    """A white sheet.

    Args:
        width: inches; at least so many are taken that the text has room.
        height: inches.
    """

    def __init__(self, width: float, height: float) -> None:
        # Only here: it takes a while to import, and no other work needs it.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._size = max(width, _NARROWEST), height
        self._dpi = min(_DPI, _MOST_PIXELS / max(self._size))
        self._figure = Figure(figsize=self._size, dpi=self._dpi, facecolor="white")
        FigureCanvasAgg(self._figure)  # else each text that is measured is drawn on a new sheet of this size
        self._fonts = plot_font_families()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        points: float = 7,
        colour: str = TEXT,
        bold: bool = False,
        align: str = "left",
        width: float | None = None,
    ) -> None:
        """Write a line; its middle is at y. One that is wider than `width` is written smaller."""
        drawn = self._figure.text(
            x / self._size[0], 1 - y / self._size[1], text, fontsize=points, color=colour, ha=align, va="center",
            family=self._fonts, weight="bold" if bold else "normal", parse_math=False,
        )  # fmt: skip
        if width is not None:
            with hide_missing_glyph_warnings():
                needed = drawn.get_window_extent().width / self._dpi
            drawn.set_fontsize(points * min(1.0, width / needed))

    def picture(self, x: float, y: float, picture: NDArray[np.uint8], caption: str = "") -> Any:
        """Draw a picture with its upper left corner at (x, y); gives matplotlib's axes, in the picture's pixels."""
        width = PICTURE_WIDTH
        height = width * picture.shape[0] / picture.shape[1]
        axes = self._figure.add_axes(self._share(x, y, width, height))
        axes.imshow(picture, extent=(0, picture.shape[1], picture.shape[0], 0), interpolation="lanczos", aspect="auto")
        axes.set_xticks([])
        axes.set_yticks([])
        for side in axes.spines.values():
            side.set_linewidth(0.4)
            side.set_color("#b0b0b0")
        self.text(x + width / 2, y + height + CAPTION_HEIGHT / 2, caption, points=6, colour=FAINT, align="center")
        return axes

    def colour_bar(self, x: float, y: float, colours: str, ends: tuple[str, str], label: str) -> None:
        """Draw what the colours mean, a line high: the ends of the scale, and what it is of."""
        axes = self._figure.add_axes(self._share(x, y - 0.04, 1.2, 0.08))
        scale = np.linspace(-1 if colours == SIGNED_COLOURS else 0, 1, 256, dtype=np.float32)[None]
        axes.imshow(coloured(np.full((1, 256, 3), 160, np.uint8), scale, colours), aspect="auto")
        axes.set_axis_off()
        self.text(x - 0.05, y, ends[0], points=6, align="right")
        self.text(x + 1.25, y, f"{ends[1]}   {label}", points=6)

    def save(self, output: Path) -> None:
        """Write the sheet; the suffix says the format."""
        with whole_file(output) as unfinished, hide_missing_glyph_warnings():
            self._figure.savefig(unfinished)

    def _share(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Matplotlib's form of a rectangle: shares of the sheet, from its lower left corner."""
        return (
            x / self._size[0],
            1 - (y + height) / self._size[1],
            width / self._size[0],
            height / self._size[1],
        )
