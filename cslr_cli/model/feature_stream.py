"""Frame features of a clip of any length, computed chunk by chunk.

Most layers of a backbone see single frames; only `after_stage` sees `stage_context` frames on each side. So each
frame passes every layer once, and between two chunks only the last few frames before such a stage are kept. The
features equal those of the whole clip, and memory depends on the size of the chunks, not on the length of the clip.

Axes: N frames of a chunk, C channels, H, W positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.model.backbone import STAGES, ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.network import Network
from cslr_cli.temporal_plan import TemporalPlan

# Frames per chunk. On a CPU in fp32 at 224 pixels, a frame takes a tenth longer in chunks of 16 than in chunks of 32;
# each further 16 frames take 120 MB.
DEFAULT_CHUNK_FRAMES = 32


class FeatureStream:
    """Computes the frame features of one clip that arrives in pieces, without gradients.

    Args:
        network: network in evaluation mode, on the device of the pieces.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._stages = [_StageStream(network.backbone, stage) for stage in STAGES]

    @property
    def latency(self) -> int:
        """Number of later frames that the features of a frame depend on."""
        return sum(stage.reach for stage in self._stages)

    def push(self, frames: Tensor, *, is_last: bool = False) -> Tensor:
        """Add the next frames of the clip and return the features that are final.

        Args:
            frames: uint8 (N, 3, H, W), RGB, N >= 1; including the padding of the clip.
            is_last: whether the clip ends with these frames; then all remaining features are returned.

        Returns:
            Features (M, C) of the next M frames. They lag behind by up to `latency` frames, so M differs from N.
        """
        x = self._network.backbone.stem(self._network.normalise_frames(frames))
        for stage in self._stages:
            x = stage.push(x, is_last=is_last)
            if not len(x):
                return x.new_empty(0, self._network.backbone.num_features)
        return x.mean(dim=(2, 3))


class _StageStream:
    """One stage of the backbone, with `after_stage`, over a clip that arrives in pieces."""

    def __init__(self, backbone: ResNet, stage: str) -> None:
        self.reach = backbone.stage_context(stage)
        self._backbone = backbone
        self._stage = stage
        self._held: Tensor | None = None  # `_context` frames, then the frames whose output is still unknown
        self._context = 0  # `reach`, or less at the start of the clip

    def push(self, x: Tensor, *, is_last: bool) -> Tensor:
        """(N, C, H, W) -> (M, C', H', W'); N is at least 1, M may be 0 unless this is the last piece."""
        x = self._backbone.get_submodule(self._stage)(x)
        if self._held is not None:
            x = torch.cat([self._held, x])
        known = len(x) if is_last else len(x) - self.reach
        if known <= self._context:
            self._held = x
            return x[:0]
        # `after_stage` is wrong at the ends of a piece inside the clip, so its output there is dropped.
        clips = ClipLayout.from_lengths([len(x)], x.device)
        output = self._backbone.after_stage(self._stage, x, clips)[self._context : known]
        if self.reach:
            first_needed = max(known - self.reach, 0)
            self._held, self._context = x[first_needed:].clone(), known - first_needed
        return output


def padded_chunks(
    pictures: Iterable[NDArray[np.uint8]], network: Network, chunk: int = DEFAULT_CHUNK_FRAMES
) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """Pad the pictures of a clip by the network's temporal plan and yield them in chunks.

    Args:
        pictures: uint8 (H, W, 3) each; at least one.
        network: network that will see the pictures.
        chunk: pictures per chunk.

    Yields:
        uint8 (N, H, W, 3), 1 <= N <= `chunk`, and whether it is the last chunk.
    """
    waiting: list[NDArray[np.uint8]] = []
    for picture in _pad(pictures, network.plan):
        if len(waiting) == chunk:
            yield np.stack(waiting), False
            waiting = []
        waiting.append(picture)
    yield np.stack(waiting), True


def _pad(pictures: Iterable[NDArray[np.uint8]], plan: TemporalPlan) -> Iterator[NDArray[np.uint8]]:
    num_frames = 0
    for picture in pictures:
        if num_frames == 0:
            yield from [picture] * plan.left_padding
        yield picture
        num_frames += 1
    yield from [picture] * plan.right_padding(num_frames)


def frames_to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Convert pictures, uint8 (N, H, W, 3), to network input: uint8 (N, 3, H, W), channels last in memory."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
