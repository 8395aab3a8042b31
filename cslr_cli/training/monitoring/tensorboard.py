"""Whom the figures of a training are told beside the run's own record: TensorBoard, if it is asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.errors import MissingPackageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from cslr_cli.training.run.state import Record

# Steps from one point of the fine curves to the next; a point takes a fifth of a millisecond.
_STEP_INTERVAL = 10

# Under which heading the board shows a figure of an epoch's record; those that are missing here, under `loss`.
_HEADINGS = {
    "lr": "train",
    "grad_norm": "train",
    "wer": "dev",
    "conv_wer": "dev",
    "clips_per_second": "speed",
    "waiting_percent": "speed",
    "seconds": "speed",
}
_NOT_SHOWN = {"epoch", "step"}


class Board:
    """Nobody is told; what others do with the figures stands in the subclass."""

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """Tell what one step of training came to.

        Args:
            step: steps done over the whole training, this one included.
            figures: numbers by name: the loss, the norm of the gradient.
        """

    def epoch(self, record: Record) -> None:
        """Tell the record of a finished epoch; its place is the number of steps done by then."""


class TensorBoard(Board):
    """Tells TensorBoard, which draws what is in `folder`: `tensorboard --logdir runs`."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """As in `Board`; every tenth step is told."""
        if step % _STEP_INTERVAL:
            return
        for name, value in figures.items():
            self._writer.add_scalar(f"step/{name}", value, step)

    def epoch(self, record: Record) -> None:
        """As in `Board`."""
        self._writer.add_scalar("train/epoch", record["epoch"], record["step"])
        for name, value in record.items():
            if isinstance(value, int | float) and name not in _NOT_SHOWN:
                self._writer.add_scalar(f"{_HEADINGS.get(name, 'loss')}/{name}", value, record["step"])
        self._writer.flush()


def check_board(track: str | None) -> None:
    """Refuse what `training.track` wants where it is not installed, before any work is done.

    Raises:
        MissingPackageError: TensorBoard is wanted and not there.
    """
    if track == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise MissingPackageError(
            "--track tensorboard: TensorBoard is not installed", "install it by: pip install 'cslr[tensorboard]'"
        )


@contextmanager
def open_board(track: str | None, folder: Path, step: int) -> Iterator[Board]:
    """What `training.track` wants, open as long as the block lasts.

    Args:
        track: of the configuration; None: nobody is told.
        folder: where TensorBoard's files go.
        step: steps done so far; what was told of later ones, before an interruption, is taken back.

    Raises:
        MissingPackageError: TensorBoard is wanted and not there.
    """
    if track is None:
        yield Board()
        return
    check_board(track)
    from torch.utils.tensorboard import SummaryWriter  # imports TensorBoard, an extra

    with SummaryWriter(str(folder), purge_step=step + 1 if step else None) as writer:
        yield TensorBoard(writer)
