from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from cslr_cli.config import Config, load_config
from cslr_cli.errors import DeviceError
from cslr_cli.training.loop import train
from cslr_cli.training.monitoring.curves import draw_curves
from cslr_cli.training.monitoring.divergence import memory_advice
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.run import saving
from cslr_cli.training.step import Stepper
from tests.training.observers import CallbackObserver
from tests.training.test_loop import changed

CPU = torch.device("cpu")


def own_kilobytes() -> int:
    """Memory of this process that no file stands for: what lies in files the system forgets and reads as it likes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "VmSwap:")))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_memory_does_not_grow_over_thirty_epochs(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now_and_then(history: Sequence[EpochRecord], path: Path) -> None:
        if len(history) % 5 == 0:  # what takes longest
            draw_curves(history, path)

    monkeypatch.setattr(saving, "draw_curves", now_and_then)
    # Clips of one length each: for every other one oneDNN keeps kernels, a thousand of them at most.
    config = changed(
        tiny_config,
        data={"temporal_scale": 0.0},
        training={"epochs": 30, "evaluation_interval": 10, "save_minutes": 1e-3, "short_first_epochs": 30},
    )
    memory: list[int] = []

    def measure(record: EpochRecord) -> None:
        memory.append(own_kilobytes())

    train(config, tmp_path / "run", device=CPU, observer=CallbackObserver(epoch=measure))
    # The first epochs, two evaluations among them, fill what stays: the allocator's, the decoder's, matplotlib's.
    assert max(memory[20:]) <= 1.01 * max(memory[:20])


def test_out_of_memory_says_which_settings_are_left_to_try(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Stepper, *args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Stepper, "__call__", full)
    with pytest.raises(DeviceError) as caught:
        train(tiny_config, tmp_path / "run", device=CPU)
    for setting in ("training.accumulation=2", "training.activation_checkpointing", "--batch-frames"):
        assert setting in str(caught.value)
    assert "data.max_clip_frames" in str(caught.value)


def test_memory_advice_suggests_a_longest_clip_if_there_is_no_limit() -> None:
    advice = memory_advice(load_config("csl-daily"), CPU, Path("runs/a"))
    assert "--set data.max_clip_frames=N: shorter clips\n" in advice


def test_memory_advice_omits_settings_that_are_set(tiny_config: Config) -> None:
    config = changed(
        tiny_config,
        training={"accumulation": 2, "activation_checkpointing": True, "batch_frames": 900},
    )
    advice = memory_advice(config, CPU, Path("runs/a"))
    assert "accumulation" not in advice
    assert "activation_checkpointing" not in advice
    assert "--batch-frames N: smaller batches (now 900 frames)" in advice
