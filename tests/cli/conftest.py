"""Running the command: in this process where that is enough, in one of its own where streams and signals matter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cslr_cli.cli.app import app
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.training.loop import TrainingResult

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit status and what it wrote."""

    status: int
    stdout: str
    stderr: str


Command = Callable[..., Outcome]


@pytest.fixture
def cslr(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: `cslr("predict", video)`."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            app([str(argument) for argument in arguments], prog_name="cslr")
        written = capsys.readouterr()
        return Outcome(int(caught.value.code or 0), written.out, written.err)

    return run


def environment() -> Mapping[str, str]:
    """One thread, so that tests side by side do not crowd the cores; plain text, whatever terminal there is."""
    plain = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
    return {**plain, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}


def command_line(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "cslr_cli", *(str(argument) for argument in arguments)]


def in_a_process(*arguments: object, cwd: Path) -> Outcome:
    """Run a command as a user does."""
    done = subprocess.run(command_line(arguments), cwd=cwd, env=environment(), capture_output=True, text=True)
    return Outcome(done.returncode, done.stdout, done.stderr)


def started(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does, so that Ctrl-C reaches all of it."""
    return subprocess.Popen(
        command_line(arguments),
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def without_checkpoint_lines(stderr: str) -> list[str]:
    """Return the lines of standard error but those about the tiny network, which is far from perfect."""
    about = ("checkpoint: runs/tiny/", "warning: runs/tiny/")
    lines = [line for line in stderr.splitlines() if not line.startswith(about)]
    return [line for line in lines if "the mean confidence of the glosses is only" not in line]


@pytest.fixture
def workplace(
    tiny_corpus: PreparedCorpus, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current folder of a user who has prepared the tiny corpus, with a recipe for it in `tiny.yaml`."""
    folder = tmp_path / "workplace"
    (folder / "prepared").mkdir(parents=True)
    (folder / "prepared" / "synthetic").symlink_to(tiny_corpus.path)
    values = tiny_config.to_dict()
    del values["corpus"]["path"]
    (folder / "tiny.yaml").write_text(Config.from_dict(values, "the recipe").to_yaml())
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def trained(workplace: Path, tiny_training: TrainingResult) -> Path:
    """The same user after a training: `runs/tiny`. What comes back is the best checkpoint."""
    shutil.copytree(tiny_training.run.path, workplace / "runs" / "tiny")
    return Path("runs/tiny/best.pt")
