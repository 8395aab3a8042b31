"""From the cells of a layer's map to the pixels of a picture.

The network sees a part of the source's picture, or a box that reaches beyond it; a layer's map has h × w cells
that divide that box evenly. Between the middles of its cells a map is linear, as it is in all Grad-CAM pictures.

Axes: n maps, h, w cells of a map, H, W pixels of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cslr_cli.media.frame_fit import Box

Maps = NDArray[np.float32]


def place_maps(maps: Maps, box: Box, height: int, width: int) -> Maps:
    """Spread maps over the picture that they are of.

    Args:
        maps: float32 (n, h, w), over `box`.
        box: what the network sees of the picture, in its pixels.
        height: of the picture, pixels.
        width: of the picture, pixels.

    Returns:
        float32 (n, height, width), zero where the network does not see.
    """
    down = _interpolation(maps.shape[1], box.top, box.height, height)
    across = _interpolation(maps.shape[2], box.left, box.width, width)
    placed: Maps = np.einsum("yi,nij,xj->nyx", down, maps, across, optimize=True).astype(np.float32)
    return placed


def middle_of_cell(row: int, column: int, box: Box, height: int, width: int) -> tuple[float, float]:
    """Where the middle of a cell of an h × w map is: x and y in the picture's pixels."""
    return box.left + (column + 0.5) / width * box.width, box.top + (row + 0.5) / height * box.height


def _interpolation(cells: int, start: float, extent: float, pixels: int) -> NDArray[np.float64]:
    """How much of each cell each pixel has, (pixels, cells), along one axis: linear between the cells' middles."""
    place = (np.arange(pixels) + 0.5 - start) / extent  # of each pixel's middle: 0…1 within the box
    position = np.clip(place * cells - 0.5, 0, cells - 1)  # cell i has its middle at i; beyond the last, it stays
    shares: NDArray[np.float64] = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells)))
    shares[(place < 0) | (place > 1)] = 0
    return shares
