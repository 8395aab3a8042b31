"""Options of recognition: how a long recording is divided, and how a camera is recognized. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from cslr_cli.errors import UsageError

SegmentationMethod = Literal["auto", "rests", "windows", "none"]

# Longest recording that `auto` does not divide, seconds. The longest clips of the corpora last 20 seconds.
MAX_UNDIVIDED_SECONDS: Final = 30.0
_MIN_WINDOW_SECONDS, _MIN_OVERLAP_SECONDS = 1.0, 0.2


@dataclass(frozen=True)
class Segmentation:
    """How a long recording is divided into segments.

    Attributes:
        method: `rests`: at pauses in the signing; `windows`: into windows of one length; `none`: not divided;
            `auto`: at pauses if the recording is longer than `MAX_UNDIVIDED_SECONDS`.
        window: length of a window, seconds.
        overlap: overlap of neighbouring windows, seconds.
    """

    method: SegmentationMethod = "auto"
    window: float = 10.0
    overlap: float = 2.0

    def __post_init__(self) -> None:
        methods = get_args(SegmentationMethod)
        faults = []
        if self.method not in methods:
            faults.append(f"the segmentation is {self.method!r}; expected one of {', '.join(methods)}")
        if not self.window >= _MIN_WINDOW_SECONDS:
            faults.append(f"the window is {self.window:g} s; expected {_MIN_WINDOW_SECONDS:g} s or more")
        if not _MIN_OVERLAP_SECONDS <= self.overlap <= self.window / 2:
            faults.append(f"the overlap is {self.overlap:g} s; expected {_MIN_OVERLAP_SECONDS:g} s to half a window")
        if faults:
            raise UsageError("\n".join(faults))


@dataclass(frozen=True)
class LiveOptions:
    """How a camera is recognized.

    Attributes:
        window: length of the window that is recognized, seconds; must exceed the uncertain edges.
        interval: time between two recognitions, seconds; longer on a slow machine.
        uncertain: length of the uncertain edge at both ends of the window, in which no gloss counts yet, seconds.
    """

    window: float = Segmentation.window
    interval: float = 0.5
    uncertain: float = 0.5

    def __post_init__(self) -> None:
        if not (self.interval > 0 and self.uncertain >= 0 and 2 * self.uncertain + 1 <= self.window < float("inf")):
            raise UsageError(
                f"invalid window for live recognition: {self.window:g} s",
                f"use {2 * self.uncertain + 1:g} s or more",
            )
