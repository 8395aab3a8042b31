"""Logs the figures of a training to TensorBoard, if `training.track` says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.errors import MissingPackageError, extra_hint
from cslr_cli.training.monitoring.epoch_record import EpochRecord, StepRecord
from cslr_cli.training.monitoring.observer import NO_OBSERVER, TrainingObserver

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from cslr_cli.evaluation import SplitResult

# Steps from one point of the step curves to the next; a point takes a fifth of a millisecond.
_STEP_INTERVAL = 10

# The group in which TensorBoard shows a figure of an epoch's record; other figures are in `loss`.
_GROUPS = {
    "lr": "train",
    "grad_norm": "train",
    "wer": "dev",
    "conv_wer": "dev",
    "clips_per_second": "speed",
    "waiting_percent": "speed",
    "seconds": "speed",
}
_NOT_SHOWN = {"epoch", "step"}


class TensorBoardObserver(TrainingObserver):
    """Writes figures for TensorBoard, which draws them: `tensorboard --logdir runs`."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def on_step(self, step: StepRecord) -> None:
        """Write every tenth step that was not skipped."""
        if not step.finite or step.step % _STEP_INTERVAL:
            return
        for name, value in {"loss": step.losses["loss"], "grad_norm": step.grad_norm, "lr": step.lr}.items():
            self._writer.add_scalar(f"step/{name}", value, step.step)

    def before_save(self, history: Sequence[EpochRecord], dev: SplitResult | None, *, is_best: bool) -> None:
        """Write the record of the epoch."""
        record = history[-1]
        self._writer.add_scalar("train/epoch", record.epoch, record.step)
        for name, value in record.to_dict().items():
            if isinstance(value, int | float) and name not in _NOT_SHOWN:
                self._writer.add_scalar(f"{_GROUPS.get(name, 'loss')}/{name}", value, record.step)
        self._writer.flush()


def check_tensorboard(track: str | None) -> None:
    """Raise a MissingPackageError if `training.track` needs TensorBoard and it is not installed."""
    if track == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise MissingPackageError("--track tensorboard: TensorBoard is not installed", extra_hint("tensorboard"))


@contextmanager
def open_tensorboard(track: str | None, folder: Path, step: int) -> Iterator[TrainingObserver]:
    """Open TensorBoard's files for the duration of the block.

    Args:
        track: `training.track` of the configuration; None writes nothing.
        folder: folder of TensorBoard's files.
        step: number of steps so far; figures of later steps, from before an interruption, are removed.
    """
    if track is None:
        yield NO_OBSERVER
        return
    check_tensorboard(track)
    from torch.utils.tensorboard import SummaryWriter  # imports TensorBoard, an extra

    with SummaryWriter(str(folder), purge_step=step + 1 if step else None) as writer:
        yield TensorBoardObserver(writer)
