"""Folding: the clips of a batch are concatenated, so that frames become the batch axis.

Axes: B clips, T frames of the longest clip, N frames of all clips together, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipLayout:
    """Positions of the clips in a fold of N = sum(lengths) frames.

    Folding drops the padding that a clip has because of a longer clip in its batch. So it costs no time, and layers
    over time do not see it.

    Attributes:
        lengths: frames of each clip with its own padding.
        device: device of the indices.
    """

    lengths: tuple[int, ...]
    device: torch.device

    @classmethod
    def from_lengths(cls, lengths: Sequence[int], device: torch.device) -> ClipLayout:
        """Build the layout of clips with these numbers of frames."""
        return cls(tuple(int(length) for length in lengths), device)

    @property
    def has_equal_lengths(self) -> bool:
        """All clips have the same number of frames."""
        return len(set(self.lengths)) == 1

    def fold(self, x: Tensor) -> Tensor:
        """Concatenate clips: (B, T, ...) -> (N, ...), without the frames beyond each clip's length."""
        if self.has_equal_lengths:
            return x[:, : self.lengths[0]].flatten(0, 1)
        return torch.cat([clip[:length] for clip, length in zip(x, self.lengths, strict=True)])

    def unfold(self, x: Tensor, length: int) -> Tensor:
        """Stack clips: (N, ...) -> (B, length, ...), with zeros beyond each clip's length."""
        if self.has_equal_lengths and self.lengths[0] == length:
            return x.view(len(self.lengths), length, *x.shape[1:])
        clips = x.split(list(self.lengths))
        padded = x.new_zeros(len(clips), length, *x.shape[1:])
        for index, clip in enumerate(clips):
            padded[index, : len(clip)] = clip
        return padded

    def neighbour(self, offset: int) -> Tensor:
        """Index int64 (N,) of the frame `offset` frames later; beyond a clip's ends, of its first or last frame."""
        index, start = [], 0
        for length in self.lengths:
            position = torch.arange(length) + offset
            index.append(position.clamp(0, length - 1) + start)
            start += length
        return torch.cat(index).to(self.device)

    def has_neighbour(self, offset: int) -> Tensor:
        """Mask bool (N,): whether the clip of each frame has a frame `offset` frames later."""
        masks = []
        for length in self.lengths:
            position = torch.arange(length) + offset
            masks.append((position >= 0) & (position < length))
        return torch.cat(masks).to(self.device)

    @cached_property
    def following(self) -> Tensor:
        """Index int64 (N,) of the next frame; the last frame of a clip is followed by itself."""
        return self.neighbour(1)

    @cached_property
    def preceding(self) -> Tensor:
        """Index int64 (N,) of the previous frame; the first frame of a clip is preceded by itself."""
        return self.neighbour(-1)

    def to_timeline(self, x: Tensor, gap: int) -> Tensor:
        """(N, C, ...) -> (1, C, N + gaps, ...): one time axis with `gap` zero frames between clips.

        A zero-padded convolution over time that reaches at most `gap` frames to each side then gives the same
        result as for each clip by itself.
        """
        if len(self.lengths) > 1:
            parts: list[Tensor] = []
            zeros = x.new_zeros(gap, *x.shape[1:])
            for clip in x.split(list(self.lengths)):
                parts += [clip, zeros]
            x = torch.cat(parts[:-1])
        return x.transpose(0, 1).unsqueeze(0)

    def from_timeline(self, x: Tensor, gap: int) -> Tensor:
        """(1, C, N + gaps, ...) -> (N, C, ...): the inverse of `to_timeline`."""
        x = x.squeeze(0).transpose(0, 1)
        if len(self.lengths) == 1:
            return x
        clips, start = [], 0
        for length in self.lengths:
            clips.append(x[start : start + length])
            start += length + gap
        return torch.cat(clips)
