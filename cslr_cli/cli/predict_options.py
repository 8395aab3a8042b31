"""The options of `cslr predict`, in the panels of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.cli.options import NETWORK
from cslr_cli.media.options import FitMode
from cslr_cli.output.formats import FORMATS
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS, Segmentation, SegmentationMethod

_VIDEO = "The video"
_RESULT = "The result"
_LONG = "Long recordings"


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

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help=f"{', '.join(FORMATS)} (default: by the suffix of --output, else text).",
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
Fit = Annotated[
    FitMode,
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
    SegmentationMethod,
    typer.Option(
        "--split",
        help=f"auto: up to {MAX_UNDIVIDED_SECONDS:g} s whole, longer ones at rests. "
        "Or always at rests, in windows, or never.",
        rich_help_panel=_LONG,
    ),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window",
        help="Seconds of a window; means --split windows. Live: the seconds that are recognised together.  "
        f"[default: {Segmentation.window:g}]",
        rich_help_panel=_LONG,
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        "--overlap",
        help=f"Seconds that a window shares with the next.  [default: {Segmentation.overlap:g}]",
        rich_help_panel=_LONG,
    ),
]
