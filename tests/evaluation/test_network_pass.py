from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.dataset.batching import evaluation_batches
from cslr_cli.dataset.clip_dataset import ClipDataset
from cslr_cli.dataset.collate import Batch
from cslr_cli.dataset.loader import Loader
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation.network_pass import clip_log_probs, evaluation_mode
from cslr_cli.model.network import NetworkOutput

CPU = torch.device("cpu")


class Told(nn.Module):
    """Gives fixed logits and notes when it was asked."""

    def __init__(self, logits: Tensor, events: list[str]) -> None:
        super().__init__()
        self.logits, self.events = logits, events

    def __deepcopy__(self, memo: object) -> Told:
        return self  # the form for inference is a copy, and notes in the same place

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        self.events.append("network")
        return NetworkOutput(self.logits, 2 * self.logits, frame_lengths // 4)


def batch(*names: str, frame_lengths: tuple[int, ...]) -> Batch:
    frames = torch.zeros(len(names), max(frame_lengths), 3, 2, 2, dtype=torch.uint8)
    nothing = torch.zeros(0, dtype=torch.int64)
    return Batch(frames, torch.tensor(frame_lengths), nothing, torch.zeros(len(names), dtype=torch.int64), names)


def passed(network: Any, batches: list[Batch]) -> Iterator[Any]:
    return clip_log_probs(network, batches, device=CPU, dtype=torch.float32)


def test_a_clips_log_probabilities_are_the_log_softmax_of_its_real_steps() -> None:
    logits = torch.randn(2, 3, 5)
    clips = list(passed(Told(logits, []), [batch("long", "short", frame_lengths=(12, 8))]))
    assert [(clip.sample_id, clip.num_frames) for clip in clips] == [("long", 12), ("short", 8)]
    for index, (clip, steps) in enumerate(zip(clips, (3, 2), strict=True)):
        for head, factor in (("sequence", 1), ("conv", 2)):
            exact = factor * logits[index, :steps].double().numpy()
            expected = exact - np.log(np.exp(exact).sum(axis=-1, keepdims=True))
            assert clip.heads[head].dtype == np.float32
            np.testing.assert_allclose(clip.heads[head], expected, atol=1e-5)


def test_the_next_batch_is_given_to_the_device_before_the_clips_of_the_last_come_out() -> None:
    events: list[str] = []
    batches = [batch(str(number), frame_lengths=(4,)) for number in range(3)]
    for clip in passed(Told(torch.zeros(1, 1, 2), events), batches):
        events.append(clip.sample_id)
    assert events == ["network", "network", "0", "network", "1", "2"]


def test_the_network_computes_no_gradients() -> None:
    (clip,) = passed(Told(torch.zeros(1, 1, 2, requires_grad=True), []), [batch("a", frame_lengths=(4,))])
    assert isinstance(clip.heads["sequence"], np.ndarray)


def test_the_mode_of_a_network_is_restored_after_an_error_too() -> None:
    network: Any = Told(torch.zeros(1, 1, 2), [])
    modes = []

    def broken() -> Iterator[Batch]:
        modes.append(network.training)
        raise KeyError("the second clip")
        yield

    with pytest.raises(KeyError), evaluation_mode(network):
        list(clip_log_probs(network, broken(), device=CPU, dtype=torch.float32))
    assert modes == [False]
    assert network.training


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_log_probabilities_of_the_cpu(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus) -> None:
    samples = tiny_corpus.samples("train")
    dataset = ClipDataset(tiny_corpus, samples, tiny_checkpoint.config.data, training=False)
    found = {}
    for device in (CPU, torch.device("cuda", 0)):
        network = tiny_checkpoint.build_network().to(device)
        loader = Loader(dataset, network.plan, 0, pin_memory=device.type == "cuda")
        batches = loader.batches(evaluation_batches(samples, 3))
        found[device.type] = list(clip_log_probs(network, batches, device=device, dtype=torch.float32))
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert here.sample_id == there.sample_id
        for head in here.heads:
            np.testing.assert_allclose(there.heads[head], here.heads[head], atol=2e-3)
