"""What a run's folder gets after each epoch beside its checkpoints: hypotheses, curves, TensorBoard's figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation import SplitResult, write_hypotheses
from cslr_cli.training.monitoring.curves import draw_curves
from cslr_cli.training.monitoring.epoch_record import StepRecord
from cslr_cli.training.monitoring.tensorboard import Board
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.state import Record


class Recorder:
    """Keeps the part of a run's record that nothing depends on.

    What cannot be written, for the disk is full, is told, and the training goes on.

    Args:
        run: where to write.
        corpus: that is evaluated on; its references are put beside the hypotheses.
        board: who else is told the figures.
        note: is told what the user should know.
    """

    def __init__(self, run: RunFolder, corpus: PreparedCorpus, board: Board, note: Callable[[str], None]) -> None:
        self._run, self._corpus = run, corpus
        self._board, self._note = board, note

    def step(self, step: StepRecord) -> None:
        """Take the figures of a step; those of a skipped one are no numbers to draw."""
        if step.finite:
            self._board.step(step.step, {"loss": step.losses["loss"], "grad_norm": step.grad_norm, "lr": step.lr})

    def epoch(self, history: Sequence[Record], result: SplitResult | None, *, is_best: bool) -> None:
        """Write what belongs to a finished epoch.

        Args:
            history: the records so far, of this epoch too.
            result: dev, if it was evaluated.
            is_best: it has the lowest WER so far: its hypotheses take the place of those before.
        """
        try:
            if result is not None and is_best:
                write_hypotheses(result, self._corpus, self._run.hypotheses)
            draw_curves(history, self._run.curves)
            self._board.epoch(history[-1])
        except OSError as error:
            self._note(f"{error.filename or self._run.path}: cannot be written ({error.strerror or error}); going on")
