"""Draws losses, learning rate and WER over the epochs."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cslr_cli.files import atomic_file
from cslr_cli.palette import BLUE, GREEN, RED
from cslr_cli.training.monitoring.epoch_record import EpochRecord

# Labels and colours of the losses, in the order of the legend.
_LOSSES = {
    "loss": ("total", "#222222"),
    "sequence_ctc": ("CTC, sequence", BLUE),
    "conv_ctc": ("CTC, convolution", RED),
    "distillation": ("distillation", GREEN),
    "lifting_update": ("lifting, update", "#8a6fb0"),
    "lifting_prediction": ("lifting, prediction", "#b08a3e"),
}
_HEADS = {"wer": ("sequence", BLUE), "conv_wer": ("convolution", RED)}
_DPI = 100


def draw_curves(history: Sequence[EpochRecord], path: Path) -> None:
    """Draw the figures of the epochs, at least one, to a PNG file, which appears only when it is complete."""
    # Imported here, because it takes a while. Not pyplot, which keeps every figure until it is closed.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), dpi=_DPI)
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.15, top=0.9, wspace=0.3)
    losses, rate, wer = figure.subplots(1, 3)
    _draw_losses(losses, history)
    _draw_rate(rate, history)
    _draw_wer(wer, history)
    for axes in (losses, rate, wer):
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, max(record.epoch for record in history) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    with atomic_file(path) as unfinished:
        figure.savefig(unfinished, format="png")
    # A figure and its parts refer to each other. Without a collection here, several of them would be in memory
    # at a time, and the memory of the process would grow over the epochs.
    del figure, losses, rate, wer, axes
    gc.collect()


def _draw_losses(axes: Any, history: Sequence[EpochRecord]) -> None:
    axes.set_title("loss, mean over the epoch")
    for name, (label, colour) in _LOSSES.items():
        _draw_line(axes, history, name, label, colour)
    _add_legend(axes)


def _draw_rate(axes: Any, history: Sequence[EpochRecord]) -> None:
    axes.set_title("learning rate at the epoch's end")
    axes.set_yscale("log")
    _draw_line(axes, history, "lr", "", "#222222")


def _draw_wer(axes: Any, history: Sequence[EpochRecord]) -> None:
    axes.set_title("WER on dev, %")
    for name, (label, colour) in _HEADS.items():
        _draw_line(axes, history, name, label, colour)
    evaluated = [(record.wer, record.epoch) for record in history if record.wer is not None]
    if not evaluated:
        axes.text(0.5, 0.5, "not evaluated yet", ha="center", va="center", transform=axes.transAxes)
        return
    wer, epoch = min(evaluated, key=lambda point: point[0])
    axes.plot(epoch, wer, "o", markersize=9, markerfacecolor="none", color="#222222", clip_on=False)
    axes.annotate(f"{wer:.1f}", (epoch, wer), xytext=(0, 9), textcoords="offset points", ha="center")
    axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))
    _add_legend(axes)


def _draw_line(axes: Any, history: Sequence[EpochRecord], name: str, label: str, colour: str) -> None:
    """Draw a figure over the epochs that have it: some losses start in a later epoch."""
    values = [(record.epoch, record.to_dict().get(name)) for record in history]
    # A checkpoint of another version may have something else than a number under this name.
    points = [(epoch, value) for epoch, value in values if isinstance(value, int | float)]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, color=colour, marker="o", markersize=3, linewidth=1.4)


def _add_legend(axes: Any) -> None:
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)
