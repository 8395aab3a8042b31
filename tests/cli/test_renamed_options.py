"""Options of version 0.1 under their new names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.cli.renamed_options import RENAMED_OPTIONS, RenamedOption
from tests.cli.conftest import Command

GROUP: Any = get_command(app)
# What a command needs besides options, and values of options that are neither choices nor numbers.
ARGUMENTS = {"prepare": ["csl"], "predict": ["talk.mp4"], "cam": ["talk.mp4"], "features": ["talk.mp4"]}
CASES = [(command, option) for command, options in RENAMED_OPTIONS.items() for option in options]
IDS = [f"{command} {option.old}" for command, option in CASES]


def parameter(command: str, option: RenamedOption) -> Any:
    return next(each for each in GROUP.commands[command].params if option.new in each.opts)


def old_values(command: str, option: RenamedOption) -> list[str]:
    """All values of the option as users of version 0.1 wrote them; a number stands for all numbers."""
    described = getattr(parameter(command, option), "type_descriptor", None) or parameter(command, option).type
    new = list(map(str, getattr(described, "choices", None) or get_args(described) or ["25"]))
    names = {value: name for name, value in option.values.items()}
    return [names.get(value, value) for value in new]


def parsed(command: str, *arguments: str) -> dict[str, Any]:
    context = GROUP.commands[command].make_context(command, [*ARGUMENTS[command], *arguments])
    return dict(context.params)


@pytest.mark.parametrize(("command", "option"), CASES, ids=IDS)
def test_the_old_spelling_means_what_the_new_one_means(command: str, option: RenamedOption) -> None:
    for value in old_values(command, option):
        new = parsed(command, option.new, option.values.get(value, value))
        assert parsed(command, option.old, value) == new
        assert parsed(command, f"{option.old}={value}") == new


@pytest.mark.parametrize(("command", "option"), CASES, ids=IDS)
def test_the_help_shows_only_the_new_spelling(command: str, option: RenamedOption, cslr: Command) -> None:
    shown = cslr(command, "--help").stdout.replace("│", " ").split()
    assert option.new in shown
    assert option.old not in shown


@pytest.mark.parametrize(("command", "option"), CASES, ids=IDS)
def test_both_spellings_together_are_an_error(command: str, option: RenamedOption, cslr: Command) -> None:
    value = old_values(command, option)[0]
    arguments = [option.new, option.values.get(value, value), option.old, value]
    outcome = cslr(command, *ARGUMENTS[command], *arguments)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert f"{option.old} and {option.new} are the same option" in outcome.stderr


@pytest.mark.parametrize(("command", "option"), CASES, ids=IDS)
def test_one_line_on_standard_error_names_the_new_spelling(
    command: str, option: RenamedOption, cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    value = old_values(command, option)[0]
    outcome = cslr(command, *ARGUMENTS[command], option.old, value)  # fails later: there is no such video or corpus
    notes = [line for line in outcome.stderr.splitlines() if line.startswith("note: --")]
    assert notes == [option.note(value)]
    assert f"is now {option.new}" in notes[0]


def test_a_wrong_value_is_reported_with_both_spellings(cslr: Command) -> None:
    outcome = cslr("predict", "talk.mp4", "--split", "pauses")
    assert outcome.status == 2
    assert "--split is now --segment" in outcome.stderr
    assert "'--segment'" in outcome.stderr
    assert "'pauses'" in outcome.stderr
