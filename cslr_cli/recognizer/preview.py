"""Write a preview: a picture that shows which part of a source the network sees."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.errors import UsageError
from cslr_cli.files import atomic_file
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_fit import Box
from cslr_cli.media.frame_source import Frame
from cslr_cli.palette import RED

# Time of the frame that is shown, seconds: after a fade-in.
_FRAME_TIME = 1.0
_DIMMING = 0.35  # factor on the values outside the network's view
_HEIGHT_INCHES = 4.2  # of both pictures


def write_preview(clip: ClipReader, output: Path) -> None:
    """Write a picture: on the left a source frame, dark outside the network's view; on the right the network's input.

    Args:
        clip: reader of which nothing has been read; it is read up to the frame that is shown.
        output: picture file to write; its suffix determines the format.

    Raises:
        MediaError: the source cannot be read.
        UsageError: unknown picture format.
    """
    # Imported here because it is slow to import.
    from matplotlib.figure import Figure

    suffixes = Figure().canvas.get_supported_filetypes()
    if output.suffix.removeprefix(".").lower() not in suffixes:
        raise UsageError(f"{output}: unknown picture format", "use for example preview.png")
    # The last frame of a shorter clip.
    *_, frame = islice(clip.frames(), max(1, round(_FRAME_TIME * clip.fps)))
    picture = clip.fit.to_picture(frame)
    seen = clip.fit.visible_box(frame.shape[1], frame.shape[0])
    shown, left, top = _dim_outside(frame, seen)
    width = shown.shape[1] / shown.shape[0]
    figure = Figure(figsize=((width + 1) * _HEIGHT_INCHES + 0.6, _HEIGHT_INCHES + 0.5), dpi=120)
    grid = figure.add_gridspec(1, 2, width_ratios=(width, 1), left=0.02, right=0.98, top=0.9, bottom=0.02, wspace=0.05)
    source_axes, picture_axes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    source_axes.imshow(shown)
    _draw_outline(source_axes, seen, left, top)
    source_axes.set_title(f"source, {frame.shape[1]}×{frame.shape[0]} pixels", fontsize=9)
    picture_axes.imshow(picture, interpolation="nearest")
    picture_axes.set_title(f"network input, {picture.shape[1]}×{picture.shape[0]}", fontsize=9)
    for axes in (source_axes, picture_axes):
        axes.set_axis_off()
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output) as unfinished:
        figure.savefig(unfinished, format=output.suffix.removeprefix(".").lower())


def _dim_outside(frame: Frame, seen: Box) -> tuple[Frame, int, int]:
    """Return the frame, dark outside of `seen` and extended with black to it, and the frame's left and top in it."""
    height, width = frame.shape[:2]
    left, top = max(0, round(-seen.left)), max(0, round(-seen.top))
    right, bottom = max(0, round(seen.left + seen.width - width)), max(0, round(seen.top + seen.height - height))
    shown = np.zeros((top + height + bottom, left + width + right, 3), np.uint8)
    shown[top : top + height, left : left + width] = (frame * _DIMMING).astype(np.uint8)
    rows = slice(max(0, round(seen.top)), max(0, round(seen.top + seen.height)))
    columns = slice(max(0, round(seen.left)), max(0, round(seen.left + seen.width)))
    inside = frame[rows, columns]
    first_row, first_column = top + rows.start, left + columns.start
    shown[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]] = inside
    return shown, left, top


def _draw_outline(axes: Any, seen: Box, left: int, top: int) -> None:
    from matplotlib.patches import Rectangle

    corner = (left + seen.left - 0.5, top + seen.top - 0.5)
    axes.add_patch(Rectangle(corner, seen.width, seen.height, fill=False, edgecolor=RED, linewidth=2))
