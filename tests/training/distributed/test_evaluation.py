from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation import Evaluator, SplitResult, evaluate
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.training import loop
from cslr_cli.training.distributed.evaluation import evaluate_with_all_ranks
from cslr_cli.training.distributed.interruption import Interruption, StoppedBySignalError
from cslr_cli.training.distributed.ranks import Ranks
from cslr_cli.training.loop import train
from cslr_cli.training.run import saving
from tests.training.observers import CallbackObserver
from tests.training.processes import run_ranks
from tests.training.test_loop import ScriptedEvaluator, assert_same_state, changed, copied

CPU = torch.device("cpu")


@pytest.fixture
def odd_corpus(tiny_corpus: PreparedCorpus, tmp_path: Path) -> PreparedCorpus:
    """Three clips in dev: two processes have unequal shares of them."""
    corpus = copied(tiny_corpus, tmp_path / "odd")
    dev = corpus.path / "dev.jsonl"
    dev.write_text("".join(dev.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    return PreparedCorpus.open(corpus.path)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_ranks_with_unequal_shares_recognise_clip_by_clip_what_one_process_does(
    odd_corpus: PreparedCorpus, tiny_checkpoint: Checkpoint, batch_size: int
) -> None:
    (alone,) = evaluate(tiny_checkpoint, odd_corpus, ("dev",), device=CPU, dtype=torch.float32, num_workers=0)
    config = changed(tiny_checkpoint.config, training={"batch_size": batch_size})

    def rank(ranks: Ranks) -> tuple[list[Progress], SplitResult | None]:
        network = tiny_checkpoint.build_network()
        evaluator = Evaluator(
            odd_corpus,
            "dev",
            config,
            tiny_checkpoint.vocabulary,
            device=CPU,
            dtype=torch.float32,
            num_workers=0,
        )
        seen: list[Progress] = []
        return seen, evaluate_with_all_ranks(evaluator, network, ranks, Interruption(), seen.append)

    outcomes = run_ranks(2, rank)
    assert [len(seen) for seen, _ in outcomes] == [2, 1]
    for head in ("sequence", "conv"):
        expected = timed(alone, head)
        assert len(expected) == 3
        assert len(set(map(str, expected.values()))) > 1  # the clips can be told apart
        for _, result in outcomes:
            assert result is not None
            assert timed(result, head) == expected
            assert result.scores[head].wer == alone.scores[head].wer
            if batch_size == tiny_checkpoint.config.training.batch_size:
                assert result.hypotheses[head] == alone.hypotheses[head]  # confidences too, to the last bit


def timed(result: SplitResult, head: str) -> dict[str, list[tuple[str, float, float]]]:
    """The glosses of each clip with their times."""
    return {
        clip: [(gloss.gloss, gloss.start, gloss.end) for gloss in glosses]
        for clip, glosses in result.hypotheses[head].items()
    }


class EndlessEvaluator:
    """The share of the first rank takes for ever, that of the others no time."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def recognize(self, network: object, progress: ProgressCallback, *, shard: int, num_shards: int) -> Sequence[Any]:
        deadline = time.monotonic() + 240
        while self.rank == 0:
            assert time.monotonic() < deadline, "nobody has told the first rank to leave"
            time.sleep(0.01)
            progress(Progress("evaluate dev", 1, 2))
        if self.rank == 1:
            progress(Progress("evaluate dev", 1, 1))
        return []

    def score(self, clips: object) -> str:
        return "scored"


def test_all_ranks_leave_the_evaluation_soon_after_a_stop_request_to_one() -> None:
    def rank(ranks: Ranks) -> object:
        interruption = Interruption()
        if ranks.rank == 1:
            interruption.signal = "SIGTERM"
        evaluator: Any = EndlessEvaluator(ranks.rank)
        network: Any = None
        return evaluate_with_all_ranks(evaluator, network, ranks, interruption, no_progress)

    assert run_ranks(2, rank) == [None, None]


def test_a_training_evaluates_by_as_many_clips_as_a_process_trains_on(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Noting(ScriptedEvaluator):
        def __init__(self, corpus: object, split: str, config: Config, *args: object, **options: object) -> None:
            super().__init__()
            sizes.append(config.training.batch_size)

    monkeypatch.setattr(ScriptedEvaluator, "wers", [50.0], raising=False)
    monkeypatch.setattr(loop, "Evaluator", Noting)
    monkeypatch.setattr(saving, "write_hypotheses", lambda *given: None)
    config = changed(tiny_config, training={"batch_size": 8, "epochs": 1})

    def rank(ranks: Ranks) -> list[int]:
        train(config, tmp_path / "run", device=CPU, ranks=ranks)
        return sizes

    assert run_ranks(2, rank) == [[4], [4]]


@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_of_two_processes_that_evaluate_saves_and_ends_both(
    tiny_config: Config, tmp_path: Path, asked: int
) -> None:
    run, config = tmp_path / "run", changed(tiny_config, training={"epochs": 1})

    def rank(ranks: Ranks) -> str:
        def progress(told: Progress) -> None:
            if told.stage == "evaluate dev" and ranks.rank == asked:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(StoppedBySignalError) as caught:
            train(config, run, device=CPU, observer=CallbackObserver(progress=progress), ranks=ranks)
        return str(caught.value)

    for rank_number, told in enumerate(run_ranks(2, rank)):
        by = "SIGTERM" if rank_number == asked else "SIGTERM to another process"
        assert told.startswith(f"stopped by {by} in epoch 1, after step 4; everything is saved")
    training = load_checkpoint(run / "last.pt").training
    assert training is not None
    assert (training["step"], training["unfinished"]["batches"]) == (4, 4)
    if asked == 1:  # what is done again is the evaluation alone
        run_ranks(2, lambda ranks: train(config, run, device=CPU, resume=True, ranks=ranks))
        run_ranks(2, lambda ranks: train(config, tmp_path / "whole", device=CPU, ranks=ranks))
        assert_same_state(run / "last.pt", tmp_path / "whole" / "last.pt")
