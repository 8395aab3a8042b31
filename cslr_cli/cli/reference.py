"""The reference of all commands and options, `docs/cli.md`.

`python -m cslr_cli.cli.reference docs/cli.md` writes it. `tests/cli/test_reference.py` compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.files import write_text

_INTRODUCTION = """# Commands and options

This page is generated from the commands: `python -m cslr_cli.cli.reference docs/cli.md`. `cslr COMMAND --help`
prints the same in a terminal.

An option means the same in every command that has it. Results are printed on standard output, everything else on
standard error. The exit status is 0 after success, 1 if the work failed, 2 for a wrong command line or setting, 75
after a stop by a signal with everything saved, and 130 after Ctrl-C. Put `--` before a file whose name begins with `-`.

Options of version 0.1 with other names still work, and print a note: see
[From version 0.1 to 0.2](migration.md#options)."""


@dataclass(frozen=True)
class _Row:
    """An argument or option of a command.

    Attributes:
        name: `--device`, or the placeholder of an argument.
        value: placeholder or choices of its value; empty for a flag.
        default: value without the option, in words.
        meaning: help without the default.
        is_argument: whether it is given by its position.
    """

    name: str
    value: str
    default: str
    meaning: str
    is_argument: bool


def reference_page() -> str:
    """Return the reference as Markdown: an index of options, then one section per command."""
    group: Any = get_command(app)
    commands = {name: _rows(command) for name, command in group.commands.items()}
    parts = [_INTRODUCTION, _panels(group), "## Options and their commands", _index(commands)]
    program = [
        _row(parameter) for parameter in group.get_params(group.make_context("cslr", [], resilient_parsing=True))
    ]
    parts += ["## cslr", _rows_table("option", program)]
    for name, command in group.commands.items():
        parts += list(_section(name, command, commands[name]))
    return "\n\n".join(parts) + "\n"


def _rows(command: Any) -> list[_Row]:
    context = command.make_context(command.name, [], resilient_parsing=True)
    return [_row(parameter) for parameter in command.get_params(context) if not parameter.hidden]


def _row(parameter: Any) -> _Row:
    is_argument = parameter.param_type_name == "argument"
    text = parameter.help or ""
    stated = re.search(r" \(default: ((?:[^()]|\([^()]*\))*)\)", text)
    if parameter.required:
        default = "required"
    elif stated is not None:
        default = stated[1]
    else:
        default = "off" if getattr(parameter, "is_flag", False) else "none"
    meaning = text if stated is None else text[: stated.start()] + text[stated.end() :]
    names = ", ".join(sorted(parameter.opts, key=len, reverse=True))
    value = "" if parameter.metavar is None else str(parameter.metavar)
    return _Row(value if is_argument else names, "" if is_argument else value, default, meaning, is_argument)


def _panels(group: Any) -> str:
    """Return a table of the commands by their panels."""
    by_panel: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        summary = str(command.help).splitlines()[0]
        by_panel.setdefault(command.rich_help_panel, []).append(f"[`{name}`](#cslr-{name}): {summary}")
    return _table(["purpose", "commands"], [[panel, "<br>".join(lines)] for panel, lines in by_panel.items()])


def _index(commands: dict[str, list[_Row]]) -> str:
    """Return a table of all options: the commands that have each, by default."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for name, rows in commands.items():
        for row in rows:
            if not row.is_argument:
                found.setdefault(row.name, {}).setdefault((row.value, row.default), []).append(name)
    rows_shown = []
    for option in sorted(found):
        for (value, default), names in found[option].items():
            where = "all" if len(names) == len(commands) else ", ".join(names)
            rows_shown.append([_code(option), _code(value), default, where])
    return _table(["option", "value", "default", "commands"], rows_shown)


def _section(name: str, command: Any, rows: Sequence[_Row]) -> Iterator[str]:
    yield f"## cslr {name}"
    arguments = " ".join(row.name if row.default == "required" else f"[{row.name}]" for row in rows if row.is_argument)
    yield f"```text\n{' '.join(filter(None, ['cslr', name, '[OPTIONS]', arguments]))}\n```"
    yield str(command.help)
    arguments_shown = [row for row in rows if row.is_argument]
    if arguments_shown:
        yield _rows_table("argument", arguments_shown)
    yield _rows_table("option", [row for row in rows if not row.is_argument])
    yield "```text\n" + "\n".join(command.examples) + "\n```"


def _rows_table(title: Literal["argument", "option"], rows: Sequence[_Row]) -> str:
    if title == "argument":
        return _table([title, "default", "meaning"], [[_code(row.name), row.default, row.meaning] for row in rows])
    cells = [[_code(row.name), _code(row.value), row.default, row.meaning] for row in rows]
    return _table([title, "value", "default", "meaning"], cells)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    write_text(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/cli.md"), reference_page())
