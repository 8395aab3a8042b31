"""Options of reading a clip: which segment, at which frame rate, and how frames are fitted. Imports nothing heavy."""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args

from cslr_cli.errors import UsageError

# How a frame gets other proportions: `stretch` it, `crop` its middle, or `pad` it with black. In preparation
# (`cslr prepare --fit`) it becomes a square; published systems stretch it. In recognition (`cslr predict --frame-fit`)
# it first gets the proportions of the corpus' original frames, and then becomes a square as in preparation.
FitMode = Literal["stretch", "crop", "pad"]
# How pixels are interpolated when a frame is resized.
Interpolation = Literal["lanczos", "area", "cubic", "linear"]

# Frame rate of pictures and videos that have none, frames per second.
DEFAULT_FPS: Final = 25.0

# New names of the parameters of `ReadOptions` by the names of version 0.1, which go in version 1.0.
RENAMED_PARAMETERS = {"fps": "source_fps", "fit": "frame_fit"}
_Options = TypeVar("_Options")

# Range of plausible frame rates, frames per second.
MIN_FPS: Final = 1.0
MAX_FPS: Final = 1000.0


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


def _accept_old_names(cls: type[_Options]) -> type[_Options]:
    """Let a class accept its parameters' names of version 0.1, with a `DeprecationWarning`."""
    init: Any = cls.__init__

    @functools.wraps(init)
    def init_with_old_names(self: _Options, *values: Any, **named: Any) -> None:
        for old in named.keys() & RENAMED_PARAMETERS.keys():
            new = RENAMED_PARAMETERS[old]
            warnings.warn(
                f"`{old}` is now `{new}`; version 1.0 will remove the old name", DeprecationWarning, stacklevel=2
            )
            value = named.pop(old)
            named[new] = "stretch" if value == "squash" else value
        init(self, *values, **named)

    cls.__init__ = init_with_old_names  # type: ignore[assignment, method-assign]
    return cls


@_accept_old_names
@dataclass(frozen=True)
class ReadOptions:
    """Which segment of a source is read, and how.

    Attributes:
        source_fps: frame rate of the source, frames per second, for files without a rate or with a wrong one. By
            default, pictures and arrays are assumed to have the corpus' rate.
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        frame_fit: how frames get the proportions of the corpus' original frames.
        max_frames: maximum number of frames; a longer source is thinned out to this number of evenly spaced frames,
            which changes the speed of signing. The published inference uses 360. None reads all.
        stream: number of a video's stream, as `cslr inspect VIDEO` shows it; None for the default one, or else the
            largest.

    Raises:
        UsageError: a value is out of range; the message lists all faults.
    """

    source_fps: float | None = None
    start: float | None = None
    end: float | None = None
    frame_fit: FitMode = "crop"
    max_frames: int | None = None
    stream: int | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.source_fps is not None and not MIN_FPS <= self.source_fps <= MAX_FPS:
            faults.append(
                f"the frame rate is {self.source_fps:g} frames per second; expected {MIN_FPS:g} to {MAX_FPS:g}"
            )
        start = 0.0 if self.start is None else self.start
        if not (math.isfinite(start) and start >= 0):
            faults.append(f"the start is {start:g} s; expected 0 or more")
        if self.end is not None and not (math.isfinite(self.end) and self.end > start):
            faults.append(f"the end is {self.end:g} s; expected a time after the start, {start:g} s")
        if self.frame_fit not in get_args(FitMode):
            faults.append(f"the frame fit is {self.frame_fit!r}; expected one of {', '.join(get_args(FitMode))}")
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
