"""Options of reading a clip: which segment, at which frame rate, and how frames are fitted. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from cslr_cli.errors import UsageError

# Recognition, `cslr predict --fit`: how a frame gets the proportions of the corpus' original frames before it becomes a
# square. `crop` its middle, `squash` it, or `pad` it with black.
FitMode = Literal["crop", "squash", "pad"]
# Preparation, `cslr prepare --aspect`: how a frame becomes a square. `stretch` it, as published systems do, `crop` its
# middle, or `pad` it with black. Recognition then does the same, after `FitMode`.
Aspect = Literal["stretch", "crop", "pad"]
# How pixels are interpolated when a frame is resized.
Interpolation = Literal["lanczos", "area", "cubic", "linear"]

# Frame rate of pictures and videos that have none, frames per second.
DEFAULT_FPS: Final = 25.0

# Range of plausible frame rates, frames per second.
_MIN_FPS, _MAX_FPS = 1.0, 1000.0


@dataclass(frozen=True)
class Segment:
    """A segment of a recording by its times; `cslr_cli.recognizer.rests.FrameRange` is one by its frames.

    Attributes:
        start: seconds from the beginning of the recording.
        end: seconds from the beginning of the recording; None for the end of the recording.
    """

    start: float = 0.0
    end: float | None = None

    def frame_range(self, fps: float) -> tuple[int, int | None]:
        """Return the indices of the first frame and after the last one at an even rate; at least one frame.

        The second index is None if the segment ends with the recording.
        """
        first = round(self.start * fps)
        return first, None if self.end is None else max(first + 1, round(self.end * fps))


@dataclass(frozen=True)
class ReadOptions:
    """Which segment of a source is read, and how.

    Attributes:
        fps: frame rate of the source, frames per second, for files without a rate or with a wrong one. By default,
            pictures and arrays are assumed to have the corpus' rate.
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        fit: how frames get the proportions of the corpus' original frames.
        max_frames: maximum number of frames; a longer source is thinned out to this number of evenly spaced frames,
            which changes the speed of signing. The published inference uses 360. None reads all.

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
            faults.append(f"the frame rate is {self.fps:g} frames per second; expected {_MIN_FPS:g} to {_MAX_FPS:g}")
        start = 0.0 if self.start is None else self.start
        if not (math.isfinite(start) and start >= 0):
            faults.append(f"the start is {start:g} s; expected 0 or more")
        if self.end is not None and not (math.isfinite(self.end) and self.end > start):
            faults.append(f"the end is {self.end:g} s; expected a time after the start, {start:g} s")
        if self.fit not in get_args(FitMode):
            faults.append(f"the fit is {self.fit!r}; expected one of {', '.join(get_args(FitMode))}")
        if self.max_frames is not None and self.max_frames < 1:
            faults.append(f"the maximum number of frames is {self.max_frames}; expected 1 or more")
        if faults:
            raise UsageError("\n".join(faults))

    @property
    def segment(self) -> Segment | None:
        """The segment that is read; None for the whole source."""
        if self.start is None and self.end is None:
            return None
        return Segment(self.start or 0.0, self.end)
