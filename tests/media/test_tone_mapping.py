"""HDR is shown on the scale of ordinary video: the curves of the standards, and what must hold for every table."""

from __future__ import annotations

import numpy as np
import pytest

from cslr_cli.media.tone_mapping import Transfer, tone_mapping_table


def shown(transfer: Transfer, signal: float) -> int:
    return int(tone_mapping_table(transfer)[round(signal * 65535)])


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_brighter_stays_brighter_from_black_to_white(transfer: Transfer) -> None:
    table = tone_mapping_table(transfer)
    assert (np.diff(table.astype(int)) >= 0).all()
    assert (table[0], table[-1]) == (0, 255)


@pytest.mark.parametrize(
    ("transfer", "signal", "luminance"),
    # BT.2408, table 1 and annex 1: what signals stand for on a display of 1000 cd/m², below the knee of the curve.
    [("pq", 0.38, 26.0), ("pq", 0.44, 50.0), ("hlg", 0.38, 26.0), ("hlg", 0.5, 50.6)],
)
def test_dark_parts_keep_the_brightness_that_the_standards_give_them(
    transfer: Transfer, signal: float, luminance: float
) -> None:
    # Ordinary displays show a value as white times value to the power 2.4 (BT.1886); white is 203 cd/m².
    assert shown(transfer, signal) == pytest.approx(255 * (luminance / 203) ** (1 / 2.4), abs=4)


@pytest.mark.parametrize(("transfer", "signal"), [("pq", 0.58), ("hlg", 0.75)])
def test_white_paper_is_bright_but_leaves_room_for_lights(transfer: Transfer, signal: float) -> None:
    assert 220 <= shown(transfer, signal) <= 240
    assert shown(transfer, signal + 0.1) > shown(transfer, signal)
