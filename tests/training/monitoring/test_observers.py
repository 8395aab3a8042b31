"""What a training tells and keeps while it runs: the table, the estimate, epochs' weights, TensorBoard, averages."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import MissingPackageError
from cslr_cli.evaluation import evaluate
from cslr_cli.model.network import build_network
from cslr_cli.scoring import read_ctm, read_stm
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.monitoring.epoch_record import StepRecord
from cslr_cli.training.monitoring.observer import TimeEstimate, TrainingOutline
from cslr_cli.training.monitoring.tensorboard import open_tensorboard
from cslr_cli.training.run import saving
from cslr_cli.training.run.runs import summarize_run
from tests.training.observers import CallbackObserver, stop_after_epoch, stop_at_step
from tests.training.processes import run_ranks
from tests.training.test_loop import (
    CPU,
    ScriptedEvaluator,
    assert_same_state,
    changed,
    scripted,
)

__all__ = ["scripted"]  # a fixture


# Told at the start


def test_the_outline_describes_network_corpus_and_epochs(tiny_config: Config, tmp_path: Path) -> None:
    told: list[TrainingOutline] = []
    config = changed(tiny_config, training={"frozen": ["backbone"], "epochs": 1})
    train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(start=told.append))
    (outline,) = told
    rows = dict(outline.rows)
    backbone = load_checkpoint(tmp_path / "run" / "last.pt").build_network().backbone
    trained = 194_468 - sum(parameter.numel() for parameter in backbone.parameters())
    assert rows["parameters"] == f"194,468 ({trained:,} trained)"
    assert rows["corpus"] == "synthetic, 8 glosses"
    assert rows["clips"] == "8 train, 4 dev"
    assert (rows["batches per epoch"], rows["epochs"], rows["precision"]) == ("4", "1", "fp32")


def test_a_run_has_the_name_of_its_corpus_not_that_of_the_recipe(tiny_config: Config, tmp_path: Path) -> None:
    # What `--corpus` does to a shipped recipe.
    config = changed(tiny_config, corpus={"name": "phoenix2014"}, training={"epochs": 1})
    run = train(config, tmp_path / "run", device=CPU).run
    assert summarize_run(run).corpus == "synthetic"
    assert load_config(run.config).corpus.folder.resolve() == tiny_config.corpus.folder.resolve()
    assert load_checkpoint(run.last).config == load_config(run.config)


def test_the_outline_of_a_resumed_training_names_checkpoint_and_step(tiny_config: Config, tmp_path: Path) -> None:
    told: list[TrainingOutline] = []
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, tmp_path / "run", device=CPU, observer=stop_after_epoch(1))
    train(tiny_config, tmp_path / "run", device=CPU, resume=True, observer=CallbackObserver(start=told.append))
    rows = dict(told[0].rows)
    assert rows["epochs"] == "2 (1 finished)"
    assert rows["start"].endswith("last.pt, after step 4")
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert [resumption["after_epoch"] for resumption in environment["resumed"]] == [1]


def estimated(seconds_a_frame: float, batches: list[list[int]], evaluated: int, overhead: float) -> list[float]:
    """What is told where each batch takes its frames' time, and the first one some more."""
    now = 0.0
    told: list[float] = []
    estimate = TimeEstimate(sum(map(sum, batches)), evaluated, told.append, clock=lambda: now)
    for number, lengths in enumerate(batches):
        now += sum(lengths) * seconds_a_frame + (overhead if number == 0 else 0.0)
        estimate.add_batch(sum(lengths))
    return told


def test_the_time_estimate_is_accurate_and_reported_once() -> None:
    # 1,000 batches of 4 to 6 frames a clip; an evaluation's frames count a third.
    batches = [[4 + number % 3, 5] for number in range(1000)]
    frames = sum(map(sum, batches))
    (told,) = estimated(0.2, batches, evaluated=3000, overhead=30.0)
    assert told == pytest.approx(0.2 * (frames + 1000) + 30.0, rel=0.01)


