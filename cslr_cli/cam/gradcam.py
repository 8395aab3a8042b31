"""Grad-CAM (Selvaraju et al., ICCV 2017) of a gloss, over the frames of a clip.

What a network says of a gloss is one number, the score: the sum of the gloss' logits (before the softmax)
over the steps that the most probable CTC path gives it. With A the output of a layer at a frame, (C, H, W),

    alpha_k = mean over the places of d score / d A_k       map = relu( sum_k alpha_k · A_k )

for every frame by itself: a hand is elsewhere in the next one. `hires-cam` (Draelos and Carin 2020) leaves
the mean out, `map = relu( sum_k d score / d A_k · A_k )`: where much of the network lies between layer and
score, the mean mixes what the gradient says of different places.

All of it is exact, and yet only the frames of the gloss and those that they touch through correlation are
run with gradients, a few at a time: memory does not depend on the length of the clip.

Axes: P frames of a clip with its padding, n frames of a map, T' steps, C channels, h, w places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.layers import SplitBackbone, widened, within
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.model.network import Network

Head = Literal["sequence", "conv"]
Method = Literal["grad-cam", "hires-cam"]
METHODS: tuple[Method, ...] = get_args(Method)

# Frames of a map that are computed together; those around them, that correlation looks at, come on top.
_STRETCH = 32


@dataclass(frozen=True)
class Scores:
    """What the heads of a network say of a clip, with the way back to the frames' features.

    Attributes:
        logits: for each head (T', V), with gradients.
        features: (1, P, C), what the logits were computed of.
    """

    logits: Mapping[Head, Tensor]
    features: Tensor

    def slope(self, head: Head, gloss_id: int, steps: tuple[int, int]) -> Tensor:
        """How the score changes with the features of each frame: (P, C).

        Args:
            head: whose logits.
            gloss_id: of the gloss.
            steps: its own, the first and the one after the last.
        """
        score = self.logits[head][steps[0] : steps[1], gloss_id].sum()
        # cuDNN goes back through an LSTM in training mode only; torch's own one does so in evaluation too.
        with torch.backends.cudnn.flags(enabled=False):
            (gradient,) = torch.autograd.grad(score, self.features, retain_graph=True)
        return gradient[0]


def score_features(network: Network, features: Tensor, num_frames: int) -> Scores:
    """Run the heads of a network over the features of one clip, so that gradients can go back.

    Args:
        network: in evaluation mode.
        features: (P, C), of the frames of the clip with its padding.
        num_frames: of the clip without padding.
    """
    leaf = features[None].detach().requires_grad_()
    with torch.backends.cudnn.flags(enabled=False):
        output = network.logits_from_features(leaf, torch.tensor([num_frames]))
    return Scores({"sequence": output.sequence_logits[0], "conv": output.conv_logits[0]}, leaf)


def heat_maps(
    network: Network,
    backbone: SplitBackbone,
    frames: Tensor,
    gradient: Tensor,
    wanted: range,
    method: Method = "grad-cam",
) -> NDArray[np.float32]:
    """The maps of some neighbouring frames.

    Args:
        network: in evaluation mode; its parameters need no gradients.
        backbone: the network's, cut behind the layer that the maps are of.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        gradient: (P, C), of the score, as `Scores.slope` gives it.
        wanted: positions among the P frames.
        method: a member of `METHODS`.

    Returns:
        float32 (n, h, w), 0 or more, in the unit of the score; all zero where nothing speaks for the gloss.

    Raises:
        CslrError: a map is not finite: the network's weights have diverged.
    """
    stretches = [wanted[start : start + _STRETCH] for start in range(0, len(wanted), _STRETCH)]
    maps = torch.cat([_stretch_maps(network, backbone, frames, gradient, part, method) for part in stretches])
    if not torch.isfinite(maps).all():
        raise CslrError("the heat map is not finite: the network's weights have diverged", "use an earlier checkpoint")
    return maps.cpu().numpy()


def _stretch_maps(
    network: Network, backbone: SplitBackbone, frames: Tensor, gradient: Tensor, part: range, method: Method
) -> Tensor:
    # What comes out of the layer at the frames wanted reaches the features of `felt`; these depend on the
    # layer's output at `needed`, and that on the pictures of `seen`. At the clip's ends all end with it.
    felt = widened(part, backbone.reach_after, len(frames))
    needed = widened(felt, backbone.reach_after, len(frames))
    seen = widened(needed, backbone.reach_before, len(frames))
    with torch.no_grad():
        pictures = network.normalise_frames(frames[seen.start : seen.stop])
        activations = backbone.activations(pictures)[within(needed, seen)]
    with torch.enable_grad():
        activations = activations.detach().requires_grad_()
        features = backbone.features(activations)[within(felt, needed)]
        (slope,) = torch.autograd.grad(features, activations, gradient[felt.start : felt.stop])
    here = within(part, needed)
    activations, slope = activations.detach()[here], slope[here]
    weights = slope.mean(dim=(2, 3), keepdim=True) if method == "grad-cam" else slope
    return (weights * activations).sum(1).relu_()


def check_method(method: str) -> None:
    """Refuse a method that there is none of.

    Raises:
        UsageError: `method` is no member of `METHODS`.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}", f"expected one of {', '.join(METHODS)}")
