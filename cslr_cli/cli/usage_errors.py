"""Errors of the command line in plain words, which do not depend on the version of Typer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cslr_cli.cli.renamed_options import RENAMED_OPTIONS
from cslr_cli.untrusted import abbreviate, escape_control_characters, shorten_lines

_PYDANTIC_PREFIX = "Value error, "  # of Typer's messages, from its version 0.26 on


def clarify_usage_error(error: Any, command: Any, arguments: Sequence[str]) -> None:
    """Rewrite the message of an error that Typer has raised for a command line.

    Args:
        error: `UsageError` of click, or of Typer's copy of click.
        command: command of the program.
        arguments: arguments of the command.
    """
    kind = type(error).__name__
    if kind == "NoSuchOption" and any(each.param_type_name == "argument" for each in command.params):
        _explain_leading_dash(error, arguments)
    elif kind == "BadParameter":
        _explain_value(error, command, arguments)
    if hasattr(error, "message"):
        error.message = escape_control_characters(shorten_lines(str(error.message)))


def _explain_leading_dash(error: Any, arguments: Sequence[str]) -> None:
    """Add how to name a file that begins with a dash, if the unknown option may be one."""
    option = str(error.option_name)
    options = [argument for argument in arguments if argument.startswith("-") and argument != "-"]
    long_names = [argument for argument in options if argument.startswith("--")]
    if option.startswith("--"):
        given = next((argument for argument in long_names if argument.partition("=")[0] == option), option)
        may_be_file = os.path.lexists(given) or bool(Path(given).suffix)
    else:  # the first unknown letter of several
        given = next((each for each in options if each not in long_names and option[1:] in each), option)
        may_be_file = True
    if may_be_file:
        error.message = (
            f"No such option: {given}\nhint: for a file whose name begins with -, write ./{given}, or put -- before it"
        )
        error.possibilities = None


def _explain_value(error: Any, command: Any, arguments: Sequence[str]) -> None:
    """Say which value is wrong, and what is expected."""
    names = [] if error.param is None else list(error.param.opts)
    names += [option.old for option in RENAMED_OPTIONS.get(command.name or "", ()) if option.new in names]
    value = _find_value(names, arguments)
    expected = None if error.param is None else _expected_value(error.param)
    if value is None or expected is None:
        error.message = str(error.message).removeprefix(_PYDANTIC_PREFIX)
    else:
        error.message = f"{abbreviate(value, 200)} is not {expected}"


def _find_value(names: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Return the last value of an option on the command line."""
    found = None
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names and equals:
            found = value
        elif argument in names and index + 1 < len(arguments):
            found = arguments[index + 1]
    return found


def _expected_value(parameter: Any) -> str | None:
    """Describe the values of an option: `one of zip, folder` or `a whole number of 1 or more`."""
    described = getattr(parameter, "type_descriptor", None) or parameter.type
    choices = getattr(described, "choices", None)
    if choices:
        return f"one of {', '.join(map(str, choices))}"
    annotation = str(getattr(described, "annotation", None) or getattr(described, "name", ""))
    noun = "a whole number" if "int" in annotation else "a number" if "float" in annotation else None
    limits = getattr(described, "parameter_info", described)
    low, high = getattr(limits, "min", None), getattr(limits, "max", None)
    if noun is None or (low is None and high is None):
        return noun
    if low is None or high is None:
        return f"{noun} of {low} or more" if high is None else f"{noun} of {high} or less"
    return f"{noun} from {low} to {high}"
