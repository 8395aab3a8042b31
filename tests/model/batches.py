"""Batches as collate makes them, and the networks that the tests run them through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cslr_cli.config import ModelConfig
from cslr_cli.model.network import Network, build_network
from cslr_cli.temporal_plan import TemporalPlan

NETWORK_NAMES = ("vac", "vac-smkd", "corrnet", "corrnet-plus")


def small_config(name: str, **changes: Any) -> ModelConfig:
    return ModelConfig.model_validate({"name": name, "width": 8, "hidden_size": 32, "pretrained": False, **changes})


def small_network(name: str, **changes: Any) -> Network:
    """A narrow network with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    network = build_network(small_config(name, **changes), num_classes=12)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            if parameter_name.endswith("alpha"):
                parameter.copy_(torch.tensor([0.3, -0.2, 0.5])[: len(parameter)])
            elif not parameter.any():
                parameter.normal_(std=0.2)
        for buffer_name, buffer in network.named_buffers():
            if buffer_name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network.eval()


def random_videos(*lengths: int, size: int = 32) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (length, size, size, 3), dtype=np.uint8) for length in lengths]


def padded_batch(videos: Sequence[np.ndarray[Any, Any]], plan: TemporalPlan) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [len(frames) for frames in videos]
    longest = plan.padded_length(max(lengths))
    clips = [frames[plan.frame_index(len(frames), longest)] for frames in videos]
    # (B, T, H, W, 3) -> (B, T, 3, H, W)
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3), torch.tensor(lengths)


def largest_difference(ours: torch.Tensor, theirs: np.ndarray[Any, Any]) -> float:
    """Relative to the largest value of the other array."""
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())
