"""Options of reading a clip: which part of it, at which rate, and how its frames are fitted. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from cslr_cli.errors import UsageError

# How a frame of other proportions gets those of the corpus' original frames.
FitMode = Literal["crop", "squash", "pad"]
# How a frame becomes a square: by other proportions, by losing its longer sides' ends, or by black edges.
Aspect = Literal["stretch", "crop", "pad"]
# How pixels are interpolated when a frame is resized.
Interpolation = Literal["lanczos", "area", "cubic", "linear"]

# Frame rate of pictures and videos that have none, frames per second.
DEFAULT_FPS: Final = 25.0

# Range of plausible frame rates, frames per second; other values are typing errors.
_MIN_FPS, _MAX_FPS = 1.0, 1000.0


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording.

    Attributes:
        start: seconds from the beginning of the recording.
        end: seconds from the beginning of the recording; None for its end.
    """

    start: float = 0.0
    end: float | None = None

    def frame_range(self, fps: float) -> tuple[int, int | None]:
        """Return the first frame at an even rate and the one after the last, None for the end; at least one frame."""
        first = round(self.start * fps)
        return first, None if self.end is None else max(first + 1, round(self.end * fps))


@dataclass(frozen=True)
class ReadOptions:
    """Which part of a source is read, and how.

    Attributes:
        fps: frame rate of the source, frames per second, where its file has none or a wrong one. Pictures and
            arrays have no rate of their own and are taken to have the corpus' rate by default.
        start: begin of the part, seconds.
        end: end of the part, seconds.
        fit: how frames get the proportions of the corpus' original frames.
        max_frames: thin a longer source out to this many evenly spaced pictures, as the published inference does
            with 360; this changes the speed of signing. None reads all.

    Raises:
        UsageError: a value is out of range; the message lists all faults.
    """

    fps: float | None = None
    start: float | None = None
    end: float | None = None
    fit: FitMode = "crop"
    max_frames: int | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.fps is not None and not _MIN_FPS <= self.fps <= _MAX_FPS:
            faults.append(
                f"{self.fps:g} frames a second: not a rate at which signing is filmed; "
                f"expected {_MIN_FPS:g} to {_MAX_FPS:g}"
            )
        start = 0.0 if self.start is None else self.start
        if not (math.isfinite(start) and start >= 0):
            faults.append(f"the start is {start:g} s; expected 0 or more")
        if self.end is not None and not (math.isfinite(self.end) and self.end > start):
            faults.append(f"the part from {start:g} s to {self.end:g} s is empty; expected an end after its start")
        if self.fit not in get_args(FitMode):
            faults.append(f"the fit is {self.fit!r}; expected one of {', '.join(get_args(FitMode))}")
        if self.max_frames is not None and self.max_frames < 1:
            faults.append(f"at most {self.max_frames} frames; expected 1 or more")
        if faults:
            raise UsageError("\n".join(faults))

    @property
    def segment(self) -> Segment | None:
        """The part that is read; None for the whole source."""
        if self.start is None and self.end is None:
            return None
        return Segment(self.start or 0.0, self.end)
