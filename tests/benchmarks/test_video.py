"""The sides of the benchmark of videos read the same frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.video import FPS, read_with_cslr, read_with_opencv, repeat_video, write_video


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    write_video(folder / "once.mp4", 2 * FPS, 64, 48)
    repeat_video(folder / "once.mp4", folder / "repeated.mp4", 2 * FPS, 5)
    return folder / "repeated.mp4"


def test_all_sides_read_all_frames(repeated: Path) -> None:
    assert read_with_opencv(repeated) == read_with_opencv(repeated, times_first=True) == 10 * FPS
    assert read_with_cslr(repeated) == 10 * FPS


def test_all_sides_read_as_many_frames_of_a_part(repeated: Path) -> None:
    assert read_with_opencv(repeated, 5.0, 2.0, times_first=True) == read_with_cslr(repeated, 5.0, 2.0) == 2 * FPS
