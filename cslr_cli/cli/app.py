"""The commands of `cslr`, in the panels in which `cslr --help` lists them.

No command imports torch before it runs, so that help appears at once.
"""

from __future__ import annotations

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
from cslr_cli.cli.command import CommandGroup, add_command
from cslr_cli.version import __version__

_GOES_ON = "what is finished stays, and the same command goes on from there"

app = typer.Typer(
    cls=CommandGroup,
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


_START, _DATA, _TRAIN = "Start", "Data", "Train and evaluate"
_USE, _CHECKPOINTS = "Use a network", "Checkpoints"

# In the order of the work.
add_command(
    app,
    "quickstart",
    quickstart.quickstart,
    panel=_START,
    after_interruption=_GOES_ON,
    examples=("cslr quickstart", "cslr quickstart --device 0"),
)
add_command(
    app,
    "prepare",
    prepare.prepare,
    panel=_DATA,
    after_interruption=_GOES_ON,
    examples=(
        "cslr prepare phoenix2014 --source /data/phoenix2014-release",
        "cslr prepare my-corpus --manifest videos/clips.csv",
        "cslr prepare synthetic --size 72          # drawn by the program itself",
    ),
)
add_command(
    app,
    "inspect",
    inspect.inspect,
    panel=_DATA,
    examples=(
        "cslr inspect prepared/phoenix2014",
        "cslr inspect prepared/my-corpus --plot lengths.png",
        "cslr inspect runs/phoenix2014/best.pt",
    ),
)
add_command(
    app,
    "train",
    train.train,
    panel=_TRAIN,
    examples=(
        "cslr train --config phoenix2014 --device 0",
        "cslr train --config csl-daily --device 0,1 --set optimizer.lr=5e-5",
        "cslr train --resume runs/phoenix2014",
    ),
)
add_command(app, "runs", runs.runs, panel=_TRAIN, examples=("cslr runs", "cslr runs --json"))
add_command(
    app,
    "evaluate",
    evaluate.evaluate,
    panel=_TRAIN,
    examples=(
        "cslr evaluate runs/phoenix2014/best.pt",
        "cslr evaluate runs/phoenix2014/best.pt --split dev --split test --nbest 10",
        "cslr evaluate runs/phoenix2014/best.pt --lm gloss.arpa --tune-lm",
    ),
)
add_command(
    app,
    "score",
    score.score,
    panel=_TRAIN,
    examples=(
        "cslr score references.stm hypotheses.ctm --protocol phoenix2014",
        "cslr score references.stm ours.ctm theirs.ctm --output comparison",
    ),
)
add_command(
    app,
    "predict",
    predict.predict,
    panel=_USE,
    examples=(
        "cslr predict talk.mp4",
        "cslr predict *.mp4 --format srt --output subtitles/",
        "cslr predict 0                            # a webcam, live",
    ),
)
add_command(
    app,
    "cam",
    cam.cam,
    panel=_USE,
    examples=("cslr cam talk.mp4", "cslr cam talk.mp4 --method hires-cam --output cam/"),
)
add_command(
    app,
    "demo",
    demo.demo,
    panel=_USE,
    examples=("cslr demo", "cslr demo --port 8000"),
)
add_command(
    app,
    "features",
    features.features,
    panel=_USE,
    examples=(
        "cslr features talk.mp4 --output features/",
        "cslr features --corpus prepared/phoenix2014 --split dev --single-file",
    ),
)
add_command(
    app,
    "convert",
    convert.convert,
    panel=_CHECKPOINTS,
    examples=(
        "cslr convert dev_18.80.pt --vocabulary gloss_dict.npy --output corrnet.pt",
        "cslr convert corrnet.pt --to published --output published.pt",
        "cslr convert --average runs/phoenix2014 --best 5",
    ),
)
