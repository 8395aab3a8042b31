"""Draws training frames as the network sees them: cropped, augmented and resized."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.files import atomic_file

_NUM_FRAMES = 8
_COLUMNS = 4
_SIDE_INCHES = 2.5  # of a frame
_LABEL_INCHES = 0.3
_DPI = 100
_MAX_LABEL = 34  # characters under a frame


def draw_augmentations(dataset: ClipDataset, keys: Iterable[ClipKey], path: Path) -> None:
    """Draw the middle frames of the first training clips to a PNG file.

    The random choices of a clip follow from its key, so drawing it here does not change the training.

    Args:
        dataset: the training clips.
        keys: keys of at least eight clips, in the order of the training.
        path: file to write; it appears only when it is complete.

    Raises:
        CslrError: a clip cannot be read.
        OSError: the file cannot be written.
    """
    # Imported here, because it takes a while. Not pyplot, which keeps every figure until it is closed.
    from matplotlib.figure import Figure

    data, size = dataset.config, dataset.corpus.frame_size
    rows = _NUM_FRAMES // _COLUMNS
    height = rows * (_SIDE_INCHES + _LABEL_INCHES) + _LABEL_INCHES
    figure = Figure(figsize=(_COLUMNS * _SIDE_INCHES, height), dpi=_DPI)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=_LABEL_INCHES / height, top=1 - _LABEL_INCHES / height)
    figure.subplots_adjust(wspace=0.02, hspace=_LABEL_INCHES / _SIDE_INCHES)
    for axes, key in zip(figure.subplots(rows, _COLUMNS).flat, islice(keys, _NUM_FRAMES), strict=True):
        axes.imshow(dataset.read_middle_frame(key), interpolation="nearest")
        axes.set_axis_off()
        name = dataset.samples[key.index].sample_id
        label = name if len(name) <= _MAX_LABEL else f"…{name[1 - _MAX_LABEL :]}"
        axes.text(0.5, -0.02, label, transform=axes.transAxes, ha="center", va="top", fontsize=7)
    resized = f", resized to {data.input_size}" if data.input_size != data.crop_size else ""
    title = f"Training frames as the network sees them: crop of {data.crop_size} of {size} pixels{resized}"
    figure.text(0.5, 1 - _LABEL_INCHES / 2 / height, title, ha="center", va="center", fontsize=9)
    with atomic_file(path) as unfinished:
        figure.savefig(unfinished, format="png")
    del figure, axes  # they refer to each other, as in `curves`
    gc.collect()
