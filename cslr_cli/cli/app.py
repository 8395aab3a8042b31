"""The Typer app: the commands, and what happens to errors on their way to the screen.

Nothing here or in the commands' modules imports torch before a command runs: help is there at once.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from typing import Annotated

import typer

from cslr_cli.cli import (
    cam,
    convert,
    demo,
    evaluate,
    features,
    inspect,
    predict,
    prepare,
    quickstart,
    runs,
    score,
    train,
)
from cslr_cli.cli.console import print_error
from cslr_cli.errors import CslrError
from cslr_cli.version import __version__

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended

_GOES_ON = "what is finished stays, and the same command goes on from there"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Continuous sign language recognition: a video of signing in, glosses with times out.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cslr {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Continuous sign language recognition: a video of signing in, glosses with times out."""


def _add(name: str, function: Callable[..., None], after_interruption: str = "") -> None:
    """Make a command of a function; what goes wrong becomes a message and a status, never a traceback.

    Args:
        name: of the command.
        function: parses its options and does its work.
        after_interruption: what to tell who has pressed Ctrl-C; the function may know better, and say
            it in its KeyboardInterrupt.
    """

    @functools.wraps(function)
    def command(*args: object, **options: object) -> None:
        try:
            function(*args, **options)
        except CslrError as error:
            print_error(str(error))
            raise typer.Exit(error.exit_status) from error
        except UnicodeEncodeError as error:
            lacking = ascii(error.object[error.start : error.end])
            print_error(
                f"the output is {error.encoding}, which has no {lacking}\n"
                "  set PYTHONIOENCODING=utf-8, or write to a file"
            )
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise  # whoever read our output has had enough: nothing to tell
        except OSError as error:
            print_error(f"{error.filename or name}: {error.strerror or error}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends what is still being tidied up
            what_next = str(error) or after_interruption
            print_error("; ".join(filter(None, ["interrupted", what_next])), kind="stopped")
            raise typer.Exit(INTERRUPTED) from error

    app.command(name)(command)


# In the order of the work.
_add("quickstart", quickstart.quickstart, after_interruption=_GOES_ON)
_add("prepare", prepare.prepare, after_interruption=_GOES_ON)
_add("inspect", inspect.inspect)
_add("train", train.train)
_add("runs", runs.runs)
_add("evaluate", evaluate.evaluate)
_add("score", score.score)
_add("predict", predict.predict)
_add("cam", cam.cam)
_add("demo", demo.demo)
_add("features", features.features)
_add("convert", convert.convert)
