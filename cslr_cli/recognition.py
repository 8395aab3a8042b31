"""What is recognised in a video: glosses with times, as the recognizer gives it and every format shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cslr_cli.scoring import TimedGloss

_INSTANT = 1e-6  # seconds: what rounding makes between two sentences that meet


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
class Sentence:
    """What was recognised in one stretch of a video that the network saw by itself.

    Attributes:
        start: of the stretch, seconds in the source.
        end: of the stretch.
        nbest: the hypotheses that were asked for, best first, at least one.
        conv_glosses: the best hypothesis of the temporal convolution's head, which sees a second or so
            around each step and not, as the LSTM does, all of the stretch.
    """

    start: float
    end: float
    nbest: tuple[Alternative, ...]
    conv_glosses: tuple[TimedGloss, ...] = ()

    @property
    def glosses(self) -> tuple[TimedGloss, ...]:
        """The best hypothesis."""
        return self.nbest[0].glosses

    @property
    def score(self) -> float:
        """Of the best hypothesis, a natural logarithm."""
        return self.nbest[0].score

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(timed.gloss for timed in self.glosses)


@dataclass(frozen=True, eq=False)
class StepLogits:
    """What the network says at each of its steps, before any decoder.

    Attributes:
        sequence_logits: float32 (T', V), of the LSTM's head: what is decoded.
        conv_logits: float32 (T', V), of the temporal convolution's head.
        step_times: float64 (T', 2), start and end of each step, seconds in the source. They rise; a
            recording that was split has gaps where nothing was signed.
        vocabulary: what each of the V classes means; the first is CTC's blank, here an empty text.
    """

    sequence_logits: NDArray[np.float32]
    conv_logits: NDArray[np.float32]
    step_times: NDArray[np.float64]
    vocabulary: tuple[str, ...]


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
        nbest: all hypotheses that were asked for, best first; of a recording that was split only the
            best ones of its sentences, one after the other.
        start: seconds in the source at which the reading began.
        sentences: the stretches that the network saw by themselves, in order: one for a clip that was
            recognised whole; none where nothing moves.
        warnings: what the user should know of how the source was read, a line each.
        logits: of every step, if they were asked for.
    """

    source: str
    glosses: tuple[TimedGloss, ...]
    score: float
    num_frames: int
    fps: float
    duration: float
    nbest: tuple[Alternative, ...]
    start: float = 0.0
    sentences: tuple[Sentence, ...] = ()
    warnings: tuple[str, ...] = ()
    logits: StepLogits | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(timed.gloss for timed in self.glosses)

    @property
    def rests(self) -> tuple[tuple[float, float], ...]:
        """What was passed over of a recording that was split, because little moves there: start and end, seconds."""
        edges = [self.start, *(edge for found in self.sentences for edge in (found.start, found.end))]
        edges.append(self.start + self.duration)
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return tuple((start, end) for start, end in gaps if end - start > _INSTANT)

    @property
    def conv_glosses(self) -> tuple[TimedGloss, ...]:
        """The best hypothesis of the temporal convolution's head."""
        return tuple(timed for sentence in self.sentences for timed in sentence.conv_glosses)
