from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError, DataError
from cslr_cli.locks import LockedError
from cslr_cli.model.network import build_network
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.resuming import compare_configs, load_resumed_run
from cslr_cli.training.run.state import TrainingState
from tests.training.observers import stop_after_epoch
from tests.training.test_loop import changed, copied, rewrite_samples

CPU = torch.device("cpu")


def test_another_configuration_is_rejected_unless_settings_name_the_differences(
    tiny_config: Config, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", tiny_config)
    other = tmp_path / "other.yaml"
    other.write_text(changed(tiny_config, optimizer={"lr": 1.0}, training={"epochs": 5}).to_yaml())
    with pytest.raises(ConfigError) as caught:
        load_resumed_run(run, ["optimizer.lr=1.0"], other)
    assert "training.epochs is 5" in str(caught.value)
    assert "it is 2" in str(caught.value)
    assert "optimizer.lr is" not in str(caught.value)
    both = load_resumed_run(run, ["optimizer.lr=1.0", "training.epochs=5"], other).config
    assert compare_configs(tiny_config, both) == {"optimizer.lr": (3e-3, 1.0), "training.epochs": (2, 5)}
    assert load_resumed_run(run).config == tiny_config


def test_an_edited_configuration_is_rejected_unless_settings_name_the_differences(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = RunFolder(shutil.copytree(tiny_training.run.path, tmp_path / "runs" / "run"))
    (tmp_path / "prepared").symlink_to(Path(str(tiny_config.corpus.path)).parent)
    assert compare_configs(load_resumed_run(run).config, tiny_config).keys() == {"corpus.path"}
    edited = changed(tiny_config, optimizer={"lr": 1.0}, training={"epochs": 5})
    run.config.write_text(edited.to_yaml())
    with pytest.raises(ConfigError) as caught:
        load_resumed_run(run, ["training.epochs=5"])
    assert f"{run.config}: optimizer.lr is 1.0, in {run.last} it is 0.003" in str(caught.value)
    assert "--set optimizer.lr=1.0" in str(caught.value)
    assert "training.epochs" not in str(caught.value)
    settings = ["optimizer.lr=0.5", " training.epochs = 5"]  # named, with whatever value
    resumed = load_resumed_run(run, settings).config
    assert compare_configs(resumed, changed(edited, optimizer={"lr": 0.5})).keys() == {"corpus.path"}
    # Before the first save there is nothing that the file could contradict.
    run.last.unlink()
    assert compare_configs(load_resumed_run(run).config, edited).keys() == {"corpus.path"}


def test_settings_of_a_resumption_are_saved_with_the_run(tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, tmp_path / "run", device=CPU, observer=stop_after_epoch(1))
    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(
            load_resumed_run(run, ["optimizer.lr=0.001", "training.epochs=3"]).config,
            run.path,
            device=CPU,
            resume=True,
            observer=stop_after_epoch(2),
        )
    expected = changed(tiny_config, optimizer={"lr": 0.001}, training={"epochs": 3}).with_relative_paths()
    assert load_resumed_run(run).config == expected


def test_a_run_in_use_is_not_resumed_by_a_second_process(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = RunFolder(shutil.copytree(tiny_training.run.path, tmp_path / "run"))
    (unfinished := run.path / ".last.4711.unfinished.pt").write_bytes(b"being saved by the other one")
    with run.lock("cslr train"):
        with pytest.raises(LockedError, match=r"run: cslr train \(process [0-9]+ on"):
            train(changed(tiny_config, training={"epochs": 3}), run.path, device=torch.device("cpu"), resume=True)
        assert unfinished.exists()
    result = train(changed(tiny_config, training={"epochs": 3}), run.path, device=torch.device("cpu"), resume=True)
    assert len(result.history) == 3
    assert not list(run.path.glob(".*"))


def test_a_corpus_with_other_glosses_is_refused_and_they_are_named(
    tiny_config: Config, tiny_training: TrainingResult, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    first, *others = (corpus.path / "vocabulary.txt").read_text().splitlines()
    gloss = first.split("\t")[0]
    (corpus.path / "vocabulary.txt").write_text("\n".join(["NEU\t3", *others, ""]))
    rewrite_samples(
        corpus,
        "train",
        lambda sample: dataclasses.replace(
            sample, glosses=tuple("NEU" if known == gloss else known for known in sample.glosses)
        ),
    )
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    with pytest.raises(DataError) as caught:
        train(changed(tiny_config, corpus={"path": str(corpus.path)}), run, device=CPU, resume=True)
    assert f"1 new (NEU), 1 gone ({gloss})" in str(caught.value)
    assert "--init-weights" in str(caught.value)


def test_another_network_is_refused_and_what_changed_is_named(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    config = changed(tiny_config, model={"hidden_size": 32, "backbone_weights": "elsewhere.pth"})
    with pytest.raises(CheckpointError) as caught:
        train(config, run, device=CPU, resume=True)
    assert "model.hidden_size was 16 and is 32" in str(caught.value)
    assert "backbone_weights" not in str(caught.value)


def test_a_corpus_without_frames_is_refused_before_a_run_is_made(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    info = corpus.path / "corpus.yaml"
    info.write_text(info.read_text().replace("layout: zip", "layout: none"))
    with pytest.raises(DataError, match="prepared without frames"):
        train(changed(tiny_config, corpus={"path": str(corpus.path)}), tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


def test_the_loss_scale_is_saved_and_restored(tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path) -> None:
    def state(scale: float) -> TrainingState:
        network = build_network(tiny_config.model, tiny_corpus.vocabulary.num_classes)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        scaler.scale(torch.ones(()))  # it is made when it is first used
        return TrainingState(network, torch.optim.Adam(network.parameters()), scaler)

    origin, path = CorpusOrigin.from_corpus(tiny_corpus), tmp_path / "last.pt"
    save_checkpoint(state(2.0**9).to_checkpoint(tiny_config, tiny_corpus.vocabulary, origin, resumable=True), path)
    other = state(2.0**16)
    other.restore(load_checkpoint(path), path)
    assert other.scaler.get_scale() == 2.0**9


def test_micro_batches_are_one_step_with_the_same_clips(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    config = changed(tiny_config, training={"accumulation": 2, "epochs": 1}, loss={"distillation": 0.0})
    record = train(config, tmp_path / "run", device=CPU).history[0]
    assert record.step == tiny_training.history[0].step
    assert record.losses["loss"] == pytest.approx(record.losses["sequence_ctc"] + record.losses["conv_ctc"], rel=1e-5)
    # Batch norm sees single clips, so that the numbers are others, but not by much.
    assert record.losses["loss"] == pytest.approx(
        tiny_training.history[0].losses["sequence_ctc"] + tiny_training.history[0].losses["conv_ctc"], rel=0.3
    )


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets a value in a training state by its place, `optimizer.state.0.step`."""
    *places, last = (int(part) if part.isdigit() else part for part in path.split("."))

    def change(training: dict[str, Any]) -> None:
        inner: Any = training
        for place in places:
            inner = inner[place]
        inner[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("optimizer.state.0.exp_avg", torch.zeros(2)),
        _set("optimizer.state.0.exp_avg_sq", torch.zeros(2, dtype=torch.int64)),
        _set("optimizer.state.0.step", torch.zeros(3)),
        _set("optimizer.state.0.step", 1),
        _set("optimizer.state.0", None),
        _set("optimizer.state.99999", {}),
        _set("optimizer.state", None),
        _set("optimizer.param_groups", []),
        _set("optimizer.param_groups.0.params", [1, 0]),
        _set("optimizer.param_groups.0.lr", "fast"),
        _set("optimizer.param_groups.0.lr", float("nan")),
        _set("optimizer.param_groups.0.betas", (0.9,)),
        _set("optimizer.param_groups.0.fused", 3),
        _set("optimizer", []),
        _set("scaler", 3),
        _set("step", -1),
        _set("step", 1.5),
        _set("unfinished", {"losses": {"loss": "high"}}),
        _set("unfinished", {"batches": 10, "epoch": 1}),
    ],
)
def test_a_training_state_of_another_shape_is_refused(
    change: Callable[[dict[str, Any]], None], tiny_training: TrainingResult, tiny_config: Config, tmp_path: Path
) -> None:
    """torch would compute with such a state: with a shape that is wrong, the process ends with a segmentation fault."""
    checkpoint = load_checkpoint(tiny_training.run.last)
    training: Any = copy.deepcopy(checkpoint.training)
    state = TrainingState.create(tiny_config, checkpoint.vocabulary.num_classes, CPU, torch.float32)
    state.restore(checkpoint, tmp_path / "last.pt")
    change(training)
    with pytest.raises(CheckpointError, match=r"last\.pt: does not fit"):
        state.restore(dataclasses.replace(checkpoint, training=training), tmp_path / "last.pt")
