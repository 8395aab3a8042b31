"""A picture of a recognition: frames of the video over a time line with its glosses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.files import whole_file
from cslr_cli.media.frames import open_frames
from cslr_cli.recognition import Recognition

_PICTURES = 10
_PICTURE_INCHES = 1.05  # width of one picture
_CHINESE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "SimHei")
_COLOURS = ("#2f6f9f", "#c8553d", "#3d8361", "#8a5a9e", "#b8862b")


def draw_film_strip(
    source: Path, recognition: Recognition, output: Path, reference: Sequence[str] | None = None
) -> None:
    """Draw evenly spaced frames of a video, and below them when each gloss was recognised.

    Args:
        source: the video, or folder or zip of pictures.
        recognition: what was recognised in it.
        output: a picture file; its suffix says the format.
        reference: what was signed, if that is known; written below.

    Raises:
        MediaError: the source cannot be read.
    """
    # Only here: it takes a while to import, and no other work needs it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    frames = open_frames(source)
    # The middle of each of as many equal parts of the video as there are pictures.
    places = (np.arange(_PICTURES) + 0.5) / _PICTURES
    pictures = frames.read((places * frames.num_frames).astype(np.int64))
    height, width = pictures.shape[1:3]
    picture_height = _PICTURE_INCHES * height / width
    with rc_context({"font.family": drawing_fonts()}):
        figure = Figure(figsize=(_PICTURES * _PICTURE_INCHES, picture_height + 0.95), dpi=160)
        grid = figure.add_gridspec(
            2, 1, height_ratios=(picture_height, 0.95), hspace=0, left=0.01, right=0.99, top=0.99, bottom=0.14
        )
        strip, line = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        strip.imshow(np.concatenate(list(pictures), axis=1), extent=(0, recognition.duration, 0, 1), aspect="auto")
        strip.set_axis_off()
        _draw_time_line(line, recognition, reference)
        with whole_file(output) as unfinished, boxes_for_missing_glyphs():
            figure.savefig(unfinished)


def drawing_fonts() -> list[str]:
    """Matplotlib's own font, then those of this machine that have Chinese characters: for `font.family`."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed)]


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Where no font has a gloss' characters, boxes stand in their place; a warning for each helps nobody."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


def _draw_time_line(axes: Any, recognition: Recognition, reference: Sequence[str] | None) -> None:
    for index, timed in enumerate(recognition.glosses):
        colour = _COLOURS[index % len(_COLOURS)]
        axes.axvspan(timed.start, timed.end, 0.42, 0.92, color=colour, linewidth=0)
        axes.text(
            (timed.start + timed.end) / 2, 0.67, timed.gloss, color="white", ha="center", va="center", fontsize=7.5
        )
    if reference is not None:
        axes.text(0, 0.18, f"signed: {' '.join(reference)}", ha="left", va="center", fontsize=7.5, color="#444444")
    axes.set_xlim(0, recognition.duration)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds", fontsize=7, labelpad=1)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
