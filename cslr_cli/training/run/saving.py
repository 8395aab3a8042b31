"""Writing what a training has made, again and again, whatever the disk says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from cslr_cli.checkpoints.checkpoint import Checkpoint, CorpusOrigin, save_checkpoint
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.files import write_text
from cslr_cli.training.run.folder import RunFolder, kept_epochs
from cslr_cli.training.run.state import TrainingState
from cslr_cli.vocabulary import Vocabulary


class Saver:
    """Keeps a run's checkpoints and records up to date.

    A save that fails, for the disk is full, is told; what was written before stays whole, the training
    goes on, and the next save is another attempt. Only at the end it must succeed.

    Args:
        run: where to write.
        config: of the run.
        vocabulary: of the network.
        origin: the corpus.
        note: is told what the user should know.
    """

    def __init__(
        self, run: RunFolder, config: Config, vocabulary: Vocabulary, origin: CorpusOrigin, note: Callable[[str], None]
    ) -> None:
        self._run, self._config = run, config
        self._vocabulary, self._origin = vocabulary, origin
        self._note = note
        self._saved_at = time.monotonic()
        self._unwritten_best: Checkpoint | None = None
        self._unwritten_epoch: Checkpoint | None = None

    @property
    def is_due(self) -> bool:
        """So many minutes have passed since the last save."""
        minutes = self._config.training.save_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def finished_epoch(self, state: TrainingState, *, is_best: bool) -> None:
        """Save after an epoch, whose record is the last one of the history.

        Args:
            state: after it.
            is_best: it has the lowest WER on dev so far.

        Raises:
            CheckpointError: the training ends with this epoch, and nothing can be written.
        """
        if state.epoch in self._kept(state):
            self._unwritten_epoch = self._checkpoint(state, resumable=False)
        if is_best:
            self._unwritten_best = self._checkpoint(state, resumable=False)
        self._save(state, must=state.epoch >= self._config.training.epochs)

    def within_epoch(self, state: TrainingState, *, must: bool = False) -> None:
        """Save in the middle of an epoch.

        Args:
            state: as it is.
            must: there will be no other attempt.

        Raises:
            CheckpointError: nothing can be written, and it must be.
        """
        self._save(state, must=must)

    def _save(self, state: TrainingState, *, must: bool) -> None:
        self._saved_at = time.monotonic()
        try:
            self._write(state)
        except (CheckpointError, OSError) as error:
            if must:
                raise _told(error, self._run) from error
            self._unwritten_epoch = None  # one less to choose from, which no other depends on
            if self._unwritten_best is not None:  # the network goes on learning
                weights = {name: value.clone() for name, value in self._unwritten_best.weights.items()}
                self._unwritten_best = replace(self._unwritten_best, weights=weights)
            reason = error.message if isinstance(error, CheckpointError) else str(error)
            self._note(
                f"not saved: {reason}; what was saved before is whole. Training goes on, and the next save tries"
            )

    def _write(self, state: TrainingState) -> None:
        """The best checkpoint first: were the last one there alone, nobody would write the other again."""
        if self._unwritten_best is not None:
            save_checkpoint(self._unwritten_best, self._run.best)
            self._unwritten_best = None
        if self._unwritten_epoch is not None:
            save_checkpoint(self._unwritten_epoch, self._run.epoch_file(self._unwritten_epoch.epoch))
            self._unwritten_epoch = None
        save_checkpoint(self._checkpoint(state, resumable=True), self._run.last)
        config = self._config.to_yaml()
        if self._run.config.read_text(encoding="utf-8") != config:  # resumed with other settings; those of `last.pt`
            write_text(self._run.config, config)
        self._run.write_metrics(state.history)
        self._run.remove_epoch_files(keep=self._kept(state))

    def _kept(self, state: TrainingState) -> set[int]:
        settings = self._config.training
        return kept_epochs(state.history, best=settings.keep_best, newest=settings.keep_newest)

    def _checkpoint(self, state: TrainingState, *, resumable: bool) -> Checkpoint:
        return state.checkpoint(self._config, self._vocabulary, self._origin, resumable=resumable)


def _told(error: CheckpointError | OSError, run: RunFolder) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    return CheckpointError(
        f"{error.filename or run.path}: cannot be written ({error.strerror or error})",
        f"make room or mend the rights; --resume {run.path} goes on from the last save",
    )
