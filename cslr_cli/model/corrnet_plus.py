"""CorrNet+ (Hu et al., arXiv 2404.11111): a summary vector of each frame is correlated with the frames around it.

Axes: N frames of all clips, C channels, H, W positions in a frame (P = H·W).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import STAGES
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.corrnet import (
    AGGREGATION_CONTEXT,
    PUBLISHED_IDENTIFICATION_MODULES,
    CorrNetBackbone,
    IdentificationBlock,
    published_block_modules,
)
from cslr_cli.model.definition import NetworkDefinition, PublishedForm

# Frames on each side that the block after a stage sees: more where a frame has fewer positions.
NEIGHBOURS = {"layer1": 1, "layer2": 1, "layer3": 3, "layer4": 5}
# Frames on each side that the temporal weighting sees: a kernel of 3, dilated by up to 3.
WEIGHTING_CONTEXT = 3


class AttentionPool(nn.Module):
    """Pool the positions of a frame into one vector by attention with a single head and a learned query.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, channels) / channels**0.5)
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, P, C) -> (N, C).

        The projections are linear and the attention weights sum to one. So the projections are applied once,
        to the query and to the attended mean, instead of to every position.
        """
        query = self.q_proj(self.query[0, 0])  # (C,)
        key_query = query @ self.k_proj.weight  # <q, K x> = <Kᵀ q, x>
        scores = (x @ key_query + query @ self.k_proj.bias) * query.shape[0] ** -0.5
        attended = torch.einsum("np,npc->nc", scores.softmax(-1), x)
        pooled: Tensor = self.c_proj(self.v_proj(attended))
        return pooled


def correlate_summaries(summaries: Tensor, keys: Tensor, weights: Tensor, clips: ClipLayout) -> Tensor:
    """Correlate each frame's summary with all positions of the frames around it.

    `f[t] = Σ_l Σ_p k · (σ(<summaries[t], k>) − ½)` with `k = weights[l] · keys[t + l, p]`. Frames beyond the
    ends of a clip count as zero.

    Args:
        summaries: (N, C).
        keys: (N, P, C), of the same dtype.
        weights: (2n,), weights of the n frames before and the n frames after, in order of time.
        clips: layout of the clips.

    Returns:
        (N, C).
    """
    reach = len(weights) // 2
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    found = torch.zeros_like(summaries)
    for weight, offset in zip(weights.to(keys.dtype), offsets, strict=True):
        overlap = len(keys) - abs(offset)
        if overlap <= 0:
            continue
        # Frame t and frame t + offset, for all t at once: two views of the fold, one of them shifted.
        there = keys[max(offset, 0) :][:overlap]  # (n, P, C)
        here = summaries[max(-offset, 0) :][:overlap]  # (n, C)
        affinity = weight * torch.einsum("nc,npc->np", here, there)
        same_clip = clips.has_neighbour(offset)[max(-offset, 0) :][:overlap, None]
        gate = (affinity.sigmoid() - 0.5) * (weight * same_clip)
        contribution = torch.einsum("np,npc->nc", gate, there)
        found = found + functional.pad(contribution, (0, 0, max(-offset, 0), max(offset, 0)))
    return found


class SummaryCorrelationBlock(IdentificationBlock):
    """Correlation of a frame's summary with its neighbours, gated by the identification map.

    Args:
        channels: C of input and output.
        neighbours: number of frames on each side.
    """

    def __init__(self, channels: int, neighbours: int) -> None:
        super().__init__(channels)
        self.attention = AttentionPool(channels)
        self.neighbour_weights = nn.Parameter(torch.full((2 * neighbours,), 1 / (2 * neighbours)))
        self.summary_weights = nn.Parameter(torch.full((3,), 1 / 3))

    def forward(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """Features (N, C, H, W), channels last -> residual of the same shape, which is added to them."""
        keys = self.keys(x).permute(0, 2, 3, 1).flatten(1, 2)  # (N, C, H, W) -> (N, P, C)
        found = correlate_summaries(self.summaries(x).to(keys.dtype), keys, self.neighbour_weights, clips)
        return found[:, :, None, None] * (self.identification_map(x, clips).sigmoid() - 0.5)

    def summaries(self, x: Tensor) -> Tensor:
        """Summarise each frame as one vector: features (N, C, H, W) -> (N, C)."""
        positions = x.permute(0, 2, 3, 1).flatten(1, 2)
        mean, largest, attended = self.summary_weights
        summaries: Tensor = (
            mean * positions.mean(1) + largest * positions.amax(1) + attended * self.attention(positions)
        )
        return summaries


class TemporalWeighting(nn.Module):
    """Weights of channels per frame, from the spatial means of the frames around it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.reduce = nn.Conv1d(channels, reduced, 1)
        self.enhance = nn.ModuleList(
            nn.Conv1d(reduced, reduced, 3, padding=dilation, dilation=dilation, groups=reduced)
            for dilation in range(1, WEIGHTING_CONTEXT + 1)
        )
        self.expand = nn.Conv1d(reduced, channels, 1)
        self.weights = nn.Parameter(torch.full((3,), 1 / 3))
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """Features (N, C, H, W) -> residual of the same shape, which is added to them."""
        # (N, C, H, W) -> (C, N): the frames of all clips are one time axis
        reduced = self.reduce(x.mean(dim=(2, 3)).T)
        timeline = clips.to_timeline(reduced.T, gap=WEIGHTING_CONTEXT)
        enhanced = torch.stack(
            [weight * layer(timeline) for weight, layer in zip(self.weights, self.enhance, strict=True)]
        ).sum(0)
        importance: Tensor = self.expand(clips.from_timeline(enhanced, gap=WEIGHTING_CONTEXT).T).T  # (N, C)
        return x * ((importance.sigmoid() - 0.5) * self.alpha)[:, :, None, None]


