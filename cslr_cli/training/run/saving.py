"""Writes the files of a run during a training: checkpoints, metrics, hypotheses and curves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cslr_cli.checkpoints.checkpoint import Checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin, store_origin
from cslr_cli.config import Config
from cslr_cli.dataset.augmentation_sheet import draw_augmentations
from cslr_cli.dataset.clip_dataset import ClipDataset
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, CslrError, LostProcessError
from cslr_cli.evaluation import SplitResult, write_hypotheses
from cslr_cli.files import write_text
from cslr_cli.training.batches import EpochBatches
from cslr_cli.training.monitoring.curves import draw_curves
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.monitoring.observer import TrainingObserver
from cslr_cli.training.run.folder import RunFolder, kept_epochs
from cslr_cli.training.run.state import TrainingState
from cslr_cli.untrusted import read_text


def create_run(path: Path, config: Config, corpus: PreparedCorpus) -> RunFolder:
    """Create the folder of a run, with its configuration and the facts of its corpus."""
    return RunFolder.create(path, config, store_origin(CorpusOrigin.from_corpus(corpus), corpus.vocabulary, path))


def write_augmentations(
    run: RunFolder, dataset: ClipDataset, batches: EpochBatches, observer: TrainingObserver
) -> None:
    """Draw the first training frames as the network sees them; a failure is a warning."""
    try:
        draw_augmentations(dataset, batches.keys(), run.augmentations)
    except (CslrError, OSError) as error:
        observer.on_warning(f"{run.augmentations}: not written ({error})")


@contextmanager
def resume_hint(run: RunFolder) -> Iterator[None]:
    """Add to an error about a lost process how the training continues."""
    try:
        yield
    except LostProcessError as error:
        hint = f"{error.hint}\ncontinue with: cslr train --resume {run.path}"
        raise LostProcessError(error.message, hint) from error


class CheckpointSaver:
    """Saves a run's checkpoints and metrics.

    A save that fails, for example on a full disk, is a warning: the files of the previous save stay intact, the
    training continues, and the next save tries again. Only the last save must succeed.

    Args:
        run: folder of the run.
        config: configuration of the run.
        corpus: corpus of the training.
        observer: receiver of the warnings.
    """

    def __init__(self, run: RunFolder, config: Config, corpus: PreparedCorpus, observer: TrainingObserver) -> None:
        self._run, self._config = run, config
        self._vocabulary, self._origin = corpus.vocabulary, CorpusOrigin.from_corpus(corpus)
        self._observer = observer
        self._saved_at = time.monotonic()
        self._unwritten_best: Checkpoint | None = None
        self._unwritten_epoch: Checkpoint | None = None

    @property
    def is_due(self) -> bool:
        """Whether `training.save_minutes` have passed since the last save."""
        minutes = self._config.training.save_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def save_after_epoch(self, state: TrainingState, *, is_best: bool) -> None:
        """Save after an epoch; raises a CheckpointError if that fails after the last epoch.

        Args:
            state: state after the epoch, whose record ends the history.
            is_best: whether the epoch has the lowest WER on dev so far.
        """
        if state.epoch in self._kept_epochs(state):
            self._unwritten_epoch = self._checkpoint(state, resumable=False)
        if is_best:
            self._unwritten_best = self._checkpoint(state, resumable=False)
        self._save(state, must_succeed=state.epoch >= self._config.training.epochs)

    def save_within_epoch(self, state: TrainingState, *, must_succeed: bool = False) -> None:
        """Save in the middle of an epoch; with `must_succeed`, raises a CheckpointError if that fails."""
        self._save(state, must_succeed=must_succeed)

    def _save(self, state: TrainingState, *, must_succeed: bool) -> None:
        self._saved_at = time.monotonic()
        try:
            self._write(state)
        except (CheckpointError, OSError) as error:
            if must_succeed:
                raise _to_checkpoint_error(error, self._run) from error
            self._unwritten_epoch = None  # optional: not tried again
            if self._unwritten_best is not None:  # a copy, because the network continues to learn
                weights = {name: value.clone() for name, value in self._unwritten_best.weights.items()}
                self._unwritten_best = replace(self._unwritten_best, weights=weights)
            reason = error.message if isinstance(error, CheckpointError) else str(error)
            self._observer.on_warning(
                f"not saved: {reason}; the previous save is intact. Training continues, and will try to save again"
            )

    def _write(self, state: TrainingState) -> None:
        # The best checkpoint first: a run that is resumed from a newer `last.pt` would never write it again.
        if self._unwritten_best is not None:
            save_checkpoint(self._unwritten_best, self._run.best)
            self._unwritten_best = None
        if self._unwritten_epoch is not None:
            save_checkpoint(self._unwritten_epoch, self._run.epoch_file(self._unwritten_epoch.epoch))
            self._unwritten_epoch = None
        save_checkpoint(self._checkpoint(state, resumable=True), self._run.last)
        config = self._config.to_yaml()
        if read_text(self._run.config) != config:  # resumed with other settings: those of `last.pt`
            write_text(self._run.config, config)
        self._run.write_metrics(state.history)
        self._run.remove_epoch_files(keep=self._kept_epochs(state))

    def _kept_epochs(self, state: TrainingState) -> set[int]:
        settings = self._config.training
        return kept_epochs(state.history, best=settings.keep_best, newest=settings.keep_newest)

    def _checkpoint(self, state: TrainingState, *, resumable: bool) -> Checkpoint:
        return state.to_checkpoint(self._config, self._vocabulary, self._origin, resumable=resumable)


def _to_checkpoint_error(error: CheckpointError | OSError, run: RunFolder) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    return CheckpointError(
        f"{error.filename or run.path}: cannot be written ({error.strerror or error})",
        f"free disk space or fix the permissions; then continue from the last save with --resume {run.path}",
    )


class RunFilesObserver(TrainingObserver):
    """Writes the hypotheses of the best epoch, with the references, and the curves into the run's folder."""

    def __init__(self, run: RunFolder, corpus: PreparedCorpus) -> None:
        self._run, self._corpus = run, corpus

    def before_save(self, history: Sequence[EpochRecord], dev: SplitResult | None, *, is_best: bool) -> None:
        """Write the files of a finished epoch."""
        if dev is not None and is_best:
            write_hypotheses(dev, self._corpus, self._run.hypotheses)
        draw_curves(history, self._run.curves)
