"""Draw a contact sheet: frames of some clips of each split, with their names and glosses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import MediaError
from cslr_cli.files import atomic_file
from cslr_cli.media.frames import open_frames

_CLIPS = {"train": 10, "dev": 5, "test": 5}  # per sheet
_FRAMES = 8  # per clip, from its first to its last
_SIDE = 112  # of a frame, pixels
_DPI = 100
_LABEL_INCHES = 0.28
_MAX_LABEL = 110  # characters above a clip


def draw_contact_sheet(corpus: PreparedCorpus, output: Path, font_families: Sequence[str] = ()) -> int:
    """Draw frames of some clips of each split, spread over its manifest.

    Args:
        corpus: the prepared corpus.
        output: picture file to write; it appears only when it is complete.
        font_families: fonts for the glosses, in order; none for matplotlib's default.

    Returns:
        The number of clips on the sheet.

    Raises:
        DataError: the corpus has no frames.
    """
    from matplotlib.figure import Figure

    rows: list[tuple[str, NDArray[np.uint8]]] = []
    for split in corpus.splits:
        for sample in _spread(corpus.samples(split), _CLIPS[split]):
            rows.append((f"{split}: {sample.sample_id}   {' '.join(sample.glosses)}", _strip(corpus, sample)))
    width = _FRAMES * _SIDE / _DPI
    row_height = _SIDE / _DPI + _LABEL_INCHES
    height = row_height * max(1, len(rows))
    figure = Figure(figsize=(width, height), dpi=_DPI)
    for place, (label, strip) in enumerate(rows):
        bottom = 1 - (place + 1) * row_height / height
        axes = figure.add_axes((0, bottom, 1, _SIDE / _DPI / height))
        axes.imshow(strip, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        text = label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"
        top = bottom + (_SIDE / _DPI + 0.06) / height
        figure.text(0.005, top, text, fontsize=8, va="bottom", parse_math=False, family=list(font_families) or None)
    with warnings.catch_warnings(), atomic_file(output) as unfinished:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box is drawn for a character that no font has
        figure.savefig(unfinished)
    return len(rows)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Choose some samples, evenly spread."""
    if len(samples) <= count:
        return list(samples)
    return [samples[round(place)] for place in np.linspace(0, len(samples) - 1, count)]


def _strip(corpus: PreparedCorpus, sample: Sample) -> NDArray[np.uint8]:
    """Return frames of a clip side by side, uint8 (H, W, 3), RGB; grey if it cannot be read."""
    strip = np.full((_SIDE, _FRAMES * _SIDE, 3), 128, np.uint8)
    path = corpus.frames_path(sample)
    try:
        source = open_frames(path)
        chosen = np.linspace(0, source.num_frames - 1, _FRAMES).round().astype(np.int64)
        for place, frame in enumerate(source.iterate(chosen)):
            left = place * _SIDE
            strip[:, left : left + _SIDE] = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    except MediaError:
        pass  # `inspect_corpus` reports it
    return strip
