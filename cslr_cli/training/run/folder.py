"""The folder of a run: its configuration, environment, metrics, log and checkpoints. Needs no torch to read."""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

from cslr_cli.config import Config
from cslr_cli.documents import format_json
from cslr_cli.errors import CslrError, DataError, TrainingError, UsageError
from cslr_cli.files import relative_path, write_text
from cslr_cli.locks import lock_folder
from cslr_cli.processes import available_cores
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.monitoring.observer import LOGGER
from cslr_cli.untrusted import MAX_TEXT_BYTES, UntrustedDataError, parse_json, read_bytes, read_json
from cslr_cli.version import __version__

# The format of a run's folder; raised when an older version of cslr could not resume a run.
RUN_FORMAT = 1

_CONFIG_FILE = "config.yaml"
_EPOCH_FILE = re.compile(r"epoch-([1-9][0-9]*)\.pt")


class GpuFacts(TypedDict):
    """A GPU.

    Attributes:
        name: name of the GPU.
        memory_gib: its memory, GiB.
    """

    name: str
    memory_gib: float


class GitState(TypedDict):
    """The state of the source code.

    Attributes:
        commit: hash of the commit.
        changed_files: files that differ from the commit, as `git status --porcelain` lists them.
    """

    commit: str
    changed_files: list[str]


class EnvironmentFacts(TypedDict):
    """Versions and hardware of a training.

    Attributes:
        cslr: version of cslr.
        python: version of Python.
        torch: version of PyTorch.
        torchvision: version of torchvision.
        numpy: version of NumPy.
        opencv: version of OpenCV.
        pillow: version of Pillow.
        cuda: CUDA version of PyTorch; null without CUDA.
        cudnn: version of cuDNN; null without a GPU.
        platform: operating system.
        gpus: GPUs that PyTorch sees.
        cores: number of CPU cores that the process may use.
        threads: number of threads that PyTorch uses.
        command: command line.
        git: state of the source code; null if the package is installed without it.
    """

    cslr: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    opencv: str
    pillow: str
    cuda: str | None
    cudnn: int | None
    platform: str
    gpus: list[GpuFacts]
    cores: int
    threads: int
    command: list[str]
    git: GitState | None


class ResumptionFacts(EnvironmentFacts):
    """Versions and hardware when a training was resumed.

    Attributes:
        after_epoch: number of finished epochs.
    """

    after_epoch: int


class EnvironmentDocument(EnvironmentFacts):
    """Versions and hardware of a run, when it was started and each time it was resumed: `environment.json`.

    Attributes:
        schema_version: version of this document.
        run_format: format of the run's folder.
        corpus: name, path relative to the run, fingerprint and further facts of the corpus, as in a checkpoint.
        resumed: versions and hardware of each resumption.
    """

    schema_version: Literal[1]
    run_format: int
    corpus: NotRequired[dict[str, Any]]
    resumed: NotRequired[list[ResumptionFacts]]


