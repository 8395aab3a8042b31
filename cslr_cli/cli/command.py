"""The layout of a command's help, and the translation of its errors.

Every error becomes a message on standard error and an exit status, never a traceback.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from cslr_cli.cli.completion import complete_split_setting
from cslr_cli.cli.console import print_json, report_error, use_verbosity
from cslr_cli.cli.options import option
from cslr_cli.cli.renamed_options import accept_renamed_options, print_renamed_options
from cslr_cli.cli.usage_errors import clarify_usage_error
from cslr_cli.documents import error_document
from cslr_cli.errors import (
    EXIT_STOPPED,
    EXIT_USAGE,
    CslrError,
    ErrorKind,
    FileError,
    InterruptedByUserError,
    UsageError,
)

_log = logging.getLogger(__name__)

# Key of a context's `meta`: the words of the command line, of which click removes `--`.
COMMAND_LINE = "cslr_cli.command_line"

# Options of every command.
_COMMON = {
    "quiet": Annotated[bool, option("--quiet", "Print only results and errors.")],
    "verbose": Annotated[bool, option("--verbose", "Also print the debug log and the origin of errors.")],
}


class CommandGroup(TyperGroup):
    """The command line itself: the group of all commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options, ready for the help."""
        return _with_plain_help(super().get_params(ctx))

    def _main_shell_completion(self, ctx_args: Any, prog_name: str, complete_var: str | None = None) -> None:
        """Answer a shell that asks for completions; bash's words are not always those of Typer."""
        if os.environ.get(f"_{prog_name}_COMPLETE".upper()) == "complete_bash":
            words, position = os.environ.get("COMP_WORDS", "").split(), int(os.environ.get("COMP_CWORD", 0))
            values = complete_split_setting(words, position)
            if values is not None:
                print("\n".join(values))
                sys.exit(0)
        super()._main_shell_completion(ctx_args=ctx_args, prog_name=prog_name, complete_var=complete_var)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; `help COMMAND` is `COMMAND --help`."""
        if args and args[0] == "help":
            args = [*args[1:2], "--help"]
        return super().parse_args(ctx, args)


class Command(TyperCommand):
    """A command whose help ends with examples.

    Attributes:
        examples: command lines, each with a comment if necessary.
    """

    examples: tuple[str, ...] = ()

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the arguments and options, ready for the help."""
        return _with_plain_help(super().get_params(ctx))

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser of the command line, which also accepts old spellings of options."""
        parser = super().make_parser(ctx)
        accept_renamed_options(parser, ctx, self.params)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; notes about old spellings of options also explain an error in it.

        With `--json`, the error is also an error object on standard output.
        """
        given = ctx.meta[COMMAND_LINE] = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            print_renamed_options(ctx)
            clarify_usage_error(error, self, given)
            if "--json" in given and hasattr(error, "format_message"):  # a `UsageError` of click, or of typer's copy
                print_json(error_document(UsageError(error.format_message())))
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, after notes about old spellings of options."""
        if not ctx.params.get("quiet"):
            print_renamed_options(ctx)
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; required arguments have no braces."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the examples."""
        super().format_help(ctx, formatter)
        if self.examples:
            _print_examples(self.examples)


def _with_plain_help(parameters: Iterable[Any]) -> list[Any]:
    """Show each value by its metavar or its choices, and each default behind the first sentence of the help.

    Typer would print `<bool>` for a flag and `<int range>` for a number, and each default on a line of its own. The
    attributes that control this differ between its versions.
    """
    parameters = list(parameters)
    for parameter in parameters:
        is_flag = getattr(parameter, "is_flag", False)
        if is_flag:
            parameter.metavar = ""
        elif parameter.metavar is None:
            described = getattr(parameter, "type_descriptor", None) or parameter.type
            parameter.metavar = "|".join(getattr(described, "choices", None) or ()) or None
        if hasattr(parameter, "_get_number_range_help_str"):
            parameter._get_number_range_help_str = lambda: None
        if parameter.param_type_name == "argument" and hasattr(parameter, "display_type_rich"):
            parameter.display_type_rich = lambda ctx: None
        if parameter.show_default and not is_flag and parameter.default is not None and parameter.help:
            value = parameter.default
            default = f"{value:g}" if isinstance(value, float) else str(value)
            first, *others = parameter.help.removesuffix(".").split(". ", 1)
            parameter.help = ". ".join([f"{first} (default: {default})", *others]) + "."
            parameter.show_default = False
    return parameters


