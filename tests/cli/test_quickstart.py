"""`cslr quickstart`, with a corpus and a network so small that seconds do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cslr_cli import quickstart as module
from cslr_cli.config import Config
from tests.cli.conftest import Command, Outcome
from tests.documents import check_document

RUN = Path("runs/quickstart")
WRITTEN = {"report.json", "dev.ctm", "test.ctm", "test.clips.csv", "cam.png", "cam.npz", "example.png"}
SMALL_CORPUS = ("--glosses", 8, "--signers", 3, "--train-clips", 6, "--dev-clips", 2, "--test-clips", 2, "--workers", 1)


@pytest.fixture
def small(tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, where the quickstart draws few clips and trains a tiny network for two epochs."""
    (tmp_path / "quickstart.yaml").write_text(Config.from_dict(config_values(tiny_config), "small").to_yaml())
    monkeypatch.setattr(module, "PREPARE", ("prepare", "synthetic", "--size", 36, *SMALL_CORPUS))
    monkeypatch.setattr(module, "TRAIN", ("train", "--config", "quickstart.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_values(config: Config) -> dict[str, object]:
    return config.to_dict() | {"corpus": {"name": "synthetic"}}


def commands_of(outcome: Outcome) -> list[list[str]]:
    """The commands that the quickstart has printed, without `cslr`."""
    lines = [line.strip().removeprefix("$ cslr ") for line in outcome.stderr.splitlines() if "$ cslr " in line]
    return [shlex.split(line) for line in lines]


def written_bytes(folder: Path) -> dict[str, bytes]:
    """The written files by name, without what the clock says."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.name in WRITTEN}


def test_each_printed_command_is_what_has_run(small: Path, cslr: Command) -> None:
    outcome = cslr("quickstart", "--device", "cpu")
    assert outcome.status == 0, outcome.stderr
    commands = commands_of(outcome)
    assert [command[0] for command in commands] == ["prepare", "train", "evaluate", "predict", "cam"]
    assert (RUN / "evaluation/best/report.html").is_file()
    for path in module.written_files().values():
        assert (small / path).exists()
    videos = {video.read_bytes() for video in RUN.glob("example*.mp4")}
    assert len(videos) == 2, "as many different ones to try as there are test clips, at most three"
    written = written_bytes(RUN)
    assert {Path(path).name for path in written} == WRITTEN
    for command in commands[2:]:
        again = cslr(*command)
        assert again.status == 0, again.stderr
        assert again.stdout.strip() in outcome.stdout
    assert written_bytes(RUN) == written


def test_a_second_call_does_not_train_again_and_gives_the_same_results(small: Path, cslr: Command) -> None:
    first = cslr("quickstart", "--device", "cpu", "--json")
    assert first.status == 0, first.stderr
    document = json.loads(first.stdout)
    check_document("quickstart", document)
    trained = [(RUN / name).stat().st_mtime_ns for name in ("best.pt", "last.pt", "metrics.jsonl")]
    second = cslr("quickstart", "--device", "cpu", "--json", "--quiet")
    assert (second.status, second.stderr) == (0, "")
    assert [(RUN / name).stat().st_mtime_ns for name in ("best.pt", "last.pt", "metrics.jsonl")] == trained
    again = json.loads(second.stdout)
    assert {**again, "seconds": 0} == {**document, "seconds": 0}


def test_an_interrupted_training_continues_by_its_own_configuration(
    small: Path, cslr: Command, tiny_config: Config
) -> None:
    for command in (module.PREPARE, module.TRAIN):
        assert cslr(*command, *(["--device", "cpu"] if command[0] == "train" else [])).status == 0
    config = (RUN / "config.yaml").read_text()
    metrics = (RUN / "metrics.jsonl").read_text()
    (RUN / "metrics.jsonl").write_text(metrics[:-30])  # cut off: one of two epochs is left
    (small / "quickstart.yaml").write_text("training: {epochs: 1000}\n")
    outcome = cslr("quickstart", "--device", "cpu")
    assert outcome.status == 0, outcome.stderr
    assert commands_of(outcome)[1] == ["train", "--resume", str(RUN), "--device", "cpu"]
    assert "warning: runs/quickstart/metrics.jsonl:2: the last line is cut off" in outcome.stderr
    assert (RUN / "config.yaml").read_text() == config
    assert (RUN / "metrics.jsonl").read_text() == metrics


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_first_command_that_fails_ends_the_quickstart(small: Path, cslr: Command, options: tuple[str, ...]) -> None:
    RUN.mkdir(parents=True)  # not a run
    outcome = cslr("quickstart", "--device", "cpu", *options)
    assert outcome.status == 2
    assert "error: runs/quickstart: exists already and is not a run" in outcome.stderr
    assert [command[0] for command in commands_of(outcome)] == ["prepare", "train"]
    if options:
        (line,) = outcome.stdout.splitlines()
        check_document("error", json.loads(line))
