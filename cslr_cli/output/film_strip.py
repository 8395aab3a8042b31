"""A film strip of a recognition: frames of the video above a time line with its glosses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.files import atomic_file
from cslr_cli.media.frame_source import Frame
from cslr_cli.output.fonts import hide_missing_glyph_warnings, plot_font_families
from cslr_cli.palette import GLOSS_COLOURS
from cslr_cli.recognition import Recognition

_NUM_FRAMES = 10
_FRAME_WIDTH = 1.05  # inches
_TIME_LINE_HEIGHT = 0.75  # inches


def draw_film_strip(frames: Iterable[Frame], recognition: Recognition, output: Path) -> None:
    """Draw evenly spaced frames of a video, and below them the recognised glosses at their times.

    Args:
        frames: uint8 (H, W, 3), RGB, the `recognition.num_frames` frames that were recognised, as the source has them.
        recognition: the recognition of these frames.
        output: a picture file; its suffix decides the format.

    Raises:
        MediaError: the frames cannot be read.
    """
    # Imported here because it takes a while and no other command needs it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    strip_frames = _select_frames(frames, recognition.num_frames)
    height, width = strip_frames[0].shape[:2]
    frame_height = _FRAME_WIDTH * height / width
    with rc_context({"font.family": plot_font_families()}):
        figure = Figure(figsize=(_NUM_FRAMES * _FRAME_WIDTH, frame_height + _TIME_LINE_HEIGHT), dpi=160)
        heights = (frame_height, _TIME_LINE_HEIGHT)
        margins = {"left": 0.01, "right": 0.99, "top": 0.99, "bottom": 0.15}
        grid = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0, **margins)
        strip, time_line = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        strip.imshow(np.concatenate(strip_frames, axis=1), extent=(0, 1, 0, 1), aspect="auto")
        strip.set_axis_off()
        _draw_time_line(time_line, recognition)
        with atomic_file(output) as unfinished, hide_missing_glyph_warnings():
            figure.savefig(unfinished)


def _select_frames(frames: Iterable[Frame], num_frames: int) -> list[Frame]:
    """Return the middle frame of each of `_NUM_FRAMES` equal parts of the frames; a short clip repeats frames."""
    middles = (np.arange(_NUM_FRAMES) + 0.5) / _NUM_FRAMES
    wanted = (middles * num_frames).astype(np.int64).tolist()
    found = {index: frame for index, frame in enumerate(frames) if index in wanted}
    return [found[index] for index in wanted]


def _draw_time_line(axes: Any, recognition: Recognition) -> None:
    for index, timed in enumerate(recognition.glosses):
        colour = GLOSS_COLOURS[index % len(GLOSS_COLOURS)]
        axes.axvspan(timed.start, timed.end, 0.15, 0.9, color=colour, linewidth=0)
        axes.text(timed.middle, 0.525, timed.gloss, color="white", ha="center", va="center", fontsize=7.5)
    axes.set_xlim(recognition.start, recognition.start + recognition.duration)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds", fontsize=7, labelpad=1)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
