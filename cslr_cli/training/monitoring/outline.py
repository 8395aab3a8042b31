"""What is told at the start of a training: what is trained on what, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# The first batches are not measured: workers start, and the device looks for its fastest ways.
_WARMUP_BATCHES = 2
# The estimate is made of at least so many seconds and batches.
_SECONDS, _BATCHES = 10.0, 5
# An evaluation goes through the network forwards only: about a third of the work of a training step on as many frames.
_EVALUATION_SHARE = 1 / 3


@dataclass(frozen=True)
class Outline:
    """A training in a few figures.

    Attributes:
        network: its name.
        parameters: how many numbers it has.
        trainable: how many of them are trained.
        start: what it starts from, in a line.
        corpus: name of the corpus.
        glosses: in its vocabulary.
        train_clips: that are trained on.
        dev_clips: that it is evaluated on.
        batches: of an epoch; the first ones may have fewer.
        epochs: of the whole training.
        finished_epochs: those that were finished before, in a resumed training.
        device: where it is computed.
        precision: what is computed in.
    """

    network: str
    parameters: int
    trainable: int
    start: str
    corpus: str
    glosses: int
    train_clips: int
    dev_clips: int
    batches: int
    epochs: int
    finished_epochs: int
    device: str
    precision: str

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What it is about, and what there is to say, in the order of telling."""
        parameters = f"{self.parameters:,}"
        if self.trainable < self.parameters:
            parameters += f", {self.trainable:,} of them trained"
        resumed = f", {self.finished_epochs} of them done" if self.finished_epochs else ""
        return [
            ("network", self.network),
            ("parameters", parameters),
            ("start", self.start),
            ("corpus", f"{self.corpus}, {self.glosses:,} glosses"),
            ("clips", f"{self.train_clips:,} train, {self.dev_clips:,} dev"),
            ("batches an epoch", f"{self.batches:,}"),
            ("epochs", f"{self.epochs}{resumed}"),
            ("device", self.device),
            ("precision", self.precision),
        ]


class TimeEstimate:
    """Estimates the time of a training from its first batches.

    Time is counted by the frames of the batches: the first ones may be of short clips.

    Args:
        frames: of all training clips that are still to come, over all epochs.
        evaluated_frames: of all evaluations that are still to come.
        tell: is called once, with the seconds from the start of the training to its end.
        clock: seconds from any beginning.
    """

    def __init__(
        self,
        frames: int,
        evaluated_frames: int,
        tell: Callable[[float], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._total = frames + evaluated_frames * _EVALUATION_SHARE
        self._tell: Callable[[float], None] | None = tell
        self._clock = clock
        self._started = clock()
        self._batches = 0
        self._warm = self._started
        self._frames = 0

    def batch(self, lengths: Sequence[int]) -> None:
        """Take note of a finished batch.

        Args:
            lengths: frames of its clips, as in the manifest.
        """
        if self._tell is None:
            return
        self._batches += 1
        now = self._clock()
        if self._batches <= _WARMUP_BATCHES:
            self._warm = now
            self._total -= sum(lengths)
            return
        self._frames += sum(lengths)
        measured = now - self._warm
        if measured < _SECONDS or self._batches < _WARMUP_BATCHES + _BATCHES or not self._frames:
            return
        self._tell(self._warm - self._started + measured * self._total / self._frames)
        self._tell = None
