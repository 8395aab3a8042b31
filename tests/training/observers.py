"""An observer for tests: calls functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.monitoring.observer import TrainingObserver, TrainingOutline


def _ignore(report: Any) -> None:
    pass


class CallbackObserver(TrainingObserver):
    """Passes reports on to functions."""

    def __init__(
        self,
        *,
        start: Callable[[TrainingOutline], None] = _ignore,
        progress: ProgressCallback = _ignore,
        epoch: Callable[[EpochRecord], None] = _ignore,
        warning: Callable[[str], None] = _ignore,
    ) -> None:
        self._start, self._progress, self._epoch, self._warning = start, progress, epoch, warning

    def on_start(self, outline: TrainingOutline) -> None:
        self._start(outline)

    def on_progress(self, progress: Progress) -> None:
        self._progress(progress)

    def on_epoch(self, record: EpochRecord) -> None:
        self._epoch(record)

    def on_warning(self, text: str, log_text: str | None = None) -> None:
        self._warning(text)


def stop_after_epoch(epoch: int) -> TrainingObserver:
    """Interrupts the training, as Ctrl-C does, once an epoch is saved."""

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return CallbackObserver(epoch=interrupt)


def stop_at_step(step: int) -> TrainingObserver:
    """Interrupts the training, as Ctrl-C does, after a step."""

    def interrupt(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == step:
            raise KeyboardInterrupt

    return CallbackObserver(progress=interrupt)
