"""Recognize the last seconds of a stream repeatedly; each frame goes through the backbone once.

Only the temporal layers, which are small, run over the features of the whole window each time. A picture is a frame
after fit and crop, as the network sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.media.frame_source import Frame
from cslr_cli.media.options import ReadOptions
from cslr_cli.model.feature_stream import DEFAULT_CHUNK_FRAMES, FeatureStream, frames_to_tensor
from cslr_cli.recognizer.live.camera import CameraFrame
from cslr_cli.recognizer.live.stability import WindowResult
from cslr_cli.recognizer.recognizer import Recognizer


class SlidingWindowRecognizer:
    """Recognizes a window of the last seconds.

    Args:
        recognizer: recognizer with the network and decoder.
        seconds: length of the window, seconds.
        options: how frames are fitted to the corpus' proportions.
    """

    def __init__(self, recognizer: Recognizer, seconds: float, options: ReadOptions | None = None) -> None:
        self._recognizer = recognizer
        self._plan = recognizer.network.plan
        stride = self._plan.stride
        # A whole number of steps, so that each step covers the same frames in every window.
        self._length = max(1, round(seconds * self.fps / stride)) * stride
        self._stream = FeatureStream(recognizer.network)
        self._to_picture = recognizer.open(iter(()), options).fit.to_picture
        self._features: list[Tensor] = []  # of padded frames, from frame `_first` - left_padding on
        self._times: list[float] = []  # of frames, from `_first` on, including frames without features yet
        self._first = 0
        self._last_picture: Frame | None = None
        self._is_finished = False

    @property
    def fps(self) -> float:
        """Frame rate of the network, frames per second."""
        return self._recognizer.fps / self._recognizer.checkpoint.config.data.frame_interval

    def push(self, frames: Sequence[CameraFrame]) -> None:
        """Add the next frames of the stream, at the network's frame rate."""
        pictures = [self._to_picture(frame.pixels) for frame in frames]
        if not pictures:
            return
        self._times += [frame.time for frame in frames]
        if self._last_picture is None:
            pictures = [pictures[0]] * self._plan.left_padding + pictures
        self._last_picture = pictures[-1]
        self._push_pictures(pictures)
        self._drop_old_frames()

    def finish(self) -> None:
        """End the stream and pad it like a clip."""
        if self._last_picture is None or self._is_finished:
            return
        self._is_finished = True
        num_frames = self._first + len(self._times)
        num_missing = self._plan.padded_length(num_frames) - self._plan.left_padding - num_frames
        self._push_pictures([self._last_picture] * num_missing, is_last=True)

    def recognize(self) -> WindowResult | None:
        """Return the glosses of the window; None while there are too few frames."""
        num_frames = self._num_frames_known()
        if num_frames < self._plan.min_frames or num_frames == 0:
            return None
        features = torch.stack(self._features[: self._plan.padded_length(num_frames)])
        edges = self._edges(num_frames)
        sentence = self._recognizer.recognize_features(features, edges)
        return WindowResult(sentence.start, sentence.end, sentence.glosses, starts_mid_stream=self._first > 0)

    def _push_pictures(self, pictures: Sequence[Frame], *, is_last: bool = False) -> None:
        for first in range(0, len(pictures), DEFAULT_CHUNK_FRAMES):
            chunk = np.stack(pictures[first : first + DEFAULT_CHUNK_FRAMES])
            ends = is_last and first + DEFAULT_CHUNK_FRAMES >= len(pictures)
            with self._recognizer.inference():
                features = self._stream.push(frames_to_tensor(chunk, self._recognizer.device), is_last=ends)
            self._features += features.unbind()

    def _num_frames_known(self) -> int:
        """Return the number of frames in the window whose surroundings the network has seen."""
        if self._is_finished:
            return len(self._times)
        known = len(self._features) - 2 * self._plan.left_padding
        return max(0, known // self._plan.stride * self._plan.stride)

    def _edges(self, num_frames: int) -> NDArray[np.float64]:
        """Return the start of each frame in the window and the end of the last one, float64 (num_frames + 1,)."""
        times = self._times[: num_frames + 1]
        return np.array(times if len(times) > num_frames else [*times, times[-1] + 1 / self.fps])

    def _drop_old_frames(self) -> None:
        """Drop the frames before the window."""
        stride = self._plan.stride
        num_old = (self._num_frames_known() - self._length) // stride * stride
        if num_old > 0:
            del self._features[:num_old]
            del self._times[:num_old]
            self._first += num_old
