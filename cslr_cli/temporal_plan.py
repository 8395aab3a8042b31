"""Arithmetic of time: padding of clips, numbers of steps, and the start and end of each step.

A network turns T frames into T' steps by a schedule of temporal layers: `K5` is a convolution over 5 positions
without padding, `P2` is a pooling over 2 positions. All other modules take padding and lengths from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cslr_cli.errors import ConfigError, MediaError
from cslr_cli.untrusted import abbreviate

# The schedules `conv_type` 0 to 8 of the published code.
PUBLISHED_SCHEDULES: tuple[tuple[str, ...], ...] = (
    ("K3",),
    ("K5", "P2"),
    ("K5", "P2", "K5", "P2"),
    ("K5", "K5", "P2"),
    ("K5", "K5"),
    ("K5", "P2", "K5"),
    ("P2", "K5", "K5"),
    ("P2", "K5", "P2", "K5"),
    ("P2", "P2", "K5", "K5"),
)


@dataclass(frozen=True)
class TemporalLayer:
    """One layer of the schedule.

    Attributes:
        kind: `K` for a convolution, `P` for a pooling whose stride is its size.
        size: number of input positions per output position.
    """

    kind: str
    size: int

    @classmethod
    def parse(cls, text: str) -> TemporalLayer:
        """Parse `K5` or `P2`.

        Raises:
            ConfigError: not `K` and an odd size, or `P` and a size of at least 2, both below 100.
        """
        match = re.fullmatch(r"([KP])([0-9]{1,2})", text)
        if match:
            layer = cls(match[1], int(match[2]))
            if (layer.kind == "K" and layer.size % 2 == 1) or (layer.kind == "P" and layer.size >= 2):
                return layer
        raise ConfigError(
            f"unknown temporal layer {abbreviate(text)}",
            "use 'K' and an odd size, or 'P' and a size of 2 or more, both below 100, for example 'K5'",
        )

    def output_length(self, length: int) -> int:
        """Return the number of output positions for `length` input positions."""
        return length - (self.size - 1) if self.kind == "K" else length // self.size


@dataclass(frozen=True)
class TemporalPlan:
    """How the frames of a clip become steps.

    A clip of T frames is padded with `left_padding` copies of its first frame in front and `right_padding(T)` copies
    of its last frame behind. The layers turn the `padded_length(T)` frames into `num_steps(T) = ceil(T / stride)`
    steps. Step i covers the frames from i·stride to (i+1)·stride.

    Attributes:
        layers: layers in order.
        min_frames: length of the shortest clip that the network supports, frames.

    Example:
        >>> plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
        >>> plan.num_steps(9), plan.left_padding, plan.right_padding(9), plan.padded_length(9)
        (3, 6, 9, 24)
    """

    layers: tuple[TemporalLayer, ...]
    min_frames: int = 1

    @classmethod
    def parse(cls, layers: Sequence[str], min_frames: int = 1) -> TemporalPlan:
        """Build a plan from layers written as in a configuration: `["K5", "P2", "K5", "P2"]`."""
        return cls(tuple(TemporalLayer.parse(text) for text in layers), min_frames)

    @property
    def stride(self) -> int:
        """Frames from one step to the next."""
        return math.prod(layer.size for layer in self.layers if layer.kind == "P")

    @property
    def left_padding(self) -> int:
        """Copies of the first frame in front of a clip: half of the frames that the convolutions remove."""
        padding, stride = 0, 1
        for layer in self.layers:
            if layer.kind == "K":
                padding += (layer.size - 1) // 2 * stride
            else:
                stride *= layer.size
        return padding

    def num_steps(self, num_frames: int) -> int:
        """Return T' for a clip of `num_frames` frames without padding."""
        return math.ceil(num_frames / self.stride)

    def padded_length(self, num_frames: int) -> int:
        """Return the number of frames of a clip with its own padding, which the network sees."""
        return self.num_steps(num_frames) * self.stride + 2 * self.left_padding

    def right_padding(self, num_frames: int) -> int:
        """Return the number of copies of the last frame behind a clip of `num_frames` frames."""
        return self.padded_length(num_frames) - self.left_padding - num_frames

    def frame_index(self, num_frames: int, length: int) -> list[int]:
        """Return the index of the frame at each position of a clip padded to `length` frames.

        Args:
            num_frames: frames of the clip without padding.
            length: at least `padded_length(num_frames)`; more if a longer clip is in the same batch.
        """
        last = num_frames - 1
        return [min(max(position - self.left_padding, 0), last) for position in range(length)]

    def step_times(self, num_frames: int, fps: float, frame_interval: int = 1) -> list[tuple[float, float]]:
        """Return start and end of every step in seconds; the last step ends with the clip.

        Args:
            num_frames: frames of the clip, including those that `frame_interval` skips.
            fps: frame rate of the clip, frames per second.
            frame_interval: the network sees every n-th frame.
        """
        edges = [frame / fps for frame in (*range(0, num_frames, frame_interval), num_frames)]
        return self.step_spans(edges)

    def step_spans(self, edges: Sequence[float]) -> list[tuple[float, float]]:
        """Return start and end of every step in seconds, for frames at any times.

        Args:
            edges: start of each frame that the network sees, and the end of the last one, seconds.
        """
        last = len(edges) - 1
        return [(edges[start], edges[min(start + self.stride, last)]) for start in range(0, last, self.stride)]

    def frames_seen(self, steps: tuple[int, int], num_frames: int) -> range:
        """Return the frames that the layers see for some steps: those that the steps cover, and context on each side.

        Args:
            steps: first step, and the step after the last.
            num_frames: frames of the clip without padding.
        """
        first, end = (step * self.stride for step in steps)
        return range(max(0, first - self.left_padding), min(num_frames, end + self.left_padding))

    def layer_lengths(self, length: int) -> list[int]:
        """Return the number of positions after each layer, for `length` input positions."""
        lengths = []
        for layer in self.layers:
            length = layer.output_length(length)
            lengths.append(length)
        return lengths

    def check_length(self, num_frames: int, clip: str) -> None:
        """Raise a `MediaError` if a clip of `num_frames` frames, without padding, is too short for the network."""
        if num_frames < self.min_frames:
            raise MediaError(
                f"{clip}: {num_frames} frames, but this network needs at least {self.min_frames}",
                "use a longer clip",
            )


def ctc_steps_needed(labels: Sequence[Hashable]) -> int:
    """Return the fewest steps in which CTC can emit the labels: one per label, and a blank between equal neighbours."""
    return len(labels) + sum(left == right for left, right in pairwise(labels))
