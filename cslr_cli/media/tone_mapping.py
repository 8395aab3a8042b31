"""Show HDR video on the scale of ordinary video: one table of values for each of its two transfer curves.

A value of HDR video stands for up to 10,000 cd/m²; networks are trained with ordinary video, whose white is about
203 cd/m² beside it (ITU-R BT.2408). Darker parts keep their brightness; brighter parts are compressed by the curve of
ITU-R BT.2390, section 5.4.1. Every channel has the same table, so primaries stay as they are.
"""

from __future__ import annotations

import functools
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["pq", "hlg"]

# Numbers of ITU-T H.273, table 3.
TRANSFERS: Final[dict[int, Transfer]] = {16: "pq", 18: "hlg"}

# cd/m²: white of ordinary video beside HDR video, the brightest value of a usual HDR display, and that of PQ.
_SDR_WHITE, _HDR_PEAK, _PQ_PEAK = 203.0, 1000.0, 10_000.0
_SDR_GAMMA = 2.4  # of displays of ordinary video, ITU-R BT.1886
# Constants of ITU-R BT.2100: table 4 (PQ) and table 5 (HLG).
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C, _HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1.2


@functools.cache
def tone_mapping_table(transfer: Transfer) -> NDArray[np.uint8]:
    """Return the values of ordinary video, uint8 (65536,), for 16-bit values of HDR video."""
    signal = np.arange(2**16) / (2**16 - 1)
    luminance = _pq_luminance(signal) if transfer == "pq" else _hlg_luminance(signal)
    shown = (_compress(luminance) / _SDR_WHITE) ** (1 / _SDR_GAMMA)
    return np.asarray((255 * shown.clip(0, 1)).round(), dtype=np.uint8)


def _pq_luminance(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance of PQ values, cd/m²."""
    power = signal ** (1 / _M2)
    linear = np.maximum(power - _C1, 0) / (_C2 - _C3 * power)
    return np.asarray(_PQ_PEAK * linear ** (1 / _M1))


def _pq_signal(luminance: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the PQ value of a luminance, cd/m²."""
    power = (np.asarray(luminance, dtype=np.float64) / _PQ_PEAK) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _hlg_luminance(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance of HLG values on a display of 1000 cd/m², each channel for itself."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    return np.asarray(_HDR_PEAK * scene**_HLG_GAMMA)


def _compress(luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compress luminances from the range of HDR to that of ordinary video, BT.2390: a knee, then a Hermite spline."""
    peak = float(_pq_signal(_HDR_PEAK))
    target = float(_pq_signal(_SDR_WHITE)) / peak
    knee = 1.5 * target - 0.5
    value = np.minimum(_pq_signal(luminance) / peak, 1)
    place = (value - knee).clip(0) / (1 - knee)
    spline = (
        (2 * place**3 - 3 * place**2 + 1) * knee
        + (place**3 - 2 * place**2 + place) * (1 - knee)
        + (-2 * place**3 + 3 * place**2) * target
    )
    return _pq_luminance(np.where(value < knee, value, spline) * peak)
