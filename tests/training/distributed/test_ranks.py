from __future__ import annotations

import importlib
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config
from cslr_cli.dataset.collate import Batch
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation import evaluate
from cslr_cli.model.network import build_network
from cslr_cli.progress import Progress
from cslr_cli.training.distributed.batch_norm import CpuSyncBatchNorm
from cslr_cli.training.distributed.interruption import StoppedBySignalError
from cslr_cli.training.distributed.ranks import SINGLE_PROCESS, Ranks, join_process_group
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.run.state import TrainingState
from cslr_cli.training.step import BatchCounts, Stepper
from tests.training.observers import CallbackObserver
from tests.training.processes import run_launched, run_ranks
from tests.training.test_loop import changed, with_an_unfit_clip

CPU = torch.device("cpu")
NUM_CLASSES = 9
FRAMES = 16


@dataclass(frozen=True)
class Outcome:
    """What a step left: gradients, batch norm's statistics and figures."""

    gradients: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    losses: Sequence[float]


def recipe(network: str = "corrnet", **training: Any) -> Config:
    values: dict[str, Any] = {
        "data": {"crop_size": 32},
        "model": {"name": network, "width": 8, "hidden_size": 16, "pretrained": False},
        "training": {"precision": "fp32", **training},
    }
    return Config.from_dict(values, "the test")


def clips(number: int) -> list[Batch]:
    """So many clips of equal length, each a batch, with glosses."""
    rng = torch.Generator().manual_seed(7)
    return [
        Batch(
            torch.randint(0, 256, (1, FRAMES + 12, 3, 32, 32), dtype=torch.uint8, generator=rng),
            torch.tensor([FRAMES]),
            torch.randint(1, NUM_CLASSES, (2,), generator=rng),
            torch.tensor([2]),
            (f"clip {index}",),
        )
        for index in range(number)
    ]


def together(batches: Sequence[Batch]) -> Batch:
    return Batch(
        torch.cat([batch.frames for batch in batches]),
        torch.cat([batch.frame_lengths for batch in batches]),
        torch.cat([batch.targets for batch in batches]),
        torch.cat([batch.target_lengths for batch in batches]),
        tuple(name for batch in batches for name in batch.sample_ids),
    )


def a_step(
    config: Config, parts: Sequence[tuple[Batch, bool]], ranks: Ranks = SINGLE_PROCESS, *, frozen_norms: bool = False
) -> Outcome:
    """One step in float64, without dropout, which would be another one on another rank.

    Args:
        config: which network.
        parts: of this rank, and whether they count.
        ranks: the processes.
        frozen_norms: batch norm with its running statistics.
    """
    torch.manual_seed(0)
    network = build_network(config.model, NUM_CLASSES).double().train()
    network.backbone.checkpoint_activations = config.training.activation_checkpointing
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("alpha"):
                parameter.fill_(0.5)  # zero at the start: correlation would have no part in the gradients
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            module.dropout = 0.0
        if frozen_norms and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    state = TrainingState(network, optimizer, torch.amp.GradScaler("cpu", enabled=False))
    stepper = Stepper(state, config, device=CPU, dtype=torch.float32, num_steps=1, ranks=ranks)
    micro_batches = [(batch, stepper.count(batch, is_counted=is_counted)) for batch, is_counted in parts]
    counts = [(count.clips, count.padded_output_steps, count.unfit_clips) for _, count in micro_batches]
    totals = ranks.sum([sum(column) for column in zip(*counts, strict=True)])
    figures = stepper(micro_batches, BatchCounts(*totals), 1)
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    return Outcome(gradients, {n: b.clone() for n, b in network.named_buffers()}, figures.losses.tolist())


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.gradients.keys() == other.gradients.keys()
    assert len(one.gradients) > 50
    largest = max(float(gradient.abs().max()) for gradient in other.gradients.values())
    for name, gradient in one.gradients.items():
        torch.testing.assert_close(gradient, other.gradients[name], rtol=1e-7, atol=1e-10 * largest, msg=name)
    for name, buffer in one.buffers.items():
        torch.testing.assert_close(buffer, other.buffers[name], rtol=1e-9, atol=1e-12, msg=name)
    assert one.losses == pytest.approx(other.losses, rel=1e-9)


@pytest.mark.parametrize(
    ("network", "shares", "twice"),
    [
        ("corrnet", [[0, 1], [2, 3]], False),
        ("corrnet", [[0], [1, 2]], True),  # the last batch of an epoch; and the backbone computed twice
        ("vac", [[0, 1, 2], [3]], False),
    ],
)
def test_two_processes_with_half_the_batch_each_have_the_gradients_of_one_with_the_whole_batch(
    network: str, shares: list[list[int]], twice: bool
) -> None:
    there = clips(4)
    whole = together([there[index] for share in shares for index in share])
    expected = a_step(recipe(network), [(whole, True)])
    config = recipe(network, activation_checkpointing=twice)

    def rank(ranks: Ranks) -> Outcome:
        return a_step(config, [(together([there[index] for index in shares[ranks.rank]]), True)], ranks)

    for outcome in run_ranks(2, rank):
        assert_same(outcome, expected)


