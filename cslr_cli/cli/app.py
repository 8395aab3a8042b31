"""All commands of `cslr`, by the panels of `cslr --help`.

No command imports torch before it runs, so that the help appears at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cslr_cli.cli import (
    cam,
    convert,
    demo,
    doctor,
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
from cslr_cli.cli.command import CommandGroup, add_command
from cslr_cli.version import __version__

_CONTINUE = "finished work is kept; run the same command again to continue"

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="`cslr help COMMAND` explains a command and its options.",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Recognise continuous sign language: turn videos into glosses with times.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cslr {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Recognise continuous sign language: turn videos into glosses with times."""


_START, _DATA, _TRAIN = "Start", "Data", "Train and evaluate"
_USE, _CHECKPOINTS = "Use a network", "Checkpoints"

# In the order of a project.
add_command(app, quickstart.quickstart, _START, after_interruption=_CONTINUE)
add_command(app, doctor.doctor, _START)
add_command(app, prepare.prepare, _DATA, after_interruption=_CONTINUE)
add_command(app, inspect.inspect, _DATA, input_option="path")
add_command(app, train.train, _TRAIN)
add_command(app, runs.runs, _TRAIN)
add_command(app, evaluate.evaluate, _TRAIN, input_option="checkpoint")
add_command(app, score.score, _TRAIN)
add_command(app, predict.predict, _USE)
add_command(app, cam.cam, _USE, input_option="video")
add_command(app, features.features, _USE)
add_command(app, demo.demo, _USE)
add_command(app, convert.convert, _CHECKPOINTS, input_option="checkpoint")
