"""How well a map shows what it should: the share of its mass that is where it should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.placing import Maps

# Around a hand's centre, in widths of the picture: about as far as a hand reaches.
HAND_RADIUS = 0.1


def share_near(maps: Maps, places: NDArray[np.float64], radius: float) -> float | None:
    """The share of the mass of some maps within a circle around a place, which may differ from map to map.

    Args:
        maps: float32 (n, H, W), 0 or more, over whole pictures.
        places: float64 (n, 2), x and y of the middle of each circle, pixels.
        radius: of the circles, pixels.

    Returns:
        0 to 1, of all maps together; None where they are blank.
    """
    height, width = maps.shape[1:]
    across = np.arange(width) + 0.5 - places[:, :1]  # (n, W)
    down = np.arange(height) + 0.5 - places[:, 1:]  # (n, H)
    is_near = down[:, :, None] ** 2 + across[:, None, :] ** 2 <= radius**2
    mass = float(maps.sum(dtype=np.float64))
    return float(maps[is_near].sum(dtype=np.float64)) / mass if mass else None
