"""The options of `cslr predict`, in the panels of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.cli.options import NETWORK, option
from cslr_cli.media.options import FitMode
from cslr_cli.output.formats import FORMATS
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS, Segmentation, SegmentationMethod

_OUTPUT = "Output"
_VIDEO = "Video"
_LONG = "Long recordings"

Videos = Annotated[
    list[str],
    typer.Argument(
        metavar="VIDEO",
        help="Videos, folders or zip files of pictures, folders of these, patterns such as 'clips/*.mp4', or - for a "
        "list of paths on standard input. Or one camera: its number, or the address of a stream.",
    ),
]
Checkpoint = Annotated[
    Path | None, option("--checkpoint", "Checkpoint (default: the best one of the newest run).", "FILE", NETWORK)
]

# Output

Format = Annotated[
    str | None,
    option(
        "--format",
        f"Output format: {', '.join(FORMATS)} (default: by the suffix of --output, otherwise text).",
        "NAME",
        _OUTPUT,
    ),
]
OutputPath = Annotated[
    str | None,
    option(
        "--output", "File of all results, or folder for one file per input (default: standard output).", "PATH", _OUTPUT
    ),
]
JsonLines = Annotated[bool, option("--json", "Print one JSON object per input, like --format jsonl.", panel=_OUTPUT)]
Confidence = Annotated[
    bool,
    option(
        "--confidence",
        "Add the confidence of each gloss to text, subtitles and annotations. json, csv and ctm always have it.",
        panel=_OUTPUT,
    ),
]
NumBest = Annotated[
    int | None,
    option("--nbest", "Number of hypotheses per sentence, the best first (default: 1).", "N", _OUTPUT, min=1),
]
Render = Annotated[
    str | None, option("--render", "File or folder for MP4 videos with burned-in captions.", "PATH", _OUTPUT)
]
SaveLogits = Annotated[
    str | None,
    option(
        "--save-logits", "File or folder for the logits of both heads as .npz, for your own decoder.", "PATH", _OUTPUT
    ),
]
Preview = Annotated[
    str | None, option("--preview", "File or folder for pictures that show the network's input.", "PATH", _OUTPUT)
]

# Video

Fps = Annotated[
    float | None,
    option(
        "--fps",
        "Frame rate of the input in frames per second (default: the video's, or the corpus' for pictures).",
        "FPS",
        _VIDEO,
    ),
]
Start = Annotated[float | None, option("--start", "Start of the part to recognise, in seconds.", "SECONDS", _VIDEO)]
End = Annotated[float | None, option("--end", "End of the part to recognise, in seconds.", "SECONDS", _VIDEO)]
Fit = Annotated[
    FitMode,
    option(
        "--fit",
        "Conversion of frames whose aspect ratio differs from the corpus'. crop: keep the middle; pad: add "
        "black borders.",
        panel=_VIDEO,
    ),
]
MaxFrames = Annotated[
    int | None,
    option(
        "--max-frames",
        "Maximum number of frames (default: no limit). Longer videos keep N evenly spaced frames, as in the "
        "published inference.",
        "N",
        _VIDEO,
        min=1,
    ),
]
Live = Annotated[
    bool, option("--live", "Play a video file in real time, and recognise it like a camera.", panel=_VIDEO)
]

# Long recordings

Split = Annotated[
    SegmentationMethod,
    option(
        "--split",
        "Division of long recordings: at rests, into windows, or none. auto: at rests if longer than "
        f"{MAX_UNDIVIDED_SECONDS:g} s.",
        panel=_LONG,
    ),
]
Window = Annotated[
    float | None,
    option(
        "--window",
        f"Window length in seconds (default: {Segmentation.window:g}). For videos, implies --split windows.",
        "SECONDS",
        _LONG,
    ),
]
Overlap = Annotated[
    float | None,
    option(
        "--overlap",
        f"Overlap of neighbouring windows in seconds (default: {Segmentation.overlap:g}).",
        "SECONDS",
        _LONG,
    ),
]
