"""A picture of what a network sees of a source: the frame, what is cut away of it, and what comes out."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.errors import UsageError
from cslr_cli.files import whole_file
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_fit import Box
from cslr_cli.media.frame_source import Frame
from cslr_cli.palette import RED

# The frame that is shown: so long after the beginning, seconds, that the picture has become light.
_SHOWN_AFTER = 1.0
_DIMMED = 0.35
_INCHES = 4.2  # height of both pictures


def write_preview(clip: ClipReader, output: Path) -> None:
    """Write one picture: left a frame of the source, dark where the network does not look, right what it sees.

    Args:
        clip: not begun yet; it is read as far as the frame that is shown.
        output: a picture file; its suffix says the format.

    Raises:
        MediaError: the source cannot be read.
        UsageError: the suffix is none of a picture.
    """
    # Only here: it takes a while to import, and no other work needs it.
    from matplotlib.figure import Figure

    suffixes = Figure().canvas.get_supported_filetypes()
    if output.suffix.removeprefix(".").lower() not in suffixes:
        raise UsageError(f"{output}: no kind of picture has this suffix", "expected for example preview.png")
    # The last of the first frames: a clip may be shorter.
    *_, frame = islice(clip.frames(), max(1, round(_SHOWN_AFTER * clip.fps)))
    picture = clip.to_picture(frame)
    seen = clip.fit.visible_box(frame.shape[1], frame.shape[0])
    shown, left, top = _dimmed(frame, seen)
    width = shown.shape[1] / shown.shape[0]
    figure = Figure(figsize=((width + 1) * _INCHES + 0.6, _INCHES + 0.5), dpi=120)
    grid = figure.add_gridspec(1, 2, width_ratios=(width, 1), left=0.02, right=0.98, top=0.9, bottom=0.02, wspace=0.05)
    source_axes, picture_axes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    source_axes.imshow(shown)
    _outline(source_axes, seen, left, top)
    source_axes.set_title(f"the source, {frame.shape[1]}×{frame.shape[0]} pixels", fontsize=9)
    picture_axes.imshow(picture, interpolation="nearest")
    picture_axes.set_title(f"what the network sees, {picture.shape[1]}×{picture.shape[0]}", fontsize=9)
    for axes in (source_axes, picture_axes):
        axes.set_axis_off()
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(output) as unfinished:
        figure.savefig(unfinished, format=output.suffix.removeprefix(".").lower())


def _dimmed(frame: Frame, seen: Box) -> tuple[Frame, int, int]:
    """The frame, dark outside of `seen`, on black where that reaches beyond it; and where the frame lies on it."""
    height, width = frame.shape[:2]
    left, top = max(0, round(-seen.left)), max(0, round(-seen.top))
    right, bottom = max(0, round(seen.left + seen.width - width)), max(0, round(seen.top + seen.height - height))
    shown = np.zeros((top + height + bottom, left + width + right, 3), np.uint8)
    shown[top : top + height, left : left + width] = (frame * _DIMMED).astype(np.uint8)
    rows = slice(max(0, round(seen.top)), max(0, round(seen.top + seen.height)))
    columns = slice(max(0, round(seen.left)), max(0, round(seen.left + seen.width)))
    inside = frame[rows, columns]
    first_row, first_column = top + rows.start, left + columns.start
    shown[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]] = inside
    return shown, left, top


def _outline(axes: Any, seen: Box, left: int, top: int) -> None:
    from matplotlib.patches import Rectangle

    corner = (left + seen.left - 0.5, top + seen.top - 0.5)
    axes.add_patch(Rectangle(corner, seen.width, seen.height, fill=False, edgecolor=RED, linewidth=2))
