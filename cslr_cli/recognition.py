"""The `Recognition` record: the glosses of a video with their times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from cslr_cli.scoring import TimedGloss

# Mean confidence of the glosses of a result; below it, most sentences have several errors. Measured with three networks
# of an unfinished quickstart on 24 test clips each: after 4 epochs (dev WER 78 %), no clip reached 0.5. After 7 and 8
# epochs (36 % after 8), the clips below 0.5 had a mean WER of 63 %, those above 0.6 one of 32 %. Noise gave 0.24.
LOW_CONFIDENCE = 0.5

_MIN_REST_SECONDS = 1e-6  # shorter gaps between two sentences are rounding errors


@dataclass(frozen=True)
class Alternative:
    """One of the n-best hypotheses.

    Attributes:
        glosses: glosses with their times.
        score: score of the decoder, a natural logarithm.
    """

    glosses: tuple[TimedGloss, ...]
    score: float


class AlternativeDocument(TypedDict):
    """A hypothesis in a document.

    Attributes:
        glosses: glosses with start and end in seconds and a confidence, 0 to 1.
        score: score of the decoder, a natural logarithm; null if it is infinite.
    """

    glosses: Sequence[TimedGloss]
    score: float | None


def alternative_document(alternative: Alternative) -> AlternativeDocument:
    """Make the document of a hypothesis."""
    return {"glosses": alternative.glosses, "score": alternative.score}


@dataclass(frozen=True)
class Sentence:
    """The recognition of one segment of a video: the glosses that the network found in it.

    Attributes:
        start: start of the segment, seconds in the source.
        end: end of the segment, seconds in the source.
        nbest: requested hypotheses, best first, at least one.
        conv_glosses: best hypothesis of the temporal convolution's head. This head sees about a second around each
            step; the LSTM's head sees the whole segment.
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
        """Score of the best hypothesis, a natural logarithm."""
        return self.nbest[0].score

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(timed.gloss for timed in self.glosses)


@dataclass(frozen=True, eq=False)
class StepLogits:
    """The network's logits, before decoding.

    Attributes:
        sequence_logits: float32 (T', V), logits of the LSTM's head, which are decoded.
        conv_logits: float32 (T', V), logits of the temporal convolution's head.
        step_times: float64 (T', 2), start and end of each step, seconds in the source, increasing; with gaps at the
            skipped rests of a long recording.
        vocabulary: gloss of each of the V classes; an empty text for the first class, CTC's blank.
    """

    sequence_logits: NDArray[np.float32]
    conv_logits: NDArray[np.float32]
    step_times: NDArray[np.float64]
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class DivisionFacts:
    """How a recording was divided into segments.

    Attributes:
        method: `rests`: at pauses in the signing; `windows`: into windows of one length; `none`: not divided.
        window: length of a window, seconds; None without windows.
        overlap: overlap of neighbouring windows, seconds; None without windows.
    """

    method: Literal["rests", "windows", "none"]
    window: float | None = None
    overlap: float | None = None


@dataclass(frozen=True)
class Recognition:
    """The recognition of one video.

    Example:
        >>> from cslr_cli import Recognizer
        >>> recognition = Recognizer.load("runs/quickstart/best.pt").recognize("runs/quickstart/example.mp4")
        >>> for timed in recognition.glosses:
        ...     print(timed.gloss, timed.start, timed.end, timed.confidence)

    Attributes:
        source: name of the source of the frames.
        glosses: best hypothesis: glosses with start and end in seconds and a confidence, 0 to 1.
        score: score of the best hypothesis, a natural logarithm.
        num_frames: number of frames that the network saw.
        fps: rate of these frames, frames per second.
        duration: length of the part that was read, seconds.
        nbest: requested hypotheses, best first; for a divided recording only the concatenation of the best
            hypotheses of its sentences.
        start: start of the part that was read, seconds in the source.
        sentences: recognition of each segment, in order: one for an undivided clip; none if nothing moves.
        warnings: faults of the source that did not prevent reading it, and a low mean confidence.
        logits: logits of all steps, if requested.
        checkpoint: path or name of the checkpoint; None if it is unknown.
        network_fps: frame rate that the network was trained for, frames per second; None if it is unknown. `fps`
            differs from it only if a maximum number of frames has thinned the frames out.
        source_fps: frame rate that the source itself states; None for pictures and arrays.
        source_num_frames: number of frames of the whole source; None if they have not been counted, because only a
            part was read or the frames are in memory.
        segmentation: how the recording was divided; None if it is unknown.
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
    checkpoint: str | None = field(default=None, compare=False)
    network_fps: float | None = None
    source_fps: float | None = field(default=None, compare=False)
    source_num_frames: int | None = field(default=None, compare=False)
    segmentation: DivisionFacts | None = None

    @property
    def text(self) -> str:
        """The glosses, separated by spaces."""
        return " ".join(timed.gloss for timed in self.glosses)

    @property
    def rests(self) -> tuple[tuple[float, float], ...]:
        """Parts of a divided recording that were skipped because little moves in them: start and end, seconds."""
        edges = [self.start, *(edge for found in self.sentences for edge in (found.start, found.end))]
        edges.append(self.start + self.duration)
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return tuple((start, end) for start, end in gaps if end - start > _MIN_REST_SECONDS)

    @property
    def conv_glosses(self) -> tuple[TimedGloss, ...]:
        """The best hypothesis of the temporal convolution's head."""
        return tuple(timed for sentence in self.sentences for timed in sentence.conv_glosses)


def confidence_warnings(glosses: Sequence[TimedGloss]) -> tuple[str, ...]:
    """Return a warning if the mean confidence of recognised glosses is below `LOW_CONFIDENCE`; else nothing."""
    confidences = [timed.confidence for timed in glosses if timed.confidence is not None]
    if not confidences:
        return ()
    mean = math.fsum(confidences) / len(confidences)
    if mean >= LOW_CONFIDENCE:
        return ()
    return (f"the mean confidence of the glosses is only {mean:.2f}; many of them may be wrong",)
