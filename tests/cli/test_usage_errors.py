"""Wrong command lines: what the message says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from tests.cli.conftest import Command

GROUP: Any = get_command(app)
COMMANDS = sorted(GROUP.commands)
TYPED = [
    (name, parameter)
    for name in COMMANDS
    for parameter in GROUP.commands[name].params
    if re.search(r"int|float|Literal", str(getattr(getattr(parameter, "type_descriptor", None), "annotation", "")))
]


def message(stderr: str) -> str:
    """The text in the frame of an error."""
    return " ".join(line.strip("│ ") for line in stderr.splitlines() if line.startswith("│"))


@pytest.mark.parametrize(("command", "parameter"), TYPED, ids=[f"{name} {each.opts[0]}" for name, each in TYPED])
def test_a_wrong_value_is_reported_with_the_value_and_what_is_expected(
    command: str, parameter: Any, cslr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    arguments = ["x"] * sum(
        each.param_type_name == "argument" and each.required for each in GROUP.commands[command].params
    )
    outcome = cslr(command, *arguments, parameter.opts[0], "fp8")
    assert (outcome.status, outcome.stdout) == (2, "")
    said = message(outcome.stderr)
    assert re.search(rf"'{parameter.opts[0]}': 'fp8' is not (one of .+|a (whole )?number.*)$", said), said
    assert "Value error" not in said
    assert "Input should" not in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["predict", "v", "--nbest", "0"], "'0' is not a whole number of 1 or more"),
        (["demo", "--port=70000"], "'70000' is not a whole number from 1 to 65535"),
        (["predict", "v", "--lm-weight", "-1"], "'-1' is not a number of 0 or more"),
    ],
)
def test_a_number_outside_its_limits_is_reported_with_the_limits(
    given: list[str], expected: str, cslr: Command
) -> None:
    outcome = cslr(*given)
    assert outcome.status == 2
    assert message(outcome.stderr).endswith(expected)


TAKES_FILES = [
    name for name in COMMANDS if any(each.param_type_name == "argument" for each in GROUP.commands[name].params)
]


@pytest.mark.parametrize("name", ["-take.mp4", "-hello.mp4", "--take.mp4", "-1.pt"])
@pytest.mark.parametrize("command", TAKES_FILES)
def test_a_file_that_begins_with_a_dash_gets_a_hint(
    command: str, name: str, cslr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    outcome = cslr(command, name)
    assert outcome.status == 2
    assert f"No such option: {name}" in outcome.stderr
    assert f"write ./{name}, or put -- before it" in outcome.stderr


def test_a_mistyped_option_gets_no_hint_about_files(cslr: Command) -> None:
    outcome = cslr("predict", "talk.mp4", "--precison", "fp32")
    assert outcome.status == 2
    assert "--precision" in outcome.stderr
    assert "hint" not in outcome.stderr


def test_a_file_that_begins_with_a_dash_is_used_behind_two_dashes(
    cslr: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("-best.pt").write_bytes(trained.read_bytes())
    for arguments in (["--", "-best.pt"], ["./-best.pt"]):
        assert cslr("inspect", *arguments).status == 0
