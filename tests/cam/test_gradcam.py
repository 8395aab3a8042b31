"""Grad-CAM against the whole graph, against finite differences, and where it must be hot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cslr_cli.cam.clip_maps import ClipMaps
from cslr_cli.cam.gradcam import check_method, grad_cam
from cslr_cli.cam.layers import split_backbone
from cslr_cli.choices import Head
from cslr_cli.dataset.collate import single_clip_batch
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.model.network import Network
from tests.cam.networks import NAMES, brightness_network, random_network, random_pictures

# Long enough that the frames of a gloss, with those that they are correlated with, are only a part of the clip.
NUM_FRAMES, FRAMES, STEPS, GLOSS = 90, range(38, 50), (9, 12), 3


def whole_clip(network: Network, pictures: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    batch = single_clip_batch(pictures, network.plan, "clip")
    return batch.frames, batch.frame_lengths


def plain_grad_cam(network: Network, pictures: NDArray[np.uint8], layer: str, head: Head) -> NDArray[np.float64]:
    """The formula over the whole clip at once: one graph, one backward pass."""
    found: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: Any, output: Tensor | None = None) -> None:
        found["A"] = inputs[0] if output is None else output

    stage, _, part = layer.partition(".")
    if part == "correlated":  # what goes into the next stage
        hook = network.backbone.get_submodule(f"layer{int(stage[-1]) + 1}").register_forward_pre_hook(keep)
    else:
        hook = network.backbone.get_submodule(layer).register_forward_hook(keep)
    output = network(*whole_clip(network, pictures))
    hook.remove()
    logits = output.sequence_logits if head == "sequence" else output.conv_logits
    (gradient,) = torch.autograd.grad(logits[0, STEPS[0] : STEPS[1], GLOSS].sum(), found["A"])
    weighted = torch.einsum("nk,nkhw->nhw", gradient.mean((2, 3)), found["A"]).clamp(min=0)
    first = network.plan.left_padding + FRAMES.start
    return weighted.detach().numpy()[first : first + len(FRAMES)]


@pytest.mark.parametrize(
    ("name", "layer", "head"),
    [
        ("vac", "layer1.0", "sequence"),
        ("vac", "layer4", "conv"),
        ("corrnet", "layer1", "conv"),
        ("corrnet", "layer2", "sequence"),
        ("corrnet", "layer2.correlated", "sequence"),
        ("corrnet", "layer4", "sequence"),
        ("corrnet-plus", "layer1.0", "sequence"),
        ("corrnet-plus", "layer3.correlated", "sequence"),
    ],
)
def test_maps_of_some_frames_match_those_of_the_whole_graph(name: str, layer: str, head: Head) -> None:
    network, pictures = random_network(name), random_pictures(NUM_FRAMES)
    expected = plain_grad_cam(network, pictures, layer, head)
    clip = ClipMaps(network, pictures)
    maps = clip.heat_maps(clip.score_gradient(head, GLOSS, STEPS), FRAMES, layer)
    assert maps.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=1e-9, atol=1e-12 * expected.max())


@pytest.mark.parametrize("name", NAMES)
def test_maps_do_not_depend_on_how_many_frames_are_computed_together(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ClipMaps(random_network(name), random_pictures(40))
    gradient = clip.score_gradient("sequence", GLOSS, (4, 6))
    together = clip.heat_maps(gradient, range(40), "layer2")
    monkeypatch.setattr("cslr_cli.cam.gradcam._CHUNK_FRAMES", 7)
    np.testing.assert_allclose(
        clip.heat_maps(gradient, range(40), "layer2"), together, rtol=1e-9, atol=1e-12 * together.max()
    )


def test_channel_weights_match_finite_differences_of_the_score() -> None:
    network, pictures = random_network("corrnet"), random_pictures(12)
    frame, layer, epsilon = 5, "layer3", 1e-4
    inputs = whole_clip(network, pictures)
    position = network.plan.left_padding + frame
    activations: list[Tensor] = []

    def score(channel: int, change: float) -> float:
        """The score when a channel of one frame is changed evenly, at all of its places."""

        def shifted(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            activations[:] = [output[position]]
            output = output.clone()
            output[position, channel] += change
            return output

        hook = network.backbone.get_submodule(layer).register_forward_hook(shifted)
        with torch.no_grad():
            logits = network(*inputs).sequence_logits[0]
        hook.remove()
        return float(logits[1:3, GLOSS].sum())

    expected = np.zeros((2, 2))
    for channel in range(16):
        alpha = (score(channel, epsilon) - score(channel, -epsilon)) / (2 * epsilon) / expected.size
        expected += alpha * activations[0][channel].numpy()
    clip = ClipMaps(network, pictures)
    (found,) = clip.heat_maps(clip.score_gradient("sequence", GLOSS, (1, 3)), range(frame, frame + 1), layer)
    assert expected.max() > 0
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-3, atol=1e-3 * expected.max())


def bright_square(num_frames: int, row: int, column: int) -> NDArray[np.uint8]:
    """Black pictures with a white square of 4 pixels, from this row and column."""
    pictures = np.zeros((num_frames, 32, 32, 3), np.uint8)
    pictures[:, row : row + 4, column : column + 4] = 255
    return pictures


def test_only_the_evidence_for_a_gloss_is_hot() -> None:
    clip = ClipMaps(brightness_network(4), bright_square(8, row=12, column=24))
    maps = clip.heat_maps(clip.score_gradient("sequence", 1, (1, 3)), range(8), "layer2")
    expected = np.zeros((8, 8), bool)
    expected[3, 6] = True
    assert (maps > 0).any()
    for heat_map in maps[2:6]:
        assert ((heat_map > 0) == expected).all()


def test_hires_cam_is_zero_where_the_score_does_not_depend_on_the_place() -> None:
    pictures = bright_square(8, row=12, column=24) | bright_square(8, row=4, column=4)
    clip = ClipMaps(brightness_network(4), pictures)
    gradient = clip.score_gradient("sequence", 1, (1, 3))
    blurred = clip.heat_maps(gradient, range(3, 4), "layer3", "grad-cam")[0]
    sharp = clip.heat_maps(gradient, range(3, 4), "layer3", "hires-cam")[0]
    assert blurred[3, 6] > 0
    assert blurred[1, 1] == pytest.approx(blurred[3, 6])  # the left half darkens only after that layer
    assert sharp[3, 6] > 0
    assert sharp[1, 1] == 0


def test_diverged_weights_are_an_error() -> None:
    network = random_network("vac")
    frames = single_clip_batch(random_pictures(8), network.plan, "clip").frames[0]
    gradient = torch.full((len(frames), network.backbone.num_features), float("nan"), dtype=torch.float64)
    with pytest.raises(CslrError, match="diverged"):
        grad_cam(network, split_backbone(network.backbone, "layer1"), frames, gradient, range(6, 8))


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"score-cam(.|\n)*grad-cam, hires-cam"):
        check_method("score-cam")
