from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cslr_cli.training.monitoring.curves import draw_curves
from cslr_cli.training.monitoring.epoch_record import EpochRecord


def history(epochs: int, **changes: Any) -> list[EpochRecord]:
    return [
        EpochRecord.from_dict(
            {
                "epoch": epoch,
                "step": 100 * epoch,
                "lr": 1e-4 if epoch < 3 else 2e-5,
                "loss": 30 / epoch,
                "sequence_ctc": 12 / epoch,
                "conv_ctc": 10 / epoch,
                "wer": 80 / epoch if epoch % 2 == 0 else None,
                "conv_wer": 85 / epoch if epoch % 2 == 0 else None,
                "skipped": [],
                **changes,
            }
        )
        for epoch in range(1, epochs + 1)
    ]


def drawn(path: Path, records: list[EpochRecord]) -> npt.NDArray[np.uint8]:
    draw_curves(records, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def thirds(picture: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """The three plots side by side: losses, rate, WER."""
    return np.split(picture, [380, 800], axis=1)  # of 1,200 columns: a plot's ticks stand to its left


def test_the_picture_grows_with_the_history_in_each_of_its_three_plots(tmp_path: Path) -> None:
    first, second = (thirds(drawn(tmp_path / "curves.png", history(epochs))) for epochs in (2, 6))
    assert first[0].shape[0] > 200
    for then, now in zip(first, second, strict=True):
        assert (then != now).any(axis=-1).mean() > 0.005  # of the pixels


@pytest.mark.parametrize(
    ("change", "plot"), [({"conv_ctc": 1.0}, 0), ({"lr": 3e-3}, 1), ({"wer": 3.0}, 2), ({"conv_wer": 4.0}, 2)]
)
def test_each_figure_is_drawn_in_its_plot_and_nowhere_else(tmp_path: Path, change: Any, plot: int) -> None:
    plain = thirds(drawn(tmp_path / "curves.png", history(4)))
    changed = thirds(drawn(tmp_path / "curves.png", history(4, **change)))
    differing = [place for place in range(3) if (plain[place] != changed[place]).any()]
    assert differing == [plot]


def test_a_training_that_was_never_evaluated_and_never_stepped_is_drawn_too(tmp_path: Path) -> None:
    only: list[EpochRecord] = [EpochRecord(epoch=1, step=1, lr=1e-4, wer=None)]
    assert drawn(tmp_path / "curves.png", only).std() > 0


def test_what_is_no_number_under_a_known_name_is_not_drawn(tmp_path: Path) -> None:
    strange = drawn(tmp_path / "strange.png", history(4, loss=[[1.0], [2.0, 3.0]]))
    without = [EpochRecord.from_dict({**record.to_dict(), "loss": "?"}) for record in history(4)]
    np.testing.assert_array_equal(strange, drawn(tmp_path / "without.png", without))


def test_nothing_unfinished_is_left_beside_the_picture(tmp_path: Path) -> None:
    drawn(tmp_path / "curves.png", history(3))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_drawing_does_not_import_pyplot(tmp_path: Path) -> None:
    drawn(tmp_path / "curves.png", history(3))
    assert "matplotlib.pyplot" not in sys.modules
