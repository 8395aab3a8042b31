"""CorrNet (Hu et al., CVPR 2023): a ResNet with correlation blocks, which model motion between frames.

Axes: N frames of all clips, C channels, H, W positions in a frame (P = H·W).
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

# Frames on each side that the aggregation sees: its kernel covers 9.
AGGREGATION_CONTEXT = 4


class IdentificationBlock(nn.Module):
    """Base class of the blocks of CorrNet and CorrNet+: keys and the identification map (section 3.2).

    Args:
        channels: C of input and output.
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
        """Compute M of section 3.2 before the sigmoid, (N, C, H, W), from 9 frames and three dilations."""
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
    """Correlation with the neighbouring frames, gated by the identification map.

    Args:
        channels: C of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.direction_weights = nn.Parameter(torch.full((2,), 1 / 2))

    def forward(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """Features (N, C, H, W), channels last -> residual of the same shape, which is added to them."""
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

    `x ← x + alpha[k] · block_k(x)`; `alpha` starts at zero, so training starts from a plain ResNet.

    Args:
        width: channels of the first stage.
        blocks: number of residual blocks of each stage.
        correlation_after: stages followed by a correlation block; published: layers 2 to 4, on CSL-Daily 3 and 4.
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
        """Build the block that follows a stage."""
        return CorrelationBlock(self.stage_channels[stage])

    def stage_context(self, stage: str) -> int:
        """Return the context of the identification map, which sees more frames than the correlation."""
        return AGGREGATION_CONTEXT if stage in self.correlation_after else 0

    @classmethod
    def from_config(cls, config: ModelConfig) -> CorrNetBackbone:
        """Build the backbone that a configuration describes."""
        return cls(config.width, config.blocks, config.correlation_after)

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Add the output of this stage's correlation block, if it has one."""
        if stage not in self.correlation_after:
            return x
        scale = self.alpha[self.correlation_after.index(stage)]
        block = self.correlation[stage]
        if self.training and self.checkpoint_activations:
            # The block has neither dropout nor batch norm, so a second run gives the same result.
            correlated: Tensor = checkpoint(block, x, clips, use_reentrant=False, preserve_rng_state=False)
        else:
            correlated = block(x, clips)
        return x + scale.to(x.dtype) * correlated


# Published name by name here, of the modules that the blocks of CorrNet and CorrNet+ share.
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
    """Return `PublishedForm.modules` for all correlation blocks.

    Args:
        blocks: published module of the block after each stage.
        modules: published name, by name here, of each module in a block.
    """
    return {
        f"backbone.correlation.{stage}.{name}": f"{block}.{published}"
        for stage, block in blocks.items()
        for name, published in modules.items()
    }


# The published code numbers the blocks from 1, which follows layer2.
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