def _print_examples(examples: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    panel = Panel(Text("\n".join(examples)), title="Examples", title_align="left", border_style="dim")
    Console(highlight=False).print(panel)


class StoppedBySignalError(CslrError):
    """SIGTERM has stopped a command; what is finished is kept.

    Args:
        what_next: what is finished, and how to continue; may be empty.
    """

    exit_status = EXIT_STOPPED
    kind: ClassVar[ErrorKind] = "stopped"

    def __init__(self, what_next: str) -> None:
        super().__init__("; ".join(filter(None, ["stopped by SIGTERM", what_next])))


class TerminatedError(BaseException):
    """SIGTERM; not an `Exception`, which would count as the failure of an input."""


@contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    """Raise a TerminatedError on SIGTERM during the block; works only in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
        raise TerminatedError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def with_errors_reported(
    function: Callable[..., None], name: str, after_interruption: str, input_option: str | None = None
) -> Callable[..., None]:
    """Wrap a command's function so that its errors become messages, and with `--json` also error objects.

    Args:
        function: function of the command; may raise KeyboardInterrupt with a text to print.
        name: name of the command.
        after_interruption: text to print after Ctrl-C by default.
        input_option: parameter of the function with the only input of the command.
    """

    @functools.wraps(function)
    def command(*args: object, quiet: bool, verbose: bool, **options: object) -> None:
        with use_verbosity("quiet" if quiet else "verbose" if verbose else "normal"):
            if quiet and verbose:
                report_error(UsageError("--quiet and --verbose together", "remove one of them"), as_json=False)
                raise typer.Exit(EXIT_USAGE)
            run(*args, **options)

    def run(*args: object, **options: object) -> None:
        def fail(error: CslrError, kind: str = "error") -> typer.Exit:
            source = None if input_option is None else options.get(input_option)
            report_error(error, source, as_json=bool(options.get("as_json")), kind=kind)
            _log.debug("the error in detail", exc_info=error)
            return typer.Exit(error.exit_status)

        try:
            with _raise_on_sigterm():
                function(*args, **options)
        except TerminatedError as error:
            raise fail(StoppedBySignalError(after_interruption), kind="note") from error
        except CslrError as error:
            raise fail(error, kind="note" if error.kind == "stopped" else "error") from error
        except UnicodeEncodeError as error:
            missing = ascii(error.object[error.start : error.end])
            message = f"the encoding of the output, {error.encoding}, has no {missing}"
            raise fail(CslrError(message, "set PYTHONIOENCODING=utf-8, or write to a file")) from error
        except BrokenPipeError:
            raise  # the reader of the output has closed it: nothing to report
        except OSError as error:
            raise fail(FileError(f"{error.filename or name}: {error.strerror or error}")) from error
        except KeyboardInterrupt as error:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C also ends the clean-up
            what_next = str(error) or after_interruption
            stopped = InterruptedByUserError("; ".join(filter(None, ["interrupted", what_next])))
            raise fail(stopped, kind="stopped") from error

    own = inspect.signature(function, eval_str=True).parameters.values()
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=type_)
        for name, type_ in _COMMON.items()
    ]
    command.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]
    return command


def add_command(
    app: typer.Typer,
    function: Callable[..., None],
    panel: str,
    *,
    after_interruption: str = "",
    input_option: str | None = None,
) -> None:
    """Add a function to an app as the command of the same name.

    Args:
        app: the command line.
        function: function of the command; its docstring is the help, with command lines below `Examples:`.
        panel: heading of the command in `cslr --help`.
        after_interruption: text to print after Ctrl-C.
        input_option: parameter of the function with the only input of the command, for error objects.
    """
    name = function.__name__
    text, _, examples = (inspect.getdoc(function) or "").partition("\n\nExamples:\n")
    kind = type("Command", (Command,), {"examples": tuple(inspect.cleandoc(examples).splitlines())})
    command = with_errors_reported(function, name, after_interruption, input_option)
    app.command(name, cls=kind, help=text, rich_help_panel=panel)(command)
