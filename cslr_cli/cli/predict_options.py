"""The options of `cslr predict`, in the panels of its help."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.cli.options import NETWORK

_VIDEO = "The video"
_RESULT = "The result"
_LONG = "Long recordings"


class FitName(str, Enum):
    """How a frame of another shape becomes the training shape."""

    crop = "crop"
    squash = "squash"
    pad = "pad"


class SplitName(str, Enum):
    """How a long recording is split."""

    auto = "auto"
    rests = "rests"
    windows = "windows"
    none = "none"


class FormatName(str, Enum):
    """How the result is written down: the names in `cslr_cli.output.formats`, which help does not import."""

    text = "text"
    glosses = "glosses"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    ctm = "ctm"
    srt = "srt"
    vtt = "vtt"
    eaf = "eaf"
    textgrid = "textgrid"


Videos = Annotated[
    list[str],
    typer.Argument(
        metavar="VIDEO",
        help="Videos, folders or zips of pictures, folders of these, patterns, - for a list on standard input; "
        "or one camera: its number, or the address of a stream.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Default: the best one of the newest run.", rich_help_panel=NETWORK),
]

# The result

Form = Annotated[
    FormatName | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"{', '.join(form.value for form in FormatName)}. Default: what the output's name says, else text.",
        rich_help_panel=_RESULT,
    ),
]
OutputPath = Annotated[
    str | None,
    typer.Option(
        "--output",
        metavar="FILE|FOLDER",
        help="Write to a file, or a file an input to a folder; else the result is printed.",
        rich_help_panel=_RESULT,
    ),
]
JsonLines = Annotated[bool, typer.Option("--json", help="As --format jsonl: a line an input.", rich_help_panel=_RESULT)]
Confidence = Annotated[
    bool,
    typer.Option(
        "--confidence",
        help="Show how sure each gloss is: behind it, or in a tier; json, csv and ctm always do.",
        rich_help_panel=_RESULT,
    ),
]
NumBest = Annotated[
    int | None, typer.Option("--nbest", min=1, help="Hypotheses to give, the best first.", rich_help_panel=_RESULT)
]
Render = Annotated[
    str | None,
    typer.Option(
        "--render",
        metavar="FILE|FOLDER",
        help="Write the video, an MP4, with captions in the picture.",
        rich_help_panel=_RESULT,
    ),
]
SaveLogits = Annotated[
    str | None,
    typer.Option(
        "--save-logits",
        metavar="FILE|FOLDER",
        help="Write both heads' logits, an .npz, for a decoder of your own.",
        rich_help_panel=_RESULT,
    ),
]
Preview = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="FILE|FOLDER",
        help="Write a picture of what the network sees of a frame.",
        rich_help_panel=_RESULT,
    ),
]

# The video

Fps = Annotated[
    float | None,
    typer.Option(
        "--fps",
        help="Frames a second, where the video says none or wrong ones. Pictures are taken to have the corpus' rate.",
        rich_help_panel=_VIDEO,
    ),
]
Start = Annotated[float | None, typer.Option("--start", help="Where to begin, seconds.", rich_help_panel=_VIDEO)]
End = Annotated[float | None, typer.Option("--end", help="Where to end, seconds.", rich_help_panel=_VIDEO)]
FitOption = Annotated[
    FitName,
    typer.Option(
        "--fit",
        help="Frames of another shape than the corpus': crop out the middle, squash, or pad with black.",
        rich_help_panel=_VIDEO,
    ),
]
MaxFrames = Annotated[
    int | None,
    typer.Option(
        "--max-frames",
        min=1,
        help="Thin longer videos out to so many frames, as the published inference does.",
        rich_help_panel=_VIDEO,
    ),
]
Live = Annotated[
    bool, typer.Option("--live", help="Let a video file play the camera, at its own pace.", rich_help_panel=_VIDEO)
]

# Long recordings

Split = Annotated[
    SplitName,
    typer.Option(
        "--split",
        help="auto: up to 30 s whole, longer ones at rests. Or always at rests, in windows, or never.",
        rich_help_panel=_LONG,
    ),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window",
        help="Seconds of a window; means --split windows. Live: the seconds that are recognised together.  "
        "[default: 10]",
        rich_help_panel=_LONG,
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option("--overlap", help="Seconds that a window shares with the next.  [default: 2]", rich_help_panel=_LONG),
]
