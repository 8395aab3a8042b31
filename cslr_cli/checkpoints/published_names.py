"""The tensors of these networks under the names and in the shapes of the published code.

Published checkpoints are read and written under those names (`cslr convert`); inside, the names are
this project's. In CorrNet and CorrNet+, convolutions over single frames are 3-D with kernels
(1, k, k) there and 2-D here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cslr_cli.checkpoints.checkpoint_file import find_weight_faults
from cslr_cli.config import Config, ModelConfig
from cslr_cli.errors import CheckpointError, join_faults
from cslr_cli.model.backbone import STAGES
from cslr_cli.model.network import build_network
from cslr_cli.network_parts import NETWORKS
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES

_CORRELATION_NAMES = {
    "reduce": "down_conv",
    "keys": "down_conv2",
    "expand": "conv_back",
    "attention": "attpool",
    "aggregation_weights": "weights",
    "direction_weights": "weights2",
    "neighbour_weights": "weights2",
    "summary_weights": "weights4",
}
_WEIGHTING_NAMES = {
    "reduce": "conv_transform",
    "enhance": "conv_enhance",
    "expand": "conv_back",
    "weights": "weights",
    "alpha": "alpha",
}
_LIFTING_NAMES = {"predict": "predictor", "update": "updater", "sums": "weight1", "differences": "weight2"}

# What stands before the number of the block after layer N: CorrNet counts its blocks from 1, at layer 2.
_BLOCK_BEFORE_STAGE = {"corrnet": 1, "corrnet-plus": 0}


def published_name(name: str, config: ModelConfig) -> str:
    """What the published code calls a tensor of ours."""
    match name.split("."):
        case ["backbone", "correlation", stage, "aggregations", index, leaf]:
            return f"conv2d.corr{_block_number(stage, config)}.spatial_aggregation{int(index) + 1}.{leaf}"
        case ["backbone", "correlation", stage, part, *rest]:
            return ".".join(["conv2d", f"corr{_block_number(stage, config)}", _CORRELATION_NAMES[part], *rest])
        case ["backbone", "temporal_weighting", stage, part, *rest]:
            return ".".join(["conv2d", f"temporal_weight{stage[-1]}", _WEIGHTING_NAMES[part], *rest])
        case ["backbone", *rest]:
            return ".".join(["conv2d", *rest])
        case ["temporal", index, *rest] if config.parts.pool == "lifting":
            return ".".join(["conv1d", "temporal_conv", *_nested(int(index), config), *map(_lifting_name, rest)])
        case ["temporal", *rest]:
            return ".".join(["conv1d", "temporal_conv", *rest])
        case ["lstm", *rest]:
            return ".".join(["temporal_model", *rest])
        case ["conv_classifier", *rest]:
            return ".".join(["conv1d", "fc", *rest])
        case _:
            return name


def _block_number(stage: str, config: ModelConfig) -> int:
    return STAGES.index(stage) + 1 - _BLOCK_BEFORE_STAGE[config.name]


def _nested(index: int, config: ModelConfig) -> list[str]:
    """Place of a layer where a convolution, its norm and its ReLU are one entry: CorrNet+'s way."""
    places: list[list[str]] = []
    for entry, layer in enumerate(config.temporal_layers):
        places += [[str(entry), str(part)] for part in range(3)] if layer[0] == "K" else [[str(entry)]]
    return places[index]


def _lifting_name(part: str) -> str:
    return "insnorm" if part == "norm" else _LIFTING_NAMES.get(part, part)


def unused_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Tensors that are in published checkpoints and that the published network never uses."""
    if config.name != "corrnet-plus":
        return {}
    shapes: dict[str, tuple[int, ...]] = {}
    for stage in config.correlation_after:
        channels = config.width * 2 ** STAGES.index(stage)
        reduced = max(1, channels // 16)
        block = f"conv2d.corr{_block_number(stage, config)}"
        shapes |= {
            f"{block}.weights3": (3,),
            f"{block}.mlp.0.weight": (reduced, channels, 1, 1, 1),
            f"{block}.mlp.0.bias": (reduced,),
            f"{block}.mlp.2.weight": (channels, reduced, 1, 1, 1),
            f"{block}.mlp.2.bias": (channels,),
        }
    return shapes


def to_published(
    weights: Mapping[str, Tensor], config: ModelConfig, unused: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Our tensors as the published code has them.

    Args:
        weights: of a network of this configuration.
        config: of the network.
        unused: the unused tensors under their published names, from where the weights came; zeros else.
    """
    state = {published_name(name, config): _published_shape(value, config) for name, value in weights.items()}
    if config.parts.shared_classifier:
        state |= {f"conv1d.fc.{leaf}": state[f"classifier.{leaf}"] for leaf in _leaves("classifier", state)}
    zeros = {name: torch.zeros(shape) for name, shape in unused_shapes(config).items()}
    return {**state, **zeros, **(unused or {})}


