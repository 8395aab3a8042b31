"""Frame features of a clip of any length, computed chunk by chunk.

The layers of a backbone look at single frames, but for what follows some stages (`after_stage`), which
looks at `stage_context` frames on each side. So every frame goes through each layer once; between two
chunks only the last few frames before each such stage are held back. The features are those of the whole
clip at once, and the memory that they take depends on the chunk, not on the clip.

Axes: N frames of a chunk, C channels, H, W places.
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

# Frames that go through the backbone together. On a CPU, 16 of 224 pixels take a tenth longer each than 32 in fp32,
# and each further 16 take 120 MB.
DEFAULT_CHUNK_FRAMES = 32


class FeatureStream:
    """Computes frame features of one clip that arrives in pieces; in evaluation mode, without gradients.

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
            frames: uint8 (N, 3, H, W), RGB, at least one; the clip's padding is among them.
            is_last: whether the clip ends with these frames; then all remaining features are returned.

        Returns:
            Features (M, C) of the next M frames: M is N, less or more by what is held back.
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
        self._held: Tensor | None = None  # frames whose output is not known yet, behind `_context` others
        self._context = 0  # `reach` frames, or fewer where the clip has begun only just

    def push(self, x: Tensor, *, is_last: bool) -> Tensor:
        """(N, C, H, W) -> (M, C', H', W'); N is at least 1, M may be 0 unless this is the last piece."""
        x = self._backbone.get_submodule(self._stage)(x)
        if self._held is not None:
            x = torch.cat([self._held, x])
        known = len(x) if is_last else len(x) - self.reach
        if known <= self._context:
            self._held = x
            return x[:0]
        # Where a piece is cut out of the clip, `after_stage` is wrong at its edges: those are dropped.
        clips = ClipLayout.from_lengths([len(x)], x.device)
        output = self._backbone.after_stage(self._stage, x, clips)[self._context : known]
        if self.reach:
            first_needed = max(known - self.reach, 0)
            self._held, self._context = x[first_needed:].clone(), known - first_needed
        return output


def padded_chunks(
    pictures: Iterable[NDArray[np.uint8]], network: Network, chunk: int = DEFAULT_CHUNK_FRAMES
) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """The pictures of a clip, padded as the network's plan says, in chunks.

    Args:
        pictures: uint8 (H, W, 3) each; at least one.
        network: its plan says how the clip is padded.
        chunk: pictures a chunk.

    Yields:
        uint8 (N, H, W, 3), N from 1 to `chunk`, and whether it is the last.
    """
    waiting: list[NDArray[np.uint8]] = []
    for picture in _padded(pictures, network):
        if len(waiting) == chunk:
            yield np.stack(waiting), False
            waiting = []
        waiting.append(picture)
    yield np.stack(waiting), True


def _padded(pictures: Iterable[NDArray[np.uint8]], network: Network) -> Iterator[NDArray[np.uint8]]:
    plan = network.plan
    num_frames = 0
    for picture in pictures:
        if num_frames == 0:
            yield from [picture] * plan.left_padding
        yield picture
        num_frames += 1
    yield from [picture] * (plan.padded_length(num_frames) - plan.left_padding - num_frames)


def frames_to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pictures (N, H, W, 3) as the network takes them: uint8 (N, 3, H, W), channels last in memory."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)
