"""The folder of a run: its configuration, environment, metrics, log and checkpoints."""

from __future__ import annotations

import json
import logging
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cslr_cli import __version__
from cslr_cli.atomic import write_text
from cslr_cli.config import Config
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.training.state import Record

LOGGER = logging.getLogger("cslr_cli")

_CONFIG_FILE = "config.yaml"


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

    @classmethod
    def create(cls, path: Path, config: Config) -> RunFolder:
        """Start a run in a new folder.

        Raises:
            UsageError: the folder is there already; nothing in it is touched.
        """
        cls.check_new(path)
        record = json.dumps(environment(), indent=2) + "\n"
        path.mkdir(parents=True)
        run = cls(path)
        write_text(run.config, config.to_yaml())  # makes it a run that can be resumed
        write_text(path / "environment.json", record)
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
        """A run to go on with, by its folder or one of its checkpoints.

        Raises:
            UsageError: there is no run.
        """
        run = cls(path.parent if path.suffix == ".pt" else path)
        if not run.config.is_file():
            there = "no such folder" if not run.path.is_dir() else f"there is no {run.config.name} in it"
            raise UsageError(f"{run.path}: no run to resume: {there}", "expected a folder that `cslr train` made")
        return run

    def write_metrics(self, history: Sequence[Record]) -> None:
        """Write the records of all epochs so far."""
        write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in history))

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Write what is logged into `train.log` as long as the block lasts, and what ended it early."""
        handler = logging.FileHandler(self.path / "train.log", encoding="utf-8")
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


def newest_run(runs_dir: Path) -> RunFolder | None:
    """The run whose `best.pt` was written last; None if there is none."""
    checkpoints = sorted(runs_dir.glob("*/best.pt"), key=lambda path: path.stat().st_mtime)
    return RunFolder(checkpoints[-1].parent) if checkpoints else None


def environment() -> dict[str, Any]:
    """Versions, hardware and the state of the source code, for the record."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "cslr": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "gpus": [torch.cuda.get_device_name(index) for index in gpus],
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package runs from; None where it was installed."""
    folder = Path(__file__).parents[2]
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
