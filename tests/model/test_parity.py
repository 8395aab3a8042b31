"""The four networks against numbers computed by the published code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.published_tensors import published_name, unused_shapes
from cslr_cli.config import Config
from cslr_cli.model.losses import Targets, weighted_loss
from cslr_cli.model.network import Network, build_network
from tests.model.batches import NETWORK_NAMES, largest_difference, padded_batch
from tests.model.deterministic import PARITY, load_published, published_shapes, video

# The names of the losses in the published code.
LOSS_NAMES = {
    "SeqCTC": "sequence_ctc",
    "ConvCTC": "conv_ctc",
    "Dist": "distillation",
    "Cu": "lifting_update",
    "Cp": "lifting_prediction",
}
# Parameters and state-dict entries of the published networks, those that are never used included.
PUBLISHED_SIZES = {"corrnet": (33_374_242, 186), "corrnet-plus": (60_042_204, 299)}

by_network = pytest.mark.parametrize("name", NETWORK_NAMES)


def published(name: str) -> str:
    """The network's name in the fixtures."""
    return name.replace("-", "_")


@cache
def fixture(name: str) -> Mapping[str, np.ndarray[Any, Any]]:
    with np.load(PARITY / f"{published(name)}.npz") as arrays:
        return dict(arrays)


def config_of(name: str) -> Config:
    return Config.from_dict({"model": {"name": name}}, "the published network")


def published_network(name: str) -> Network:
    model = config_of(name).model
    network = build_network(model, num_classes=1296)
    load_published(network, published(name), model, int(fixture(name)["weight_seed"]))
    return network


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_a_network_has_the_published_number_of_parameters(name: str) -> None:
    model = config_of(name).model
    with torch.device("meta"):
        network = build_network(model, num_classes=1296)
    unused = sum(int(np.prod(shape)) for shape in unused_shapes(model).values())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (parameters + unused, len(published_shapes(published(name)))) == PUBLISHED_SIZES[name]


@by_network
@torch.inference_mode()
def test_a_network_gives_the_published_features_and_logits(name: str) -> None:
    network = published_network(name).eval()
    for clip in (0, 1):
        expected = {key.split("_", 1)[1]: value for key, value in fixture(name).items() if f"eval{clip}_" in key}
        frames, lengths = padded_batch([video(int(expected["frames"]), int(expected["video_seed"]))], network.plan)
        assert frames.shape[1] == expected["length"]

        features = network.frame_features(frames, lengths)
        output = network(frames, lengths)

        assert output.step_lengths.tolist() == [expected["steps"]]
        assert largest_difference(features[0, :, :64], expected["frame_features"]) < 1e-4
        for head in ("sequence", "conv"):
            logits = getattr(output, f"{head}_logits")[0]
            assert largest_difference(logits[:, :128], expected[f"{head}_logits"]) < 1e-4
            assert logits.argmax(-1).tolist() == expected[f"{head}_argmax"].tolist()


@by_network
def test_a_network_gives_the_published_losses_and_gradient_norms(name: str) -> None:
    expected, config = fixture(name), config_of(name)
    network = published_network(name).double().train()
    network.lstm.rnn.dropout = 0.0
    clips = zip(expected["train_frames"].tolist(), expected["train_video_seeds"].tolist(), strict=True)
    frames, lengths = padded_batch([video(frames, seed) for frames, seed in clips], network.plan)
    targets = Targets(torch.from_numpy(expected["train_labels"]), torch.from_numpy(expected["train_label_lengths"]))
    names = [LOSS_NAMES[loss] for loss in expected["train_loss_names"].tolist()]
    assert config.loss_weights(1) == dict(zip(names, expected["train_loss_weights"].tolist(), strict=True))

    loss = weighted_loss(network(frames, lengths), targets, config.loss_weights(1))
    loss.total.backward()

    assert loss.total.item() == pytest.approx(float(expected["train_total"]), rel=1e-6)
    values = dict(zip(names, expected["train_losses"].tolist(), strict=True))
    assert {part: value.item() for part, value in loss.parts.items()} == pytest.approx(values, rel=1e-6)
    norms = dict(zip(expected["grad_names"].tolist(), expected["grad_norms"].tolist(), strict=True))
    if config.model.parts.shared_classifier:
        norms["classifier.weight"] = norms.pop("conv1d.fc.weight")  # one tensor under two names
    gradients = {published_name(key, config.model): parameter.grad for key, parameter in network.named_parameters()}
    assert gradients.keys() == norms.keys()
    for key, gradient in gradients.items():
        assert gradient is not None
        if norms[key] >= 1e-9:  # below, it is zero in theory: a bias before a norm
            assert gradient.norm().item() == pytest.approx(norms[key], rel=1e-6), key
