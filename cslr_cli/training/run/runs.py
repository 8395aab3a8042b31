"""The list of runs with their figures, and the checkpoint that a command line means. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from typing_extensions import TypedDict

from cslr_cli.config import load_config
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.training.run.folder import RunFolder, best_epochs

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint

# WER on dev, percent. Above it, a network makes more than one error per two signed glosses, so that a sentence is hard
# to recognise; published networks have at most 31 % on their corpora.
MAX_USEFUL_WER = 50.0

# Suffixes of checkpoint files; such a name is never that of a run or a model.
_CHECKPOINT_SUFFIXES = (".pt", ".pth", ".ckpt")

# Runs that an error lists.
_RUNS_NAMED = 8


class RunDocument(TypedDict):
    """The main figures of a run: one line of `cslr runs --json`.

    Attributes:
        schema_version: version of this document.
        name: name of the folder.
        path: path of the folder.
        network: name of the network.
        corpus: name of the corpus.
        state: `finished`, `epoch 7 of 40` or `not begun`.
        epoch: number of finished epochs.
        epochs: number of epochs of the whole training.
        best_wer: lowest WER on dev in percent; null before the first evaluation.
        best_epoch: epoch with the lowest WER.
        seconds: time of the finished epochs, evaluations included.
        checkpoint: path of `best.pt`; null before the first one.
    """

    schema_version: Literal[1]
    name: str
    path: str
    network: str
    corpus: str
    state: str
    epoch: int
    epochs: int
    best_wer: float | None
    best_epoch: int | None
    seconds: float
    checkpoint: str | None


@dataclass(frozen=True)
class RunSummary:
    """The main figures of a run.

    Attributes:
        name: name of the folder.
        network: name of the network.
        corpus: name of the corpus.
        epoch: number of finished epochs.
        epochs: number of epochs of the whole training.
        best_wer: lowest WER on dev in percent; None before the first evaluation.
        best_epoch: epoch with the lowest WER.
        seconds: time of the finished epochs, evaluations included.
        checkpoint: path of `best.pt`; None before the first one.
        warnings: faults of its files that do not prevent reading it.
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
    warnings: tuple[str, ...] = ()

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

    def to_dict(self) -> RunDocument:
        """The values that `--json` prints."""
        return {
            "schema_version": 1,
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
        runs: summaries, sorted by corpus, then by best WER.
        broken: errors of the runs that cannot be read, by the folder of the run.
    """

    runs: tuple[RunSummary, ...]
    broken: Mapping[Path, CslrError]


def list_runs(runs_dir: Path) -> RunList:
    """Summarise all runs in a folder; other folders and files in it are ignored."""
    if not runs_dir.is_dir():
        raise UsageError(
            f"{runs_dir}: no such folder",
            "use --runs-dir to name the folder of your runs; `cslr train` and `cslr quickstart` make runs",
        )
    runs: list[RunSummary] = []
    broken: dict[Path, CslrError] = {}
    for path in sorted(runs_dir.iterdir()):
        run = RunFolder(path)
        if not run.config.is_file():
            continue
        try:
            runs.append(summarize_run(run))
        except CslrError as error:
            broken[path] = error
    return RunList(tuple(sorted(runs, key=_sort_key)), broken)


def summarize_run(run: RunFolder) -> RunSummary:
    """Summarise a run; raises a CslrError if its configuration or its metrics cannot be read."""
    warnings: list[str] = []
    config, history = load_config(run.config), run.read_metrics(warnings.append)
    by_epoch = {record.epoch: record for record in history}
    best = next(iter(best_epochs(history, 1)), None)
    return RunSummary(
        name=run.path.name,
        path=run.path,
        network=config.model.name,
        corpus=config.corpus.name,
        epoch=max(by_epoch, default=0),
        epochs=config.training.epochs,
        best_wer=None if best is None else by_epoch[best].wer,
        best_epoch=best,
        seconds=sum(record.seconds or 0.0 for record in history),
        checkpoint=run.best if run.best.is_file() else None,
        warnings=tuple(warnings),
    )


def _sort_key(run: RunSummary) -> tuple[str, bool, float, str]:
    return run.corpus, run.best_wer is None, run.best_wer or 0.0, run.name


@dataclass(frozen=True)
class FoundCheckpoint:
    """The checkpoint file that a reference means.

    Attributes:
        path: path of the file; it may not exist if the user named a file.
        warnings: why the file may not be what the user wants.
    """

    path: Path
    warnings: tuple[str, ...] = ()


def find_checkpoint(reference: Path | None, runs_dir: Path = Path("runs")) -> FoundCheckpoint:
    """Find the checkpoint that a command line means.

    Args:
        reference: checkpoint file, run folder (its `best.pt`) or name of a model; None for the best checkpoint of the
            newest finished run.
        runs_dir: folder of the runs.

    Raises:
        UsageError: there is no such run or model, or the run has no checkpoint. The hint lists the runs.
    """
    if reference is None:
        return _find_default(runs_dir)
    run = RunFolder(reference)
    if reference.is_dir():
        if run.best.is_file():
            return FoundCheckpoint(run.best)
        reason = "the run has no best.pt yet" if run.config.is_file() else "not a run: no best.pt in it"
        raise UsageError(f"{reference}: {reason}", _describe_runs(runs_dir))
    is_path = reference.exists() or len(reference.parts) > 1 or reference.suffix in _CHECKPOINT_SUFFIXES
    if is_path:
        return FoundCheckpoint(reference)  # reading it reports a missing file
    raise UsageError(f"{reference}: no checkpoint file, run folder or model of this name", _describe_runs(runs_dir))


def find_default_checkpoints(runs_dir: Path) -> list[Path]:
    """Return the `best.pt` of all finished runs, newest first; empty if no run is finished."""
    return [path for path in _best_checkpoints(runs_dir) if _state(RunFolder(path.parent)) is None]


def _find_default(runs_dir: Path) -> FoundCheckpoint:
    """Find the best checkpoint of the newest finished run, or else of the newest unfinished run."""
    checkpoints = _best_checkpoints(runs_dir)
    if not checkpoints:
        raise UsageError(
            f"{runs_dir}: no run with a checkpoint",
            "use --checkpoint FILE, or train a network: cslr quickstart, cslr train",
        )
    states = {}
    for path in checkpoints:
        states[path] = _state(RunFolder(path.parent))
        if states[path] is None:
            return FoundCheckpoint(path)
    newest = checkpoints[0]
    warning = f"{newest.parent}: the run is not finished ({states[newest]}), and {runs_dir} has no finished run"
    return FoundCheckpoint(newest, (warning,))


def _best_checkpoints(runs_dir: Path) -> list[Path]:
    """Return the `best.pt` of all runs, the one written last first."""
    return sorted(runs_dir.glob("*/best.pt"), key=lambda path: path.stat().st_mtime, reverse=True)


def _state(run: RunFolder) -> str | None:
    """Return None if a run is finished, otherwise how far it is."""
    if not run.config.is_file():
        return f"no {run.config.name}"
    try:
        summary = summarize_run(run)
    except CslrError as error:
        return error.message
    return None if summary.finished else summary.state


def _describe_runs(runs_dir: Path) -> str:
    """Return a hint that lists the runs with a checkpoint, newest first."""
    runs = [str(path.parent) for path in _best_checkpoints(runs_dir)]
    if not runs:
        return f"{runs_dir} has no run with a checkpoint; train a network: cslr quickstart, cslr train"
    more = f" and {len(runs) - _RUNS_NAMED} more: cslr runs" if len(runs) > _RUNS_NAMED else ""
    return f"use a checkpoint file or one of the runs: {', '.join(runs[:_RUNS_NAMED])}{more}"


def describe_checkpoint(path: Path, checkpoint: Checkpoint) -> str:
    """Describe a checkpoint in one line: path, run, corpus, epoch and WER on dev."""
    facts = [f"run {path.absolute().parent.name}"] if RunFolder(path.parent).config.is_file() else []
    facts += [f"corpus {checkpoint.corpus.name}", f"epoch {checkpoint.epoch}"]
    wer = checkpoint.dev_wer
    facts.append("dev WER unknown" if wer is None else f"dev WER {wer:.1f} %")
    return f"{path} ({', '.join(facts)})"


def wer_warning(path: Path, checkpoint: Checkpoint) -> str | None:
    """Return a warning if the network of a checkpoint makes too many errors to be useful; else None."""
    wer = checkpoint.dev_wer
    if wer is None or wer <= MAX_USEFUL_WER:
        return None
    return f"{path}: the network has a WER of {wer:.1f} % on dev; expect mostly wrong glosses"
