"""The form for inference against the network that it was made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cslr_cli.model import backbone
from cslr_cli.model.inference import prepare_for_inference
from tests.model.batches import NETWORK_NAMES, padded_batch, random_videos, small_network

by_network = pytest.mark.parametrize("name", NETWORK_NAMES)


@by_network
@pytest.mark.parametrize("run_bytes", [1, 2**30])
def test_it_gives_the_logits_of_the_network(name: str, run_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbone.INFERENCE_RUN_BYTES, "cpu", run_bytes)
    network = small_network(name).double()
    frames, lengths = padded_batch(random_videos(9, 6), network.plan)
    with torch.inference_mode():
        found = prepare_for_inference(network, torch.float64)(frames, lengths)
    expected = network(frames, lengths)  # with gradients: by modules, all frames at once
    torch.testing.assert_close(found.sequence_logits, expected.sequence_logits)
    torch.testing.assert_close(found.conv_logits, expected.conv_logits)


@by_network
@torch.inference_mode()
def test_in_bf16_its_logits_are_near_and_its_weights_of_two_bytes(name: str) -> None:
    network = small_network(name)
    frames, lengths = padded_batch(random_videos(9, 6), network.plan)
    small = prepare_for_inference(network, torch.bfloat16)
    assert {parameter.dtype for parameter in small.parameters()} == {torch.bfloat16}
    expected = network(frames, lengths).sequence_logits
    error = small(frames, lengths).sequence_logits.float() - expected
    assert error.norm() / expected.norm() < 0.1


def test_the_original_network_and_the_module_names_are_unchanged() -> None:
    network = small_network("corrnet").train()
    before = copy.deepcopy(network.state_dict())
    made = prepare_for_inference(network, torch.float32)
    torch.testing.assert_close(dict(network.state_dict()), dict(before))
    assert network.training
    assert not made.training
    names = dict(network.named_modules())
    assert names.keys() == dict(made.named_modules()).keys()
    norms = [name for name, module in names.items() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert len(norms) == 22  # 20 of ResNet-18 and two of the temporal convolution
    assert all(isinstance(made.get_submodule(name), nn.Identity) for name in norms)
