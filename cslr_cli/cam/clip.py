"""`ClipInNetwork`: one clip as a network sees it, and every map that can be made of that.

Axes: T frames of the clip, P with its padding, T' steps, V classes, n frames of a map, h, w cells.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.correlations import CorrelationMaps, correlated_stages, correlation_maps, identification_map
from cslr_cli.cam.gradcam import Head, Method, Scores, heat_maps, score_features
from cslr_cli.cam.layers import split_backbone
from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.model.feature_stream import DEFAULT_CHUNK_FRAMES, FeatureStream
from cslr_cli.model.network import Network


class ClipInNetwork:
    """A clip in a network.

    Args:
        network: in evaluation mode, in fp32; its parameters are frozen by this.
        pictures: uint8 (T, S, S, 3), RGB, as the network gets them, before padding.
        name: of the clip, for messages.

    Raises:
        MediaError: it is too short for the network.
    """

    def __init__(self, network: Network, pictures: NDArray[np.uint8], name: str = "clip") -> None:
        self.network = network.requires_grad_(False)
        self.num_frames = len(pictures)
        device = network.backbone.conv1.weight.device
        self._frames = single_clip_batch(pictures, network.plan, name).frames[0].to(device)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that a correlation block follows; none in networks without such."""
        return correlated_stages(self.network.backbone)

    @cached_property
    def features(self) -> Tensor:
        """The backbone's features of every frame with the clip's padding: (P, C)."""
        stream, chunks = FeatureStream(self.network), self._frames.split(DEFAULT_CHUNK_FRAMES)
        with torch.no_grad():
            return torch.cat([stream.push(chunk, is_last=chunk is chunks[-1]) for chunk in chunks])

    def log_probs(self, head: Head) -> NDArray[np.float32]:
        """What a head says: float32 (T', V), natural logarithms."""
        return self._scores.logits[head].detach().float().log_softmax(-1).cpu().numpy()

    def slope(self, head: Head, gloss_id: int, steps: tuple[int, int]) -> Tensor:
        """How a gloss' score changes with the features of each frame: (P, C).

        Args:
            head: whose logits.
            gloss_id: its class.
            steps: those that are its own, the first and the one after the last.
        """
        return self._scores.slope(head, gloss_id, steps)

    def heat(self, slope: Tensor, frames: range, layer: str, method: Method = "grad-cam") -> NDArray[np.float32]:
        """What speaks for a gloss, frame by frame.

        Args:
            slope: of its score, as `slope` gives it.
            frames: neighbouring frames of the clip, from 0.
            layer: whose maps, by its name in `backbone_layers`.
            method: how.

        Returns:
            float32 (n, h, w), 0 or more, over the network's picture; all zero where nothing speaks for it.

        Raises:
            UsageError: there is no such layer.
            CslrError: the maps are not finite.
        """
        backbone = split_backbone(self.network.backbone, layer)
        return heat_maps(self.network, backbone, self._frames, slope, self._padded(frames), method)

    def identification(self, stage: str) -> NDArray[np.float32]:
        """The identification map of every frame, float32 (T, h, w): see `identification_map`."""
        whole = identification_map(self.network, self._frames, stage)
        padded = self._padded(range(self.num_frames))
        return whole[padded.start : padded.stop]

    def correlation(self, stage: str, frame: int, place: tuple[float, float] | None) -> CorrelationMaps:
        """What a frame's place, or the frame as a whole, finds of itself around it: see `correlation_maps`.

        Args:
            stage: a member of `stages`.
            frame: from 0.
            place: x and y in shares of the network's picture; None where the summary of the frame is looked for.
        """
        position = self._padded(range(frame, frame + 1)).start
        return correlation_maps(self.network, self._frames, stage, position, place)

    @cached_property
    def _scores(self) -> Scores:
        return score_features(self.network, self.features, self.num_frames)

    def _padded(self, frames: range) -> range:
        """Where frames of the clip stand among those with padding."""
        first = self.network.plan.left_padding
        return range(frames.start + first, frames.stop + first)
