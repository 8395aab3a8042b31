"""Backbones: from pictures to one feature vector a frame.

Axes: N frames of all clips of a batch (see `ClipLayout`), C channels, H, W places. Pictures lie in
memory channels last. The names of the ResNet's layers are torchvision's, so that its ImageNet
weights load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cslr_cli.config import ModelConfig
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import CorrelationBlock

STAGES = ("layer1", "layer2", "layer3", "layer4")


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(x)) + shortcut)


class ResNet(nn.Module):
    """ResNet-18 over single frames: VAC's and SMKD's backbone, and the trunk of the others.

    Args:
        width: channels of the first stage; each further stage has twice as many. 64 in ResNet-18.
        blocks: residual blocks of each stage.
    """

    # In training, batch norm sees the frames by which a batch pads its shorter clips. VAC leaves
    # them out (its masked batch norm); CorrNet and CorrNet+ do not.
    sees_batch_padding = False

    def __init__(self, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage_channels = {stage: width * 2**index for index, stage in enumerate(STAGES)}
        in_channels = width
        for index, (stage, channels) in enumerate(self.stage_channels.items()):
            first = BasicBlock(in_channels, channels, stride=1 if index == 0 else 2)
            rest = [BasicBlock(channels, channels, stride=1) for _ in range(blocks[index] - 1)]
            self.add_module(stage, nn.Sequential(first, *rest))
            in_channels = channels
        self.num_features = in_channels

    @classmethod
    def from_config(cls, config: ModelConfig) -> ResNet:
        """Make one as a configuration says."""
        return cls(config.width, config.blocks)

    def forward(self, pictures: Tensor, clips: ClipLayout) -> Tensor:
        """Pictures (N, 3, H, W), float in -1…1 -> features (N, num_features)."""
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(pictures))))
        for stage in STAGES:
            x = self.after_stage(stage, self.get_submodule(stage)(x), clips)
        features: Tensor = x.mean(dim=(2, 3))
        return features

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """What a network does with the features of a stage before the next one; here nothing."""
        return x


class CorrNetBackbone(ResNet):
    """ResNet-18 with a correlation block after some stages (CorrNet, Hu et al., CVPR 2023).

    `x ← x + alpha[k] · block_k(x)`, with `alpha` zero at the start: training begins as a ResNet.

    Args:
        width: as in `ResNet`.
        blocks: as in `ResNet`.
        correlation_after: the stages that a block follows; published: layers 2 to 4, and 3 to 4 on
            CSL-Daily.
    """

    sees_batch_padding = True

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

    @classmethod
    def from_config(cls, config: ModelConfig) -> CorrNetBackbone:
        """Make one as a configuration says."""
        return cls(config.width, config.blocks, config.correlation_after)

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Add the correlation block of this stage, if it has one."""
        if stage not in self.correlation_after:
            return x
        scale = self.alpha[self.correlation_after.index(stage)]
        correlated: Tensor = self.correlation[stage](x, clips)
        return x + scale.to(x.dtype) * correlated
