"""Weights and videos that follow from a name and a seed, as the parity fixtures were made with."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cslr_cli.checkpoints.published_tensors import from_published
from cslr_cli.config import ModelConfig

PARITY = Path(__file__).parent.parent / "data" / "parity"


def weight(name: str, shape: list[int], seed: int) -> np.ndarray[Any, Any]:
    """The tensor that the published network had under `name` when the fixtures were computed."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    leaf = name.split(".")[-1]
    if leaf == "num_batches_tracked":
        return np.array(1, dtype=np.int64)
    if name.endswith("alpha"):
        return np.array([0.3, -0.2, 0.5], dtype=np.float32)[: shape[0]]
    if leaf in ("weights", "weights2"):
        value = np.ones(shape) / shape[0] + rng.normal(0, 0.1, shape)
    elif leaf == "running_mean":
        value = rng.normal(0, 0.1, shape)
    elif leaf == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif "rnn" in name:
        value = rng.uniform(-1 / 22.6, 1 / 22.6, shape)
    elif len(shape) == 1:
        value = rng.uniform(0.5, 1.5, shape) if leaf == "weight" else rng.normal(0, 0.1, shape)
    else:
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        scale = (2 / fan_in) ** 0.5 * (0.02 if "down_conv2" in name else 1)
        value = rng.normal(0, scale, shape)
    return value.astype(np.float32)


def video(num_frames: int, seed: int) -> np.ndarray[Any, Any]:
    """uint8 (T, 224, 224, 3): coarse random squares, cropped to the middle."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, 256, (num_frames, 16, 16, 3), dtype=np.uint8)
    return squares.repeat(16, axis=1).repeat(16, axis=2)[:, 16:240, 16:240]


def published_shapes(name: str) -> dict[str, list[int]]:
    """The names and shapes of a published network's tensors, V = 1296."""
    shapes: dict[str, list[int]] = json.loads((PARITY / f"{name}_state_dict.json").read_text())
    return shapes


# Sizes in a published checkpoint -> those of the same network, narrow enough for a test.
_NARROW = {64: 4, 128: 8, 256: 16, 512: 32, 1024: 64, 2048: 128, 8: 1, 16: 1, 32: 2}


def narrow_shapes(name: str, num_classes: int = 13) -> dict[str, list[int]]:
    """The names of a published network's tensors and the shapes that they have in a narrow one."""
    narrow = {**_NARROW, 1296: num_classes}
    shapes = published_shapes(name)
    return {published: [narrow.get(size, size) for size in shape] for published, shape in shapes.items()}


def published_state(name: str, shapes: dict[str, list[int]], seed: int = 0) -> dict[str, torch.Tensor]:
    """The tensors that a published network of these shapes had when the fixtures were computed."""

    def value(published: str, shape: list[int]) -> torch.Tensor:
        is_shared = published.startswith("conv1d.fc.") and name != "vac"
        source = published.replace("conv1d.fc.", "classifier.") if is_shared else published
        return torch.from_numpy(weight(source, shape, seed))

    return {published: value(published, shape) for published, shape in shapes.items()}


def load_published(network: nn.Module, name: str, config: ModelConfig, seed: int) -> None:
    """Fill a network with the fixtures' weights under the published names; nothing may be left over."""
    weights, _ = from_published(published_state(name, published_shapes(name), seed), config, name)
    network.load_state_dict(weights, strict=True)
