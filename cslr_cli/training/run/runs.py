"""The runs so far: what each trained, how far it is, and how well it does. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cslr_cli.config import load_config
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.training.run.folder import RunFolder, best_epochs


@dataclass(frozen=True)
class RunSummary:
    """A run in a line.

    Attributes:
        name: of its folder.
        path: the folder.
        network: name of the network.
        corpus: name of the corpus.
        epoch: epochs finished.
        epochs: that the training is to have.
        best_wer: lowest WER on dev, percent; None before the first evaluation.
        best_epoch: the epoch with it.
        seconds: that the finished epochs took, evaluations included.
        checkpoint: `best.pt`; None while there is none.
    """

    name: str
    path: Path
    network: str
    corpus: str
    epoch: int
    epochs: int
    best_wer: float | None
    best_epoch: int | None
    seconds: float
    checkpoint: Path | None

    @property
    def finished(self) -> bool:
        """Whether all its epochs are done."""
        return self.epoch >= self.epochs

    @property
    def state(self) -> str:
        """`finished`, `epoch 7 of 40` or `not begun`."""
        if self.finished:
            return "finished"
        return f"epoch {self.epoch} of {self.epochs}" if self.epoch else "not begun"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "path": str(self.path),
            "network": self.network,
            "corpus": self.corpus,
            "state": self.state,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "best_wer": self.best_wer,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
        }


@dataclass(frozen=True)
class RunList:
    """The runs in a folder.

    Attributes:
        runs: by corpus, and of each corpus the one with the lowest WER first.
        broken: of each run that cannot be read, what is wrong with it.
    """

    runs: tuple[RunSummary, ...]
    broken: tuple[CslrError, ...]


def list_runs(runs_dir: Path) -> RunList:
    """Look at all runs in a folder; what is no run there is passed over.

    Raises:
        UsageError: there is no such folder.
    """
    if not runs_dir.is_dir():
        raise UsageError(
            f"{runs_dir}: no such folder",
            "`cslr train` and `cslr quickstart` make runs; say by --runs-dir where yours are",
        )
    runs, broken = [], []
    for path in sorted(runs_dir.iterdir()):
        run = RunFolder(path)
        if not run.config.is_file():
            continue
        try:
            runs.append(summarise(run))
        except CslrError as error:
            broken.append(error)
    return RunList(tuple(sorted(runs, key=_order)), tuple(broken))


def summarise(run: RunFolder) -> RunSummary:
    """A run in a line.

    Raises:
        CslrError: its configuration or its metrics cannot be read.
    """
    config, history = load_config(run.config), run.read_metrics()
    by_epoch = {int(record["epoch"]): record for record in history}
    best = next(iter(best_epochs(history, 1)), None)
    return RunSummary(
        name=run.path.name,
        path=run.path,
        network=config.model.name,
        corpus=config.corpus.name,
        epoch=max(by_epoch, default=0),
        epochs=config.training.epochs,
        best_wer=None if best is None else float(by_epoch[best]["wer"]),
        best_epoch=best,
        seconds=sum(float(record.get("seconds", 0.0)) for record in history),
        checkpoint=run.best if run.best.is_file() else None,
    )


def _order(run: RunSummary) -> tuple[str, bool, float, str]:
    return run.corpus, run.best_wer is None, run.best_wer or 0.0, run.name
