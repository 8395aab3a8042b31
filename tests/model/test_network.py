"""The networks against themselves: lengths, neighbours in a batch, sizes of input, and how training starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.definition import load_definition
from cslr_cli.model.network import Network, NetworkOutput, build_network, build_temporal_plan
from cslr_cli.model.registry import NETWORKS, Pool
from cslr_cli.model.temporal import NormalisedClassifier, TemporalConvolution
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES, TemporalPlan
from tests.model.batches import (
    NETWORK_NAMES,
    largest_difference,
    padded_batch,
    random_videos,
    small_config,
    small_network,
)

by_network = pytest.mark.parametrize("name", NETWORK_NAMES)


def heads(output: NetworkOutput) -> tuple[Tensor, Tensor]:
    return output.sequence_logits, output.conv_logits


# Which parts make which network


def test_the_tests_know_all_networks_and_each_has_a_backbone() -> None:
    assert set(NETWORK_NAMES) == set(NETWORKS)
    for name in NETWORKS:
        assert issubclass(load_definition(name).backbone, ResNet)


def test_vac_has_a_linear_classifier_for_each_head_and_the_others_share_a_normalised_one() -> None:
    vac = small_network("vac")
    assert isinstance(vac.classifier, nn.Linear)
    assert isinstance(vac.conv_classifier, nn.Linear)
    for name in ("vac-smkd", "corrnet", "corrnet-plus"):
        network = small_network(name)
        assert isinstance(network.classifier, NormalisedClassifier)
        assert network.conv_classifier is None


@pytest.mark.parametrize("classifier", ["linear", "normalised"])
@pytest.mark.parametrize("shared", [True, False])
@torch.inference_mode()
def test_classifiers_and_pools_can_be_chosen_for_any_network(classifier: str, shared: bool) -> None:
    network = small_network("corrnet", classifier=classifier, shared_classifier=shared, pool="lifting")
    output = network(*padded_batch(random_videos(9), network.plan))
    assert output.sequence_logits.shape == output.conv_logits.shape == (1, 3, 12)
    assert set(output.losses) == {"lifting_update", "lifting_prediction"}
    assert (network.conv_classifier is None) == shared


# Lengths


@pytest.mark.parametrize("layers", PUBLISHED_SCHEDULES, ids="-".join)
@pytest.mark.parametrize("pool", ["max", "lifting"])
@torch.inference_mode()
def test_every_schedule_makes_as_many_steps_as_the_plan_says(layers: tuple[str, ...], pool: Pool) -> None:
    plan = build_temporal_plan(ModelConfig(temporal_layers=layers, pool=pool))
    temporal = TemporalConvolution(2, 4, plan, pool).eval()
    for num_frames in range(plan.min_frames, 65):
        length = plan.padded_length(num_frames)
        steps = temporal(torch.randn(1, 2, length), [length])
        assert steps.features.shape == (1, 4, plan.num_steps(num_frames))


@pytest.mark.parametrize("layers", PUBLISHED_SCHEDULES, ids="-".join)
def test_the_shortest_clip_of_a_lifting_network_is_the_shortest_that_can_be_lifted(layers: tuple[str, ...]) -> None:
    plan = build_temporal_plan(ModelConfig(name="corrnet-plus", temporal_layers=layers))
    temporal = TemporalConvolution(2, 4, plan, "lifting").eval()
    if plan.min_frames > 1:
        length = plan.padded_length(plan.min_frames - 1)
        with pytest.raises(ValueError, match="more than 1 spatial element"):
            temporal(torch.randn(1, 2, length), [length])


def test_the_shortest_clip_has_5_frames_in_corrnet_plus_and_one_in_the_others() -> None:
    shortest = {name: build_temporal_plan(ModelConfig(name=name)).min_frames for name in NETWORK_NAMES}
    assert shortest == {"vac": 1, "vac-smkd": 1, "corrnet": 1, "corrnet-plus": 5}


# Neighbours in a batch


@by_network
@torch.inference_mode()
def test_clip_logits_do_not_depend_on_batch(name: str) -> None:
    network = small_network(name)
    videos = random_videos(9, network.plan.min_frames, 24, 13)
    together = network(*padded_batch(videos, network.plan))
    for index, frames in enumerate(videos):
        alone = network(*padded_batch([frames], network.plan))
        steps = int(alone.step_lengths[0])
        assert steps == together.step_lengths[index]
        for logits, single in zip(heads(together), heads(alone), strict=True):
            assert largest_difference(logits[index, :steps], single[0].numpy()) < 1e-4


def changed_padding(frames: Tensor, num_frames: int, plan: TemporalPlan) -> Tensor:
    """The batch with other pictures where its second clip has frames only because the first is longer."""
    changed = frames.clone()
    changed[1, plan.padded_length(num_frames) :] = 255 - changed[1, plan.padded_length(num_frames) :]
    return changed


@pytest.mark.parametrize(
    ("name", "sees"), [("vac", False), ("vac-smkd", False), ("corrnet", True), ("corrnet-plus", True)]
)
def test_in_training_batch_norm_sees_a_batch_s_padding_as_published(name: str, sees: bool) -> None:
    statistics = []
    plan = small_network(name).plan
    frames, lengths = padded_batch(random_videos(24, 9), plan)
    for batch in (frames, changed_padding(frames, 9, plan)):
        network = small_network(name).train()
        network(batch, lengths)
        statistics.append(network.state_dict()["backbone.bn1.running_mean"])
    assert torch.equal(statistics[0], statistics[1]) != sees


@by_network
@torch.inference_mode()
def test_evaluation_ignores_the_padding_of_a_batch(name: str) -> None:
    network = small_network(name)
    frames, lengths = padded_batch(random_videos(24, 9), network.plan)
    expected = network(frames, lengths)
    output = network(changed_padding(frames, 9, network.plan), lengths)
    for logits, others in zip(heads(output), heads(expected), strict=True):
        assert torch.equal(logits[1, : output.step_lengths[1]], others[1, : output.step_lengths[1]])


# Sizes


@by_network
@pytest.mark.parametrize("size", [32, 96, 112, 224])
@torch.inference_mode()
def test_any_input_size_that_is_a_multiple_of_16_is_taken(name: str, size: int) -> None:
    network = small_network(name, width=4)
    output = network(*padded_batch(random_videos(5, size=size), network.plan))
    assert output.sequence_logits.shape == (1, 2, 12)
    assert output.sequence_logits.isfinite().all()


@by_network
@torch.inference_mode()
def test_the_shortest_clip_is_recognised(name: str) -> None:
    network = small_network(name)
    output = network(*padded_batch(random_videos(network.plan.min_frames), network.plan))
    assert output.sequence_logits.isfinite().all()


# Blocks


@pytest.mark.parametrize("name", ["corrnet", "corrnet-plus"])
@torch.inference_mode()
def test_a_network_without_its_first_block_is_the_whole_one_with_that_block_at_zero(name: str) -> None:
    whole, without = small_network(name), small_network(name, correlation_after=("layer3", "layer4"))
    assert without.backbone.state_dict()["alpha"].tolist() == pytest.approx([0.3, -0.2])
    state = {key: value for key, value in whole.state_dict().items() if not is_of_first_block(key)}
    state["backbone.alpha"] = whole.state_dict()["backbone.alpha"][1:]
    without.load_state_dict(state, strict=True)
    for key, parameter in whole.named_parameters():
        if key == "backbone.alpha" or key.endswith("temporal_weighting.layer2.alpha"):
            parameter[:1] = 0
    batch = padded_batch(random_videos(13), whole.plan)
    for logits, expected in zip(heads(without(*batch)), heads(whole(*batch)), strict=True):
        torch.testing.assert_close(logits, expected)


def is_of_first_block(key: str) -> bool:
    return key.startswith(("backbone.correlation.layer2.", "backbone.temporal_weighting.layer2."))


@pytest.mark.parametrize("name", ["corrnet", "corrnet-plus"])
@torch.inference_mode()
def test_training_starts_as_a_plain_resnet(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(small_config(name), num_classes=12).eval()
    plain = ResNet(width=8).eval()
    plain.load_state_dict({key: network.backbone.state_dict()[key] for key in plain.state_dict()})
    pictures = torch.randn(7, 3, 32, 32)
    clips = ClipLayout.from_lengths([4, 3], torch.device("cpu"))
    torch.testing.assert_close(network.backbone(pictures, clips), plain(pictures, clips))


@by_network
def test_every_parameter_learns(name: str) -> None:
    network: Network = small_network(name).train()
    frames, lengths = padded_batch(random_videos(24, 13), network.plan)
    output = network(frames, lengths)
    total = sum((logits.square().sum() for logits in heads(output)), start=torch.zeros(()))
    (total + sum(output.losses.values(), start=torch.zeros(()))).backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


@by_network
def test_a_network_of_bf16_autocast_is_near_to_fp32(name: str) -> None:
    network = small_network(name)
    batch = padded_batch(random_videos(24, 13), network.plan)
    with torch.inference_mode():
        exact = network(*batch)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(*batch)
    for logits, expected in zip(heads(rounded), heads(exact), strict=True):
        assert largest_difference(logits[0].float(), expected[0].numpy().astype(np.float64)) < 0.1
