"""Pad clips to one length and stack them into a `Batch`.

Recognition pads elsewhere, by the same `TemporalPlan`: `padded_chunks` in `cslr_cli.model.feature_stream` pads frames
as they are read, and `cslr_cli.recognizer.segmentation` pads the features of segments.

Axes: B clips, T frames of the longest clip with its padding, H, W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from cslr_cli.dataset.clip_dataset import Clip
from cslr_cli.errors import CslrError
from cslr_cli.media.clip_plan import Frames
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class Batch:
    """Clips, padded to one length with copies of their first and last frames.

    Attributes:
        frames: uint8 (B, T, 3, H, W), RGB, 0…255; channels last in memory.
        frame_lengths: int64 (B,), number of real frames, without padding.
        targets: int64 (sum of target_lengths,), gloss ids of the references, concatenated.
        target_lengths: int64 (B,).
        sample_ids: names of the clips.
    """

    frames: Tensor
    frame_lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    sample_ids: tuple[str, ...]

    def pin_memory(self) -> Batch:
        """Copy the frames to page-locked memory, from which a GPU can copy while it computes."""
        return Batch(self.frames.pin_memory(), self.frame_lengths, self.targets, self.target_lengths, self.sample_ids)


class PaddedCollate:
    """Pads clips and stacks them into a `Batch`; the first error among the clips is returned instead of raised."""

    def __init__(self, plan: TemporalPlan) -> None:
        self.plan = plan

    def __call__(self, clips: Sequence[Clip | CslrError]) -> Batch | CslrError:
        """Return the batch, or the first error."""
        for clip in clips:
            if isinstance(clip, CslrError):
                return clip
        try:
            return collate([clip for clip in clips if isinstance(clip, Clip)], self.plan)
        except CslrError as error:
            return error


def collate(clips: Sequence[Clip], plan: TemporalPlan) -> Batch:
    """Pad clips to the length of the longest, and stack them."""
    lengths = [len(clip.frames) for clip in clips]
    for clip, length in zip(clips, lengths, strict=True):
        plan.check_length(length, clip.sample_id)
    longest = plan.padded_length(max(lengths))
    frames = _empty_frames(len(clips), longest, *clips[0].frames.shape[1:])
    for row, clip in zip(frames.numpy(), clips, strict=True):
        np.take(clip.frames, plan.frame_index(len(clip.frames), longest), axis=0, out=row, mode="clip")
    return Batch(
        frames=frames.permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) -> (B, T, 3, H, W), without a copy
        frame_lengths=torch.tensor(lengths),
        targets=torch.tensor([gloss_id for clip in clips for gloss_id in clip.gloss_ids], dtype=torch.int64),
        target_lengths=torch.tensor([len(clip.gloss_ids) for clip in clips]),
        sample_ids=tuple(clip.sample_id for clip in clips),
    )


def _empty_frames(*shape: int) -> Tensor:
    """Allocate a uint8 tensor; in a worker process, in memory that it shares with the parent."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def single_clip_batch(frames: Frames, plan: TemporalPlan, name: str) -> Batch:
    """Make a batch of one clip that has no reference."""
    return collate([Clip(name, frames, ())], plan)
