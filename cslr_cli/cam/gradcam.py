"""Grad-CAM (Selvaraju et al., ICCV 2017) of a gloss, over the frames of a clip.

The score of a gloss is the sum of its logits (before the softmax) over its steps on the most probable CTC path.
With A the output of a layer at a frame, (C, H, W),

    alpha_k = mean over the places of d score / d A_k       map = relu( sum_k alpha_k · A_k )

for every frame by itself: a hand is elsewhere in the next one. `hires-cam` (Draelos and Carin 2020) omits the mean,
`map = relu( sum_k d score / d A_k · A_k )`: if much of the network lies between layer and score, the mean mixes the
gradients of different places.

The maps are exact. Only the frames of the gloss and those that they depend on through correlation run with gradients,
a few at a time, so that memory does not depend on the length of the clip.

Axes: P frames of a clip with its padding, n frames of a map, T' steps, C channels, h, w places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.layers import SplitBackbone, slice_within, widen_range
from cslr_cli.cam.options import CamMethod
from cslr_cli.choices import Head
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.model.network import Network

# Frames of a map that are computed together; the frames around them that correlation looks at are added.
_CHUNK_FRAMES = 32


@dataclass(frozen=True)
class HeadScores:
    """The logits of a network's heads for one clip, with the graph back to the frames' features.

    Attributes:
        logits: for each head (T', V), with gradients.
        features: (1, P, C), the features that the logits were computed from.
    """

    logits: Mapping[Head, Tensor]
    features: Tensor

    def gradient(self, head: Head, gloss_id: int, steps: tuple[int, int]) -> Tensor:
        """Compute the gradient of a gloss' score with respect to the features of each frame: (P, C).

        Args:
            head: the head whose logits are summed.
            gloss_id: the class of the gloss.
            steps: the first step of the gloss and the one after its last.
        """
        score = self.logits[head][steps[0] : steps[1], gloss_id].sum()
        # cuDNN runs backward through an LSTM in training mode only; torch's own LSTM also in evaluation mode.
        with torch.backends.cudnn.flags(enabled=False):
            (gradient,) = torch.autograd.grad(score, self.features, retain_graph=True)
        return gradient[0]


def score_features(network: Network, features: Tensor, num_frames: int) -> HeadScores:
    """Run the heads of a network over the features of one clip and keep the graph.

    Args:
        network: a network in evaluation mode.
        features: (P, C), the features of the clip's frames with its padding.
        num_frames: number of frames without padding.
    """
    leaf = features[None].detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):
        output = network.logits_from_features(leaf, torch.tensor([num_frames]))
    return HeadScores({"sequence": output.sequence_logits[0], "conv": output.conv_logits[0]}, leaf)


def grad_cam(
    network: Network,
    backbone: SplitBackbone,
    frames: Tensor,
    gradient: Tensor,
    wanted: range,
    method: CamMethod = "grad-cam",
) -> NDArray[np.float32]:
    """Compute the maps of neighbouring frames.

    Args:
        network: a network in evaluation mode; its parameters need no gradients.
        backbone: the network's backbone, split after the layer of the maps.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        gradient: (P, C), the gradient of the score, from `HeadScores.gradient`.
        wanted: positions of the wanted frames among the P frames.
        method: how gradients become a map.

    Returns:
        float32 (n, h, w), 0 or more, in the unit of the score; all zero where no activation increases the score.

    Raises:
        CslrError: a map is not finite because the network's weights have diverged.
    """
    chunks = [wanted[start : start + _CHUNK_FRAMES] for start in range(0, len(wanted), _CHUNK_FRAMES)]
    maps = torch.cat([_chunk_maps(network, backbone, frames, gradient, chunk, method) for chunk in chunks])
    if not torch.isfinite(maps).all():
        raise CslrError(
            "the heat map is not finite: the network has diverged",
            "use an earlier checkpoint",
        )
    return maps.cpu().numpy()


def _chunk_maps(
    network: Network, backbone: SplitBackbone, frames: Tensor, gradient: Tensor, chunk: range, method: CamMethod
) -> Tensor:
    # The layer's output at the frames of the chunk affects the features of `affected`. These depend on the layer's
    # output at `needed`, which depends on the pictures of `visible`. All three end at the ends of the clip.
    affected = widen_range(chunk, backbone.reach_after, len(frames))
    needed = widen_range(affected, backbone.reach_after, len(frames))
    visible = widen_range(needed, backbone.reach_before, len(frames))
    with torch.no_grad():
        pictures = network.normalise_frames(frames[visible.start : visible.stop])
        activations = backbone.activations(pictures)[slice_within(needed, visible)]
    with torch.enable_grad():
        activations = activations.detach().requires_grad_()
        features = backbone.features(activations)[slice_within(affected, needed)]
        (layer_gradient,) = torch.autograd.grad(features, activations, gradient[affected.start : affected.stop])
    in_chunk = slice_within(chunk, needed)
    activations, layer_gradient = activations.detach()[in_chunk], layer_gradient[in_chunk]
    weights = layer_gradient.mean(dim=(2, 3), keepdim=True) if method == "grad-cam" else layer_gradient
    return (weights * activations).sum(1).relu_()


def check_method(method: str) -> None:
    """Refuse a method that is not a `CamMethod`."""
    if method not in get_args(CamMethod):
        raise UsageError(f"unknown method {method!r}", f"use one of {', '.join(get_args(CamMethod))}")
