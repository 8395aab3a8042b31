from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import torch

from cslr_cli.checkpoint import load_checkpoint
from tests.cli.conftest import in_a_process, started


def test_a_training_on_two_devices_saves_when_it_is_asked_to_end_and_goes_on(workplace: Path) -> None:
    process = started(
        *("train", "--config", "tiny.yaml", "--device", "cpu,cpu", "--name", "two", "--json"),
        *("--set", "training.epochs=200", "--set", "training.evaluation_interval=200"),
        cwd=workplace,
    )
    last = Path("runs/two/last.pt")
    while not last.is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 75, stderr
    assert stdout == ""
    assert "ended by SIGTERM" in stderr
    assert "cslr train --resume runs/two" in stderr
    assert "Traceback" not in stderr
    assert stderr.count("epoch 1/200") == 1  # one of the two has the screen
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
