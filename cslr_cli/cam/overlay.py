"""Maps as colours over grey frames, for the sheets and the video."""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.explanation import Maps
from cslr_cli.media.clip_plan import LUMA
from cslr_cli.media.frame_source import Frame

# Matplotlib's colour maps; both are light at zero, as the frames below them are.
ColourMap = Literal["YlOrRd", "RdBu_r"]
HEAT_COLOURS: ColourMap = "YlOrRd"  # 0 to 1
SIGNED_COLOURS: ColourMap = "RdBu_r"  # -1 to 1
_MAX_OPACITY = 0.9  # opacity of the colour of the largest value
_GAMMA = 0.7  # below 1: weak values remain visible beside a single large one
_NUM_LEVELS = 255  # colour levels on each side of zero


def normalise_maps(maps: Maps) -> Maps:
    """Divide maps by their largest absolute value; blank maps stay blank."""
    largest = float(np.abs(maps).max(initial=0.0))
    return maps / np.float32(largest) if largest > 0 else maps


def overlay_map(frame: Frame, heat: Maps, colours: ColourMap = HEAT_COLOURS) -> NDArray[np.uint8]:
    """Colour a grey frame by a map: the larger the value, the stronger the colour.

    Args:
        frame: uint8 (H, W, 3).
        heat: float32 (H, W), from 0 to 1; with `SIGNED_COLOURS` from -1 to 1.
        colours: the colour map.

    Returns:
        uint8 (H, W, 3).
    """
    colour_of_level, transparency_of_level = _colour_levels(colours)
    level = np.rint(heat * _NUM_LEVELS).astype(np.int16) + _NUM_LEVELS
    mixed = colour_of_level[level]
    mixed += (transparency_of_level[level] * _lightness(frame))[..., None]
    return np.asarray(mixed.round(), np.uint8)


def fade_to_grey(frame: Frame) -> NDArray[np.uint8]:
    """Turn a frame into light grey, as it is below a map: uint8 (H, W, 3)."""
    return np.asarray(np.repeat(_lightness(frame)[..., None], 3, axis=2).round(), np.uint8)


def _lightness(frame: Frame) -> NDArray[np.float32]:
    """Return the lightness of each pixel, float32 (H, W), 60 to 255: colours stay visible on dark frames."""
    return np.asarray(60 + 0.764 * cv2.transform(frame.astype(np.float32), LUMA[None]), np.float32)


@functools.cache
def _colour_levels(colours: ColourMap) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colour that each level of a map adds, and how much of the frame stays visible.

    Returns:
        float32 (n, 3), 0 to 255, and (n,), 0 to 1, for the levels from -`_NUM_LEVELS` to `_NUM_LEVELS`.
    """
    from matplotlib import colormaps

    heat = np.arange(-_NUM_LEVELS, _NUM_LEVELS + 1) / _NUM_LEVELS
    lifted = np.sign(heat) * np.abs(heat) ** _GAMMA
    opacity = _MAX_OPACITY * np.abs(lifted)
    position = lifted / 2 + 0.5 if colours == SIGNED_COLOURS else lifted
    colour = 255 * opacity[:, None] * colormaps[colours](position)[:, :3]
    return colour.astype(np.float32), (1 - opacity).astype(np.float32)
