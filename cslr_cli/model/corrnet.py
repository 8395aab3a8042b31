"""CorrNet (Hu et al., CVPR 2023): a ResNet with correlation blocks, which see what moves between frames.

Axes: N frames of all clips, C channels, H, W places in a frame (P = H·W of them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import STAGES, ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import correlate
from cslr_cli.model.definition import NetworkDefinition, PublishedForm

# Frames that the aggregation sees on each side: its kernel covers 9.
AGGREGATION_CONTEXT = 4


class IdentificationBlock(nn.Module):
    """What the blocks of CorrNet and CorrNet+ share: keys, and the identification map (section 3.2).

    Args:
        channels: C of the features that come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.keys = nn.Conv2d(channels, channels, 1, bias=False)
        self.aggregations = nn.ModuleList(
            nn.Conv3d(
                reduced,
                reduced,
                kernel_size=(2 * AGGREGATION_CONTEXT + 1, 3, 3),
                padding=(AGGREGATION_CONTEXT, dilation, dilation),
                dilation=(1, dilation, dilation),
                groups=reduced,
            )
            for dilation in (1, 2, 3)
        )
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.aggregation_weights = nn.Parameter(torch.full((3,), 1 / 3))

    def identification_map(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """M of section 3.2, before the sigmoid: (N, C, H, W), from 9 frames at three dilations."""
        reduced = clips.to_timeline(self.reduce(x), gap=AGGREGATION_CONTEXT)
        aggregated = torch.stack(
            [
                weight * aggregation(reduced)
                for weight, aggregation in zip(self.aggregation_weights, self.aggregations, strict=True)
            ]
        ).sum(0)
        expanded: Tensor = self.expand(clips.from_timeline(aggregated, gap=AGGREGATION_CONTEXT))
        return expanded


class CorrelationBlock(IdentificationBlock):
    """Correlation with the neighbouring frames, gated by what the identification map finds important.

    Args:
        channels: C of the features that come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.direction_weights = nn.Parameter(torch.full((2,), 1 / 2))

    def forward(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """Features (N, C, H, W), channels last -> what to add to them, of the same shape."""
        keys = self.keys(x)
        query = x.to(keys.dtype)
        # (N, C, H, W) -> (N, P, C): no copy where the memory is channels last
        correlated = correlate(
            query.permute(0, 2, 3, 1).flatten(1, 2),
            keys.permute(0, 2, 3, 1).flatten(1, 2),
            self.direction_weights,
            clips,
        )
        # (N, P, C) -> (N, H, W, C) -> (N, C, H, W)
        correlated = correlated.view(len(x), *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)
        return correlated * (self.identification_map(x, clips).sigmoid() - 0.5)


class CorrNetBackbone(ResNet):
    """ResNet-18 with a correlation block after some stages (CorrNet, Hu et al., CVPR 2023).

    `x ← x + alpha[k] · block_k(x)`, with `alpha` zero at the start: training begins as a ResNet.

    Args:
        width: as in `ResNet`.
        blocks: as in `ResNet`.
        correlation_after: the stages that a block follows; published: layers 2 to 4, and 3 to 4 on
            CSL-Daily.
    """

    batch_norm_includes_padding = True

    def __init__(
        self,
        width: int = 64,
        blocks: Sequence[int] = (2, 2, 2, 2),
        correlation_after: Sequence[str] = ("layer2", "layer3", "layer4"),
    ) -> None:
        super().__init__(width, blocks)
        self.correlation_after = tuple(stage for stage in STAGES if stage in correlation_after)
        self.correlation = nn.ModuleDict({stage: self.correlation_block(stage) for stage in self.correlation_after})
        self.alpha = nn.Parameter(torch.zeros(len(self.correlation_after)))

    def correlation_block(self, stage: str) -> nn.Module:
        """The block that follows a stage."""
        return CorrelationBlock(self.stage_channels[stage])

    def stage_context(self, stage: str) -> int:
        """The identification map sees more frames than the correlation does."""
        return AGGREGATION_CONTEXT if stage in self.correlation_after else 0

    @classmethod
    def from_config(cls, config: ModelConfig) -> CorrNetBackbone:
        """Make one as a configuration says."""
        return cls(config.width, config.blocks, config.correlation_after)

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Add the correlation block of this stage, if it has one."""
        if stage not in self.correlation_after:
            return x
        scale = self.alpha[self.correlation_after.index(stage)]
        block = self.correlation[stage]
        if self.training and self.checkpoint_activations:
            # It has neither dropout nor batch norm: nothing that a second run would do otherwise.
            correlated: Tensor = checkpoint(block, x, clips, use_reentrant=False, preserve_rng_state=False)
        else:
            correlated = block(x, clips)
        return x + scale.to(x.dtype) * correlated


# Modules that the blocks of CorrNet and CorrNet+ share, by their names here: what the published code calls them.
PUBLISHED_IDENTIFICATION_MODULES = {
    "reduce": "down_conv",
    "keys": "down_conv2",
    "expand": "conv_back",
    "aggregations.0": "spatial_aggregation1",
    "aggregations.1": "spatial_aggregation2",
    "aggregations.2": "spatial_aggregation3",
    "aggregation_weights": "weights",
}


def published_block_modules(blocks: Mapping[str, str], modules: Mapping[str, str]) -> dict[str, str]:
    """Name the modules of all correlation blocks as the published code does.

    Args:
        blocks: published module of the block after each stage.
        modules: published name of each module in a block.

    Returns:
        Published module name by module name here.
    """
    return {
        f"backbone.correlation.{stage}.{ours}": f"{block}.{theirs}"
        for stage, block in blocks.items()
        for ours, theirs in modules.items()
    }


# The published code counts the blocks from 1, at layer 2.
_PUBLISHED_BLOCKS = {stage: f"conv2d.corr{number}" for number, stage in enumerate(STAGES)}

CORRNET = NetworkDefinition(
    CorrNetBackbone,
    PublishedForm(
        markers=(r"^conv2d\.corr\d\.",),
        modules=published_block_modules(
            _PUBLISHED_BLOCKS, {**PUBLISHED_IDENTIFICATION_MODULES, "direction_weights": "weights2"}
        ),
        correlation_blocks=_PUBLISHED_BLOCKS,
        has_3d_kernels=True,
    ),
)