class CorrNetPlusBackbone(CorrNetBackbone):
    """ResNet-18 with summary correlation and temporal weighting after some stages.

    `x ← x + alpha[k] · block_k(x)`, then `x ← x + weighting_k(x)`; both terms start at zero. Published: after layers
    2 to 4. The arguments are those of `CorrNetBackbone`.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: Sequence[int] = (2, 2, 2, 2),
        correlation_after: Sequence[str] = ("layer2", "layer3", "layer4"),
    ) -> None:
        super().__init__(width, blocks, correlation_after)
        self.temporal_weighting = nn.ModuleDict(
            {stage: TemporalWeighting(self.stage_channels[stage]) for stage in self.correlation_after}
        )

    def correlation_block(self, stage: str) -> nn.Module:
        """Build the correlation with this stage's number of neighbours."""
        return SummaryCorrelationBlock(self.stage_channels[stage], NEIGHBOURS[stage])

    def stage_context(self, stage: str) -> int:
        """Return the larger context of correlation and identification map, plus that of the temporal weighting."""
        if stage not in self.correlation_after:
            return 0
        return max(AGGREGATION_CONTEXT, NEIGHBOURS[stage]) + WEIGHTING_CONTEXT

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Add the outputs of this stage's correlation and then of its temporal weighting, if it has them."""
        x = super().after_stage(stage, x, clips)
        if stage not in self.correlation_after:
            return x
        weighted: Tensor = self.temporal_weighting[stage](x, clips)
        return x + weighted


_PUBLISHED_BLOCKS = {stage: f"conv2d.corr{number}" for number, stage in enumerate(STAGES, start=1)}
_PUBLISHED_BLOCK_MODULES = {
    **PUBLISHED_IDENTIFICATION_MODULES,
    "attention": "attpool",
    "neighbour_weights": "weights2",
    "summary_weights": "weights4",
}
_PUBLISHED_WEIGHTING_MODULES = {
    "reduce": "conv_transform",
    "enhance": "conv_enhance",
    "expand": "conv_back",
    "weights": "weights",
    "alpha": "alpha",
}


def _unused_published_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the unused tensors in the published correlation blocks."""
    shapes: dict[str, tuple[int, ...]] = {}
    for stage in config.correlation_after:
        channels = config.width * 2 ** STAGES.index(stage)
        reduced = max(1, channels // 16)
        block = _PUBLISHED_BLOCKS[stage]
        shapes |= {
            f"{block}.weights3": (3,),
            f"{block}.mlp.0.weight": (reduced, channels, 1, 1, 1),
            f"{block}.mlp.0.bias": (reduced,),
            f"{block}.mlp.2.weight": (channels, reduced, 1, 1, 1),
            f"{block}.mlp.2.bias": (channels,),
        }
    return shapes


CORRNET_PLUS = NetworkDefinition(
    CorrNetPlusBackbone,
    PublishedForm(
        markers=(r"^conv2d\.(corr\d\.|temporal_weight)", r"\.attpool\.|^conv2d\.temporal_weight"),
        modules={
            **published_block_modules(_PUBLISHED_BLOCKS, _PUBLISHED_BLOCK_MODULES),
            **{
                f"backbone.temporal_weighting.{stage}.{name}": f"conv2d.temporal_weight{number}.{published}"
                for number, stage in enumerate(STAGES, start=1)
                for name, published in _PUBLISHED_WEIGHTING_MODULES.items()
            },
        },
        correlation_blocks=_PUBLISHED_BLOCKS,
        has_3d_kernels=True,
        unused_shapes=_unused_published_shapes,
    ),
)
