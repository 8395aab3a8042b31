"""With `--json`, what fails is an error object on standard output, and the message stays on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from cslr_cli import errors
from cslr_cli.errors import CslrError, ErrorKind
from tests.cli.conftest import Command


def printed(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def classes(root: type[CslrError] = CslrError) -> Iterator[type[CslrError]]:
    yield root
    for below in root.__subclasses__():
        yield from classes(below)


def test_each_kind_is_that_of_a_class() -> None:
    public = [cls for cls in classes() if cls.__module__ == errors.__name__]
    assert {cls.kind for cls in public} == set(get_args(ErrorKind))
    assert len({cls.kind for cls in public}) == len(public)


def test_predict_prints_an_object_for_each_input(cslr: Command, trained: Path, workplace: Path) -> None:
    (workplace / "broken.mp4").write_bytes(b"no video")
    clip = next(Path("prepared/synthetic/frames/test").iterdir())
    outcome = cslr("predict", "broken.mp4", clip, "missing.mp4", "--json", "--checkpoint", trained)
    assert outcome.status == 1
    broken, recognised, missing = printed(outcome.stdout)
    assert (broken["input"], broken["error"]["kind"]) == ("broken.mp4", "media")
    assert (missing["input"], missing["error"]["kind"]) == ("missing.mp4", "media")
    assert recognised["source"] == str(clip)
    for failed in (broken, missing):
        assert failed["error"]["message"] in outcome.stderr
        assert failed["schema_version"] == 1


def test_features_and_runs_name_the_input_that_failed(cslr: Command, trained: Path, workplace: Path) -> None:
    (workplace / "broken.mp4").write_bytes(b"no video")
    clip = next(Path("prepared/synthetic/frames/test").iterdir())
    outcome = cslr("features", "broken.mp4", clip, "--json", "--checkpoint", trained, "--output", "features")
    assert outcome.status == 1
    failed, written = printed(outcome.stdout)
    assert (failed["input"], failed["error"]["kind"], written["clips"]) == ("broken.mp4", "media", 1)

    torn = workplace / "runs" / "torn"
    torn.mkdir()
    (torn / "config.yaml").write_text("training: [")
    outcome = cslr("runs", "--json")
    assert outcome.status == 1
    run, failed = printed(outcome.stdout)
    assert (run["name"], failed["input"], failed["error"]["kind"]) == ("tiny", "runs/torn", "config")


@pytest.mark.parametrize(
    ("arguments", "source", "kind", "status"),
    [
        (("inspect", "nothing.pt"), "nothing.pt", "checkpoint", 1),
        (("evaluate", "nothing.pt"), "nothing.pt", "checkpoint", 1),
        (("cam", "talk.mp4", "--checkpoint", "nothing.pt"), "talk.mp4", "checkpoint", 1),
        (("score", "nothing.stm", "nothing.ctm"), None, "scoring", 1),
        (("predict", "talk.mp4"), None, "usage", 2),
        (("train", "--config", "nothing.yaml"), None, "config", 2),
        (("runs",), None, "usage", 2),
        (("prepare", "nothing"), None, "usage", 2),
        (("convert", "nothing.pt"), "nothing.pt", "usage", 2),
        (("predict", "talk.mp4", "--precision", "fp8"), None, "usage", 2),
        (("inspect",), None, "usage", 2),
    ],
)
def test_a_command_that_fails_prints_one_object(
    cslr: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    source: str | None,
    kind: ErrorKind,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cslr(*arguments, "--json")
    assert outcome.status == status
    (failed,) = printed(outcome.stdout)
    assert (failed["input"], failed["error"]["kind"]) == (source, kind)
    assert failed["error"]["message"]
    plain = cslr(*arguments)
    assert (plain.status, plain.stdout) == (status, "")
    assert plain.stderr == outcome.stderr


def test_a_signal_of_the_cluster_and_ctrl_c_are_of_one_kind() -> None:
    from cslr_cli.training.distributed.interruption import StoppedBySignalError

    assert StoppedBySignalError.kind == errors.InterruptedByUserError.kind == "stopped"
