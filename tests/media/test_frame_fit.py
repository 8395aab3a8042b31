from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cslr_cli.config import DataConfig
from cslr_cli.media.frame_fit import Box, FrameFit
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.pictures import resize_frame

CONFIG = DataConfig(crop_size=224)
PHOENIX = (210, 260)


def fit_for(frame_fit: Any = "crop", **changes: Any) -> FrameFit:
    return FrameFit(
        **{"frame_size": 256, "config": CONFIG, "original_size": PHOENIX, "frame_fit": frame_fit, **changes}
    )


def striped(width: int, height: int, edge: int) -> Frame:
    """A green frame with `edge` columns of red on the left and of blue on the right."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:] = (0, 255, 0)
    frame[:, :edge] = (255, 0, 0)
    frame[:, width - edge :] = (0, 0, 255)
    return frame


@pytest.mark.parametrize("frame_fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_frame_of_the_corpus_proportions_is_prepared_as_in_preparation(frame_fit: Any, fit: Any, scale: int) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (260 * scale, 210 * scale, 3), dtype=np.uint8)
    prepared = fit_for(frame_fit, fit=fit).prepare(frame)
    if frame_fit != "stretch" or fit == "stretch":  # stretch may resize twice
        np.testing.assert_array_equal(prepared, resize_frame(frame, 256, "lanczos", fit))
    picture = fit_for(frame_fit, fit=fit).to_picture(frame)
    np.testing.assert_array_equal(picture, prepared[16:240, 16:240])


def test_a_prepared_frame_is_not_changed_before_the_crop() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_for().to_picture(frame), frame[16:240, 16:240])
    assert fit_for().visible_box(256, 256) == Box(16, 16, 224, 224)


def test_crop_keeps_the_middle_with_the_corpus_proportions() -> None:
    # 720 rows high, a PHOENIX frame would be 582 columns wide: of 1280, 349 go on each side.
    prepared = fit_for("crop").prepare(striped(1280, 720, 340))
    assert (prepared.reshape(-1, 3) == (0, 255, 0)).all()
    prepared = fit_for("crop").prepare(striped(1280, 720, 360))
    assert tuple(prepared[128, 0]) == (255, 0, 0)
    assert tuple(prepared[128, -1]) == (0, 0, 255)


def test_crop_of_a_narrow_frame_keeps_its_width() -> None:
    frame = np.moveaxis(striped(600, 200, 200), 0, 1)  # 200 wide, 600 high, red above and blue below
    prepared = fit_for("crop").prepare(frame)  # of which the middle 248 rows are left: 24 red, 200 green, 24 blue
    assert tuple(prepared[10, 128]) == (255, 0, 0)
    assert tuple(prepared[128, 128]) == (0, 255, 0)
    assert tuple(prepared[245, 128]) == (0, 0, 255)


def test_stretch_keeps_the_whole_frame() -> None:
    prepared = fit_for("stretch").prepare(striped(1280, 720, 320))
    shares = [(prepared[128] == colour).all(axis=1).mean() for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_pad_keeps_the_whole_frame_and_its_proportions() -> None:
    prepared = fit_for("pad").prepare(striped(1280, 720, 320))
    # 1280 wide, a PHOENIX frame would be 1585 rows high: the frame is 720 / 1585 of that.
    rows = prepared[:, 128].any(axis=1).mean()
    assert rows == pytest.approx(720 / 1585, abs=0.01)
    assert prepared[128].any(axis=1).all()


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("size", [(640, 480), (300, 700), (210, 260)])
def test_the_visible_box_is_the_part_that_the_picture_shows(mode: Any, fit: str, size: tuple[int, int]) -> None:
    width, height = size
    frame_fit = fit_for(mode, fit=fit)
    # A picture whose colours say where in the frame they come from.
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(20, 250, width)[None, :]
    frame[..., 1] = np.linspace(20, 250, height)[:, None]
    picture = frame_fit.to_picture(frame).astype(float)
    box = frame_fit.visible_box(width, height)
    for row, column in [(60, 60), (112, 112), (160, 100)]:
        x = box.left + (column + 0.5) / 224 * box.width
        y = box.top + (row + 0.5) / 224 * box.height
        if not (2 <= x < width - 2 and 2 <= y < height - 2):
            assert picture[row, column].sum() == pytest.approx(0, abs=3)  # beyond the frame
            continue
        assert picture[row, column, 0] == pytest.approx(20 + 230 * x / width, abs=4)
        assert picture[row, column, 1] == pytest.approx(20 + 230 * y / height, abs=4)


def test_without_a_known_shape_the_whole_frame_is_used() -> None:
    frame = striped(1280, 720, 320)
    prepared = fit_for("crop", original_size=None).prepare(frame)
    np.testing.assert_array_equal(prepared, resize_frame(frame, 256))
