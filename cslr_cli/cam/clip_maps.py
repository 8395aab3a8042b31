"""All maps of one clip in one network.

Axes: T frames of the clip, P frames with its padding, T' steps, V classes, C channels, n frames of a map, h, w cells.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.correlation_maps import (
    CorrelationMaps,
    compute_correlation_maps,
    compute_identification_maps,
    correlated_stages,
)
from cslr_cli.cam.gradcam import HeadScores, grad_cam, score_features
from cslr_cli.cam.layers import split_backbone
from cslr_cli.cam.options import CamMethod
from cslr_cli.choices import Head
from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.model.feature_stream import DEFAULT_CHUNK_FRAMES, FeatureStream
from cslr_cli.model.network import Network


class ClipMaps:
    """Computes the maps of one clip; frame numbers count from the clip's first frame, without its padding.

    Args:
        network: a network in evaluation mode and fp32; its parameters are frozen.
        pictures: uint8 (T, S, S, 3), RGB, the network's pictures before padding.
        name: the name of the clip in messages.
    """

    def __init__(self, network: Network, pictures: NDArray[np.uint8], name: str = "clip") -> None:
        self.network = network.requires_grad_(False)
        self.num_frames = len(pictures)
        device = network.backbone.conv1.weight.device
        self._frames = single_clip_batch(pictures, network.plan, name).frames[0].to(device)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that a correlation block follows; empty in networks without such blocks."""
        return correlated_stages(self.network.backbone)

    @cached_property
    def features(self) -> Tensor:
        """The backbone's features of every frame with the clip's padding: (P, C)."""
        stream, chunks = FeatureStream(self.network), self._frames.split(DEFAULT_CHUNK_FRAMES)
        with torch.no_grad():
            return torch.cat([stream.push(chunk, is_last=chunk is chunks[-1]) for chunk in chunks])

    def log_probs(self, head: Head) -> NDArray[np.float32]:
        """Return the log probabilities of a head: float32 (T', V), natural logarithms."""
        return self._scores.logits[head].detach().float().log_softmax(-1).cpu().numpy()

    def score_gradient(self, head: Head, gloss_id: int, steps: tuple[int, int]) -> Tensor:
        """Compute the gradient of a gloss' score with respect to the features: see `HeadScores.gradient`."""
        return self._scores.gradient(head, gloss_id, steps)

    def heat_maps(
        self, gradient: Tensor, frames: range, layer: str, method: CamMethod = "grad-cam"
    ) -> NDArray[np.float32]:
        """Compute the heat maps of a gloss for neighbouring frames at a layer: see `grad_cam`.

        Args:
            gradient: (P, C), from `score_gradient`.
            frames: neighbouring frames.
            layer: the name of a layer from `backbone_layers`.
            method: how gradients become a map.

        Returns:
            float32 (n, h, w), 0 or more, over the network's picture.
        """
        backbone = split_backbone(self.network.backbone, layer)
        return grad_cam(self.network, backbone, self._frames, gradient, self._with_padding(frames), method)

    def identification_maps(self, stage: str) -> NDArray[np.float32]:
        """Compute the identification map of every frame, float32 (T, h, w): see `compute_identification_maps`."""
        maps = compute_identification_maps(self.network, self._frames, stage)
        positions = self._with_padding(range(self.num_frames))
        return maps[positions.start : positions.stop]

    def correlation_maps(self, stage: str, frame: int, place: tuple[float, float] | None) -> CorrelationMaps:
        """Compute the correlation maps of one frame: see `compute_correlation_maps`.

        Args:
            stage: a member of `stages`.
            frame: number of the frame.
            place: x and y, 0 to 1 of the network's picture; None where the block correlates the frame's summary.
        """
        position = self._with_padding(range(frame, frame + 1)).start
        return compute_correlation_maps(self.network, self._frames, stage, position, place)

    @cached_property
    def _scores(self) -> HeadScores:
        return score_features(self.network, self.features, self.num_frames)

    def _with_padding(self, frames: range) -> range:
        """Return the positions of frames of the clip among those with padding."""
        padding = self.network.plan.left_padding
        return range(frames.start + padding, frames.stop + padding)
