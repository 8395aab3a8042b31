"""Published tensors: identifies the network of published checkpoints, and translates tensor names and shapes.

The published names of a backbone's modules are in the network's `PublishedForm`; those of the head, which all
networks share, are here.
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
from cslr_cli.model.definition import load_definition
from cslr_cli.model.network import build_network
from cslr_cli.model.registry import NETWORKS
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES

# Published module name by module name here.
_MODULES = {
    "backbone": "conv2d",
    "temporal": "conv1d.temporal_conv",
    "lstm": "temporal_model",
    "conv_classifier": "conv1d.fc",
}
_LIFTING_MODULES = {
    "predict": "predictor",
    "update": "updater",
    "sums": "weight1",
    "sums.norm": "weight1.insnorm",
    "differences": "weight2",
    "differences.norm": "weight2.insnorm",
}


def published_name(name: str, config: ModelConfig) -> str:
    """Translate a tensor's name to its published name (see `PublishedForm.modules`)."""
    modules = {**_MODULES, **_nested_temporal_modules(config), **load_definition(config.name).published.modules}
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in modules:
            return ".".join([modules[module], *parts[end:]])
    return name


def _nested_temporal_modules(config: ModelConfig) -> dict[str, str]:
    """Translate the temporal layers of networks with lifting pools: convolution, norm and ReLU are one module there."""
    if config.parts.pool != "lifting":
        return {}
    modules: dict[str, str] = {}
    index = 0  # of the layer here
    for entry, layer in enumerate(config.temporal_layers):
        published = f"conv1d.temporal_conv.{entry}"
        if layer[0] == "K":
            modules |= {f"temporal.{index + part}": f"{published}.{part}" for part in range(3)}
            index += 3
            continue
        modules[f"temporal.{index}"] = published
        modules |= {f"temporal.{index}.{name}": f"{published}.{part}" for name, part in _LIFTING_MODULES.items()}
        index += 1
    return modules


def unused_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes, by published name, of the tensors in published checkpoints that no network uses."""
    return dict(load_definition(config.name).published.unused_shapes(config))


def to_published(
    weights: Mapping[str, Tensor], config: ModelConfig, unused: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Translate the tensors of a network to published names and shapes.

    Args:
        weights: tensors of a network by name.
        config: configuration of the network.
        unused: unused tensors by published name, from the file that the network was converted from; zeros by default.
    """
    state = {published_name(name, config): _to_published_shape(value, config) for name, value in weights.items()}
    if config.parts.shared_classifier:
        state |= {f"conv1d.fc.{leaf}": state[f"classifier.{leaf}"] for leaf in _leaves("classifier", state)}
    zeros = {name: torch.zeros(shape) for name, shape in unused_shapes(config).items()}
    return {**state, **zeros, **(unused or {})}


