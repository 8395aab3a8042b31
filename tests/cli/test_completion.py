"""Completion in a shell, through the protocol that `cslr --install-completion` sets up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cslr_cli.cli import completion
from cslr_cli.config import Config, load_config, shipped_configs
from cslr_cli.corpora.registry import CORPORA
from cslr_cli.output.formats import FORMATS
from cslr_cli.scoring import PROTOCOLS
from tests.cli.conftest import REPOSITORY, Command, environment

Complete = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a user with two corpora and three runs, one of them without a checkpoint."""
    for path in (
        *("prepared/mine/corpus.yaml", "prepared/csl/corpus.yaml", "prepared/unfinished/frames", "my-recipe.yaml"),
        *("runs/first/config.yaml", "runs/first/best.pt", "runs/first/epoch-8.pt", "runs/started/config.yaml"),
        *("trials/second/config.yaml", "trials/second/best.pt", "converted.pt", "talk.mp4"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def complete(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """The candidates for the last of the words behind `cslr`, as bash asks for them."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_CSLR_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["cslr", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        outcome = cslr()
        monkeypatch.delenv("_CSLR_COMPLETE")
        assert (outcome.status, outcome.stderr) == (0, "")
        return outcome.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pre"], ["prepare", "predict"]),
        (["help", "pre"], ["prepare", "predict"]),
        (["prepare", "csl"], ["csl", "csl-daily"]),
        (["prepare", "csl", "--interpolation", "l"], ["lanczos", "linear"]),
        (["train", "--config", "my"], ["my-recipe.yaml"]),
        (["train", "--corpus", ""], ["prepared/csl", "prepared/mine"]),
        (["train", "--resume", ""], ["runs/first", "runs/started"]),
        (["train", "--runs-dir", "trials", "--resume", ""], ["trials/second"]),
        (["evaluate", ""], ["runs/first", "converted.pt"]),
        (["evaluate", "runs/first/"], ["runs/first/best.pt", "runs/first/epoch-8.pt"]),
        (["predict", "talk.mp4", "--runs-dir", "trials", "--checkpoint", "t"], ["trials/second"]),
        (["inspect", "p"], ["prepared/csl", "prepared/mine"]),
        (["evaluate", "runs/first", "--split", "d"], ["dev"]),
        (["evaluate", "runs/first", "--split", "dev,"], ["dev,train", "dev,test"]),
        (["predict", "talk.mp4", "--format", "s"], ["srt"]),
        (["predict", "talk.mp4", "--precision", "f"], ["fp32", "fp16"]),
        (["predict", "talk.mp4", "--device", ""], ["auto", "cpu", "cuda"]),
        (["convert", "converted.pt", "--corpus", "phoenix2014-"], ["phoenix2014-si5", "phoenix2014-T"]),
        (["predict", "talk.mp4", "--split", "r"], []),  # old spellings are not offered, nor are their values
        (["predict", "ta"], []),  # so that the shell completes files
        (["predict", "talk.mp4", "--output", "ta"], []),
    ],
    ids=" ".join,
)
def test_names_are_completed(words: list[str], expected: list[str], folder: Path, complete: Complete) -> None:
    found = complete(*words)
    assert [name for name in expected if name in found] == expected
    if words[-1] != "my":
        assert found == expected


def test_configurations_are_the_shipped_ones_and_files(folder: Path, complete: Complete) -> None:
    assert complete("train", "--config", "") == [*shipped_configs(), "my-recipe.yaml"]


def test_names_that_are_listed_for_speed_are_those_of_their_owners(complete: Complete) -> None:
    assert tuple(CORPORA) == completion.CORPUS_NAMES
    assert complete("prepare", "") == list(CORPORA)
    assert complete("predict", "talk.mp4", "--format", "") == list(FORMATS)
    assert complete("score", "a", "b", "--protocol", "") == list(PROTOCOLS)


def keys() -> list[str]:
    return [f"{section}.{key}" for section, values in Config().to_dict().items() for key in values]


def test_every_setting_is_completed(complete: Complete) -> None:
    assert complete("train", "--set", "") == [f"{key}=" for key in keys()]
    changeable = [key for key in keys() if key.startswith(("data.", "decoding."))]
    assert complete("predict", "talk.mp4", "--set", "") == [f"{key}=" for key in changeable]
    assert complete("train", "--set", "optimizer.l") == ["optimizer.lr=", "optimizer.lr=0.0001"]


@pytest.mark.parametrize("key", keys())
def test_every_value_of_a_setting_can_be_given(key: str, complete: Complete) -> None:
    values = complete("train", "--set", key, "=", "")
    assert values
    assert all(f"{key}={value}" in complete("train", "--set", f"{key}={value}") for value in values)
    for value in values:
        section, name = key.split(".")
        setting = load_config("phoenix2014", [f"{key}={value}"]).to_dict()[section][name]
        assert setting == yaml.safe_load(value) or str(setting) == value


def test_bash_gets_values_behind_the_equals_sign(complete: Complete) -> None:
    assert complete("train", "--set", "training.precision", "=") == ["auto", "fp32", "bf16", "fp16"]
    assert complete("train", "--set", "training.precision", "=", "f") == ["fp32", "fp16"]
    assert complete("train", "--set", "model.name", "=", "vac") == ["vac", "vac-smkd"]
    assert complete("train", "--name", "a", "=", "f") == []


def test_zsh_and_fish_show_types_and_defaults(folder: Path, cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "cslr train --set optimizer.l")
    monkeypatch.setenv("_CSLR_COMPLETE", "complete_zsh")
    shown = cslr().stdout
    assert "optimizer.lr=" in shown
    assert "number, default 0.0001" in shown
    monkeypatch.setenv("_CSLR_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert "optimizer.lr=\tnumber, default 0.0001: learning rate" in cslr().stdout.replace("\\t", "\t")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(folder: Path) -> None:
    program = folder / "bin" / "cslr"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cslr_cli "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(_CSLR_COMPLETE=source_bash cslr)"
        COMP_WORDS=(cslr train --resume runs/f); COMP_CWORD=3
        $(complete -p cslr | sed 's/.*-F \\([^ ]*\\).*/\\1/') cslr
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    settings = {**environment(), "PATH": f"{program.parent}:{environment()['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=settings, capture_output=True, text=True, check=True)
    assert done.stdout == "runs/first\n", done.stderr


PROGRAM = """
import json, sys
from cslr_cli.__main__ import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("words", ["cslr evaluate", "cslr train --set", "cslr predict --format", "cslr prepare"])
def test_a_completion_imports_neither_torch_nor_opencv(words: str, folder: Path) -> None:
    settings = {
        **environment(),
        "_CSLR_COMPLETE": "complete_bash",
        "COMP_WORDS": f"{words} ",
        "COMP_CWORD": str(len(words.split())),
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, env=settings, capture_output=True, text=True)
    assert done.stdout.split()
    assert {"torch", "cv2", "numpy", "matplotlib"} & set(json.loads(done.stderr)) == set()
