"""CorrNet's own maps: the identification maps of its blocks, and their correlation maps over neighbouring frames.

In CorrNet (Hu et al., CVPR 2023) the block after a stage has, with x the stage's features and k its keys,

    A±[t, p, q] = <x[t, p], k[t ± 1, q]>        the weight of q for p is sigma(A±) − ½        (section 3.1)
    M           the identification map           its gate is sigma(M) − ½, channel by channel  (section 3.2)

so each place of a frame has a correlation map over the next frame and one over the previous frame. CorrNet+
(arXiv 2404.11111) correlates not a place but the summary of the whole frame, with up to five frames on each side.

Axes: P frames of a clip with its padding, n frames of a map, C channels, h, w places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.cam.layers import slice_within, split_backbone, widen_range
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.corrnet import CorrelationBlock, CorrNetBackbone
from cslr_cli.model.corrnet_plus import SummaryCorrelationBlock
from cslr_cli.model.network import Network

# Frames whose identification maps are computed together.
_CHUNK_FRAMES = 64


@dataclass(frozen=True)
class CorrelationMaps:
    """The correlation of one frame with the frames around it, in the block after one stage.

    Attributes:
        stage: `layer2` and so on.
        cell: row and column of the correlated place; None for the summary of the frame.
        offsets: the frame of each map: 1 is the next frame, -1 the previous one.
        affinities: float32 (n, h, w), A: above zero where features are alike.
    """

    stage: str
    cell: tuple[int, int] | None
    offsets: tuple[int, ...]
    affinities: NDArray[np.float32]

    @property
    def weights(self) -> NDArray[np.float32]:
        """The weights that the block computes from the affinities, sigma(A) − ½: float32 (n, h, w), -½ to ½."""
        weights: NDArray[np.float32] = np.tanh(self.affinities / 2) / np.float32(2)
        return weights


def correlated_stages(backbone: ResNet) -> tuple[str, ...]:
    """Return the stages that a correlation block follows; none in VAC and SMKD."""
    return backbone.correlation_after if isinstance(backbone, CorrNetBackbone) else ()


def correlates_places(backbone: ResNet) -> bool:
    """Return whether the backbone's blocks correlate places, as CorrNet's do, and not summaries of frames."""
    blocks = backbone.correlation.values() if isinstance(backbone, CorrNetBackbone) else ()
    return any(isinstance(block, CorrelationBlock) for block in blocks)


def compute_identification_maps(network: Network, frames: Tensor, stage: str) -> NDArray[np.float32]:
    """Compute the gates of the identification maps of a stage's block, averaged over the channels.

    Args:
        network: a network in evaluation mode.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        stage: a member of `correlated_stages`.

    Returns:
        float32 (P, h, w), the mean of sigma(M) − ½: from -½ to ½.
    """
    block, clip = _correlation_block(network, stage), range(len(frames))
    reach = network.backbone.stage_context(stage)
    maps = []
    for start in range(0, len(frames), _CHUNK_FRAMES):
        chunk = clip[start : start + _CHUNK_FRAMES]
        needed = widen_range(chunk, reach, len(frames))
        x = _block_input(network, frames, stage, needed)
        with torch.inference_mode():
            gate = block.identification_map(x, ClipLayout.from_lengths([len(x)], x.device)).sigmoid() - 0.5
        maps.append(gate.mean(1)[slice_within(chunk, needed)])
    return torch.cat(maps).float().cpu().numpy()


def compute_correlation_maps(
    network: Network, frames: Tensor, stage: str, position: int, place: tuple[float, float] | None
) -> CorrelationMaps:
    """Compute the correlation maps of one frame in a stage's block.

    Args:
        network: a network in evaluation mode.
        frames: uint8 (P, 3, H, W), the clip with its padding.
        stage: a member of `correlated_stages`.
        position: position of the frame among the P frames; neighbours beyond the clip's ends are left out.
        place: x and y of the correlated place, 0 to 1 of the picture's width and height; blocks that correlate the
            summary of the frame ignore it.
    """
    block = _correlation_block(network, stage)
    offset_weights = _offset_weights(block)
    needed = widen_range(range(position, position + 1), max(offset_weights), len(frames))
    offsets = tuple(offset for offset in offset_weights if position + offset in needed)
    x = _block_input(network, frames, stage, needed)
    index = position - needed.start
    cell = None
    if isinstance(block, CorrelationBlock):
        assert place is not None
        cell = _cell_of_place(place, x)
    with torch.inference_mode():
        query = _query(block, x[index : index + 1], cell)
        keys = block.keys(x)[[index + offset for offset in offsets]]  # (n, C, h, w)
        weights = query.new_tensor([offset_weights[offset] for offset in offsets])[:, None, None]
        affinities = torch.einsum("c,nchw->nhw", query, keys) * weights
    return CorrelationMaps(stage, cell, offsets, affinities.float().cpu().numpy())


def _block_input(network: Network, frames: Tensor, stage: str, wanted: range) -> Tensor:
    """Compute the input of the block after a stage: (n, C, h, w)."""
    backbone = split_backbone(network.backbone, stage)
    visible = widen_range(wanted, backbone.reach_before, len(frames))
    with torch.inference_mode():
        pictures = network.normalise_frames(frames[visible.start : visible.stop])
        return backbone.activations(pictures)[slice_within(wanted, visible)]


def _correlation_block(network: Network, stage: str) -> CorrelationBlock | SummaryCorrelationBlock:
    block = network.backbone.get_submodule(f"correlation.{stage}")
    assert isinstance(block, CorrelationBlock | SummaryCorrelationBlock)
    return block


def _offset_weights(block: CorrelationBlock | SummaryCorrelationBlock) -> dict[int, float]:
    """Return the offsets of the frames that a block looks at, each with the factor of its affinities."""
    if isinstance(block, CorrelationBlock):
        return {-1: 1.0, 1: 1.0}
    weights = block.neighbour_weights.tolist()
    reach = len(weights) // 2
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    return dict(zip(offsets, weights, strict=True))


def _cell_of_place(place: tuple[float, float], x: Tensor) -> tuple[int, int]:
    height, width = x.shape[2:]
    return min(int(place[1] * height), height - 1), min(int(place[0] * width), width - 1)


def _query(block: CorrelationBlock | SummaryCorrelationBlock, x: Tensor, cell: tuple[int, int] | None) -> Tensor:
    """Return the features of a place, or the summary of the frame: (1, C, h, w) -> (C,)."""
    if isinstance(block, SummaryCorrelationBlock):
        return block.summaries(x)[0]
    assert cell is not None
    return x[0, :, cell[0], cell[1]]
