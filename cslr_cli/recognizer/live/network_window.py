"""The network over the last seconds of a stream: each frame goes through the backbone once.

What looks at more than single frames is the rest of the network, which is small: that is run again over
the features of the window each time.
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
from cslr_cli.recognizer import Recognizer
from cslr_cli.recognizer.live.camera import CameraFrame
from cslr_cli.recognizer.live.stability import Window


class NetworkWindow:
    """Recognises the last seconds again and again.

    Args:
        recognizer: its network and decoder.
        seconds: length of the window.
        reading: how frames of another shape become the corpus'.
    """

    def __init__(self, recognizer: Recognizer, seconds: float, reading: ReadOptions | None = None) -> None:
        self._recognizer = recognizer
        self._plan = recognizer.network.plan
        stride = self._plan.stride
        # So many steps, whole ones, so that each step covers the same frames in every window.
        self._length = max(1, round(seconds * self.fps / stride)) * stride
        self._stream = FeatureStream(recognizer.network)
        self._picture = recognizer.open(iter(()), reading).to_picture
        self._features: list[Tensor] = []  # of padded frames, from that of frame `_first` - left_padding on
        self._times: list[float] = []  # of frames, from `_first` on: those whose features are not known too
        self._first = 0
        self._last_picture: Frame | None = None
        self._is_finished = False

    @property
    def fps(self) -> float:
        """Frames a second that it wants."""
        return self._recognizer.fps / self._recognizer.checkpoint.config.data.frame_interval

    def push(self, frames: Sequence[CameraFrame]) -> None:
        """Take the next frames of the stream.

        Args:
            frames: at the rate wanted.
        """
        pictures = [self._picture(frame.picture) for frame in frames]
        if not pictures:
            return
        self._times += [frame.time for frame in frames]
        if self._last_picture is None:
            pictures = [pictures[0]] * self._plan.left_padding + pictures
        self._last_picture = pictures[-1]
        self._push(pictures)
        self._forget()

    def finish(self) -> None:
        """The stream ends here: pad it as a clip is padded."""
        if self._last_picture is None or self._is_finished:
            return
        self._is_finished = True
        num_frames = self._first + len(self._times)
        behind = self._plan.padded_length(num_frames) - self._plan.left_padding - num_frames
        self._push([self._last_picture] * behind, is_last=True)

    def recognize(self) -> Window | None:
        """What is signed in the window; None as long as too little is known."""
        num_frames = self._num_frames_known()
        if num_frames < self._plan.min_frames or num_frames == 0:
            return None
        features = torch.stack(self._features[: self._plan.padded_length(num_frames)])
        edges = self._edges(num_frames)
        sentence = self._recognizer.recognize_features(features, edges)
        return Window(sentence.start, sentence.end, sentence.glosses, begins_cold=self._first > 0)

    def _push(self, pictures: Sequence[Frame], *, is_last: bool = False) -> None:
        for first in range(0, len(pictures), DEFAULT_CHUNK_FRAMES):
            chunk = np.stack(pictures[first : first + DEFAULT_CHUNK_FRAMES])
            ends = is_last and first + DEFAULT_CHUNK_FRAMES >= len(pictures)
            with self._recognizer.inference():
                features = self._stream.push(frames_to_tensor(chunk, self._recognizer.device), is_last=ends)
            self._features += features.unbind()

    def _num_frames_known(self) -> int:
        """Frames of the window of which the network has seen all that it looks at."""
        if self._is_finished:
            return len(self._times)
        known = len(self._features) - 2 * self._plan.left_padding
        return max(0, known // self._plan.stride * self._plan.stride)

    def _edges(self, num_frames: int) -> NDArray[np.float64]:
        """When each of the window's frames begins and the last one ends: float64 (num_frames + 1,)."""
        times = self._times[: num_frames + 1]
        return np.array(times if len(times) > num_frames else [*times, times[-1] + 1 / self.fps])

    def _forget(self) -> None:
        """Let go of what lies before the window."""
        stride = self._plan.stride
        behind = (self._num_frames_known() - self._length) // stride * stride
        if behind > 0:
            del self._features[:behind]
            del self._times[:behind]
            self._first += behind
