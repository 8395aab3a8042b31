"""A film strip of a recognition: frames of the video above a time line with its glosses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.files import atomic_file
from cslr_cli.media.frames import open_frames
from cslr_cli.output.fonts import hide_missing_glyph_warnings, plot_font_families
from cslr_cli.palette import GLOSS_COLOURS
from cslr_cli.recognition import Recognition

_NUM_FRAMES = 10
_FRAME_WIDTH = 1.05  # inches
_TIME_LINE_HEIGHT = 0.95  # inches


def draw_film_strip(
    source: Path, recognition: Recognition, output: Path, reference: Sequence[str] | None = None
) -> None:
    """Draw evenly spaced frames of a video, and below them the recognised glosses at their times.

    Args:
        source: the video, or folder or zip of pictures.
        recognition: the recognition of the source.
        output: a picture file; its suffix decides the format.
        reference: the signed glosses if they are known; written below the time line.
    """
    # Imported here because it takes a while and no other command needs it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    source_frames = open_frames(source)
    # The middle frame of each of `_NUM_FRAMES` equal parts of the video.
    middles = (np.arange(_NUM_FRAMES) + 0.5) / _NUM_FRAMES
    frames = source_frames.read((middles * source_frames.num_frames).astype(np.int64))
    height, width = frames.shape[1:3]
    frame_height = _FRAME_WIDTH * height / width
    with rc_context({"font.family": plot_font_families()}):
        figure = Figure(figsize=(_NUM_FRAMES * _FRAME_WIDTH, frame_height + _TIME_LINE_HEIGHT), dpi=160)
        heights = (frame_height, _TIME_LINE_HEIGHT)
        margins = {"left": 0.01, "right": 0.99, "top": 0.99, "bottom": 0.14}
        grid = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0, **margins)
        strip, time_line = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        strip.imshow(np.concatenate(list(frames), axis=1), extent=(0, recognition.duration, 0, 1), aspect="auto")
        strip.set_axis_off()
        _draw_time_line(time_line, recognition, reference)
        with atomic_file(output) as unfinished, hide_missing_glyph_warnings():
            figure.savefig(unfinished)


def _draw_time_line(axes: Any, recognition: Recognition, reference: Sequence[str] | None) -> None:
    for index, timed in enumerate(recognition.glosses):
        colour = GLOSS_COLOURS[index % len(GLOSS_COLOURS)]
        axes.axvspan(timed.start, timed.end, 0.42, 0.92, color=colour, linewidth=0)
        axes.text(timed.middle, 0.67, timed.gloss, color="white", ha="center", va="center", fontsize=7.5)
    if reference is not None:
        axes.text(0, 0.18, f"signed: {' '.join(reference)}", ha="left", va="center", fontsize=7.5, color="#444444")
    axes.set_xlim(0, recognition.duration)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds", fontsize=7, labelpad=1)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