def test_a_rank_without_a_clip_does_not_change_the_gradients() -> None:
    config, there = recipe(), clips(1)
    expected = a_step(config, [(there[0], True)])
    outcomes = run_ranks(2, lambda ranks: a_step(config, [(there[0], ranks.is_first)], ranks))
    for outcome in outcomes:
        assert outcome.losses == pytest.approx(expected.losses, rel=1e-9)
        for name, gradient in outcome.gradients.items():
            torch.testing.assert_close(gradient, expected.gradients[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_micro_batches_have_the_gradients_of_the_whole_batch_if_batch_norm_is_frozen(num_ranks: int) -> None:
    config, there = recipe(accumulation=2), clips(4)
    expected = a_step(config, [(together(there), True)], frozen_norms=True)
    if num_ranks == 1:
        parts = [(together(there[:3]), True), (there[3], True)]
        assert_same(a_step(config, parts, frozen_norms=True), expected)
        return
    outcomes = run_ranks(
        2,
        lambda ranks: a_step(
            config, [(there[2 * ranks.rank], True), (there[2 * ranks.rank + 1], True)], ranks, frozen_norms=True
        ),
    )
    for outcome in outcomes:
        assert_same(outcome, expected)


def test_batch_norm_over_two_processes_is_torchs_over_all_of_their_batches() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 6, dtype=torch.float64) * 3 + 20
    upstream = torch.randn_like(x)
    norm = nn.BatchNorm2d(3, momentum=0.3).double()
    nn.init.normal_(norm.weight)
    expected_in = x.clone().requires_grad_()
    expected = norm(expected_in)
    expected.backward(upstream)

    def rank(ranks: Ranks) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
        mine = slice(0, 2) if ranks.is_first else slice(2, 5)
        plain = nn.BatchNorm2d(3, momentum=0.3).double()
        plain.weight.data.copy_(norm.weight.data)
        synchronised = CpuSyncBatchNorm(plain)
        inputs = x[mine].clone().requires_grad_()
        outputs = synchronised(inputs)
        outputs.backward(upstream[mine])
        assert inputs.grad is not None
        return outputs.detach(), inputs.grad, synchronised.state_dict()

    (out_a, grad_a, state), (out_b, grad_b, _) = run_ranks(2, rank)
    torch.testing.assert_close(torch.cat([out_a, out_b]), expected.detach())
    torch.testing.assert_close(torch.cat([grad_a, grad_b]), expected_in.grad)
    assert state.keys() == norm.state_dict().keys()
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(state[name], value, msg=name)


def test_a_training_in_two_processes_sees_every_clip_once_and_evaluates_as_one_process_does(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    values = tiny_config.to_dict()
    values["training"] |= {"epochs": 1}
    config = Config.from_dict(values, "one epoch")
    results: list[TrainingResult] = run_ranks(2, lambda ranks: train(config, tmp_path / "run", device=CPU, ranks=ranks))
    first, second = (result.history[0].to_dict() for result in results)
    for name in ("loss", "grad_norm", "wer", "conv_wer", "step", "skipped"):
        assert first[name] == second[name]
    assert first["step"] == 4  # 8 clips, two a step
    assert (tmp_path / "run" / "train.log").read_text().count("epoch 1:") == 1
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pt")
    (alone,) = evaluate(checkpoint, tiny_corpus, ("dev",), device=CPU, dtype=torch.float32, num_workers=0)
    assert (first["wer"], first["conv_wer"]) == (alone.wer, alone.scores["conv"].wer)


def test_only_the_first_process_writes_to_the_log_and_none_to_the_screen(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus, unfit = with_an_unfit_clip(tiny_corpus, tmp_path / "prepared")
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, training={"epochs": 1})

    def rank(ranks: Ranks) -> str:
        logging.getLogger().handlers.clear()  # pytest's: without any, Python shows warnings
        screen = tmp_path / f"screen {ranks.rank}"
        with screen.open("w") as written, redirect_stderr(written):
            train(config, tmp_path / "run", device=CPU, ranks=ranks)
        return screen.read_text()

    assert run_ranks(2, rank) == ["", ""]  # of this test's two, neither has a listener
    assert (tmp_path / "run" / "train.log").read_text().count("skipped, loss inf, gradient norm nan; clips: ") == 1
    assert unfit in (tmp_path / "run" / "train.log").read_text()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells the names of threads")
@pytest.mark.parametrize("is_asked_to_end", [False, True])
def test_no_thread_of_a_training_is_left_that_could_abort_python_when_it_ends(
    tiny_corpus: PreparedCorpus, tiny_config: Config, tmp_path: Path, *, is_asked_to_end: bool
) -> None:
    def threads() -> set[str]:
        names = set()
        for file in Path("/proc/self/task").glob("*/comm"):
            with suppress(OSError):  # one that ends at this moment
                names.add(file.read_text().strip())
        return {name for name in names if "gloo" in name or "tcpstore" in name}

    def training() -> tuple[set[str], set[str]]:
        during: set[str] = set()

        def progress(told: Progress) -> None:
            during.update(threads())
            if is_asked_to_end:
                os.kill(os.getpid(), signal.SIGTERM)

        config = changed(tiny_config, training={"epochs": 1})
        with (
            pytest.raises(StoppedBySignalError) if is_asked_to_end else nullcontext(),
            join_process_group(CPU) as ranks,
        ):
            importlib.import_module("torch.distributed.optim")  # as torch does by itself, now and then
            train(config, tmp_path / "run", device=CPU, ranks=ranks, observer=CallbackObserver(progress=progress))
        deadline = time.monotonic() + 120
        while threads() and time.monotonic() < deadline:  # who is joined is on the system's list a little longer
            time.sleep(0.01)
        return during, threads()

    for during, after in run_launched(2, training):
        assert during
        assert not after
