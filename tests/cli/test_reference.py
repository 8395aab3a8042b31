"""`docs/cli.md` is what the commands are."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.cli.reference import reference_page
from tests.cli.conftest import REPOSITORY

GROUP: Any = get_command(app)
PAGE = REPOSITORY / "docs" / "cli.md"


def test_the_page_is_generated_from_the_commands() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run: python -m cslr_cli.cli.reference docs/cli.md"


def section(command: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return re.split(r"^## ", text[text.index(f"## cslr {command}\n") + 3 :], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("command", sorted(GROUP.commands))
def test_each_section_has_every_option_of_the_command_with_its_default(command: str) -> None:
    cells = [re.split(r"(?<!\\)\|", line) for line in section(command).splitlines() if line.startswith("| `")]
    rows = {row[1].strip().strip("`"): row for row in cells}
    function = next(info.callback for info in app.registered_commands if info.name == command)
    assert function is not None
    parameters = inspect.signature(function).parameters
    for parameter in GROUP.commands[command].params:
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        assert name in rows, name
        default = parameters[parameter.name].default
        stated = rows[name][-3].strip()
        if default is inspect.Parameter.empty:
            assert stated == "required"
        elif default is False:
            assert stated == "off"
        elif default is not None:
            assert stated == (f"{default:g}" if isinstance(default, float) else str(default))


def test_the_index_says_which_commands_have_an_option() -> None:
    text = PAGE.read_text(encoding="utf-8")
    index = text[text.index("## Options and their commands") : text.index("## cslr ")]
    for name, command in GROUP.commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                lines = [line for line in index.splitlines() if line.startswith(f"| `{parameter.opts[0]}` ")]
                assert any(re.search(rf"[ ,|]({name}|all)[ ,|]", line[line.rindex("| ", 0, -2) :]) for line in lines)
