"""Plots of clip lengths and gloss frequencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.corpora.inspection.corpus_inspection import CorpusInspection
from cslr_cli.errors import UsageError
from cslr_cli.files import atomic_file
from cslr_cli.palette import BLUE, GREEN, RED

_COLOURS = {"train": BLUE, "dev": RED, "test": GREEN}
_NUM_BINS = 40


def check_plot_name(output: Path) -> None:
    """Raise a UsageError if the suffix of a file name is not a picture format that can be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    formats = FigureCanvasAgg.get_supported_filetypes()
    if output.suffix.lower().lstrip(".") not in formats:
        endings = ", ".join(f".{name}" for name in sorted(formats))
        raise UsageError(f"{output}: unknown picture format", f"use a name that ends in one of {endings}")


def draw_plots(inspection: CorpusInspection, output: Path) -> None:
    """Draw a histogram of clip lengths and a curve of gloss frequencies."""
    # Imported here because it is slow.
    from matplotlib.figure import Figure

    check_plot_name(output)
    figure = Figure(figsize=(11, 4), dpi=150, layout="constrained")
    lengths, frequencies = figure.subplots(1, 2)
    _draw_lengths(lengths, inspection)
    _draw_frequencies(frequencies, inspection)
    figure.suptitle(inspection.info.name)
    with atomic_file(output) as unfinished:
        figure.savefig(unfinished)


def _draw_lengths(axes: Any, inspection: CorpusInspection) -> None:
    seconds = {
        split: np.array(contents.lengths) / inspection.info.fps
        for split, contents in inspection.splits.items()
        if contents.lengths
    }
    axes.set_xlabel("clip length (seconds)")
    axes.set_ylabel("clips")
    if not seconds:
        axes.set_title("frames not counted")
        return
    edges = np.linspace(0, max(values.max() for values in seconds.values()), _NUM_BINS + 1)
    axes.hist(
        list(seconds.values()),
        bins=edges,
        stacked=True,
        label=list(seconds),
        color=[_COLOURS[split] for split in seconds],
    )
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def _draw_frequencies(axes: Any, inspection: CorpusInspection) -> None:
    from matplotlib.ticker import LogFormatter

    axes.set_xlabel("glosses of the split, most frequent first")
    axes.set_ylabel("occurrences")
    axes.set_yscale("log")
    for split, contents in inspection.splits.items():
        counts = sorted(contents.gloss_counts.values(), reverse=True)
        axes.step(np.arange(1, len(counts) + 1), counts, label=split, color=_COLOURS[split])
    axes.yaxis.set_major_formatter(LogFormatter())  # 100, not 10²
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    axes.legend()
