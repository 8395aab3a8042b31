from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import CheckpointError, ConfigError, DataError, UsageError
from cslr_cli.media.frames import open_frames
from cslr_cli.model.network import build_network
from cslr_cli.progress import Progress
from cslr_cli.recognizer import Recognizer
from cslr_cli.training import loop
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.run import saving
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.resuming import load_resumed_run
from tests.training.observers import CallbackObserver, stop_after_epoch, stop_at_step

CPU = torch.device("cpu")
TIMES = {"seconds", "clips_per_second", "waiting_percent"}


def changed(config: Config, **sections: Mapping[str, Any]) -> Config:
    values = config.to_dict()
    return Config.from_dict({**values, **{name: {**values[name], **new} for name, new in sections.items()}}, "changed")


def figures(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The records without what the clock says."""
    return [{name: value for name, value in record.items() if name not in TIMES} for record in history]


def assert_same_state(one: Path, other: Path) -> None:
    """Two `last.pt` with the same weights, the same state of the optimizer and the same figures, bit by bit."""
    a, b = load_checkpoint(one), load_checkpoint(other)
    assert figures(a.history) == figures(b.history)
    assert {name for name, value in a.weights.items() if not torch.equal(value, b.weights[name])} == set()
    assert a.training is not None
    assert b.training is not None
    assert a.training["step"] == b.training["step"]
    moments = [training["optimizer"]["state"] for training in (a.training, b.training)]
    assert moments[0].keys() == moments[1].keys()
    for key, state in moments[0].items():
        assert all(torch.equal(value, moments[1][key][name]) for name, value in state.items())


def copied(corpus: PreparedCorpus, folder: Path) -> PreparedCorpus:
    shutil.copytree(corpus.path, folder)
    return PreparedCorpus.open(folder)


def rewrite_samples(corpus: PreparedCorpus, split: str, change: Callable[[Sample], Sample]) -> None:
    lines = [change(sample).to_json() for sample in corpus.samples(split)]
    (corpus.path / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# The crop and the frames of the corpus


@pytest.fixture
def recipe(tiny_config: Config) -> Config:
    """A recipe for frames of 72 pixels; the tiny corpus has frames of 36."""
    return changed(tiny_config, data={"frame_size": 72, "crop_size": 64}, training={"epochs": 1})


def test_a_crop_for_other_frames_is_scaled_from_training_to_recognition(
    recipe: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    told: list[str] = []
    result = train(recipe, tmp_path / "run", device=CPU, observer=CallbackObserver(warning=told.append))
    assert [line for line in told if "crop" in line] == [
        "note: the crop of the recipe is 64 of 72 pixels, but the corpus has frames of 36 pixels: "
        "the crop is now 32 pixels, resized to 64 pixels"
    ]
    stored = {"frame_size": 36, "crop_size": 32, "resize_to": 64}
    for config in (load_config(result.run.config), load_checkpoint(result.run.best).config):
        assert config.data.model_dump(include=set(stored)) == stored
    recognizer = Recognizer.load(result.run.best, device="cpu", precision="fp32")
    path = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    pictures = recognizer.read(path).pictures
    frame = open_frames(path).read([0])[0]
    assert pictures.shape[1:] == (64, 64, 3)
    assert np.array_equal(pictures[0], np.asarray(Image.fromarray(frame[2:34, 2:34]).resize((64, 64))))


def test_a_training_with_a_scaled_crop_is_resumed_exactly(recipe: Config, tmp_path: Path) -> None:
    whole = train(recipe, tmp_path / "whole", device=CPU)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, run, device=CPU, observer=stop_at_step(2))
    config = load_resumed_run(RunFolder(run)).config
    told: list[str] = []
    resumed = train(config, run, device=CPU, resume=True, observer=CallbackObserver(warning=told.append))
    assert_same_state(resumed.run.last, whole.run.last)
    assert not [line for line in told if "crop" in line]


def test_a_small_crop_of_the_user_s_own_is_kept_with_a_warning(
    tiny_config: Config, tiny_release: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    prepare(find_reader("synthetic"), tiny_release, corpus, PreparationOptions(frame_size=72), workers=1)
    told: list[str] = []
    config = changed(tiny_config, corpus={"path": str(corpus)}, training={"epochs": 1})
    result = train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(warning=told.append))
    assert any("32 of 72 pixels" in line for line in told)
    checkpoint = load_checkpoint(result.run.best)
    assert checkpoint.config.data == config.data
    assert any("32 of 72 pixels" in line for line in checkpoint.warnings)


def test_a_new_training_draws_its_first_frames_and_a_resumed_one_does_not(tiny_config: Config, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, run.path, device=CPU, observer=stop_after_epoch(1))
    with Image.open(run.augmentations) as sheet:
        assert sheet.width > sheet.height > 400
    run.augmentations.unlink()
    train(tiny_config, run.path, device=CPU, resume=True)
    assert not run.augmentations.exists()


def test_a_sheet_that_cannot_be_written_is_a_warning(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(saving, "draw_augmentations", fail)
    told: list[str] = []
    config = changed(tiny_config, training={"epochs": 1})
    train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(warning=told.append))
    assert any("augmentations.png: not written (disk full)" in line for line in told)


# Determinism


def test_two_trainings_with_one_seed_end_at_the_same_weights(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    again = train(tiny_config, tmp_path / "again", device=CPU)
    assert_same_state(again.run.last, tiny_training.run.last)


def test_another_seed_ends_at_other_weights(tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path) -> None:
    config = changed(tiny_config, training={"seed": 1, "epochs": 1})
    other = load_checkpoint(train(config, tmp_path / "other", device=CPU).run.last)
    weights = load_checkpoint(tiny_training.run.last).weights
    assert not torch.equal(other.weights["classifier.weight"], weights["classifier.weight"])


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # torch's own choice, from Python 3.12 on
@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_resumed_after_an_epoch_ends_at_the_same_weights(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, workers: int
) -> None:
    config = changed(tiny_config, data={"num_workers": workers})
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, run, device=CPU, observer=stop_after_epoch(1))
    assert load_checkpoint(run / "last.pt").epoch == 1
    resumed = train(config, run, device=CPU, resume=True)
    assert [record.epoch for record in resumed.history] == [1, 2]
    assert_same_state(resumed.run.last, tiny_training.run.last)
    lines = resumed.run.metrics.read_text().splitlines()
    assert figures([json.loads(line) for line in lines]) == figures(
        [record.metrics_line() for record in tiny_training.history]
    )


@pytest.mark.parametrize("step", [1, 6])
def test_a_training_stopped_within_an_epoch_repeats_it(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, step: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, run, device=CPU, observer=stop_at_step(step))
    assert (run / "last.pt").exists() == (step > 4)  # four steps are an epoch
    train(tiny_config, run, device=CPU, resume=True)
    assert_same_state(run / "last.pt", tiny_training.run.last)


def test_a_run_killed_before_its_first_save_can_be_resumed(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(tiny_config.to_yaml())
    train(load_config(run / "config.yaml"), run, device=CPU, resume=True)
    assert_same_state(run / "last.pt", tiny_training.run.last)


def test_a_resumed_one_cycle_training_continues_at_its_learning_rate(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, schedule={"kind": "one-cycle"}, training={"group_by_length": True})
    whole = train(config, tmp_path / "whole", device=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", device=CPU, observer=stop_after_epoch(1))
    resumed = train(config, tmp_path / "stopped", device=CPU, resume=True)
    assert whole.history[0].lr != whole.history[1].lr
    assert_same_state(resumed.run.last, whole.run.last)


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    # As if it had been killed after the last checkpoint, before its metrics.
    metrics = run / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole.splitlines(keepends=True)[0])
    resumed = train(tiny_config, run, device=CPU, resume=True)
    assert resumed.history == tiny_training.history
    assert metrics.read_text() == whole
    assert (run / "last.pt").read_bytes() == tiny_training.run.last.read_bytes()


# What a run leaves behind


def test_a_run_folder_has_checkpoints_configuration_metrics_log_and_environment(
    tiny_config: Config, tiny_training: TrainingResult
) -> None:
    run = tiny_training.run
    assert {path.name for path in run.path.iterdir()} == {
        *("best.pt", "last.pt", "epoch-1.pt", "epoch-2.pt", "config.yaml", "metrics.jsonl", "train.log"),
        *("environment.json", "curves.png", "augmentations.png", "hypotheses"),
    }
    stored = load_config(run.config)
    assert stored.model_copy(update={"corpus": tiny_config.corpus}) == tiny_config
    assert stored.corpus.path is not None
    assert not stored.corpus.path.is_absolute()
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert records == [record.metrics_line() for record in tiny_training.history]
    assert [(record["epoch"], record["step"]) for record in records] == [(1, 4), (2, 8)]
    for record in records:
        weighted = record["sequence_ctc"] + record["conv_ctc"] + 25 * record["distillation"]
        assert record["loss"] == pytest.approx(weighted, rel=1e-5)
        assert 0 <= record["waiting_percent"] <= 100
        assert record["skipped"] == []
    log = (run.path / "train.log").read_text()
    assert "network: corrnet; parameters: 194,468; start: fresh weights; corpus: synthetic, 8 glosses" in log
    assert "clips: 8 train, 4 dev; batches per epoch: 4; epochs: 2; device: cpu; precision: fp32" in log
    assert "epoch 1:" in log
    assert "epoch 2:" in log


def test_an_existing_run_folder_is_refused_and_not_touched(tiny_config: Config, tiny_training: TrainingResult) -> None:
    run = tiny_training.run.path
    files = [path for path in run.rglob("*") if path.is_file()]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    with pytest.raises(UsageError) as caught:
        train(tiny_config, run, device=CPU)
    assert f"--resume {run}" in str(caught.value)
    assert "--name" in str(caught.value)
    assert [path for path in run.rglob("*") if path.is_file()] == files
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before


class ScriptedEvaluator:
    """Gives the word error rates that it was told to, one an epoch."""

    wers: list[float]
    samples: Sequence[Sample] = ()

    def __init__(self, *args: object, **options: object) -> None:
        self.remaining = list(self.wers)

    def close(self) -> None:
        pass

    def recognize(self, network: object, progress: object, *, shard: int, num_shards: int) -> list[Any]:
        return []

    def score(self, clips: object) -> Any:
        wer = self.remaining.pop(0)
        result = dataclasses.make_dataclass("Scripted", ["wer", "scores"])
        return result(wer, {"conv": result(wer + 1, {})})


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Trainings are evaluated by `ScriptedEvaluator`; the list gets the WER of each epoch whose hypotheses are kept."""
    kept: list[float] = []
    monkeypatch.setattr(loop, "Evaluator", ScriptedEvaluator)
    monkeypatch.setattr(saving, "write_hypotheses", lambda result, corpus, folder: kept.append(result.wer))
    return kept


def test_the_best_checkpoint_is_that_of_the_first_epoch_with_the_lowest_dev_wer(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: list[float]
) -> None:
    monkeypatch.setattr(ScriptedEvaluator, "wers", [80.0, 60.0, 60.0, 70.0], raising=False)
    result = train(changed(tiny_config, training={"epochs": 4}), tmp_path / "run", device=CPU)
    assert result.best.epoch == 2
    assert load_checkpoint(result.run.best).epoch == 2
    assert load_checkpoint(result.run.last).epoch == 4
    assert [(record.wer, record.conv_wer) for record in result.history] == [
        (80, 81),
        (60, 61),
        (60, 61),
        (70, 71),
    ]
    assert scripted == [80, 60]


def test_dev_is_evaluated_every_so_many_epochs_and_at_the_end(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: list[float]
) -> None:
    monkeypatch.setattr(ScriptedEvaluator, "wers", [50.0, 40.0], raising=False)
    config = changed(tiny_config, training={"epochs": 3, "evaluation_interval": 2})
    result = train(config, tmp_path / "run", device=CPU)
    assert [record.wer for record in result.history] == [None, 50.0, 40.0]
    assert result.best.epoch == 3


def test_progress_goes_up_to_the_last_step_with_loss_and_speed(tiny_config: Config, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(tiny_config, tmp_path / "run", device=CPU, observer=CallbackObserver(progress=told.append))
    training = [progress for progress in told if progress.stage == "train"]
    assert [progress.done for progress in training] == list(range(1, 9))
    assert {progress.total for progress in training} == {8}
    assert all(progress.figures["clips_per_second"] > 0 for progress in training)
    assert [progress.figures["epoch"] for progress in training] == [1] * 4 + [2] * 4
    assert "best_wer" in training[-1].figures
    evaluation = [progress for progress in told if progress.stage == "evaluate dev"]
    assert [progress.done for progress in evaluation] == [1, 2, 3, 4] * 2


# Courses of training


def test_the_first_epochs_have_only_short_clips_if_configured(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    num_short = sum(len(sample.glosses) <= 3 for sample in tiny_corpus.samples("train"))
    assert num_short == 4
    result = train(changed(tiny_config, training={"short_first_epochs": 1}), tmp_path / "run", device=CPU)
    assert [record.step for record in result.history] == [2, 2 + 4]  # batches of two: 4 clips, then all 8


def test_no_short_enough_clip_fails_before_the_run_is_created(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, training={"short_first_epochs": 1, "short_glosses": 1})
    with pytest.raises(ConfigError, match="short_glosses is 1"):
        train(config, tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


def test_bf16_trains_and_can_be_resumed_in_another_precision(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, training={"precision": "bf16"})
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device=CPU, observer=stop_after_epoch(1))
    assert "device: cpu; precision: bf16" in (tmp_path / "run" / "train.log").read_text()
    weights = load_checkpoint(tmp_path / "run" / "last.pt").weights
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    train(tiny_config, tmp_path / "run", device=CPU, resume=True)


def with_an_unfit_clip(corpus: PreparedCorpus, folder: Path) -> tuple[PreparedCorpus, str]:
    """A copy of the corpus in which one training clip has more glosses than steps: its CTC loss is infinite."""
    result = copied(corpus, folder)
    unfit = corpus.samples("train")[2].sample_id
    rewrite_samples(
        result,
        "train",
        lambda sample: (
            dataclasses.replace(sample, glosses=sample.glosses * 30) if sample.sample_id == unfit else sample
        ),
    )
    return result, unfit


def test_a_step_whose_loss_is_not_finite_is_skipped_and_its_clips_are_named(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus, unfit = with_an_unfit_clip(tiny_corpus, tmp_path / "prepared")
    config = changed(tiny_config, corpus={"path": str(corpus.path)})
    told: list[Progress] = []
    result = train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(progress=told.append))
    for record in result.history:
        assert unfit in record.skipped_clips
        assert len(record.skipped_clips) == 2  # the batch that it is in
        assert record.losses["loss"] < float("inf")
    weights = load_checkpoint(result.run.last).weights
    assert all(value.isfinite().all() for value in weights.values())
    log = (result.run.path / "train.log").read_text()
    assert f"clips with fewer output steps than their glosses need (1): {unfit}" in log
    assert log.count("skipped, loss inf") == 2
    assert [progress for progress in told if progress.stage == "train"][-1].figures["skipped"] == 2


def test_a_skipped_step_leaves_network_and_optimizer_as_they_were(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    rewrite_samples(corpus, "train", lambda sample: dataclasses.replace(sample, glosses=sample.glosses * 30))
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, training={"epochs": 1})
    result = train(config, tmp_path / "run", device=CPU)
    assert len(result.history[0].skipped_clips) == 8
    assert "loss" not in result.history[0].losses
    checkpoint = load_checkpoint(result.run.last)
    assert checkpoint.training is not None
    assert checkpoint.training["optimizer"]["state"] == {}
    torch.manual_seed(config.training.seed)
    fresh = build_network(config.model, corpus.vocabulary.num_classes)
    # The means of batch norm as well: what a bad batch has put there would stay for ever.
    assert all(torch.equal(value, checkpoint.weights[name]) for name, value in fresh.state_dict().items())


# What stands in the way


def test_a_training_that_cannot_begin_leaves_no_folder(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    no_train = copied(tiny_corpus, tmp_path / "no train")
    (no_train.path / "train.jsonl").write_text("")
    for config, words in [
        (changed(tiny_config, corpus={"path": str(tmp_path / "missing")}), "no prepared corpus here"),
        (changed(tiny_config, data={"crop_size": 64}), "crop_size is 64"),
        (changed(tiny_config, corpus={"path": str(no_train.path)}), "no clips in the split train"),
    ]:
        with pytest.raises(DataError) as caught:
            train(config, tmp_path / "run", device=CPU)
        assert words in str(caught.value)
        assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_clip_that_cannot_be_read_stops_the_training_by_name(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    clip = corpus.frames_path(corpus.samples("train")[0])
    clip.unlink()
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, data={"num_workers": 1})
    with pytest.raises(Exception, match=clip.name):
        train(config, tmp_path / "run", device=CPU)
    assert clip.name in (tmp_path / "run" / "train.log").read_text()


def resume_fails(config: Config, training: TrainingResult, folder: Path) -> Exception:
    shutil.copytree(training.run.path, folder)
    before = (folder / "last.pt").read_bytes()
    with pytest.raises((DataError, CheckpointError)) as caught:
        train(config, folder, device=CPU, resume=True)
    assert (folder / "last.pt").read_bytes() == before
    return caught.value


def test_a_run_is_not_resumed_on_another_corpus(
    tiny_config: Config, tiny_training: TrainingResult, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    vocabulary = (corpus.path / "vocabulary.txt").read_text()
    (corpus.path / "vocabulary.txt").write_text(vocabulary.replace("SONNE", "WOLKE"))
    config = changed(tiny_config, corpus={"path": str(corpus.path)})
    assert "vocabulary" in str(resume_fails(config, tiny_training, tmp_path / "one"))
    (corpus.path / "vocabulary.txt").write_text(vocabulary)
    info = (corpus.path / "corpus.yaml").read_text()
    (corpus.path / "corpus.yaml").write_text(info.replace("frame_size: 36", "frame_size: 40"))
    assert "frame_size was 36 and is 40" in str(resume_fails(config, tiny_training, tmp_path / "other"))


def test_a_run_whose_corpus_was_moved_can_be_resumed(
    tiny_config: Config, tiny_training: TrainingResult, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "elsewhere")
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, training={"epochs": 3})
    result = train(config, run, device=CPU, resume=True)
    assert [record.epoch for record in result.history] == [1, 2, 3]
    assert result.history[:2] == tiny_training.history


def test_a_run_is_not_resumed_as_another_network(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    error = resume_fails(changed(tiny_config, model={"width": 12}), tiny_training, tmp_path / "run")
    assert "last.pt" in str(error)
    assert "config.yaml" in str(error)


def test_a_run_is_not_resumed_from_weights_alone(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    shutil.copy(run / "best.pt", run / "last.pt")
    with pytest.raises(CheckpointError, match="has weights only, no training state"):
        train(tiny_config, run, device=CPU, resume=True)


def test_a_training_state_that_is_damaged_is_refused(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    content = torch.load(run / "last.pt", weights_only=True)
    for training in ({}, {**content["training"], "optimizer": {}}, {**content["training"], "step": "four"}):
        torch.save({**content, "training": training}, run / "last.pt")
        with pytest.raises(CheckpointError, match=r"last\.pt"):
            train(tiny_config, run, device=CPU, resume=True)
