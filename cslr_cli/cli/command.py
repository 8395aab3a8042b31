"""A command of the command line: what its help shows, and what happens to its errors.

Every error becomes a message on standard error and an exit status, never a traceback.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from cslr_cli.cli.console import print_error
from cslr_cli.errors import CslrError

# Typer's name of a type (of older versions, click's) -> what the help shows for a value without a metavar of its own.
_METAVARS = {
    "int": "N",
    "integer": "N",
    "float": "NUMBER",
    "str": "TEXT",
    "text": "TEXT",
    "Path": "PATH",
    "path": "PATH",
}

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


class CommandGroup(TyperGroup):
    """The command line itself: the group of all commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            _show_plain_type(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        """The `--help` option, without a type."""
        return _show_plain_type(super().get_help_option(ctx))


class Command(TyperCommand):
    """A command whose help ends with examples.

    Attributes:
        examples: command lines, each with a comment if it needs one.
    """

    examples: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            _show_plain_type(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        """The `--help` option, without a type."""
        return _show_plain_type(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the examples."""
        super().format_help(ctx, formatter)
        if self.examples:
            _print_examples(self.examples)


def _show_plain_type(parameter: Any) -> Any:
    """Show a value by its metavar or its choices only: no `<bool>` for a flag, no `<int range>` for a number.

    The attributes that say how Typer shows a type differ between its versions.
    """
    if parameter is None:
        return None
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.metavar is None and parameter.param_type_name == "option":
        described = getattr(parameter, "type_descriptor", None) or parameter.type
        choices = [str(getattr(choice, "value", choice)) for choice in getattr(described, "choices", None) or ()]
        parameter.metavar = "|".join(choices) or _METAVARS.get(_type_name(described))
    if hasattr(parameter, "_get_number_range_help_str"):
        parameter._get_number_range_help_str = lambda: None
    if parameter.param_type_name == "argument" and hasattr(parameter, "display_type_rich"):
        parameter.display_type_rich = lambda ctx: None
    return parameter


def _type_name(described: Any) -> str:
    """The name of the type of one value, also where an option can be repeated."""
    annotation = getattr(described, "annotation", None)
    if annotation is None:
        return str(described.name).removesuffix(" range")
    (single,) = get_args(annotation)[:1] or (annotation,)
    return str(getattr(single, "__name__", ""))


def _print_examples(examples: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    panel = Panel(Text("\n".join(examples)), title="Examples", title_align="left", border_style="dim")
    Console(highlight=False).print(panel)


def with_errors_reported(function: Callable[..., None], name: str, after_interruption: str) -> Callable[..., None]:
    """Wrap a command's function so that its errors become messages.

    Args:
        function: parses its options and does its work.
        name: of the command.
        after_interruption: what to say after Ctrl-C; the function can say something else in its KeyboardInterrupt.
    """

    @functools.wraps(function)
    def command(*args: object, **options: object) -> None:
        try:
            function(*args, **options)
        except CslrError as error:
            print_error(str(error))
            raise typer.Exit(error.exit_status) from error
        except UnicodeEncodeError as error:
            missing = ascii(error.object[error.start : error.end])
            print_error(
                f"the output is {error.encoding}, which has no {missing}\n"
                "hint: set PYTHONIOENCODING=utf-8, or write to a file"
            )
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise  # the reader of our output has closed it: nothing to report
        except OSError as error:
            print_error(f"{error.filename or name}: {error.strerror or error}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C also ends the clean-up
            what_next = str(error) or after_interruption
            print_error("; ".join(filter(None, ["interrupted", what_next])), kind="stopped")
            raise typer.Exit(INTERRUPTED) from error

    return command


def add_command(
    app: typer.Typer,
    name: str,
    function: Callable[..., None],
    *,
    panel: str,
    examples: tuple[str, ...],
    after_interruption: str = "",
) -> None:
    """Add a function to an app as a command.

    Args:
        app: the command line.
        name: of the command.
        function: parses its options and does its work; its docstring is the help.
        panel: heading under which `cslr --help` lists it.
        examples: shown at the end of its help.
        after_interruption: what to say after Ctrl-C.
    """
    kind = type("Command", (Command,), {"examples": examples})
    command = with_errors_reported(function, name, after_interruption)
    app.command(name, cls=kind, rich_help_panel=panel)(command)
