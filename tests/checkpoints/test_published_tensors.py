"""Names and shapes of the published code: both ways, and a network recognised by them."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cslr_cli.checkpoints.published_tensors import (
    from_published,
    identify_network,
    is_published,
    published_model_config,
    published_num_classes,
    strip_wrapper_prefixes,
    to_published,
)
from cslr_cli.config import Config, ModelConfig
from cslr_cli.errors import CheckpointError, CslrError
from cslr_cli.model.network import build_network
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES
from tests.model.batches import NETWORK_NAMES
from tests.model.deterministic import narrow_shapes, published_shapes, published_state

by_network = pytest.mark.parametrize("name", NETWORK_NAMES)


def narrow(name: str) -> dict[str, Tensor]:
    fixture = name.replace("-", "_")
    return published_state(fixture, narrow_shapes(fixture))


def without_first_block(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the CSL-Daily checkpoint has it: no block after layer2, and two entries in alpha."""
    first = re.compile(r"conv2d\.(corr2|temporal_weight2)\." if is_plus(state) else r"conv2d\.corr1\.")
    changed = {key: value for key, value in state.items() if not first.match(key)}
    return {**changed, "conv2d.alpha": state["conv2d.alpha"][1:].clone()}


def is_plus(state: dict[str, Tensor]) -> bool:
    return any("attpool" in key for key in state)


def same_bits(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(
        ours[key].dtype == value.dtype
        and ours[key].shape == value.shape
        and ours[key].contiguous().numpy().tobytes() == value.numpy().tobytes()
        for key, value in theirs.items()
    )


# Names


@by_network
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    model = Config.from_dict({"model": {"name": name}}, "the published network").model
    with torch.device("meta"):
        published = to_published(build_network(model, num_classes=1296).state_dict(), model)
    assert {key: list(value.shape) for key, value in published.items()} == published_shapes(name.replace("-", "_"))


@by_network
def test_there_and_back_gives_equal_bits(name: str) -> None:
    state = narrow(name)
    state["conv1d.temporal_conv.0.0.bias" if name == "corrnet-plus" else "conv1d.temporal_conv.0.bias"][:3] = (
        torch.tensor([torch.nan, -torch.inf, -0.0])
    )
    config = published_model_config(state)
    weights, unused = from_published(state, config, "the file")
    build_network(config, published_num_classes(state)).load_state_dict(weights, strict=True)
    assert same_bits(to_published(weights, config, unused), state)


def test_an_exported_network_has_every_published_tensor() -> None:
    config = published_model_config(narrow("corrnet-plus"))
    fresh = to_published(build_network(config, 13).state_dict(), config)
    assert {key: list(value.shape) for key, value in fresh.items()} == narrow_shapes("corrnet_plus")
    assert not fresh["conv2d.corr2.mlp.0.weight"].any()


# Recognising


@by_network
def test_each_network_is_recognised_by_its_names(name: str) -> None:
    state = narrow(name)
    assert is_published(state)
    config = published_model_config(state)
    assert (config.name, config.width, config.blocks, config.hidden_size) == (name, 4, (2, 2, 2, 2), 64)
    assert config.temporal_layers == ("K5", "P2", "K5", "P2")
    assert (config.pool, config.classifier, config.shared_classifier) == (None, None, None)  # as the network has it
    assert published_num_classes(state) == 13


@pytest.mark.parametrize("name", ["corrnet", "corrnet-plus"])
def test_a_checkpoint_without_the_first_block_is_recognised(name: str) -> None:
    state = without_first_block(narrow(name))
    config = published_model_config(state)
    assert (config.name, config.correlation_after) == (name, ("layer3", "layer4"))
    weights, unused = from_published(state, config, "the file")
    assert same_bits(to_published(weights, config, unused), state)


@by_network
@pytest.mark.parametrize(
    "wrap",
    [
        lambda key: f"module.{key}",
        lambda key: key.replace("conv2d.", "conv2d.module."),
        lambda key: f"module.{key.replace('conv2d.', 'conv2d.module.').replace('conv1d.', 'conv1d.module.')}",
    ],
)
def test_the_prefixes_of_several_gpus_are_taken_off(name: str, wrap: Callable[[str], str]) -> None:
    state = narrow(name)
    assert same_bits(strip_wrapper_prefixes({wrap(key): value for key, value in state.items()}), state)


@by_network
@pytest.mark.parametrize("layers", PUBLISHED_SCHEDULES, ids="-".join)
def test_the_temporal_layers_are_recognised_as_far_as_they_leave_traces(name: str, layers: tuple[str, ...]) -> None:
    config = Config.from_dict(
        {"model": {"name": name, "temporal_layers": layers, "width": 4, "hidden_size": 8, "pretrained": False}}, "own"
    ).model
    with torch.device("meta"):
        state = to_published(build_network(config, 5).state_dict(), config)
    found = tuple(recognise_layers(state))
    # A last pooling has no tensors, unless it is one that learns: of two that differ in it, the one that has it.
    untraced = {("K5", "P2", "K5"): ("K5", "P2", "K5", "P2"), ("K5", "K5"): ("K5", "K5", "P2")}
    assert found == (layers if name == "corrnet-plus" else untraced.get(layers, layers))


def recognise_layers(state: dict[str, Tensor]) -> list[str]:
    on_cpu = {key: torch.zeros(value.shape) for key, value in state.items()}
    layers: list[str] = identify_network(on_cpu)["temporal_layers"]
    return layers


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vac", {"shared_classifier": True}),
        ("vac-smkd", {"shared_classifier": False}),
        ("corrnet", {"pool": "lifting"}),
        ("corrnet-plus", {"pool": "max"}),
        ("corrnet-plus", {"classifier": "linear", "shared_classifier": False}),
        ("corrnet", {"classifier": "linear"}),
    ],
)
def test_other_parts_than_the_network_s_own_are_recognised(name: str, changes: dict[str, object]) -> None:
    values = {"name": name, "width": 4, "hidden_size": 8, "pretrained": False, **changes}
    config = ModelConfig.model_validate(values)
    weights = build_network(config, 5).state_dict()
    state = to_published(weights, config)
    found = published_model_config(state)
    assert found.name == name
    assert found.parts == config.parts
    assert same_bits(
        from_published(state, found, "the file")[0], {key: value.clone() for key, value in weights.items()}
    )


