"""The ResNet backbone: from frames to one feature vector per frame.

Axes: N frames of all clips of a batch (see `ClipLayout`), C channels, H, W positions. Frames are channels last
in memory. The ResNet's layers have torchvision's names, so that its ImageNet weights load without renaming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from cslr_cli.config import ModelConfig, Stage
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.residual import can_train, train_block, train_stem

# Bytes of features per run of frames in inference. CPU: a little below the size that allocators return to the system,
# which then has to clear the memory again. CUDA: large enough to fill a GPU.
INFERENCE_RUN_BYTES = {"cpu": 28 * 2**20, "cuda": 2**30}

STAGES: tuple[str, ...] = get_args(Stage)


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
        self.recompute = False  # in training, run the convolutions again instead of keeping their outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H/stride, W/stride)."""
        if can_train(*zip(*(pairs := self._conv_norm_pairs()), strict=True)):
            return train_block(x, pairs, recompute=self.recompute)
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return self._forward_by_modules(x)
        # For norms that are synchronised between processes or frozen.
        output: Tensor = checkpoint(
            self._forward_by_modules,
            x,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), _preserve_statistics(self)),
        )
        return output

    def _forward_by_modules(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(x)) + shortcut)

    def _conv_norm_pairs(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """Return the convolutions with their norms; those of the shortcut come last."""
        pairs = [(self.conv1, self.bn1), (self.conv2, self.bn2)]
        if isinstance(self.downsample, nn.Sequential):
            convolution, norm = self.downsample
            pairs.append((cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", norm)))
        return pairs


@contextmanager
def _preserve_statistics(block: nn.Module) -> Iterator[None]:
    """Restore batch norm's running statistics afterwards, because the block sees the batch for the second time."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm) and module.training]
    buffers = [buffer for norm in norms for buffer in norm.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


class ResNet(nn.Module):
    """ResNet-18 over single frames: the backbone of VAC and SMKD, and the base class of all other backbones.

    Args:
        width: channels of the first stage (64 in ResNet-18); each further stage has twice as many.
        blocks: number of residual blocks of each stage.
    """

    # Whether batch norm, in training, sees the frames that pad the shorter clips of a batch. VAC excludes
    # them (its masked batch norm); CorrNet and CorrNet+ do not.
    batch_norm_includes_padding = False

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
        self._checkpoint_activations = False
        self._initialise_weights()

    def _initialise_weights(self) -> None:
        """Initialise the convolutions as He et al. (2015), with fan-out.

        PyTorch's default weights are a third as large. Batch norm hides this in the first outputs, but not in
        the gradients: updates would be so large relative to the weights that training from scratch often stays
        at predicting only blanks.
        """
        for module in self.modules():
            # Networks on the meta device have no weights; initialising them would make torch load its compiler.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def checkpoint_activations(self) -> bool:
        """In training, keep only the input of each block and recompute the rest: less memory, more time."""
        return self._checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, enabled: bool) -> None:
        self._checkpoint_activations = enabled
        for module in self.modules():
            if isinstance(module, BasicBlock):
                module.recompute = enabled

    @classmethod
    def from_config(cls, config: ModelConfig) -> ResNet:
        """Build the backbone that a configuration describes."""
        return cls(config.width, config.blocks)

    def forward(self, pictures: Tensor, clips: ClipLayout) -> Tensor:
        """Normalised frames (N, 3, H, W), float -> features (N, num_features)."""
        if not (self.training or torch.is_grad_enabled()):
            return self._forward_in_runs(pictures, clips)
        x = self.stem(pictures)
        for stage in STAGES:
            x = self.after_stage(stage, self.get_submodule(stage)(x), clips)
        features: Tensor = x.mean(dim=(2, 3))
        return features

    def _forward_in_runs(self, pictures: Tensor, clips: ClipLayout) -> Tensor:
        """Compute the same features, a few frames at a time in the layers that see single frames.

        Features are large before the third stage. In short runs they stay in the processor's caches, and the
        memory is reused.
        """
        x = pictures
        layers: list[Callable[[Tensor], Tensor]] = [self.stem]
        frame_elements = self.conv1.out_channels * pictures[0, 0].numel() // self.conv1.stride[0] ** 2
        for index, stage in enumerate(STAGES):
            layers.append(self.get_submodule(stage))
            if index > 0 or self.stage_context(stage):
                x = self.after_stage(stage, _apply_in_runs(x, layers, frame_elements), clips)
                layers, frame_elements = [], x[0].numel()
        features: Tensor = x.mean(dim=(2, 3))
        return features

    def stem(self, pictures: Tensor) -> Tensor:
        """Apply the layers before the first stage: (N, 3, H, W) -> (N, width, H/4, W/4)."""
        if can_train([self.conv1], [self.bn1]) and not pictures.requires_grad:
            return train_stem(pictures, self.conv1, self.bn1, recompute=self.checkpoint_activations)
        x: Tensor = self.maxpool(torch.relu_(self.bn1(self.conv1(pictures))))
        return x

    def stage_context(self, stage: str) -> int:
        """Return how many frames on each side `after_stage` needs; all other layers see single frames."""
        return 0

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Process the features (N, C, H, W) of a stage before the next one; a plain ResNet returns them unchanged."""
        return x


def _apply_in_runs(x: Tensor, layers: Sequence[Callable[[Tensor], Tensor]], frame_elements: int) -> Tensor:
    """Apply layers to runs of frames: as many frames of `frame_elements` elements as fit `INFERENCE_RUN_BYTES`."""
    run_bytes = INFERENCE_RUN_BYTES.get(x.device.type, INFERENCE_RUN_BYTES["cpu"])
    results = []
    for run in x.split(max(1, run_bytes // (frame_elements * x.element_size()))):
        for layer in layers:
            run = layer(run)
        results.append(run)
    return results[0] if len(results) == 1 else torch.cat(results)
