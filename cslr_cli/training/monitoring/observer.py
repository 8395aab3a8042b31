"""The reports of a training: observers, the outline at the start, the time estimate. Needs no torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cslr_cli.progress import Progress
from cslr_cli.training.monitoring.epoch_record import EpochRecord, StepRecord

if TYPE_CHECKING:  # imports torch, which the command line's help does without
    from cslr_cli.evaluation import SplitResult

LOGGER = logging.getLogger("cslr_cli")

# The first batches are not measured: workers start, and the device looks for its fastest kernels.
_WARMUP_BATCHES = 2
# The estimate is based on at least this many seconds and batches.
_MIN_SECONDS, _MIN_BATCHES = 10.0, 5
# An evaluation has no backward pass: about a third of the work of training on as many frames.
_EVALUATION_COST = 1 / 3


@dataclass(frozen=True)
class TrainingOutline:
    """The main figures of a training before its first step.

    Attributes:
        network: name of the network.
        parameters: number of parameters of the network.
        trainable: number of parameters that are trained.
        start: origin of the weights, one line.
        corpus: name of the corpus.
        glosses: size of the vocabulary.
        train_clips: number of training clips.
        dev_clips: number of clips in the evaluation.
        batches: number of batches per epoch; the first epochs may have fewer.
        epochs: number of epochs of the whole training.
        finished_epochs: number of epochs that were finished before a resume.
        device: name of the device.
        precision: number format of the computation.
    """

    network: str
    parameters: int
    trainable: int
    start: str
    corpus: str
    glosses: int
    train_clips: int
    dev_clips: int
    batches: int
    epochs: int
    finished_epochs: int
    device: str
    precision: str

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Headings and values, in the order of display."""
        parameters = f"{self.parameters:,}"
        if self.trainable < self.parameters:
            parameters += f" ({self.trainable:,} trained)"
        resumed = f" ({self.finished_epochs} finished)" if self.finished_epochs else ""
        return [
            ("network", self.network),
            ("parameters", parameters),
            ("start", self.start),
            ("corpus", f"{self.corpus}, {self.glosses:,} glosses"),
            ("clips", f"{self.train_clips:,} train, {self.dev_clips:,} dev"),
            ("batches per epoch", f"{self.batches:,}"),
            ("epochs", f"{self.epochs}{resumed}"),
            ("device", self.device),
            ("precision", self.precision),
        ]


class TrainingObserver:
    """Receives the reports of a training. Every method does nothing by default; subclasses override what they use."""

    def on_start(self, outline: TrainingOutline) -> None:
        """Receive the outline, before the first step."""

    def on_estimate(self, seconds: float) -> None:
        """Receive the estimated time of the whole training, once, after the first batches."""

    def on_progress(self, progress: Progress) -> None:
        """Receive the progress of the training or of an evaluation, after each step or clip."""

    def on_step(self, step: StepRecord) -> None:
        """Receive the figures of a step. On a GPU those of many steps come together: reading waits for the device."""

    def before_save(self, history: Sequence[EpochRecord], dev: SplitResult | None, *, is_best: bool) -> None:
        """Write files that must exist when the epoch is saved: a resumed training does not repeat the epoch.

        An `OSError` becomes a warning.

        Args:
            history: records of the finished epochs, up to this one.
            dev: result on dev; None if the epoch was not evaluated.
            is_best: whether the epoch has the lowest WER so far.
        """

    def on_epoch(self, record: EpochRecord) -> None:
        """Receive the record of an epoch that has ended and is saved."""

    def on_warning(self, text: str, log_text: str | None = None) -> None:
        """Receive a warning for the user, and if the log gets more details, `log_text` for the log."""


NO_OBSERVER = TrainingObserver()


class Observers(TrainingObserver):
    """Passes each report on to several observers, in their order."""

    def __init__(self, *observers: TrainingObserver) -> None:
        self._observers = observers

    def on_start(self, outline: TrainingOutline) -> None:
        """Pass the outline on."""
        for observer in self._observers:
            observer.on_start(outline)

    def on_estimate(self, seconds: float) -> None:
        """Pass the estimate on."""
        for observer in self._observers:
            observer.on_estimate(seconds)

    def on_progress(self, progress: Progress) -> None:
        """Pass the progress on."""
        for observer in self._observers:
            observer.on_progress(progress)

    def on_step(self, step: StepRecord) -> None:
        """Pass the figures on."""
        for observer in self._observers:
            observer.on_step(step)

    def before_save(self, history: Sequence[EpochRecord], dev: SplitResult | None, *, is_best: bool) -> None:
        """Let each observer write its files."""
        for observer in self._observers:
            observer.before_save(history, dev, is_best=is_best)

    def on_epoch(self, record: EpochRecord) -> None:
        """Pass the record on."""
        for observer in self._observers:
            observer.on_epoch(record)

    def on_warning(self, text: str, log_text: str | None = None) -> None:
        """Pass the warning on."""
        for observer in self._observers:
            observer.on_warning(text, log_text)


class LogObserver(TrainingObserver):
    """Writes to the log, `train.log` of the run's folder."""

    def on_start(self, outline: TrainingOutline) -> None:
        """Log the outline in one line."""
        LOGGER.info("%s", "; ".join(f"{heading}: {value}" for heading, value in outline.rows))

    def on_estimate(self, seconds: float) -> None:
        """Log the estimate in minutes."""
        LOGGER.info("the training will take about %d minutes", round(seconds / 60))

    def on_step(self, step: StepRecord) -> None:
        """Log a skipped step."""
        if not step.finite:
            LOGGER.warning(
                "epoch %d, step %d: skipped, loss %s, gradient norm %s; clips: %s",
                *(step.epoch, step.step, step.losses["loss"], step.grad_norm, ", ".join(step.sample_ids)),
            )

    def on_epoch(self, record: EpochRecord) -> None:
        """Log the figures of the epoch."""
        figures = [f"{name} {_format_figure(value)}" for name, value in record.to_dict().items() if name != "epoch"]
        LOGGER.info("epoch %d: %s", record.epoch, ", ".join(figures))

    def on_warning(self, text: str, log_text: str | None = None) -> None:
        """Log the warning."""
        LOGGER.warning("%s", text if log_text is None else log_text)


def _format_figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class TimeEstimate:
    """Estimates the time of a training from its first batches, per frame, since these may have short clips.

    Args:
        train_frames: frames of all remaining training batches, over all epochs.
        evaluation_frames: frames of all remaining evaluations.
        report: called once, with the seconds from the start of the training to its end.
        clock: seconds since any moment.
    """

    def __init__(
        self,
        train_frames: int,
        evaluation_frames: int,
        report: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._total = train_frames + evaluation_frames * _EVALUATION_COST
        self._report: Callable[[float], None] | None = report
        self._clock = clock
        self._started = clock()
        self._batches = 0
        self._warm = self._started
        self._frames = 0

    def add_batch(self, num_frames: int) -> None:
        """Count a finished batch, with the number of frames of its clips in the manifest."""
        if self._report is None:
            return
        self._batches += 1
        now = self._clock()
        if self._batches <= _WARMUP_BATCHES:
            self._warm = now
            self._total -= num_frames
            return
        self._frames += num_frames
        measured = now - self._warm
        if measured < _MIN_SECONDS or self._batches < _WARMUP_BATCHES + _MIN_BATCHES or not self._frames:
            return
        self._report(self._warm - self._started + measured * self._total / self._frames)
        self._report = None
