from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from cslr_cli.media.frame_source import Frame
from cslr_cli.recognizer.rests import FrameRange, RestSegmenter

FPS = 25
SIZE = 64


def recording(parts: Sequence[tuple[str, float]], *, noise: float = 2.0, repeats: int = 1) -> Iterator[Frame]:
    """A bright hand on a dark ground that moves ("sign") or stays ("rest") for so many seconds.

    Args:
        parts: what happens, and how long.
        noise: grey levels of a camera's noise.
        repeats: how often each frame comes, as in a video of a lower rate.
    """
    rng = np.random.default_rng(0)
    time, number = 0.0, 0
    for kind, seconds in parts:
        for _ in range(round(seconds * FPS)):
            time += 1 / FPS if kind == "sign" else 0
            if number % repeats == 0:
                frame = np.full((SIZE, SIZE, 3), 60.0)
                row, column = (int(32 + 16 * np.sin(7 * time)), int(32 + 16 * np.cos(9 * time)))
                frame[row - 6 : row + 6, column - 6 : column + 6] = 200
                shown = (frame + rng.normal(0, noise, frame.shape)).clip(0, 255).astype(np.uint8)
            number += 1
            yield shown


def found_in(parts: Sequence[tuple[str, float]], longest: float = 20.0, **how: float) -> list[tuple[float, float]]:
    """Start and end of each sentence, seconds."""
    finder = RestSegmenter(FPS, longest)
    found = [finder.push(frame) for frame in recording(parts, **how)]  # type: ignore[arg-type]
    found.append(finder.finish())
    stretches = [stretch for stretch in found if stretch is not None]
    assert all(left.end <= right.first for left, right in pairwise(stretches))
    return [(stretch.first / FPS, stretch.end / FPS) for stretch in stretches]


SENTENCES = [("rest", 1.0), ("sign", 3.0), ("rest", 1.0), ("sign", 2.0), ("rest", 2.0), ("sign", 4.0), ("rest", 1.0)]
TRUE = [(1.0, 4.0), (5.0, 7.0), (9.0, 13.0)]


@pytest.mark.parametrize("how", [{}, {"noise": 0.0}, {"noise": 8.0}, {"repeats": 2}, {"repeats": 3}])
def test_sentences_are_found_between_rests_with_a_margin(how: dict[str, float]) -> None:
    found = found_in(SENTENCES, **how)
    assert len(found) == 3
    for (start, end), (true_start, true_end) in zip(found, TRUE, strict=True):
        assert true_start - 0.6 <= start <= true_start
        assert true_end <= end <= true_end + 0.8


def test_a_short_hold_does_not_end_a_sentence() -> None:
    assert len(found_in([("sign", 2.0), ("rest", 0.3), ("sign", 2.0), ("rest", 1.0)])) == 1


def test_a_still_recording_has_no_sentence() -> None:
    assert found_in([("rest", 10.0)], noise=0.0) == []


def test_a_long_rest_belongs_to_no_sentence() -> None:
    (first, second) = found_in([("sign", 3.0), ("rest", 90.0), ("sign", 3.0)])
    assert first[1] < 4.0
    assert second[0] > 92.0


def test_signing_without_rests_is_cut_without_loss() -> None:
    found = found_in([("sign", 25.0)], longest=10.0)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert all(end - start <= 10.0 for start, end in found)
    assert (found[0][0], found[-1][1]) == (0.0, 25.0)


def test_a_sentence_is_returned_when_its_rest_is_long_enough() -> None:
    finder = RestSegmenter(FPS, 20.0)
    given_at: list[tuple[int, FrameRange]] = []
    for number, frame in enumerate(recording([("sign", 3.0), ("rest", 5.0)])):
        stretch = finder.push(frame)
        if stretch is not None:
            given_at.append((number, stretch))
    ((number, _),) = given_at
    assert number <= 4.0 * FPS


def test_memory_use_does_not_grow_with_the_recording() -> None:
    finder = RestSegmenter(FPS, 20.0)
    most = 0
    for frame in recording(SENTENCES * 8):
        finder.push(frame)
        most = max(most, finder.num_frames - finder.first_needed)
    assert most <= 6 * FPS
