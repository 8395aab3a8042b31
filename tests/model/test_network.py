"""The networks against numbers computed by the published code, and against themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from cslr_cli.model.backbone import CorrNetBackbone
from cslr_cli.model.losses import Targets, weighted_loss
from cslr_cli.model.network import Network, NetworkOutput
from cslr_cli.model.published import our_name
from cslr_cli.temporal_plan import TemporalPlan
from tests.model.deterministic import PARITY, load_published, video

PLAN = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
# The names of the losses in the published code.
LOSS_NAMES = {"SeqCTC": "sequence_ctc", "ConvCTC": "conv_ctc", "Dist": "distillation"}


@cache
def fixture() -> dict[str, np.ndarray[Any, Any]]:
    with np.load(PARITY / "corrnet.npz") as arrays:
        return dict(arrays)


def published_corrnet() -> Network:
    network = Network(CorrNetBackbone(), PLAN, hidden_size=1024, num_classes=1296)
    load_published(network, "corrnet", int(fixture()["weight_seed"]))
    return network


def small_corrnet() -> Network:
    torch.manual_seed(0)
    network = Network(CorrNetBackbone(width=8), PLAN, hidden_size=32, num_classes=12)
    with torch.no_grad():
        assert isinstance(network.backbone, CorrNetBackbone)
        network.backbone.alpha.copy_(torch.tensor([0.3, -0.2, 0.5]))
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network.eval()


def padded_batch(videos: list[np.ndarray[Any, Any]], plan: TemporalPlan = PLAN) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [len(frames) for frames in videos]
    longest = plan.padded_length(max(lengths))
    clips = [frames[plan.frame_index(len(frames), longest)] for frames in videos]
    return torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3), torch.tensor(lengths)


def largest_difference(ours: torch.Tensor, theirs: np.ndarray[Any, Any]) -> float:
    """Relative to the largest value of the published array."""
    return float(np.abs(ours.numpy() - theirs).max() / np.abs(theirs).max())


def test_corrnet_has_the_published_number_of_parameters() -> None:
    parameters = sum(p.numel() for p in published_corrnet().parameters())
    assert parameters == 33_374_242


@pytest.mark.parametrize("clip", [0, 1])
@torch.inference_mode()
def test_corrnet_gives_the_published_features_and_logits(clip: int) -> None:
    expected = {key.split("_", 1)[1]: value for key, value in fixture().items() if key.startswith(f"eval{clip}_")}
    network = published_corrnet().eval()
    frames, lengths = padded_batch([video(int(expected["frames"]), int(expected["video_seed"]))])
    assert frames.shape[1] == expected["length"]

    features = network.frame_features(frames, lengths)
    output = network(frames, lengths)

    assert output.step_lengths.tolist() == [expected["steps"]]
    assert largest_difference(features[0, :, :64], expected["frame_features"]) < 1e-4
    for head in ("sequence", "conv"):
        logits = getattr(output, f"{head}_logits")[0]
        assert largest_difference(logits[:, :128], expected[f"{head}_logits"]) < 1e-4
        assert logits.argmax(-1).tolist() == expected[f"{head}_argmax"].tolist()


def test_corrnet_gives_the_published_losses_and_gradient_norms() -> None:
    expected = fixture()
    network = published_corrnet().double().train()
    network.lstm.rnn.dropout = 0.0
    seeds, frame_counts = expected["train_video_seeds"].tolist(), expected["train_frames"].tolist()
    frames, lengths = padded_batch([video(n, s) for n, s in zip(frame_counts, seeds, strict=True)])
    targets = Targets(torch.from_numpy(expected["train_labels"]), torch.from_numpy(expected["train_label_lengths"]))
    names = [LOSS_NAMES[name] for name in expected["train_loss_names"].tolist()]
    weights = dict(zip(names, expected["train_loss_weights"].tolist(), strict=True))

    loss = weighted_loss(network(frames, lengths), targets, weights)
    loss.total.backward()

    assert loss.total.item() == pytest.approx(float(expected["train_total"]), rel=1e-6)
    for name, value in zip(names, expected["train_losses"].tolist(), strict=True):
        assert loss.parts[name].item() == pytest.approx(value, rel=1e-6)
    parameters = dict(network.named_parameters())
    compared = 0
    for name, norm in zip(expected["grad_names"].tolist(), expected["grad_norms"].tolist(), strict=True):
        if norm >= 1e-9:
            gradient = parameters[our_name(name)].grad
            assert gradient is not None
            assert gradient.norm().item() == pytest.approx(norm, rel=1e-6), name
            compared += 1
    assert compared > 100


def test_a_clip_gets_the_same_logits_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for n in (9, 1, 24, 13)]
    network = small_corrnet()
    with torch.inference_mode():
        together = network(*padded_batch(videos))
        alone = [network(*padded_batch([frames])) for frames in videos]
    for index, output in enumerate(alone):
        steps = int(output.step_lengths[0])
        assert steps == together.step_lengths[index]
        for logits, single in zip(heads(together), heads(output), strict=True):
            assert largest_difference(logits[index, :steps], single[0].numpy()) < 1e-4


def heads(output: NetworkOutput) -> tuple[torch.Tensor, torch.Tensor]:
    return output.sequence_logits, output.conv_logits


@pytest.mark.parametrize("size", [32, 64, 96])
def test_any_input_size_that_is_a_multiple_of_32_is_taken(size: int) -> None:
    network = small_corrnet()
    with torch.inference_mode():
        output = network(*padded_batch([np.zeros((5, size, size, 3), np.uint8)]))
    assert output.sequence_logits.shape == (1, 2, 12)
    assert output.sequence_logits.isfinite().all()


def test_the_first_frames_of_training_are_a_plain_resnet() -> None:
    torch.manual_seed(0)
    network = Network(CorrNetBackbone(width=8), PLAN, hidden_size=32, num_classes=12).eval()
    frames, lengths = padded_batch([np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)])
    with torch.inference_mode():
        features = network.frame_features(frames, lengths)
        single = network.frame_features(frames[:, :16], torch.tensor([1]))
    # With alpha at zero no frame sees another: the first frame's features do not depend on the rest.
    torch.testing.assert_close(features[:, :1], single[:, :1])