def test_a_shared_classifier_is_recognised_however_it_lies_in_memory() -> None:
    state = narrow("corrnet")
    state["conv1d.fc.weight"] = state["conv1d.fc.weight"].T.contiguous().T
    assert published_model_config(state).shared_classifier is None


# What is refused


@by_network
def test_tensors_that_are_missing_left_over_or_of_another_shape_are_listed(name: str) -> None:
    state = narrow(name)
    config = published_model_config(state)
    del state["conv2d.layer3.0.conv1.weight"]
    state["conv2d.layer5.0.conv1.weight"] = torch.zeros(1)
    state["temporal_model.rnn.bias_hh_l1"] = torch.zeros(2)
    with pytest.raises(CheckpointError) as caught:
        from_published(state, config, "the file")
    assert caught.value.message == f"the file: the tensors do not fit the published {name}"
    assert str(caught.value.hint).splitlines() == [
        "missing: conv2d.layer3.0.conv1.weight",
        "unexpected: conv2d.layer5.0.conv1.weight",
        "temporal_model.rnn.bias_hh_l1 has shape (2,), expected (128,)",
    ]


@pytest.mark.parametrize(
    "missing", ["conv2d.conv1.weight", "classifier.weight", "conv1d.fc.weight", "temporal_model.rnn.weight_ih_l0"]
)
def test_tensors_of_another_network_are_none_of_the_published(missing: str) -> None:
    state = narrow("vac")
    assert not is_published({key: value for key, value in state.items() if key != missing})
    assert not is_published({**state, missing: torch.zeros(3)})
    assert not is_published({**state, missing: "text"})
    assert not is_published({})


@by_network
def test_damaged_tensors_raise_a_cslr_error_or_are_accepted(name: str) -> None:
    whole, rng = narrow(name), random.Random(0)
    for _ in range(60):
        state = dict(whole)
        for key in rng.sample(sorted(state), rng.randrange(1, 6)):
            changes: list[Callable[[Tensor], Tensor | None]] = [
                lambda value: None,
                lambda value: value.flatten(),
                lambda value: value[..., None],
                lambda value: value[:0] if value.dim() else value,
                lambda value: torch.zeros(()),
            ]
            changed = rng.choice(changes)(state.pop(key))
            if changed is not None:
                state[rng.choice([key, key.replace("0", "7"), key.replace("conv", "cnv"), f"{key}.more"])] = changed
        if is_published(state):
            with contextlib.suppress(CslrError):
                from_published(state, published_model_config(state), "the file")
