from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.model.feature_stream import FeatureStream, frames_to_tensor, padded_chunks
from cslr_cli.model.network import Network
from tests.model.batches import NETWORK_NAMES, random_videos, small_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=NETWORK_NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    network = small_network(request.param)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "temporal_weighting" in name:  # random weights leave nearly nothing of what it sees
                parameter.mul_(6)
    return network


def random_pictures(num_frames: int) -> NDArray[np.uint8]:
    return random_videos(num_frames)[0]


def chunked_features(network: Network, pictures: NDArray[np.uint8], chunk: int) -> torch.Tensor:
    stream = FeatureStream(network)
    with torch.inference_mode():
        return torch.cat(
            [
                stream.push(frames_to_tensor(part, CPU), is_last=is_last)
                for part, is_last in padded_chunks(pictures, network, chunk)
            ]
        )


def whole_features(network: Network, pictures: NDArray[np.uint8]) -> torch.Tensor:
    batch = single_clip_batch(pictures, network.plan, "clip")
    with torch.inference_mode():
        return network.frame_features(batch.frames, batch.frame_lengths)[0]


@pytest.mark.parametrize("num_frames", [5, 6, 33, 64])
@pytest.mark.parametrize("chunk", [1, 3, 16, 200])
def test_features_in_chunks_are_those_of_the_whole_clip(network: Network, num_frames: int, chunk: int) -> None:
    pictures = random_pictures(num_frames)
    expected = whole_features(network, pictures)
    features = chunked_features(network, pictures, chunk)
    assert features.shape == expected.shape
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ["corrnet", "corrnet-plus"])
def test_the_context_is_needed_so_that_the_test_above_would_notice(name: str) -> None:
    network = small_network(name)
    pictures = random_pictures(48)
    features = chunked_features(network, pictures, 16)
    alone = whole_features(network, pictures[16:32])
    # As if the clip were cut between its frames, each part a clip by itself.
    difference = (alone - features[16 : 16 + len(alone)]).abs().max()
    assert difference > 1e-2 * features.abs().max()


def test_the_logits_are_those_of_the_whole_clip(network: Network) -> None:
    pictures = random_pictures(41)
    batch = single_clip_batch(pictures, network.plan, "clip")
    with torch.inference_mode():
        expected = network(batch.frames, batch.frame_lengths)
        output = network.logits_from_features(chunked_features(network, pictures, 8)[None], batch.frame_lengths)
    torch.testing.assert_close(output.sequence_logits, expected.sequence_logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.conv_logits, expected.conv_logits, atol=1e-5, rtol=1e-4)


def test_no_layer_sees_more_frames_than_a_chunk_and_the_context_of_one_stage(network: Network) -> None:
    seen: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs[0].ndim == 4:  # (N, C, H, W)
            seen.append(len(inputs[0]))

    handles = [module.register_forward_pre_hook(note) for module in network.backbone.modules()]
    chunked_features(network, random_pictures(100), 8)
    for handle in handles:
        handle.remove()
    reach = max(network.backbone.stage_context(stage) for stage in ("layer1", "layer2", "layer3", "layer4"))
    # A stage's last piece brings the frames that the stages before it have held back.
    assert max(seen) <= 8 + FeatureStream(network).latency + 2 * reach


def test_each_frame_goes_through_each_convolution_of_the_trunk_once(network: Network) -> None:
    frames = 0

    def count(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal frames
        frames += len(inputs[0])

    handle = network.backbone.get_submodule("layer4").register_forward_pre_hook(count)
    chunked_features(network, random_pictures(50), 8)
    handle.remove()
    assert frames == network.plan.padded_length(50)


def test_features_come_as_soon_as_the_frames_after_them_are_there(network: Network) -> None:
    stream = FeatureStream(network)
    pictures = frames_to_tensor(random_pictures(60), CPU)
    known = 0
    with torch.inference_mode():
        for number, picture in enumerate(pictures, start=1):
            known += len(stream.push(picture[None]))
            assert known == max(0, number - stream.latency)
