from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.output.film_strip import draw_film_strip
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

# The axes begin at 1 % and end at 99 % of the picture's width.
LEFT, WIDTH = 0.01, 0.98


def recognised(num_frames: int, *glosses: TimedGloss, start: float = 0.0) -> Recognition:
    return Recognition("somewhere", glosses, -1.0, num_frames, 25.0, num_frames / 25, (), start)


def grey_frames(num_frames: int) -> list[NDArray[np.uint8]]:
    """Frame n is grey of value 10 n."""
    return [np.full((40, 40, 3), 10 * number, np.uint8) for number in range(num_frames)]


def drawn(recognition: Recognition, output: Path) -> NDArray[np.uint8]:
    """The picture, uint8 (H, W, 3), RGB."""
    draw_film_strip(iter(grey_frames(recognition.num_frames)), recognition, output)
    picture = cv2.imread(str(output))
    assert picture is not None
    return np.asarray(picture[..., ::-1], dtype=np.uint8)


def at(picture: NDArray[np.uint8], across: float, down: float) -> list[int]:
    """The colour at a place, given in shares of the width and the height."""
    height, width = picture.shape[:2]
    return [int(value) for value in picture[int(down * height), int(across * width)]]


def test_ten_frames_are_shown_from_the_middle_of_each_tenth(tmp_path: Path) -> None:
    picture = drawn(recognised(20), tmp_path / "strip.png")
    shown = [at(picture, LEFT + WIDTH * (place + 0.5) / 10, 0.2) for place in range(10)]
    # Of 20 frames in tenths of two, the middle begins the second one.
    assert shown == [[10 * (2 * place + 1)] * 3 for place in range(10)]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_short_clip_repeats_frames(tmp_path: Path, num_frames: int) -> None:
    picture = drawn(recognised(num_frames), tmp_path / "strip.png")
    shown = [at(picture, LEFT + WIDTH * (place + 0.5) / 10, 0.2)[0] for place in range(10)]
    assert shown == [10 * int((place + 0.5) / 10 * num_frames) for place in range(10)]


@pytest.mark.parametrize("start", [0.0, 12.4])
def test_glosses_are_drawn_at_their_times(tmp_path: Path, start: float) -> None:
    times = [("ONE", 0.08, 0.24), ("TWO", 0.4, 0.72)]
    glosses = [TimedGloss(gloss, start + first, start + last, 1.0) for gloss, first, last in times]
    picture = drawn(recognised(20, *glosses, start=start), tmp_path / "strip.png")
    white = [255, 255, 255]

    def at_time(seconds: float) -> list[int]:
        return at(picture, LEFT + WIDTH * seconds / 0.8, 0.76)  # near the lower edge of the bars

    for seconds in (0.04, 0.07, 0.26, 0.32, 0.39, 0.74):
        assert at_time(seconds) == white
    for seconds in (0.09, 0.16, 0.23, 0.41, 0.5, 0.71):
        assert at_time(seconds) != white
    assert at_time(0.16) != at_time(0.5)  # neighbours differ in colour


def test_an_unreadable_video_leaves_no_picture(tmp_path: Path) -> None:
    def unreadable() -> Iterator[NDArray[np.uint8]]:
        yield from grey_frames(3)
        raise MediaError("broken")

    with pytest.raises(MediaError):
        draw_film_strip(unreadable(), recognised(20), tmp_path / "strip.png")
    assert list(tmp_path.iterdir()) == []


def test_chinese_glosses_are_drawn_without_a_warning_with_any_fonts(tmp_path: Path) -> None:
    assert drawn(recognised(10, TimedGloss("今天", 0.0, 0.2)), tmp_path / "strip.png").size > 0
