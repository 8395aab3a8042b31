"""The one owner of the arithmetic of time: padding, output lengths, and when a step happens.

A network turns T frames into T' steps by a schedule of temporal layers: `K5` is a convolution of 5
positions without padding, `P2` a pooling of 2 positions. Collate, network, predict and cam ask this
module for every length; none of them computes one by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cslr_cli.errors import ConfigError, MediaError

# The schedules that the published code knows as `conv_type` 0 to 8.
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
        size: positions that it looks at.
    """

    kind: str
    size: int

    @classmethod
    def parse(cls, text: str) -> TemporalLayer:
        """Read `K5` or `P2`.

        Raises:
            ConfigError: not `K` and an odd size, or `P` and a size of at least 2.
        """
        match = re.fullmatch(r"([KP])([0-9]+)", text)
        if match:
            layer = cls(match[1], int(match[2]))
            if (layer.kind == "K" and layer.size % 2 == 1) or (layer.kind == "P" and layer.size >= 2):
                return layer
        raise ConfigError(
            f"the temporal layer is '{text}'",
            "expected 'K' and an odd size, or 'P' and a size of 2 or more, for example 'K5'",
        )

    def output_length(self, length: int) -> int:
        """How many positions come out of `length` positions."""
        return length - (self.size - 1) if self.kind == "K" else length // self.size


@dataclass(frozen=True)
class TemporalPlan:
    """How frames become steps.

    A clip of T frames is padded with `left_padding` copies of its first frame in front and of its
    last frame behind, until it has `padded_length(T)` frames; the layers then make
    `num_steps(T) = ceil(T / stride)` steps of them. Step i covers the frames from i·stride to
    (i+1)·stride.

    Attributes:
        layers: the schedule.
        min_frames: frames of the shortest clip that the network can take.
    """

    layers: tuple[TemporalLayer, ...]
    min_frames: int = 1

    @classmethod
    def parse(cls, layers: Sequence[str], min_frames: int = 1) -> TemporalPlan:
        """Make a plan of layers written as in a configuration: `["K5", "P2", "K5", "P2"]`."""
        return cls(tuple(TemporalLayer.parse(text) for text in layers), min_frames)

    @property
    def stride(self) -> int:
        """Frames from one step to the next."""
        return math.prod(layer.size for layer in self.layers if layer.kind == "P")

    @property
    def left_padding(self) -> int:
        """Copies of the first frame in front: half of what the convolutions take away, in frames."""
        padding, stride = 0, 1
        for layer in self.layers:
            if layer.kind == "K":
                padding += (layer.size - 1) // 2 * stride
            else:
                stride *= layer.size
        return padding

    def num_steps(self, num_frames: int) -> int:
        """T' for a clip of `num_frames` real frames."""
        return math.ceil(num_frames / self.stride)

    def padded_length(self, num_frames: int) -> int:
        """Frames of a clip with its own padding: what the network sees of it."""
        return self.num_steps(num_frames) * self.stride + 2 * self.left_padding

    def frame_index(self, num_frames: int, length: int) -> list[int]:
        """Which real frame stands at each position of a clip padded to `length` frames.

        Args:
            num_frames: real frames of the clip.
            length: frames wanted, at least `padded_length(num_frames)`; more where a longer clip
                is in the same batch.
        """
        last = num_frames - 1
        return [min(max(position - self.left_padding, 0), last) for position in range(length)]

    def step_times(self, num_frames: int, fps: float, frame_interval: int = 1) -> list[tuple[float, float]]:
        """Start and end of every step in seconds; the last one ends with the clip.

        Args:
            num_frames: frames of the clip, those that `frame_interval` passes over among them.
            fps: their rate, frames a second.
            frame_interval: the network sees every n-th of them.
        """
        edges = [frame / fps for frame in (*range(0, num_frames, frame_interval), num_frames)]
        return self.step_spans(edges)

    def step_spans(self, edges: Sequence[float]) -> list[tuple[float, float]]:
        """Start and end of every step in seconds, where frames may come at any times.

        Args:
            edges: when each frame that the network sees begins, and when the last one ends; seconds.
        """
        last = len(edges) - 1
        return [(edges[start], edges[min(start + self.stride, last)]) for start in range(0, last, self.stride)]

    def frames_seen(self, steps: tuple[int, int], num_frames: int) -> range:
        """The real frames that the layers look at for some steps: those that the steps cover, and some on each side.

        Args:
            steps: the first step, and the one after the last.
            num_frames: real frames of the clip.
        """
        first, end = (step * self.stride for step in steps)
        return range(max(0, first - self.left_padding), min(num_frames, end + self.left_padding))

    def layer_lengths(self, length: int) -> list[int]:
        """Positions after each layer, for an input of `length` positions."""
        lengths = []
        for layer in self.layers:
            length = layer.output_length(length)
            lengths.append(length)
        return lengths

    def check_length(self, num_frames: int, clip: str) -> None:
        """Refuse a clip that is too short for the network.

        Args:
            num_frames: frames that the network would see of it, without padding.
            clip: what to call it in the message.

        Raises:
            MediaError: it has fewer frames than `min_frames`.
        """
        if num_frames < self.min_frames:
            raise MediaError(
                f"{clip}: {num_frames} frames; the shortest clip that this network takes has {self.min_frames}",
                "give a longer one",
            )


def ctc_steps_needed(labels: Sequence[Hashable]) -> int:
    """Give the fewest steps in which CTC can spell some labels: one per label, and a blank between equal neighbours."""
    return len(labels) + sum(left == right for left, right in pairwise(labels))
