"""Pipes, devices, sockets and folders in place of files: an error that names the path, for every option with a path."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from cslr_cli import untrusted
from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.checkpoints.published import write_published
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command

_NETWORK = "--checkpoint runs/tiny --device cpu"
_NEW_RUN = "train --config tiny.yaml --name new --device cpu"
_OWN = "prepare own --workers 1"
# `{}` stands for the special file. Videos have their own tests.
READING = (
    *("predict clip.zip --checkpoint {} --device cpu", "predict clip.zip --runs-dir {}"),
    f"predict clip.zip {_NETWORK} --lm {{}}",
    "predict clip.zip --checkpoint published.pt --vocabulary {}",
    *(f"cam --sample x {_NETWORK} --corpus {{}}", "cam clip.zip --checkpoint {}"),
    *(f"features {_NETWORK} --corpus {{}}", "features clip.zip --checkpoint {}"),
    *("evaluate {}", "evaluate runs/tiny --corpus {}", "evaluate runs/tiny --lm {}"),
    "evaluate published.pt --vocabulary {} --corpus prepared/synthetic",
    *("train --config {}", f"{_NEW_RUN} --corpus {{}}", f"{_NEW_RUN} --runs-dir {{}}", "train --resume {}"),
    f"{_NEW_RUN} --set model.width=64 --set model.pretrained=true --backbone-weights {{}}",
    *(f"{_NEW_RUN} --init-weights {{}}", f"{_NEW_RUN} --init-weights published.pt --vocabulary {{}}"),
    *(f"{_OWN} --manifest {{}}", "prepare phoenix2014 --source {}", f"{_OWN} --manifest clips.csv --output {{}}"),
    f"{_OWN} --manifest clips.csv --no-frames --frame-counts {{}}",
    *("prepare csl --annotations {} --source empty", "prepare csl --references {} --source empty"),
    *("inspect {}", "inspect prepared/synthetic --config {}", "runs --runs-dir {}"),
    *("score {} a.ctm", "score a.stm {}", "score a.stm a.ctm {}", "score a.stm a.ctm --corpus {}"),
    *("convert {} --vocabulary a.txt --output new.pt", "convert published.pt --vocabulary {} --output new.pt"),
    *("convert --average {}", "demo {}", "demo --example {}", "demo --runs-dir {}"),
)
WRITING = (
    *(f"predict clip.zip {_NETWORK} --output {{}} --format srt", f"predict clip.zip {_NETWORK} --render {{}}"),
    *(f"predict clip.zip {_NETWORK} --strip {{}}", f"predict clip.zip {_NETWORK} --preview {{}}"),
    f"predict clip.zip {_NETWORK} --save-logits {{}}",
    *(f"cam clip.zip {_NETWORK} --output {{}}", f"features clip.zip {_NETWORK} --output {{}}"),
    *("evaluate runs/tiny --output {}", "score a.stm a.ctm --output {}", "inspect prepared/synthetic --plot {}"),
    "convert published.pt --vocabulary a.txt --output {}",
)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.fixture
def place(
    trained: Path, tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with valid files, so that only the special one is wrong, and 60 seconds for each command."""
    write_published(tiny_checkpoint, Path("published.pt"))
    Path("clip.zip").symlink_to(tiny_corpus.frames_path(tiny_corpus.samples("test")[0]))
    Path("empty").mkdir()
    for name, text in (
        ("a.stm", "c 1 anna 0 1 HAUS\n"),
        ("a.ctm", "c 1 0 1 HAUS\n"),
        ("a.txt", "".join(f"{gloss}\n" for gloss in tiny_checkpoint.vocabulary.glosses)),
        ("clips.csv", "path,glosses,split\nclip.zip,HAUS,train\n"),
    ):
        Path(name).write_text(text)
    monkeypatch.setattr(untrusted, "_WRITER_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def _in_time() -> object:
    """End a command that waits for ever."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the command hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


OTHERS = (make_socket, make_link_to_device, make_link_to_itself)
# A pipe for every option, and one of the others.
CASES = [
    (command, make)
    for number, command in enumerate(READING)
    for make in (make_pipe, OTHERS[number % len(OTHERS)])
]  # fmt: skip


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("command", "make"), CASES)
def test_a_special_file_is_an_error_that_names_it(cslr: Command, command: str, make: Callable[[Path], None]) -> None:
    make(Path("special"))
    outcome = cslr(*command.format("special").split())
    assert outcome.status in (1, 2)
    assert "error: " in outcome.stderr
    assert "special" in outcome.stderr
    assert "Errno" not in outcome.stderr


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", WRITING)
@pytest.mark.parametrize("make", [make_pipe, make_link_to_device])
def test_a_special_file_is_not_replaced_by_a_result(cslr: Command, command: str, make: Callable[[Path], None]) -> None:
    path = Path("special.png" if "--plot" in command else "special.pt" if "convert" in command else "special.srt")
    make(path)
    before = path.lstat()
    outcome = cslr(*command.format(path).split(), "--overwrite")
    assert outcome.status in (1, 2)
    assert str(path) in outcome.stderr
    assert path.lstat().st_ino == before.st_ino
