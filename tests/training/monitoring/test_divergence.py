from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import TrainingError
from cslr_cli.training.loop import train
from cslr_cli.training.monitoring.divergence import MAX_SKIPPED_IN_A_ROW, DivergenceMonitor
from cslr_cli.training.monitoring.epoch_record import StepRecord
from tests.training.observers import CallbackObserver
from tests.training.test_loop import changed, copied, rewrite_samples

CPU = torch.device("cpu")
INFINITE = float("inf")


def a_step(number: int, *, finite: bool, unfit_clips: int = 0, norm: float = 2.0) -> StepRecord:
    loss = 5.0 if finite else INFINITE
    return StepRecord(1, number, 1e-4, {"loss": loss}, norm, finite, (f"clip {number}",), unfit_clips)


def diagnosis(scale: float | None, unfit_clips: int = 0) -> str:
    monitor = DivergenceMonitor(1e-4)
    monitor.check(a_step(1, finite=True, norm=7.25), None)
    monitor.check(a_step(2, finite=True, norm=9000.0), None)
    for number in range(3, 2 + MAX_SKIPPED_IN_A_ROW):
        monitor.check(a_step(number, finite=False, unfit_clips=unfit_clips), scale)
    with pytest.raises(TrainingError) as caught:
        monitor.check(a_step(2 + MAX_SKIPPED_IN_A_ROW, finite=False, unfit_clips=unfit_clips), scale)
    assert f"steps 3 to {2 + MAX_SKIPPED_IN_A_ROW}" in str(caught.value)
    return str(caught.value)


def test_the_remaining_reason_is_the_learning_rate_with_the_course_of_the_gradient() -> None:
    told = diagnosis(scale=None)
    assert "the learning rate (0.0001) is too high" in told
    assert "gradient norm 7.25 at step 1" in told
    assert "9000 at step 2" in told
    assert "optimizer.lr" in told


def test_an_overflow_is_what_remains_when_the_scale_of_the_loss_is_at_its_end() -> None:
    told = diagnosis(scale=0.5)
    assert "fp16 overflow" in told
    assert "--precision bf16" in told


def test_unfit_clips_are_the_reason_only_if_each_skipped_batch_has_one() -> None:
    told = diagnosis(scale=None, unfit_clips=1)
    assert "fewer output steps than their glosses need" in told
    assert "clip 3, clip 4" in told
    monitor = DivergenceMonitor(1e-4)
    for number in range(1, MAX_SKIPPED_IN_A_ROW):
        monitor.check(a_step(number, finite=False, unfit_clips=number % 2), None)
    with pytest.raises(TrainingError, match="learning rate"):
        monitor.check(a_step(MAX_SKIPPED_IN_A_ROW, finite=False, unfit_clips=1), None)


def test_few_skipped_steps_or_a_scale_that_can_fall_do_not_stop_the_training() -> None:
    monitor = DivergenceMonitor(1e-4)
    for number in range(10 * MAX_SKIPPED_IN_A_ROW):
        monitor.check(a_step(number, finite=number % MAX_SKIPPED_IN_A_ROW == 0), None)
    for number in range(MAX_SKIPPED_IN_A_ROW + 5):
        monitor.check(a_step(number, finite=False), 2.0**10)


def test_a_training_that_diverges_is_stopped_and_keeps_its_last_good_weights(
    tiny_config: Config, tmp_path: Path
) -> None:
    config = changed(
        tiny_config,
        optimizer={"lr": 1e32},
        training={"epochs": 9, "evaluation_interval": 9, "batch_size": 2},
        loss={"distillation": 0.0},
    )
    with pytest.raises(TrainingError, match=r"the learning rate \(1e\+32\) is too high"):
        train(config, tmp_path / "run", device=CPU)
    assert "the learning rate (1e+32) is too high" in (tmp_path / "run" / "train.log").read_text()


def test_a_corpus_of_unfit_clips_is_named_before_the_start_and_as_the_reason(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    rewrite_samples(corpus, "train", lambda sample: dataclasses.replace(sample, glosses=sample.glosses * 30))
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, training={"epochs": 9, "evaluation_interval": 9})
    notes: list[str] = []
    with pytest.raises(TrainingError, match="fewer output steps than their glosses need"):
        train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(warning=notes.append))
    (note,) = notes
    assert note.startswith("8 training clips have fewer output steps than their glosses need")
    assert corpus.samples("train")[0].sample_id in note
