"""CorrNet's own maps: what its blocks find important, and what a place finds again in the frames around it.

In CorrNet (Hu et al., CVPR 2023) the block after a stage has, with x the stage's features and k its keys,

    A±[t, p, q] = <x[t, p], k[t ± 1, q]>        the weight of q for p is sigma(A±) − ½        (section 3.1)
    M           the identification map           its gate is sigma(M) − ½, channel by channel  (section 3.2)

so a place in one frame has a correlation map over the next frame, and one over the previous. In CorrNet+
(arXiv 2404.11111) it is not a place that is looked for but the summary of the whole frame, in up to five frames
on each side.

Axes: P frames of a clip with its padding, n frames of a map, C channels, h, w places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.layers import split_backbone, widened, within
from cslr_cli.model.backbone import CorrNetBackbone, ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import CorrelationBlock
from cslr_cli.model.corrnet_plus import SummaryCorrelationBlock
from cslr_cli.model.network import Network

# Frames whose identification maps are computed together.
_STRETCH = 64


@dataclass(frozen=True)
class CorrelationMaps:
    """What is found again of one frame in the frames around it, by the block after one stage.

    Attributes:
        stage: `layer2` and so on.
        cell: row and column of the place that is looked for; None where it is the summary of the frame.
        offsets: of the frames that the maps are over: 1 is the next frame, -1 the previous one.
        affinities: float32 (n, h, w), A: above zero where features are alike.
    """

    stage: str
    cell: tuple[int, int] | None
    offsets: tuple[int, ...]
    affinities: NDArray[np.float32]

    @property
    def maps(self) -> NDArray[np.float32]:
        """What the block makes of the affinities, sigma(A) − ½: float32 (n, h, w), from −½ to ½."""
        maps: NDArray[np.float32] = np.tanh(self.affinities / 2) / np.float32(2)
        return maps


def correlated_stages(backbone: ResNet) -> tuple[str, ...]:
    """The stages of a backbone that a correlation block follows; none in VAC and SMKD."""
    return backbone.correlation_after if isinstance(backbone, CorrNetBackbone) else ()


def looks_for_places(backbone: ResNet) -> bool:
    """Whether it has blocks that look for places of a frame, as CorrNet's do, and not for the summary of one."""
    blocks = backbone.correlation.values() if isinstance(backbone, CorrNetBackbone) else ()
    return any(isinstance(block, CorrelationBlock) for block in blocks)


def identification_map(network: Network, frames: Tensor, stage: str) -> NDArray[np.float32]:
    """The gate that the identification map of a stage's block opens, averaged over the channels.

    Args:
        network: in evaluation mode.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        stage: a member of `correlated_stages`.

    Returns:
        float32 (P, h, w), the mean of sigma(M) − ½: from −½ to ½.
    """
    block, clip = _block(network, stage), range(len(frames))
    reach = network.backbone.stage_context(stage)
    parts = []
    for start in range(0, len(frames), _STRETCH):
        wanted = clip[start : start + _STRETCH]
        needed = widened(wanted, reach, len(frames))
        x = _features(network, frames, stage, needed)
        with torch.inference_mode():
            gate = block.identification_map(x, ClipLayout.from_lengths([len(x)], x.device)).sigmoid() - 0.5
        parts.append(gate.mean(1)[within(wanted, needed)])
    return torch.cat(parts).float().cpu().numpy()


def correlation_maps(
    network: Network, frames: Tensor, stage: str, position: int, place: tuple[float, float] | None
) -> CorrelationMaps:
    """What a stage's block finds of a frame in its neighbours.

    Args:
        network: in evaluation mode.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        stage: a member of `correlated_stages`.
        position: of the frame, among the P; neighbours beyond the clip's ends are left out.
        place: x and y of the place that is looked for, in shares of the picture's width and height; blocks that
            look for the summary of the frame need none.
    """
    block = _block(network, stage)
    weights = _offset_weights(block)
    reach = max(weights)
    needed = widened(range(position, position + 1), reach, len(frames))
    offsets = tuple(offset for offset in weights if position + offset in needed)
    x = _features(network, frames, stage, needed)
    here = position - needed.start
    cell = None
    if isinstance(block, CorrelationBlock):
        assert place is not None
        cell = _cell(place, x)
    with torch.inference_mode():
        query = _query(block, x[here : here + 1], cell)
        keys = block.keys(x)[[here + offset for offset in offsets]]  # (n, C, h, w)
        strength = query.new_tensor([weights[offset] for offset in offsets])[:, None, None]
        affinities = torch.einsum("c,nchw->nhw", query, keys) * strength
    return CorrelationMaps(stage, cell, offsets, affinities.float().cpu().numpy())


def _features(network: Network, frames: Tensor, stage: str, wanted: range) -> Tensor:
    """What goes into the block after a stage: (n, C, h, w)."""
    backbone = split_backbone(network.backbone, stage)
    seen = widened(wanted, backbone.reach_before, len(frames))
    with torch.inference_mode():
        pictures = network.normalise_frames(frames[seen.start : seen.stop])
        return backbone.activations(pictures)[within(wanted, seen)]


def _block(network: Network, stage: str) -> CorrelationBlock | SummaryCorrelationBlock:
    block = network.backbone.get_submodule(f"correlation.{stage}")
    assert isinstance(block, CorrelationBlock | SummaryCorrelationBlock)
    return block


def _offset_weights(block: CorrelationBlock | SummaryCorrelationBlock) -> dict[int, float]:
    """The neighbours that a block looks at, and by what each multiplies the affinities."""
    if isinstance(block, CorrelationBlock):
        return {-1: 1.0, 1: 1.0}
    weights = block.neighbour_weights.tolist()
    reach = len(weights) // 2
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    return dict(zip(offsets, weights, strict=True))


def _cell(place: tuple[float, float], x: Tensor) -> tuple[int, int]:
    height, width = x.shape[2:]
    return min(int(place[1] * height), height - 1), min(int(place[0] * width), width - 1)


def _query(block: CorrelationBlock | SummaryCorrelationBlock, x: Tensor, cell: tuple[int, int] | None) -> Tensor:
    """What is looked for: the features of a place, or of the frame as a whole; (1, C, h, w) -> (C,)."""
    if isinstance(block, SummaryCorrelationBlock):
        return block.summaries(x)[0]
    assert cell is not None
    return x[0, :, cell[0], cell[1]]