def test_an_estimate_waits_for_ten_seconds_and_some_batches() -> None:
    told: list[float] = []
    now = 0.0
    estimate = TimeEstimate(100, 0, told.append, clock=lambda: now)
    seen_at: list[int] = []
    for second in range(100):
        now = float(second)
        estimate.add_batch(1)
        if told and not seen_at:
            seen_at.append(second)
    assert 10 <= seen_at[0] <= 13
    assert len(told) == 1
    assert estimated(0.1, [[1]] * 50, 0, overhead=0.0) == []  # over before there is anything to tell


# The weights of epochs


def test_a_run_keeps_the_weights_of_its_best_and_its_newest_epochs(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: list[float]
) -> None:
    monkeypatch.setattr(ScriptedEvaluator, "wers", [50.0, 20.0, 30.0, 60.0], raising=False)
    config = changed(tiny_config, training={"epochs": 4, "keep_best": 2, "keep_newest": 1})
    run = train(config, tmp_path / "run", device=CPU).run
    assert list(run.epoch_files()) == [2, 3, 4]
    for epoch, path in run.epoch_files().items():
        checkpoint = load_checkpoint(path)
        assert (checkpoint.epoch, checkpoint.training) == (epoch, None)
    best, second = load_checkpoint(run.best), load_checkpoint(run.epoch_file(2))
    assert all(torch.equal(value, second.weights[name]) for name, value in best.weights.items())


def test_hypotheses_of_the_best_epoch_are_written_with_their_references(
    tiny_training: TrainingResult, tiny_corpus: PreparedCorpus
) -> None:
    run = tiny_training.run
    (result,) = evaluate(
        load_checkpoint(run.best), tiny_corpus, ("dev",), device=CPU, dtype=torch.float32, num_workers=0
    )
    glosses = {
        clip: [timed.gloss for timed in timed_glosses] for clip, timed_glosses in result.hypotheses["sequence"].items()
    }
    found = read_ctm(run.hypotheses / "dev.ctm")
    assert {clip: [timed.gloss for timed in found.get(clip, ())] for clip in glosses} == glosses
    assert (run.hypotheses / "dev.stm").read_text() == tiny_corpus.references("dev").read_text()
    assert len(read_stm(run.hypotheses / "dev.stm")) == len(glosses)
    assert (run.hypotheses / "dev.conv.ctm").is_file()


def test_files_that_cannot_be_written_are_a_warning(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device", "curves.png")

    monkeypatch.setattr(saving, "draw_curves", full)
    notes: list[str] = []
    result = train(tiny_config, tmp_path / "run", device=CPU, observer=CallbackObserver(warning=notes.append))
    assert len(result.history) == 2
    assert notes[0] == "curves.png: cannot be written (No space left on device); training continues"


# TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads there: of each figure its steps and values, in order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), purge_orphaned_data=True)
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def tensorboard_or_skip() -> None:
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own
def test_tensorboard_reads_the_figures_of_each_epoch(tiny_config: Config, tmp_path: Path) -> None:
    tensorboard_or_skip()
    config = changed(tiny_config, training={"track": "tensorboard"})
    result = train(config, tmp_path / "run", device=CPU)
    told = scalars(tmp_path / "run" / "tensorboard")
    for name in ("dev/wer", "dev/conv_wer", "loss/loss", "loss/sequence_ctc", "train/lr", "train/grad_norm"):
        expected = {record.step: record.to_dict()[name.split("/")[1]] for record in result.history}
        assert dict(told[name]) == pytest.approx(expected, rel=1e-6), name
    assert told["train/epoch"] == [(4, 1.0), (8, 2.0)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_figures_of_repeated_steps_are_removed(tmp_path: Path) -> None:
    tensorboard_or_skip()
    # Begun, told of 50 steps, and resumed after step 20; the second time it is told of 40 only.
    for step, value, last in ((0, 1.0, 50), (20, 2.0, 40)):
        with open_tensorboard("tensorboard", tmp_path, step) as observer:
            for done in range(step + 1, last + 1):
                observer.on_step(
                    StepRecord(1, done, 1e-4, {"loss": value}, 1.0, finite=True, sample_ids=(), unfit_clips=0)
                )
    assert scalars(tmp_path)["step/loss"] == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0)]


