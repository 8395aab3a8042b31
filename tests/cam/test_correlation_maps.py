"""The network's own maps against the formulas of the papers, place by place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cslr_cli.cam.clip_maps import ClipMaps
from cslr_cli.cam.correlation_maps import correlated_stages
from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.model.network import Network
from tests.cam.networks import random_network, random_pictures

NUM_FRAMES = 70


def into_block(network: Network, stage: str) -> tuple[Tensor, Tensor]:
    """What goes into a stage's block in a run over the whole clip, and the identification map that it makes there."""
    found: dict[str, Tensor] = {}
    block = network.backbone.get_submodule(f"correlation.{stage}")

    def keep(module: Any, inputs: Any) -> None:
        found["x"] = inputs[0]
        found["M"] = module.identification_map(*inputs)

    hook = block.register_forward_pre_hook(keep)
    batch = single_clip_batch(random_pictures(NUM_FRAMES), network.plan, "clip")
    with torch.no_grad():
        network(batch.frames, batch.frame_lengths)
    hook.remove()
    return found["x"], found["M"]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_correlation_maps_of_a_place_match_the_formula() -> None:
    network = random_network("corrnet")
    clip = ClipMaps(network, random_pictures(NUM_FRAMES))
    x, _ = into_block(network, "layer2")  # 4 × 4 places
    frame, row, column = 40, 2, 1
    block: Any = network.get_submodule("backbone.correlation.layer2")
    weight = block.keys.weight[:, :, 0, 0]
    position = network.plan.left_padding + frame
    maps = clip.correlation_maps("layer2", frame, ((column + 0.4) / 4, (row + 0.9) / 4))
    assert (maps.stage, maps.cell, maps.offsets) == ("layer2", (row, column), (-1, 1))
    for offset, found in zip(maps.offsets, maps.weights, strict=True):
        for p, q in np.ndindex(4, 4):
            key = weight @ x[position + offset, :, p, q]
            affinity = float(x[position, :, row, column] @ key)
            assert found[p, q] == pytest.approx(sigmoid(affinity) - 0.5, abs=1e-5)


def test_correlation_maps_of_a_frame_summary_match_the_formula_of_corrnet_plus() -> None:
    network = random_network("corrnet-plus")
    clip = ClipMaps(network, random_pictures(NUM_FRAMES))
    x, _ = into_block(network, "layer3")  # 2 × 2 places, three neighbours on each side
    block: Any = network.get_submodule("backbone.correlation.layer3")
    position = network.plan.left_padding + 30
    places = x[position].flatten(1)  # (C, P)
    mean, largest, attended = block.summary_weights
    summary = mean * places.mean(1) + largest * places.amax(1) + attended * block.attention(places.T[None])[0]
    maps = clip.correlation_maps("layer3", 30, (0.1, 0.1))
    assert (maps.cell, maps.offsets) == (None, (-3, -2, -1, 1, 2, 3))
    for offset, weight, found in zip(maps.offsets, block.neighbour_weights, maps.weights, strict=True):
        keys = torch.einsum("oc,chw->ohw", block.keys.weight[:, :, 0, 0], x[position + offset])
        for p, q in np.ndindex(2, 2):
            affinity = float(summary @ (weight * keys[:, p, q]))
            assert found[p, q] == pytest.approx(sigmoid(affinity) - 0.5, abs=1e-5)


@pytest.mark.parametrize("name", ["corrnet", "corrnet-plus"])
def test_identification_maps_match_a_run_over_the_whole_clip(name: str) -> None:
    network = random_network(name)
    clip = ClipMaps(network, random_pictures(NUM_FRAMES))
    _, expected = into_block(network, "layer3")
    gate = (expected.sigmoid() - 0.5).mean(1).numpy()
    first = network.plan.left_padding
    np.testing.assert_allclose(clip.identification_maps("layer3"), gate[first : first + NUM_FRAMES], atol=1e-6)


def test_networks_without_correlation_blocks_have_no_correlated_stages() -> None:
    assert correlated_stages(random_network("vac").backbone) == ()
    assert correlated_stages(random_network("corrnet").backbone) == ("layer2", "layer3", "layer4")