def from_published(
    state: Mapping[str, Tensor], config: ModelConfig, where: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Published tensors as our network has them, and those that no network uses.

    Args:
        state: published tensors by name, without prefixes.
        config: what `recognise` made of them.
        where: what to call them in an error.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape; they are listed.
    """
    with torch.device("meta"):  # shapes only
        ours = build_network(config, num_classes(state)).state_dict()
    unused = {name: torch.empty(shape, device="meta") for name, shape in unused_shapes(config).items()}
    expected = to_published(ours, config, unused)
    faults = find_weight_faults(expected, state)
    if faults:
        raise CheckpointError(f"{where}: its tensors are not those of the published {config.name}", join_faults(faults))
    weights = {name: state[published_name(name, config)].reshape(value.shape) for name, value in ours.items()}
    return weights, {name: state[name] for name in unused}


def _published_shape(value: Tensor, config: ModelConfig) -> Tensor:
    """(O, I, k, k) -> (O, I, 1, k, k) where the published network's convolutions are 3-D."""
    return value.unsqueeze(2) if value.dim() == 4 and config.name in _BLOCK_BEFORE_STAGE else value


def _leaves(module: str, state: Mapping[str, Tensor]) -> list[str]:
    return [name.removeprefix(f"{module}.") for name in state if name.startswith(f"{module}.")]


# Recognising a network by its tensors


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the `module` that torch's wrappers for several GPUs put into them."""
    return {re.sub(r"(^|\.)module\.", r"\1", name): value for name, value in state.items()}


def num_classes(state: Mapping[str, Tensor]) -> int:
    """V of a published checkpoint."""
    return state["classifier.weight"].shape[0 if "classifier.bias" in state else 1]


def is_published(state: Mapping[str, Any]) -> bool:
    """Whether these are the names of one of the published networks."""
    needed = ("conv2d.conv1.weight", "conv1d.fc.weight", "temporal_model.rnn.weight_ih_l0", "classifier.weight")
    return all(isinstance(state.get(name), Tensor) and state[name].dim() >= 2 for name in needed)


def recognise(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a published network is made of: the `model` section of a configuration.

    A last pooling leaves no tensors: of two schedules that differ only in it, it is the one that has it.

    Args:
        state: published tensors by name, without prefixes; `is_published` is true of them.
    """
    classifier = "linear" if "classifier.bias" in state else "normalised"
    pool = "lifting" if any(re.match(r"conv1d\.temporal_conv\.\d+\.\d+\.", name) for name in state) else "max"
    stages = {int(found[1]) for name in state if (found := re.match(r"conv2d\.corr(\d)\.", name))}
    if any(".attpool." in name or name.startswith("conv2d.temporal_weight") for name in state):
        name = "corrnet-plus"
    elif stages:
        name = "corrnet"
    else:
        name = "vac" if classifier == "linear" else "vac-smkd"
    model: dict[str, Any] = {
        "name": name,
        "width": state["conv2d.conv1.weight"].shape[0],
        "blocks": [max(1, len(_children(f"conv2d.{stage}", state))) for stage in STAGES],
        "temporal_layers": _schedule(state, nested=pool == "lifting"),
        "hidden_size": state["temporal_model.rnn.weight_ih_l0"].shape[1],
        "pretrained": False,  # it has its weights
    }
    if name in _BLOCK_BEFORE_STAGE:
        numbers = {number + _BLOCK_BEFORE_STAGE[name] for number in stages}
        model["correlation_after"] = [stage for number, stage in enumerate(STAGES, start=1) if number in numbers]
    parts = NETWORKS[name]
    shared = _same_bits(state["conv1d.fc.weight"], state["classifier.weight"])
    found_parts = {"pool": pool, "classifier": classifier, "shared_classifier": shared}
    model |= {part: kind for part, kind in found_parts.items() if kind != getattr(parts, part)}
    return model


def model_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """The network that published tensors are of, as a configuration."""
    return Config.from_dict({"model": recognise(state)}, "the published network").model


def _children(module: str, state: Mapping[str, Tensor]) -> set[str]:
    return {leaf.partition(".")[0] for leaf in _leaves(module, state)}


def _schedule(state: Mapping[str, Tensor], *, nested: bool) -> list[str]:
    """The temporal layers: convolutions by their tensors, poolings by the places between them."""
    places = sorted(int(place) for place in _children("conv1d.temporal_conv", state) if re.fullmatch(r"\d{1,3}", place))
    leaf = "0.weight" if nested else "weight"
    weights = {place: state.get(f"conv1d.temporal_conv.{place}.{leaf}") for place in places}
    kernels = {place: w.shape[-1] for place, w in weights.items() if w is not None and w.dim() == 3}
    if nested:  # every layer has a place
        return [f"K{kernels[place]}" if place in kernels else "P2" for place in places]
    layers: list[str] = []
    next_place = 0
    for place, kernel in kernels.items():  # a convolution's norm and ReLU have the two places after it
        layers += ["P2"] * (place - next_place) + [f"K{kernel}"]
        next_place = place + 3
    # What follows the last convolution leaves no trace: two schedules do that differ in it.
    alike = [schedule for schedule in PUBLISHED_SCHEDULES if _up_to_last_convolution(schedule) == layers]
    pooled = [schedule for schedule in alike if schedule[-1] == "P2"]
    return list(next(iter(pooled or alike), layers or PUBLISHED_SCHEDULES[2]))


def _up_to_last_convolution(schedule: Sequence[str]) -> list[str]:
    last = max(place for place, layer in enumerate(schedule) if layer[0] == "K")
    return list(schedule[: last + 1])


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal also where they are no numbers."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