@dataclass(frozen=True)
class RunFolder:
    """The folder with the files of a training, `runs/NAME`."""

    path: Path

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the lowest WER on dev."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """Checkpoint of the last save, from which a training resumes."""
        return self.path / "last.pt"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / _CONFIG_FILE

    @property
    def metrics(self) -> Path:
        """One JSON line per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def environment(self) -> Path:
        """Versions and hardware that the run was started and resumed with."""
        return self.path / "environment.json"

    @property
    def curves(self) -> Path:
        """Picture of losses, learning rate and WER over the epochs."""
        return self.path / "curves.png"

    @property
    def augmentations(self) -> Path:
        """Picture of training frames as the network sees them."""
        return self.path / "augmentations.png"

    @property
    def hypotheses(self) -> Path:
        """Folder of the best epoch's hypotheses on dev (CTM), with the references (STM)."""
        return self.path / "hypotheses"

    def epoch_file(self, epoch: int) -> Path:
        """Path of an epoch's weights; only some epochs are kept."""
        return self.path / f"epoch-{epoch}.pt"

    def epoch_files(self) -> dict[int, Path]:
        """Files of the epochs whose weights are kept, by epoch, in order."""
        found = {path: _EPOCH_FILE.fullmatch(path.name) for path in self.path.glob("epoch-*.pt")}
        return dict(sorted((int(match[1]), path) for path, match in found.items() if match))

    @classmethod
    def create(cls, path: Path, config: Config, corpus: Mapping[str, Any] | None = None) -> RunFolder:
        """Create the folder of a new run.

        Args:
            path: path of the folder.
            config: configuration of the run.
            corpus: facts about the corpus, as checkpoints store them.

        Raises:
            UsageError: the folder exists; nothing in it is changed.
            TrainingError: the folder cannot be written, and has been removed again.
        """
        cls.check_new(path)
        record = {"schema_version": 1, "run_format": RUN_FORMAT, **current_environment()}
        if corpus is not None:
            record["corpus"] = dict(corpus)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            cls.check_new(path)  # another process has just made it
            raise
        run = cls(path)
        try:
            write_text(run.config, config.to_yaml())  # makes it a run that can be resumed
            write_text(run.environment, format_json(record, indent=2) + "\n")
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)  # so that the name can be used again
            raise TrainingError(
                f"{path}: cannot be written ({error.strerror or error})",
                "free disk space or fix the permissions, then start again; or use another disk with --runs-dir",
            ) from error
        return run

    @staticmethod
    def check_new(path: Path) -> None:
        """Raise a UsageError if the folder of a new run exists."""
        if (path / _CONFIG_FILE).is_file():
            raise UsageError(
                f"{path}: a run with this name exists already",
                f"continue it with --resume {path}, or use another name with --name",
            )
        if path.exists() or path.is_symlink():
            raise UsageError(
                f"{path}: exists already and is not a run", "use another name with --name, or move it away"
            )

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """Open an existing run by its folder or one of its checkpoints.

        Raises:
            UsageError: it is not a run, or a newer version of cslr made it.
        """
        run = cls(path.parent if path.suffix == ".pt" else path)
        if not run.config.is_file():
            reason = "no such folder" if not run.path.is_dir() else f"no {run.config.name} in it"
            raise UsageError(f"{run.path}: not a run: {reason}", "use a folder that `cslr train` has made")
        recorded = run._recorded_environment()
        run_format = recorded.get("run_format", RUN_FORMAT)
        if not isinstance(run_format, int) or run_format > RUN_FORMAT:
            raise UsageError(
                f"{run.path}: run format {run_format}, but this version of cslr supports formats up to {RUN_FORMAT}",
                f"use cslr {recorded.get('cslr', '(unknown version)')}, which made the run, or a newer version",
            )
        return run

    def lock(self, command: str, hint: str = "stop it with Ctrl-C or SIGTERM") -> AbstractContextManager[None]:
        """Lock the folder against other processes that write to it; raises a LockedError.

        Args:
            command: command that writes, such as `cslr train`.
            hint: what to do if another process holds the lock, apart from waiting.
        """
        return lock_folder(self.path, command, hint)

    def recorded_corpus(self) -> dict[str, Any] | None:
        """Return the facts about the corpus that `create` got; None if there are none."""
        corpus = self._recorded_environment().get("corpus")
        return corpus if isinstance(corpus, dict) else None

    def _recorded_environment(self) -> dict[str, Any]:
        """Read `environment.json`; empty if it is missing or damaged, because training does not need it."""
        try:
            recorded = read_json(self.environment)
        except (OSError, UntrustedDataError):
            return {}
        return recorded if isinstance(recorded, dict) else {}

    def record_resumption(self, epoch: int) -> None:
        """Add the current versions and hardware, and the number of finished epochs, to `environment.json`."""
        recorded = {"schema_version": 1, "run_format": RUN_FORMAT, **self._recorded_environment()}
        resumption: ResumptionFacts = {"after_epoch": epoch, **current_environment()}
        resumed = {**recorded, "resumed": [*recorded.get("resumed", []), resumption]}
        write_text(self.environment, format_json(resumed, indent=2) + "\n")

    def read_metrics(self, on_warning: Callable[[str], None] = LOGGER.warning) -> list[EpochRecord]:
        """Read the records of the finished epochs, without a last line that was cut off while it was written.

        Args:
            on_warning: called if the last line was cut off.

        Raises:
            DataError: the file cannot be read, or a line is not a record.
        """
        if not self.metrics.is_file():
            return []
        try:
            content = read_bytes(self.metrics, max_bytes=MAX_TEXT_BYTES)
        except OSError as error:
            raise DataError(f"{self.metrics}: cannot be read ({error.strerror or error})") from error
        lines = content.decode(errors="replace").splitlines()
        if lines and not _is_json(lines[-1]):
            on_warning(f"{self.metrics}:{len(lines)}: the last line is cut off, so its epoch is ignored")
            del lines[-1]
        return [_parse_record(line, f"{self.metrics}:{number}") for number, line in enumerate(lines, start=1)]

    def write_metrics(self, history: Sequence[EpochRecord]) -> None:
        """Write the records of the finished epochs."""
        write_text(self.metrics, "".join(format_json(record.metrics_line()) + "\n" for record in history))

    def remove_epoch_files(self, keep: set[int]) -> None:
        """Remove the weights of all epochs except `keep`."""
        for epoch, path in self.epoch_files().items():
            if epoch not in keep:
                path.unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Remove the unfinished files of a killed process, each as large as a checkpoint."""
        for path in self.path.rglob(".*.unfinished*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Write the log to `train.log` for the duration of the block, and the error that ends the block."""
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


