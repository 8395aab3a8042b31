"""Errors of the user: the message says what is wrong, where, and how to fix it; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.corpora.synthetic.release import clip_folder
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command, Outcome, in_a_process, started, without_checkpoint_lines

TINY = ["--size", 36, "--glosses", 8, "--signers", 3, "--train-clips", 8, "--dev-clips", 4, "--test-clips", 4]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_error(outcome: Outcome, status: int, *words: object) -> None:
    """An error with this status that has these words, and results with none."""
    assert outcome.status == status, outcome
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    for word in words:
        assert str(word) in outcome.stderr
    if status == 1:
        assert outcome.stderr.lstrip().startswith("error: ") or "\nerror: " in outcome.stderr


# prepare


def test_a_missing_release_is_an_error_with_the_expected_layout(
    cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cslr("prepare", "phoenix2014")
    assert_error(outcome, 1, "dataset/phoenix2014: folder not found", "phoenix-2014-multisigner", "--source")
    assert_error(cslr("prepare", "phoenix2014", "--source", "here"), 1, "here: folder not found", "train")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_corpus_is_an_error_with_a_suggestion(cslr: Command, workplace: Path) -> None:
    assert_error(cslr("prepare", "phoenx2014"), 2, "phoenx2014", "did you mean phoenix2014")


def test_options_of_the_synthetic_corpus_are_refused_for_others(cslr: Command, workplace: Path) -> None:
    assert_error(cslr("prepare", "phoenix2014", "--glosses", 8), 2, "--glosses", "phoenix2014")


def test_all_options_out_of_range_are_reported_together(cslr: Command, workplace: Path) -> None:
    outcome = cslr("prepare", "synthetic", "--glosses", 7, "--signers", 1)
    assert_error(outcome, 2, "num_glosses is 7", "num_signers is 1")
    assert not Path("dataset").exists()


# train


def test_training_without_a_prepared_corpus_names_the_command_to_run(
    cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_error(cslr("train"), 1, "prepared/phoenix2014", "cslr prepare phoenix2014")
    assert_error(cslr("train", "--config", "quickstart"), 1, "prepared/synthetic", "cslr prepare synthetic")
    assert list(tmp_path.iterdir()) == []


def test_all_faults_of_the_settings_are_reported_together_with_suggestions(cslr: Command, workplace: Path) -> None:
    settings = ["optimiser.lr=1", "model.widht=3", "training.epochs=zero", "data.crop_size=0"]
    outcome = cslr("train", *(part for setting in settings for part in ("--set", setting)))
    assert_error(
        outcome,
        2,
        *("4 invalid settings", "optimiser", "optimizer", "model.widht", "model.width"),
        *("training.epochs is 'zero'", "data.crop_size is 0"),
    )
    assert not Path("runs").exists()


def test_a_missing_configuration_is_an_error(cslr: Command, workplace: Path) -> None:
    assert_error(cslr("train", "--config", "missing.yaml"), 2, "missing.yaml")
    assert_error(cslr("train", "--config", "phoenix"), 2, "unknown configuration 'phoenix'", "phoenix2014")


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_missing_device_is_an_error_with_the_available_ones(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, command: str
) -> None:
    video = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    options: dict[str, list[object]] = {
        "train": ["--config", "tiny.yaml", "--name", "other"],
        "evaluate": [trained],
        "predict": [video],
    }
    there = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    assert_error(cslr(command, *options[command], "--device", 99), 1, "--device 99: no such GPU", there)
    assert_error(cslr(command, *options[command], "--device", "gpu"), 2, "--device gpu", "auto, cpu")
    assert not Path("runs/other").exists()


def test_an_existing_run_folder_is_refused_and_kept(cslr: Command, trained: Path) -> None:
    before = contents(Path("runs"))
    outcome = cslr("train", "--config", "tiny.yaml")
    assert_error(outcome, 2, "runs/tiny", "--resume runs/tiny", "--name")
    assert contents(Path("runs")) == before


def test_resuming_refuses_options_that_change_settings_implicitly(cslr: Command, trained: Path) -> None:
    before = contents(Path("runs"))
    for given in (["--config", "tiny.yaml"], ["--name", "new"]):
        assert_error(cslr("train", "--resume", "runs/tiny", *given), 2, given[0])
    assert_error(cslr("train", "--resume", "runs/missing"), 2, "runs/missing", "no such folder")
    # The same recipe except for the corpus' folder, which the run knows, and the learning rate.
    recipe = Path("tiny.yaml").read_text()
    Path("other.yaml").write_text(recipe.replace("lr: 0.003", "lr: 0.001"))
    outcome = cslr("train", "--resume", "runs/tiny", "--config", "other.yaml")
    assert_error(
        outcome, 2, "optimizer.lr is 0.001, in runs/tiny it is 0.003", "--set optimizer.lr=0.001", "corpus.path"
    )
    assert "epochs" not in outcome.stderr
    assert contents(Path("runs")) == before


def test_resuming_reports_settings_changed_by_set(cslr: Command, trained: Path) -> None:
    outcome = cslr("train", "--resume", "runs/tiny", "--set", "training.epochs=3", "--set", "optimizer.lr=1e-3")
    assert outcome.status == 0
    assert "the configuration has changed since the last save" in outcome.stderr
    assert "optimizer.lr 0.003 → 0.001" in outcome.stderr
    assert load_checkpoint(Path("runs/tiny/last.pt")).epoch == 3
    assert "lr: 0.001" in Path("runs/tiny/config.yaml").read_text()
    assert_error(
        cslr("train", "--resume", "runs/tiny", "--set", "model.width=12"), 1, "last.pt", "model.width was 8 and is 12"
    )


def test_batches_that_the_devices_cannot_divide_leave_no_run_behind(cslr: Command, workplace: Path) -> None:
    outcome = cslr("train", "--config", "tiny.yaml", "--set", "training.accumulation=3")
    assert_error(outcome, 2, "training.batch_size is 2", "training.accumulation", "training.batch_size=3")
    assert_error(cslr("train", "--config", "tiny.yaml", "--batch-frames", 20), 2, "training.batch_frames is 20")
    assert_error(cslr("train", "--config", "tiny.yaml", "--device", "cpu,gpu"), 2, "--device gpu")
    assert not Path("runs").exists()


def test_a_path_is_refused_as_the_name_of_a_run(cslr: Command, workplace: Path) -> None:
    assert_error(cslr("train", "--config", "tiny.yaml", "--name", "../mine"), 2, "--name ../mine", "--runs-dir")


def test_a_setting_that_does_not_fit_the_corpus_leaves_no_run_behind(cslr: Command, workplace: Path) -> None:
    outcome = cslr("train", "--config", "tiny.yaml", "--set", "data.crop_size=64")
    assert_error(outcome, 1, "crop_size is 64", "36")
    assert not Path("runs").exists()


def test_an_unwritable_runs_folder_is_named(cslr: Command, workplace: Path) -> None:
    Path("runs").write_text("a file")
    assert_error(cslr("train", "--config", "tiny.yaml"), 1, "runs")


# evaluate


def test_files_that_are_not_checkpoints_are_errors(cslr: Command, trained: Path) -> None:
    Path("cut.pt").write_bytes(trained.read_bytes()[:5000])
    Path("empty.pt").touch()
    for path, words in [
        ("missing.pt", "no such checkpoint"),
        ("cut.pt", "incomplete"),
        ("empty.pt", "the file is empty"),
        ("tiny.yaml", "not a checkpoint"),
        ("runs", "not a run: no best.pt in it"),
    ]:
        status = 2 if path == "runs" else 1
        assert_error(cslr("evaluate", path), status, path, words)
        assert_error(cslr("predict", "--checkpoint", path, "video.mp4"), status, path, words)


def test_a_moved_corpus_is_an_error_that_names_the_option(
    cslr: Command, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = torch.load(trained, weights_only=True)
    content["corpus"]["path"] = "../gone/synthetic"
    torch.save(content, "moved.pt")
    Path("prepared").rename("elsewhere")
    assert_error(
        cslr("evaluate", "moved.pt"),
        1,
        str(tmp_path / "gone" / "synthetic"),
        "--corpus",
        "cslr prepare synthetic --size 36",
    )
    assert cslr("evaluate", "moved.pt", "--corpus", "elsewhere/synthetic", "--split", "dev").status == 0


def test_a_wrong_output_is_an_error_before_the_work(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained, "--output", "tiny.yaml")
    assert_error(outcome, 2, "tiny.yaml", "not a folder")
    assert "evaluate dev" not in outcome.stderr


def test_an_unknown_split_is_an_error_with_the_existing_ones(cslr: Command, trained: Path) -> None:
    assert_error(cslr("evaluate", trained, "--split", "validation"), 1, "validation", "train, dev, test")


# predict


def test_predict_without_a_run_says_how_to_get_one(cslr: Command, workplace: Path) -> None:
    assert_error(cslr("predict", "video.mp4"), 2, "runs", "--checkpoint", "cslr quickstart", "cslr train")


@pytest.mark.parametrize("fps", ["0", "-25", "inf", "nan", "1e9"])
def test_an_impossible_frame_rate_is_reported_once(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus, fps: str
) -> None:
    video = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    outcome = cslr("predict", video, video, "--source-fps", fps)
    assert_error(outcome, 2, "frames per second; expected 1 to 1000")
    assert outcome.stderr.count("error: ") == 1


def test_bad_videos_are_named_and_the_others_are_recognised(
    trained: Path, workplace: Path, tiny_corpus: PreparedCorpus
) -> None:
    good = [tiny_corpus.frames_path(sample) for sample in tiny_corpus.samples("test")[:2]]
    Path("text.mp4").write_text("This is no video.\n")
    Path("empty").mkdir()
    Path("nothing.mp4").touch()
    writer = cv2.VideoWriter("no_frames.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 64))
    writer.release()
    Path("damaged").mkdir()
    _, picture = cv2.imencode(".png", np.zeros((36, 36, 3), np.uint8))
    Path("damaged/1.png").write_bytes(picture.tobytes()[:-30])
    Path("noise.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    bad = ["text.mp4", "empty", "nothing.mp4", "no_frames.mp4", "damaged", "noise.zip", "missing.mp4"]
    outcome = in_a_process("predict", good[0], *bad, good[1], "--json", cwd=workplace)
    assert outcome.status == 1
    documents = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [document["source"] for document in documents if "error" not in document] == [str(path) for path in good]
    assert [document["input"] for document in documents if "error" in document] == bad
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad)
    for name, error in zip(bad, errors, strict=True):
        assert name in error
    assert "Traceback" not in outcome.stderr
    expected = ("error: ", "hint: ", "      ")
    others = [line for line in without_checkpoint_lines(outcome.stderr) if not line.startswith(expected)]
    assert others == []  # no library has its say in between


# Ctrl-C


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def interrupt(process: subprocess.Popen[str]) -> Outcome:
    """Press Ctrl-C, as a terminal does: every process of the command gets it."""
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate()
    return Outcome(process.returncode, stdout, stderr)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # torch's own choice, from Python 3.12 on
def test_ctrl_c_stops_a_training_that_can_be_resumed(cslr: Command, workplace: Path) -> None:
    last = Path("runs/tiny/last.pt")
    given = ["--set", "training.epochs=60", "--workers", 1]
    process = started("train", "--config", "tiny.yaml", *given, cwd=workplace)
    wait_for(last.exists, process)
    outcome = interrupt(process)
    assert outcome.status == 130
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert "cslr train --resume runs/tiny" in outcome.stderr
    epoch = load_checkpoint(last).epoch
    assert 1 <= epoch < 60
    assert load_checkpoint(last.with_name("best.pt")).epoch <= epoch + 1  # it is written first of the two
    assert [path.name for path in last.parent.iterdir() if "unfinished" in path.name] == []
    # Sixty epochs would take a while: let it be one more.
    config, fewer = Path("runs/tiny/config.yaml"), f"training.epochs={epoch + 1}"
    config.write_text(config.read_text().replace("epochs: 60", f"epochs: {epoch + 1}"))
    edited = f"training.epochs is {epoch + 1}, in runs/tiny/last.pt it is 60"
    assert_error(cslr("train", "--resume", "runs/tiny"), 2, "runs/tiny/config.yaml", edited, f"--set {fewer}")
    assert cslr("train", "--resume", "runs/tiny", "--set", fewer).status == 0
    assert load_checkpoint(last).epoch == epoch + 1


def test_ctrl_c_stops_a_preparation_that_the_same_command_continues(
    cslr: Command, tiny_corpus: PreparedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["prepare", "synthetic", *TINY, "--workers", 2]
    process = started(*command, cwd=tmp_path)
    # Not `**`, which would fail where a folder gets its name while it is looked through.
    split = clip_folder(Path("dataset/synthetic"), "train", "any").parents[1]
    wait_for(lambda: len(list(split.glob("synthetic_*"))) >= 4, process)
    outcome = interrupt(process)
    assert outcome.status == 130
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert "run the same command again" in outcome.stderr
    assert not Path("prepared").exists()
    finished = cslr(*command[:-1], 1)
    assert finished.status == 0
    made, expected = contents(Path("prepared/synthetic")), contents(tiny_corpus.path)
    assert made.keys() == expected.keys()
    assert {name for name in made if made[name] != expected[name]} <= {"corpus.yaml"}  # names its release
    shutil.rmtree("dataset")
