"""Stem and blocks in training against the same layers run by torch, one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cslr_cli.model import residual
from cslr_cli.model.backbone import BasicBlock, ResNet
from cslr_cli.model.network import build_network
from tests.model.batches import padded_batch, random_videos, small_config


class PlainNorm(nn.BatchNorm2d):
    """The same norm; for its type alone, the modules run as they stand."""


def with_plain_norms(module: nn.Module) -> nn.Module:
    plain = copy.deepcopy(module)
    for child in plain.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = PlainNorm
    return plain


def with_random_norms(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            nn.init.uniform_(child.weight, -1, 1)  # negative ones, too: they turn maxima into minima
            nn.init.normal_(child.bias)
    return module.double().train()


def assert_learned_the_same(one: nn.Module, other: nn.Module) -> None:
    gradients = [{name: value.grad for name, value in module.named_parameters()} for module in (one, other)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(*[dict(module.named_buffers()) for module in (one, other)])


def assert_same(ours: nn.Module, x: Tensor, run: str = "forward") -> None:
    """Outputs, gradients and running statistics are those of the layers run by torch."""
    plain = with_plain_norms(ours)
    inputs = [x.detach().clone().requires_grad_(x.requires_grad) for _ in range(2)]
    outputs = [getattr(module, run)(value) for module, value in zip((ours, plain), inputs, strict=True)]
    torch.testing.assert_close(*outputs)
    towards = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(towards)
    if x.requires_grad:
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    assert_learned_the_same(ours, plain)


# Runs of one frame, and of all of them.
@pytest.mark.parametrize("run_bytes", [1, 2**30])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_in_training_is_its_layers(
    stride: int, recompute: bool, run_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(residual.RUN_BYTES, "cpu", run_bytes)
    block = with_random_norms(BasicBlock(6, 6 * stride, stride))
    assert isinstance(block, BasicBlock)
    block.recompute = recompute
    assert_same(block, torch.randn(5, 6, 8, 10, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("run_bytes", [1, 2**30])
@pytest.mark.parametrize("recompute", [False, True])
def test_the_stem_in_training_is_its_layers(recompute: bool, run_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(residual.RUN_BYTES, "cpu", run_bytes)
    backbone = with_random_norms(ResNet(width=6, blocks=(1, 1, 1, 1)))
    assert isinstance(backbone, ResNet)
    backbone.checkpoint_activations = recompute
    assert_same(backbone, torch.randn(5, 3, 32, 24, dtype=torch.float64), run="stem")


def test_a_frozen_block_keeps_its_statistics_and_passes_gradients() -> None:
    block = with_random_norms(BasicBlock(6, 6, 1)).eval().requires_grad_(False)
    before = copy.deepcopy(block.state_dict())
    x = torch.randn(3, 6, 8, 8, dtype=torch.float64, requires_grad=True)
    block(x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    torch.testing.assert_close(dict(block.state_dict()), before)


def test_with_checkpointing_a_network_learns_the_same_and_keeps_less() -> None:
    networks = [build_network(small_config("corrnet"), 12).train() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    networks[1].backbone.checkpoint_activations = True
    kept = []
    for network in networks:
        network.lstm.rnn.dropout = 0.0
        network.backbone.get_parameter("alpha").data.fill_(0.3)
        sizes: dict[int, int] = {}

        def keep(value: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            features = network.frame_features(*padded_batch(random_videos(6, 9), network.plan))
        features.square().sum().backward()
        kept.append(sum(sizes.values()))
    assert kept[1] < 0.6 * kept[0]
    assert_learned_the_same(*networks)
