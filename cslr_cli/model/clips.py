"""Clips of a batch laid one behind the other, so that pictures fold into the batch axis.

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
    """Where each clip lies in a fold of N = sum(lengths) frames.

    Folding drops the frames that a clip has only because a longer one is in its batch. So they cost
    nothing, and nothing that looks across time can see them.

    Attributes:
        lengths: frames of each clip, own padding included.
        device: where the indices live.
    """

    lengths: tuple[int, ...]
    device: torch.device

    @classmethod
    def from_lengths(cls, lengths: Sequence[int], device: torch.device) -> ClipLayout:
        """The layout of clips with these numbers of frames."""
        return cls(tuple(int(length) for length in lengths), device)

    @property
    def has_equal_lengths(self) -> bool:
        """All clips have the same number of frames."""
        return len(set(self.lengths)) == 1

    def fold(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...), without the frames beyond each clip's length."""
        if self.has_equal_lengths:
            return x[:, : self.lengths[0]].flatten(0, 1)
        return torch.cat([clip[:length] for clip, length in zip(x, self.lengths, strict=True)])

    def unfold(self, x: Tensor, length: int) -> Tensor:
        """(N, ...) -> (B, length, ...), with zeros beyond each clip's length."""
        if self.has_equal_lengths and self.lengths[0] == length:
            return x.view(len(self.lengths), length, *x.shape[1:])
        clips = x.split(list(self.lengths))
        padded = x.new_zeros(len(clips), length, *x.shape[1:])
        for index, clip in enumerate(clips):
            padded[index, : len(clip)] = clip
        return padded

    def neighbour(self, offset: int) -> Tensor:
        """int64 (N,): for each frame the one `offset` frames later, the clip's edge frame beyond it."""
        index, start = [], 0
        for length in self.lengths:
            position = torch.arange(length) + offset
            index.append(position.clamp(0, length - 1) + start)
            start += length
        return torch.cat(index).to(self.device)

    def has_neighbour(self, offset: int) -> Tensor:
        """Whether the clip of each frame has one `offset` frames later: bool (N,)."""
        there = []
        for length in self.lengths:
            position = torch.arange(length) + offset
            there.append((position >= 0) & (position < length))
        return torch.cat(there).to(self.device)

    @cached_property
    def following(self) -> Tensor:
        """int64 (N,): the next frame; the last frame of a clip is followed by itself."""
        return self.neighbour(1)

    @cached_property
    def preceding(self) -> Tensor:
        """int64 (N,): the previous frame; the first frame of a clip is preceded by itself."""
        return self.neighbour(-1)

    def to_timeline(self, x: Tensor, gap: int) -> Tensor:
        """(N, C, ...) -> (1, C, N + gaps, ...): one time axis with `gap` zero frames between clips.

        A convolution over time that reaches at most `gap` frames to each side, itself padded with
        zeros, sees the same as it would with each clip alone.
        """
        if len(self.lengths) > 1:
            parts: list[Tensor] = []
            silence = x.new_zeros(gap, *x.shape[1:])
            for clip in x.split(list(self.lengths)):
                parts += [clip, silence]
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
