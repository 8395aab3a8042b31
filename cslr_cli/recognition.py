"""What is recognised in a video: glosses with times, as the recognizer gives it and every format shows it."""

from __future__ import annotations

from dataclasses import dataclass

from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class Alternative:
    """One of the n-best hypotheses.

    Attributes:
        glosses: with their times.
        score: natural logarithm, as the decoder gives it.
    """

    glosses: tuple[TimedGloss, ...]
    score: float


@dataclass(frozen=True)
class Recognition:
    """What was recognised in one video.

    Attributes:
        source: where the frames came from.
        glosses: the best hypothesis: each gloss with start and end in seconds and a confidence, 0 to 1.
        score: of that hypothesis, a natural logarithm.
        num_frames: frames that the network saw.
        fps: frames a second that it saw.
        duration: seconds of signing.
        nbest: all hypotheses that were asked for, best first.
    """

    source: str
    glosses: tuple[TimedGloss, ...]
    score: float
    num_frames: int
    fps: float
    duration: float
    nbest: tuple[Alternative, ...]

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(timed.gloss for timed in self.glosses)
