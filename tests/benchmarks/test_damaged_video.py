"""How the benchmark of damaged videos knows which frames are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.damaged_video import (
    FPS,
    NUM_FRAMES,
    SIDES,
    SOURCES,
    count_right_frames,
    draw_numbered_frame,
    main,
    read_number,
    write_source,
)


def test_a_frame_shows_its_number_unless_a_block_is_unreadable() -> None:
    assert [read_number(draw_numbered_frame(number)) for number in range(256)] == list(range(256))
    damaged = draw_numbered_frame(77)
    damaged[:16, 32:48] = 128
    damaged[-16:, 32:48] = 128
    assert read_number(damaged) is None
    assert read_number(np.zeros((50, 50, 3), np.uint8)) is None


def test_frames_count_if_their_numbers_fit_their_times() -> None:
    def count(numbers: list[int | None], times: list[float]) -> int:
        return count_right_frames((numbers, [time / FPS for time in times]))

    assert count([0, 1, 2, 3], [0, 1, 2, 3]) == 4
    assert count([0, None, 2, 3], [0, 1, 2, 3]) == 3
    assert count([0, 1, 2, 3], [0, 1, 7, 8]) == 2  # after a wrong jump
    assert count([10, 11, 12], [0, 1, 2]) == 3  # the beginning is lost
    assert count([10, 11, 12], [10, 11, 12]) == 3
    assert count([5, 5, 5], [5, 5.1, 5.2]) == 1  # each number once
    assert count([], []) == 0


@pytest.mark.parametrize("suffix", SOURCES)
@pytest.mark.parametrize("side", SIDES)
def test_every_frame_of_a_whole_video_is_right(tmp_path: Path, suffix: str, side: str) -> None:
    write_source(tmp_path / f"whole{suffix}")
    assert count_right_frames(SIDES[side](tmp_path / f"whole{suffix}")) == NUM_FRAMES


@pytest.mark.slow
def test_a_short_run_finds_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--smoke"]) == 0, capsys.readouterr().out
    report = capsys.readouterr().out
    assert all(f"| {suffix[1:]} | 2 |" in report for suffix in SOURCES)
