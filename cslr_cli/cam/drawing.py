"""What the sheets of maps are drawn on: pictures in a grid, with text around them.

Lengths are inches of the printed sheet, from its left edge and from its upper edge down.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cslr_cli.atomic import whole_file
from cslr_cli.cam.placing import Maps
from cslr_cli.data.frame_source import Frame
from cslr_cli.data.transforms import LUMA
from cslr_cli.film_strip import drawing_fonts

PICTURE_WIDTH = 1.0
GAP = 0.06
MARGIN = 0.12
CAPTION_HEIGHT = 0.17  # of the line below a picture
_DPI = 200
_POINTS = 72  # in an inch: the unit of text sizes
TEXT, FAINT = "#1f1f1f", "#6b6b6b"

# Both are light where there is nothing, as the frames are below them.
HEAT_COLOURS, SIGNED_COLOURS = "YlOrRd", "RdBu_r"
# How much of the frame a map covers where it is strongest.
_STRONGEST = 0.9
_LIFT = 0.7


def grey(frame: Frame) -> NDArray[np.uint8]:
    """A frame in light grey, so that the colours on it are a map's: uint8 (H, W, 3)."""
    light = 60 + 0.76 * (frame.astype(np.float32) @ LUMA)
    return np.repeat(light[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def coloured(frame: Frame, heat: Maps, colours: str = HEAT_COLOURS) -> NDArray[np.uint8]:
    """A frame in grey under a map: the more there is at a place, the more colour.

    Args:
        frame: uint8 (H, W, 3).
        heat: float32 (H, W), from 0 to 1; with `SIGNED_COLOURS` from −1 to 1.
        colours: one of the two.

    Returns:
        uint8 (H, W, 3).
    """
    from matplotlib import colormaps

    # A power lifts what is weak, so that it can be seen beside a single hot place; the colour bar shows it too.
    lifted = np.sign(heat) * np.abs(heat) ** _LIFT
    scale = lifted / 2 + 0.5 if colours == SIGNED_COLOURS else lifted
    share = _STRONGEST * np.abs(lifted)[..., None]
    mixed = share * 255 * colormaps[colours](scale)[..., :3] + (1 - share) * grey(frame)
    return np.asarray(mixed.round(), np.uint8)


class Sheet:
    """A white sheet.

    Args:
        width: inches.
        height: inches.
    """

    def __init__(self, width: float, height: float) -> None:
        # Only here: it takes a while to import, and no other work needs it.
        from matplotlib.figure import Figure

        self._size = width, height
        self._figure = Figure(figsize=self._size, dpi=_DPI, facecolor="white")
        self._fonts = drawing_fonts()

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
            needed = drawn.get_window_extent().width / _DPI
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
        with whole_file(output) as unfinished, warnings.catch_warnings():
            # Where no font has a gloss' characters, boxes stand in their place; a warning for each helps nobody.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            self._figure.savefig(unfinished)

    def _share(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Matplotlib's form of a rectangle: shares of the sheet, from its lower left corner."""
        return (
            x / self._size[0],
            1 - (y + height) / self._size[1],
            width / self._size[0],
            height / self._size[1],
        )