class _LogFile(logging.FileHandler):
    """A log file that drops lines if the disk is full: saving reports that."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def best_epochs(history: Sequence[EpochRecord], number: int) -> list[int]:
    """The epochs with the lowest WER on dev, best first; equal ones in their order."""
    evaluated = [(record.wer, record.epoch) for record in history if record.wer is not None]
    return [epoch for _, epoch in sorted(evaluated)[:number]]


def kept_epochs(history: Sequence[EpochRecord], *, best: int, newest: int) -> set[int]:
    """The epochs whose weights a run keeps: the `best` best ones and the `newest` newest ones."""
    epochs = [record.epoch for record in history]
    return {*best_epochs(history, best), *epochs[len(epochs) - min(newest, len(epochs)) :]}


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except UntrustedDataError:
        return False
    return True


def _parse_record(line: str, where: str) -> EpochRecord:
    expected = "each line must be the JSON object of an epoch, with its number `epoch` and its WER on dev `wer`"
    try:
        values = parse_json(line)
    except UntrustedDataError as error:
        raise DataError(f"{where}: {error.message}", expected) from error
    try:
        return EpochRecord.from_dict(values if isinstance(values, dict) else {})
    except ValueError as error:
        raise DataError(f"{where}: not an epoch record", expected) from error


def current_environment() -> EnvironmentFacts:
    """Versions, hardware and the state of the source code, for `environment.json`."""
    import cv2
    import numpy as np
    import PIL
    import torch

    return {
        "cslr": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),  # without the slow import
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "gpus": _gpus(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "command": [Path(sys.argv[0]).name, *map(_relative_argument, sys.argv[1:])],
        "git": _git_state(),
    }


def _relative_argument(argument: str) -> str:
    """Return an argument of the command line with a path relative to the current folder, also in `--name=PATH`."""
    name, equals, value = argument.rpartition("=")
    return f"{name}{equals}{relative_path(value)}" if os.path.isabs(value) else argument


def _gpus() -> list[GpuFacts]:
    """Name and memory (GiB) of each GPU that torch sees."""
    import torch

    if not torch.cuda.is_available():
        return []
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [{"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)} for gpu in found]


def _git_state() -> GitState | None:
    """Commit and changed files of the checkout that this package runs from; None if it is installed."""
    folder = Path(__file__).parents[3]
    if not (folder / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "changed_files": changes.split("\n")[:-1]}
