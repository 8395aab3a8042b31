from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch
import yaml

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.cli.app import app
from cslr_cli.config import load_config
from cslr_cli.training.distributed import launch
from tests.cli.conftest import environment, in_a_process, started
from tests.training.processes import run_launched
from tests.training.test_loop import assert_same_state


@pytest.mark.parametrize(
    ("number", "name", "status"), [(signal.SIGTERM, "SIGTERM", 75), (signal.SIGINT, "Ctrl-C", 130)]
)
def test_a_training_on_two_devices_saves_after_a_signal_and_can_be_resumed(
    workplace: Path, number: signal.Signals, name: str, status: int
) -> None:
    process = started(
        *("train", "--config", "tiny.yaml", "--device", "cpu,cpu", "--name", "two", "--json"),
        *("--set", "training.epochs=9000", "--set", "training.evaluation_interval=9000"),
        cwd=workplace,
    )
    last = Path("runs/two/last.pt")
    while not last.is_file() and process.poll() is None:
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    stdout, stderr = process.communicate()
    assert process.returncode == status, stderr
    error = json.loads(stdout)["error"]  # of --json
    assert error["kind"] == "stopped"
    assert f"note: stopped by {name} in epoch" in stderr
    assert stderr.count("stopped by") == 1
    assert "cslr train --resume runs/two" in stderr
    assert "Traceback" not in stderr
    assert stderr.count("epoch 1/9000") == 1  # only the first process prints
    assert "2 × cpu" in stderr
    saved = load_checkpoint(last)
    assert saved.training is not None
    epochs = saved.epoch + 1
    outcome = in_a_process(
        *("train", "--resume", "runs/two", "--device", "cpu,cpu", "--json", "--set", f"training.epochs={epochs}"),
        cwd=workplace,
    )
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["best"]["epoch"] == epochs
    assert load_checkpoint(last).epoch == epochs
    assert all(torch.isfinite(value).all() for value in load_checkpoint(last).weights.values())


def without_a_batch_size(workplace: Path) -> str:
    """A recipe that leaves the published batch of two as it is."""
    values = yaml.safe_load((workplace / "tiny.yaml").read_text())
    del values["training"]["batch_size"]
    (workplace / "own.yaml").write_text(yaml.safe_dump(values))
    return "own.yaml"


def on_three_processes(*arguments: str, screen: Path) -> list[int]:
    """Run a command as each of three processes that torch's launcher has started; their statuses.

    Args:
        arguments: of the command.
        screen: the file that has what they write to standard error, all of them.
    """

    def run() -> int:
        # Also what is written past Python; and pytest's own standard error is no file.
        with screen.open("a", buffering=1) as written, redirect_stderr(written):
            os.dup2(written.fileno(), 2)
            try:
                app([*arguments, "--device", "cpu"], prog_name="cslr")
            except SystemExit as ended:
                return int(ended.code or 0)
        return 0

    return run_launched(3, run)


def test_torchrun_grows_the_batch_to_one_clip_per_process(workplace: Path) -> None:
    command = ("train", "--config", without_a_batch_size(workplace), "--name", "three", "--device", "cpu")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"),
            *("--local-addr", "localhost"),  # a machine need not know its own name
            *("-m", "cslr_cli", *command, "--set", "training.epochs=1"),
        ],
        cwd=workplace,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("batch of 3 clips") == 1
    reported = done.stderr[done.stderr.index("batch of 3 clips") :]
    assert "instead of 2" in reported
    assert "--set training.batch_size=" in reported
    assert (
        done.stderr.index("batches per epoch") < done.stderr.index("batch of 3 clips") < done.stderr.index("epoch 1/1")
    )
    assert done.stderr.count("epoch 1/1") == 1
    run = workplace / "runs" / "three"
    assert "batch of 3 clips" in (run / "train.log").read_text()
    assert load_config(run / "config.yaml").training.batch_size == 3
    assert load_checkpoint(run / "last.pt").history[0]["step"] == 3  # 8 clips, three a step


def test_a_training_with_a_grown_batch_resumes_exactly_without_a_second_warning(workplace: Path) -> None:
    # A shipped recipe, whose file says how many clips a batch has; made small.
    small = [
        "data.crop_size=32",
        "data.frame_interval=1",
        "data.num_workers=0",
        "model.width=8",
        "model.hidden_size=16",
    ]
    small += ["schedule.kind=milestones", "training.precision=fp32", "training.evaluation_interval=1"]
    for name, epochs in (("whole", 2), ("half", 1)):
        changes = [part for key in (*small, f"training.epochs={epochs}") for part in ("--set", key)]
        given = ("train", "--config", "quickstart", "--name", name, *changes)
        assert on_three_processes(*given, screen=workplace / name) == [0, 0, 0], (workplace / name).read_text()
        assert (workplace / name).read_text().count("batch of 3 clips") == 1
    again = ("train", "--resume", "runs/half", "--set", "training.epochs=2")
    assert on_three_processes(*again, screen=workplace / "again") == [0, 0, 0]
    assert "batch of 3 clips" not in (workplace / "again").read_text()
    assert_same_state(Path("runs/half/last.pt"), Path("runs/whole/last.pt"))


@pytest.mark.parametrize("by", ["--set", "own file"])
def test_a_batch_size_of_the_user_that_processes_cannot_share_is_rejected_by_one_message(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(launch, "wait_for_launcher", lambda: sys.exit(7))  # as the launcher would end them
    given = ("--config", "tiny.yaml") if by == "own file" else ("--config", without_a_batch_size(workplace))
    settings = () if by == "own file" else ("--set", "training.batch_size=2")
    statuses = on_three_processes("train", *given, *settings, screen=workplace / "screen")
    assert sorted(statuses) == [2, 7, 7]
    said = (workplace / "screen").read_text()
    assert said.count("error: ") == 1
    assert "training.batch_size is 2: not divisible by 3 devices" in said
    assert "--set training.batch_size=3" in said
    assert not (workplace / "runs").exists()
