"""The folder of a run: its configuration, environment, metrics, log and checkpoints."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cslr_cli.config import Config
from cslr_cli.errors import CslrError, DataError, TrainingError, UsageError
from cslr_cli.files import write_text

if TYPE_CHECKING:  # torch comes with it, and listing runs needs none
    from cslr_cli.training.run.state import Record

LOGGER = logging.getLogger("cslr_cli")

# What a run's folder holds and what it means; goes up when an older cslr could not go on with a run.
RUN_FORMAT = 1

_CONFIG_FILE = "config.yaml"
_EPOCH_FILE = re.compile(r"epoch-([1-9][0-9]*)\.pt")


@dataclass(frozen=True)
class RunFolder:
    """Where a training keeps what it makes.

    Attributes:
        path: `runs/NAME`.
    """

    path: Path

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the lowest WER on dev."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """Checkpoint of the last finished epoch; training goes on from it."""
        return self.path / "last.pt"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / _CONFIG_FILE

    @property
    def metrics(self) -> Path:
        """A JSON line for each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def environment(self) -> Path:
        """What it ran on, and what it was resumed on."""
        return self.path / "environment.json"

    @property
    def curves(self) -> Path:
        """Losses, rate and WER over the epochs, drawn."""
        return self.path / "curves.png"

    @property
    def hypotheses(self) -> Path:
        """The folder with what was recognised in the best epoch: CTM, and the references as STM."""
        return self.path / "hypotheses"

    def epoch_file(self, epoch: int) -> Path:
        """The weights after an epoch, as long as it is among those that are kept."""
        return self.path / f"epoch-{epoch}.pt"

    def epoch_files(self) -> dict[int, Path]:
        """The epochs whose weights are there, with their files, in order."""
        found = {path: _EPOCH_FILE.fullmatch(path.name) for path in self.path.glob("epoch-*.pt")}
        return dict(sorted((int(match[1]), path) for path, match in found.items() if match))

    @classmethod
    def create(cls, path: Path, config: Config) -> RunFolder:
        """Start a run in a new folder.

        Raises:
            UsageError: the folder is there already; nothing in it is touched.
            TrainingError: it cannot be written to; it is not there then.
        """
        from cslr_cli.training.run.environment import environment  # needs torch, unlike the rest here

        cls.check_new(path)
        record = {"run_format": RUN_FORMAT, **environment()}
        path.mkdir(parents=True)
        run = cls(path)
        try:
            write_text(run.config, config.to_yaml())  # makes it a run that can be resumed
            write_text(run.environment, _as_json(record))
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)  # so that its name is free when there is room
            raise TrainingError(
                f"{path}: cannot be written ({error.strerror or error})",
                "make room or mend the rights, and start it again; or choose another disk by --runs-dir",
            ) from error
        return run

    @staticmethod
    def check_new(path: Path) -> None:
        """Refuse a folder that is there already.

        Raises:
            UsageError: it is; nothing in it is touched.
        """
        if (path / _CONFIG_FILE).is_file():
            raise UsageError(
                f"{path}: a run of this name is there already",
                f"go on with it by --resume {path}, or start another one by --name",
            )
        if path.exists() or path.is_symlink():
            raise UsageError(
                f"{path}: something that is no run has this name", "choose another one by --name, or move that away"
            )

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A run that is there, by its folder or one of its checkpoints.

        Raises:
            UsageError: there is no run, or one that a newer version has made.
        """
        run = cls(path.parent if path.suffix == ".pt" else path)
        if not run.config.is_file():
            there = "no such folder" if not run.path.is_dir() else f"there is no {run.config.name} in it"
            raise UsageError(f"{run.path}: no run: {there}", "expected a folder that `cslr train` made")
        recorded = run._recorded_environment()
        run_format = recorded.get("run_format", RUN_FORMAT)
        if not isinstance(run_format, int) or run_format > RUN_FORMAT:
            raise UsageError(
                f"{run.path}: a run in format {run_format}; this version of cslr knows runs up to format {RUN_FORMAT}",
                f"it was made by cslr {recorded.get('cslr', '(unknown)')}: go on by that version or a newer one",
            )
        return run

    def _recorded_environment(self) -> dict[str, Any]:
        """What `environment.json` says; nothing, where it is gone or damaged: training can do without it."""
        try:
            recorded = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return recorded if isinstance(recorded, dict) else {}

    def record_resumption(self, epoch: int) -> None:
        """Add to `environment.json` what the run goes on with, which may be another machine.

        Args:
            epoch: epochs finished before.
        """
        from cslr_cli.training.run.environment import environment

        recorded = {"run_format": RUN_FORMAT, **self._recorded_environment()}
        resumptions = [*recorded.get("resumed", []), {"after_epoch": epoch, **environment()}]
        write_text(self.environment, _as_json({**recorded, "resumed": resumptions}))

    def read_metrics(self) -> list[Record]:
        """The records of all epochs so far; none, where no epoch has been finished.

        Raises:
            DataError: the file cannot be read, or a line is no record; it is named.
        """
        if not self.metrics.is_file():
            return []
        try:
            lines = self.metrics.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"{self.metrics}: cannot be read ({error.strerror or error})") from error
        return [_record(line, f"{self.metrics}:{number}") for number, line in enumerate(lines, start=1)]

    def write_metrics(self, history: Sequence[Record]) -> None:
        """Write the records of all epochs so far."""
        write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in history))

    def remove_epoch_files(self, keep: set[int]) -> None:
        """Remove the weights of all epochs but these."""
        for epoch, path in self.epoch_files().items():
            if epoch not in keep:
                path.unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Remove what a process was writing when it was killed: it would stay for ever, a checkpoint's size each."""
        for path in self.path.rglob(".*.unfinished*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Write what is logged into `train.log` as long as the block lasts, and what ended it early."""
        handler = _LogFile(self.path / "train.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        try:
            yield
        except BaseException as error:
            LOGGER.error("stopped: %s", error if isinstance(error, CslrError) else repr(error))
            raise
        finally:
            LOGGER.removeHandler(handler)
            handler.close()


@contextmanager
def nothing_logged() -> Iterator[None]:
    """Let what is logged go nowhere as long as the block lasts: Python would put warnings on the screen."""
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


class _LogFile(logging.FileHandler):
    """A log that does without the lines for which there is no room: a full disk is told elsewhere."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def best_checkpoints(runs_dir: Path) -> list[Path]:
    """The `best.pt` of every run, the newest first."""
    return sorted(runs_dir.glob("*/best.pt"), key=lambda path: path.stat().st_mtime, reverse=True)


def newest_run(runs_dir: Path) -> RunFolder | None:
    """The run whose `best.pt` was written last; None if there is none."""
    checkpoints = best_checkpoints(runs_dir)
    return RunFolder(checkpoints[0].parent) if checkpoints else None


def best_epochs(history: Sequence[Record], number: int) -> list[int]:
    """The epochs of lowest WER on dev, the best first; of equal ones the earlier."""
    evaluated = [record for record in history if record["wer"] is not None]
    ranked = sorted(evaluated, key=lambda record: (float(record["wer"]), int(record["epoch"])))
    return [int(record["epoch"]) for record in ranked[:number]]


def kept_epochs(history: Sequence[Record], *, best: int, newest: int) -> set[int]:
    """The epochs whose weights a run keeps: so many of the best ones, and so many of the newest."""
    epochs = [int(record["epoch"]) for record in history]
    return {*best_epochs(history, best), *epochs[len(epochs) - min(newest, len(epochs)) :]}


def _record(line: str, where: str) -> Record:
    expected = "expected a JSON object for each epoch, with its number as `epoch` and its WER on dev as `wer`"
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error})", expected) from error
    numbered = isinstance(record, dict) and isinstance(record.get("epoch"), int)
    if not numbered or not isinstance(record.get("wer", ""), int | float | None):
        raise DataError(f"{where}: not the record of an epoch", expected)
    return dict(record)


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