def from_published(
    state: Mapping[str, Tensor], config: ModelConfig, where: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Translate published tensors to those of a network; also return those that no network uses.

    Args:
        state: published tensors by name, without wrapper prefixes.
        config: configuration of the network, from `identify_network`.
        where: name of the source, for messages.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape; they are listed.
    """
    with torch.device("meta"):  # shapes only
        own = build_network(config, published_num_classes(state)).state_dict()
    unused = {name: torch.empty(shape, device="meta") for name, shape in unused_shapes(config).items()}
    expected = to_published(own, config, unused)
    faults = find_weight_faults(expected, state)
    if faults:
        raise CheckpointError(f"{where}: the tensors do not fit the published {config.name}", join_faults(faults))
    weights = {name: state[published_name(name, config)].reshape(value.shape) for name, value in own.items()}
    return weights, {name: state[name] for name in unused}


def _to_published_shape(value: Tensor, config: ModelConfig) -> Tensor:
    """(O, I, k, k) -> (O, I, 1, k, k), if the published network has 3-D convolutions."""
    has_3d_kernels = load_definition(config.name).published.has_3d_kernels
    return value.unsqueeze(2) if value.dim() == 4 and has_3d_kernels else value


def _leaves(module: str, state: Mapping[str, Tensor]) -> list[str]:
    return [name.removeprefix(f"{module}.") for name in state if name.startswith(f"{module}.")]


# Identification of a network by its tensors


def strip_wrapper_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove `module.` from names, which torch's wrappers for several GPUs add."""
    return {re.sub(r"(^|\.)module\.", r"\1", name): value for name, value in state.items()}


def published_num_classes(state: Mapping[str, Tensor]) -> int:
    """Return V of a published checkpoint."""
    return state["classifier.weight"].shape[0 if "classifier.bias" in state else 1]


def is_published(state: Mapping[str, Any]) -> bool:
    """Return whether these are tensors of a published network."""
    needed = ("conv2d.conv1.weight", "conv1d.fc.weight", "temporal_model.rnn.weight_ih_l0", "classifier.weight")
    return all(isinstance(state.get(name), Tensor) and state[name].dim() >= 2 for name in needed)


def find_published_state(content: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Return the tensors of a published checkpoint by name, without wrapper prefixes; None for any other file.

    Args:
        content: content of a file; a dictionary of the tensors alone is also a published checkpoint.
    """
    state = content.get("model_state_dict", content)
    if not isinstance(state, Mapping):
        return None
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        return None
    stripped = strip_wrapper_prefixes(state)
    return stripped if is_published(stripped) else None


def published_epochs(content: Mapping[str, Any]) -> int:
    """Return the number of trained epochs; a published file contains the last epoch, counted from 0."""
    epoch = content.get("epoch")
    return epoch + 1 if isinstance(epoch, int) else 0


def identify_network(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Identify the network of published tensors and return the `model` section of its configuration.

    Pools have no tensors. If two published schedules differ only in a pool at the end, the one with the pool is
    returned.

    Args:
        state: tensors by published name, without wrapper prefixes, for which `is_published` holds.
    """
    parts = {
        "pool": "lifting" if any(re.match(r"conv1d\.temporal_conv\.\d+\.\d+\.", name) for name in state) else "max",
        "classifier": "linear" if "classifier.bias" in state else "normalised",
        "shared_classifier": _have_equal_bits(state["conv1d.fc.weight"], state["classifier.weight"]),
    }
    name = _identify_name(state, str(parts["classifier"]))
    model: dict[str, Any] = {
        "name": name,
        "width": state["conv2d.conv1.weight"].shape[0],
        "blocks": [max(1, len(_children(f"conv2d.{stage}", state))) for stage in STAGES],
        "temporal_layers": _identify_schedule(state, nested=parts["pool"] == "lifting"),
        "hidden_size": state["temporal_model.rnn.weight_ih_l0"].shape[1],
        "pretrained": False,  # the file contains the weights
    }
    blocks = load_definition(name).published.correlation_blocks
    if blocks:
        model["correlation_after"] = [stage for stage, block in blocks.items() if _leaves(block, state)]
    defaults = NETWORKS[name].parts
    return model | {part: kind for part, kind in parts.items() if kind != getattr(defaults, part)}


def _identify_name(state: Mapping[str, Tensor], classifier: str) -> str:
    """Return the network whose markers are all found. Ties: more markers first, then the given classifier."""

    def rank(name: str) -> tuple[int, bool]:
        markers = load_definition(name).published.markers
        if not all(any(re.search(marker, key) for key in state) for marker in markers):
            return -1, False
        return len(markers), NETWORKS[name].parts.classifier == classifier

    return max(NETWORKS, key=rank)


def published_model_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """Return the complete configuration of the network of published tensors."""
    return Config.from_dict({"model": identify_network(state)}, "the published network").model


def _children(module: str, state: Mapping[str, Tensor]) -> set[str]:
    return {leaf.partition(".")[0] for leaf in _leaves(module, state)}


def _identify_schedule(state: Mapping[str, Tensor], *, nested: bool) -> list[str]:
    """Identify the temporal layers: convolutions by their tensors, pools by the gaps in the numbering."""
    indices = sorted(
        int(index) for index in _children("conv1d.temporal_conv", state) if re.fullmatch(r"\d{1,3}", index)
    )
    leaf = "0.weight" if nested else "weight"
    weights = {index: state.get(f"conv1d.temporal_conv.{index}.{leaf}") for index in indices}
    kernels = {index: w.shape[-1] for index, w in weights.items() if w is not None and w.dim() == 3}
    if nested:  # every layer has tensors and a number
        return [f"K{kernels[index]}" if index in kernels else "P2" for index in indices]
    layers: list[str] = []
    next_index = 0
    for index, kernel in kernels.items():  # norm and ReLU have the next two numbers
        layers += ["P2"] * (index - next_index) + [f"K{kernel}"]
        next_index = index + 3
    # Pools after the last convolution leave no trace, so several schedules may match.
    matching = [schedule for schedule in PUBLISHED_SCHEDULES if _up_to_last_convolution(schedule) == layers]
    pooled = [schedule for schedule in matching if schedule[-1] == "P2"]
    return list(next(iter(pooled or matching), layers or PUBLISHED_SCHEDULES[2]))


def _up_to_last_convolution(schedule: Sequence[str]) -> list[str]:
    last = max(index for index, layer in enumerate(schedule) if layer[0] == "K")
    return list(schedule[: last + 1])


def _have_equal_bits(a: Tensor, b: Tensor) -> bool:
    """Compare tensors bit by bit, so that NaN equals NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