def test_missing_tensorboard_fails_before_the_run_is_created(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install '.[tensorboard]'")):
        train(changed(tiny_config, training={"track": "tensorboard"}), tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


# The moving average in a training


def test_the_averaged_weights_are_evaluated_and_are_those_of_the_checkpoints(
    tiny_config: Config, tiny_training: TrainingResult, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    result = train(changed(tiny_config, training={"ema_decay": 0.5}), tmp_path / "run", device=CPU)
    last = load_checkpoint(result.run.last)
    assert last.training is not None
    plain = load_checkpoint(tiny_training.run.last)
    # What is trained is what would be trained without an average.
    assert all(torch.equal(value, last.training["weights"][name]) for name, value in plain.weights.items())
    assert last.training["average_updates"] == 8
    assert not torch.equal(last.weights["classifier.weight"], plain.weights["classifier.weight"])
    (dev,) = evaluate(last, tiny_corpus, ("dev",), device=CPU, dtype=torch.float32, num_workers=0)
    assert (dev.wer, dev.scores["conv"].wer) == (result.history[-1].wer, result.history[-1].conv_wer)
    kept = load_checkpoint(result.run.epoch_file(2)).weights
    assert all(torch.equal(value, kept[name]) for name, value in last.weights.items())


def test_a_resumed_training_with_an_average_ends_at_the_same_weights(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, training={"ema_decay": 0.9})
    whole = train(config, tmp_path / "whole", device=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", device=CPU, observer=stop_at_step(6))
    train(config, tmp_path / "stopped", device=CPU, resume=True)
    assert_same_state(tmp_path / "stopped" / "last.pt", whole.run.last)
    one, other = (load_checkpoint(tmp_path / name / "last.pt").training for name in ("whole", "stopped"))
    assert one is not None
    assert other is not None
    assert all(torch.equal(value, other["weights"][name]) for name, value in one["weights"].items())


def test_two_processes_average_evaluate_and_freeze_like_one(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    config = changed(tiny_config, training={"ema_decay": 0.5, "frozen": ["backbone"], "epochs": 1})
    results = run_ranks(2, lambda ranks: train(config, tmp_path / "run", device=CPU, ranks=ranks))
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    (dev,) = evaluate(last, tiny_corpus, ("dev",), device=CPU, dtype=torch.float32, num_workers=0)
    for result in results:
        assert (result.history[0].wer, result.history[0].conv_wer) == (dev.wer, dev.scores["conv"].wer)
    torch.manual_seed(config.training.seed)
    fresh = build_network(config.model, last.vocabulary.num_classes).state_dict()
    differing = {name.split(".")[0] for name, value in last.weights.items() if not torch.equal(value, fresh[name])}
    assert differing == {"temporal", "lstm", "classifier"}


def test_a_resumed_training_can_start_or_drop_the_average(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    averaged = changed(tiny_config, training={"ema_decay": 0.9})
    plain = load_checkpoint(tiny_training.run.last).weights
    for first, then in ((averaged, tiny_config), (tiny_config, averaged)):
        run = tmp_path / f"from-{first.training.ema_decay}"
        with pytest.raises(KeyboardInterrupt):
            train(first, run, device=CPU, observer=stop_after_epoch(1))
        last = load_checkpoint(train(then, run, device=CPU, resume=True).run.last)
        assert last.training is not None
        trained = last.training.get("weights", last.weights)
        assert all(torch.equal(value, trained[name]) for name, value in plain.items())
        assert last.training.get("average_updates") == (4 if then is averaged else None)
