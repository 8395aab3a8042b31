"""Small networks for tests of maps: random ones of each kind, and one whose scores are sums of brightness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cslr_cli.config import Config
from cslr_cli.model.backbone import STAGES, ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.network import Network, build_network
from cslr_cli.model.temporal import BiLSTM, NormalisedClassifier, TemporalConvolution
from cslr_cli.temporal_plan import TemporalPlan

NAMES = ("vac", "corrnet", "corrnet-plus")
NUM_CLASSES = 7


def random_network(name: str, seed: int = 0, num_classes: int = NUM_CLASSES) -> Network:
    """A narrow network in float64 whose correlation blocks and batch norms all do something."""
    torch.manual_seed(seed)
    model = {"name": name, "width": 4, "hidden_size": 16, "pretrained": False}
    config = Config.from_dict({"model": model, "data": {"crop_size": 32}}, "the test")
    network = build_network(config.model, num_classes).double().eval()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key.endswith("alpha"):
                parameter.fill_(0.3)
        for key, buffer in network.named_buffers():
            if key.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif key.endswith("running_mean"):
                buffer.normal_(0, 0.1)
    return network


def random_pictures(num_frames: int, size: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Coarse random squares, uint8 (T, size, size, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (num_frames, size // 4, size // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


class BrightnessBackbone(ResNet):
    """One feature: how bright the right half of the picture is. Its layers have 8 × 8 cells at 32 pixels."""

    def __init__(self) -> None:
        super().__init__(width=1, blocks=(1, 1, 1, 1))
        for stage in STAGES:
            setattr(self, stage, nn.Sequential(nn.Identity()))
        self.num_features = 1

    def stem(self, pictures: Tensor) -> Tensor:
        """The mean of each cell of 4 × 4 pixels, 0 for black and 1 for white."""
        return nn.functional.avg_pool2d(pictures.mean(1, keepdim=True), 4) / 2 + 0.5

    def after_stage(self, stage: str, x: Tensor, clips: ClipLayout) -> Tensor:
        """Darken the left half, after the last stage."""
        if stage != STAGES[-1]:
            return x
        right = torch.arange(x.shape[3], device=x.device) >= x.shape[3] // 2
        return x * right


def brightness_network(num_classes: int, **parts: Any) -> Network:
    """A network whose logits grow, all of them, with the brightness of the right half of the frames."""
    torch.manual_seed(0)
    plan = TemporalPlan.parse(["K3", "P2"])
    temporal, lstm = TemporalConvolution(1, 8, plan), BiLSTM(8)
    classifier = NormalisedClassifier(8, num_classes)
    network = Network(plan, BrightnessBackbone(), temporal, lstm, classifier).eval()
    with torch.no_grad():
        for part in (temporal, lstm, classifier):
            for parameter in part.parameters():
                parameter.abs_()
    return network
