"""Frames that a program holds already: an array of them, a list, or whatever gives one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame

GivenFrames = NDArray[Any] | Iterable[NDArray[Any]]

_EXPECTED = "expected frames as uint8 arrays (H, W, 3), RGB, 0 to 255, all of one size"


def checked_frames(frames: GivenFrames, name: str) -> Iterator[Frame]:
    """Give frames one after the other, each looked at first.

    Args:
        frames: uint8 (T, H, W, 3), or a list or an iterator of (H, W, 3).
        name: what to call them in an error.

    Raises:
        MediaError: there are none, or one is no picture or has another size than the first; it is named.
    """
    if isinstance(frames, np.ndarray) and frames.ndim != 4:
        raise MediaError(f"{name}: an array of shape {frames.shape}", "expected uint8 (T, H, W, 3), RGB, 0 to 255")
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        fault = _fault(frame)
        if fault is None and shape is not None and frame.shape != shape:
            fault = f"{_size(frame.shape)} pixels, but the frames before it are {_size(shape)}"
        if fault is not None:
            raise MediaError(f"{name}, frame {index}: {fault}", _EXPECTED)
        shape = frame.shape
        yield frame
    if shape is None:
        raise MediaError(f"{name}: there are no frames", _EXPECTED)


def at_even_rate(frames: Iterable[Frame], given_fps: float, fps: float) -> Iterator[Frame]:
    """Choose of frames at one even rate those that show the video at another, as `resample_indices` does.

    Nothing needs to be known of how many follow.

    Args:
        frames: one after the other.
        given_fps: their rate, frames a second.
        fps: the rate wanted.
    """
    chosen: deque[Frame] = deque()  # as far as known which frame is the nearest, and not given yet
    num_read = num_chosen = num_given = 0
    before: Frame | None = None
    for frame in frames:
        if before is not None:
            # The middle between the two frames; a microsecond for rounding, as in `nearest_frames`.
            middle = (num_read - 0.5) / given_fps + 1e-6
            while num_chosen / fps <= middle:
                chosen.append(before)
                num_chosen += 1
        before = frame
        num_read += 1
        while chosen and num_given < round(num_read * fps / given_fps):
            yield chosen.popleft()
            num_given += 1
    if before is None:
        return
    # A single frame has no rate, and is one at any.
    wanted = 1 if num_read == 1 else max(1, round(num_read * fps / given_fps))
    for _ in range(wanted - num_given):
        yield chosen.popleft() if chosen else before


def _fault(frame: object) -> str | None:
    if not isinstance(frame, np.ndarray):
        return f"a {type(frame).__name__}, not an array"
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        return f"an array of shape {frame.shape}"
    if frame.dtype != np.uint8:
        return f"of type {frame.dtype}"
    return None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"
