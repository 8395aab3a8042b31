"""What is counted over an epoch, and how it comes off the device without making it wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class DeviceFigures:
    """What a step gave, as long as it is on the device.

    Attributes:
        names: of the losses: `loss`, which is the weighted sum, and its parts.
        losses: float (len(names),), of the whole batch.
        grad_norm: float scalar, before clipping.
        finite: bool scalar, whether losses and gradient are.
    """

    names: tuple[str, ...]
    losses: Tensor
    grad_norm: Tensor
    finite: Tensor


@dataclass(frozen=True)
class StepRecord:
    """What is known of a step.

    Attributes:
        epoch: from 1.
        step: from 1, over the whole training.
        lr: learning rate.
        losses: by name; `loss` is the weighted sum of the others.
        grad_norm: before clipping.
        finite: whether losses and gradient are; if not, the step was skipped.
        sample_ids: the clips.
        unfit: how many of them have more glosses than steps.
    """

    epoch: int
    step: int
    lr: float
    losses: Mapping[str, float]
    grad_norm: float
    finite: bool
    sample_ids: tuple[str, ...]
    unfit: int


@dataclass
class EpochSums:
    """What is counted over an epoch; saved with a checkpoint within one, to go on from there.

    Attributes:
        order: a number that stands for the batches of the epoch and their order.
        batches: those done, skipped ones among them: the epoch goes on behind them.
        steps: those that counted.
        clips: seen.
        seconds: of training.
        waited: seconds without a batch to work on.
        grad_norm: sum over the steps.
        losses: sums over the steps, by name.
        skipped: clips of steps that were skipped.
    """

    order: int = 0
    batches: int = 0
    steps: int = 0
    clips: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    grad_norm: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def add(self, step: StepRecord) -> None:
        """Count a step."""
        if not step.finite:
            self.skipped += step.sample_ids
            return
        self.steps += 1
        self.grad_norm += step.grad_norm
        for name, value in step.losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Losses and gradient norm, averaged over the steps that counted."""
        steps = max(1, self.steps)
        return {**{name: total / steps for name, total in self.losses.items()}, "grad_norm": self.grad_norm / steps}

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> EpochSums:
        """What `to_plain` gave.

        Raises:
            TypeError: it is something else.
        """
        sums = cls(**values)
        for name, value in dataclasses.asdict(cls()).items():
            if type(getattr(sums, name)) is not type(value):
                raise TypeError(f"{name} of the unfinished epoch is {getattr(sums, name)!r}")
        return sums


class Meter:
    """Steps whose figures are still on the device, until they are read, many at once.

    Reading waits for all that the device has been given to do. On a CPU nothing is ever pending.

    Args:
        interval: steps from one reading to the next.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._pending: list[tuple[DeviceFigures, dict[str, Any]]] = []

    @property
    def is_full(self) -> bool:
        """It is time to read."""
        return len(self._pending) >= self._interval

    def add(self, figures: DeviceFigures, **known: Any) -> None:
        """Take a step's figures; `known` are the fields of `StepRecord` that need no reading."""
        self._pending.append((figures, known))

    def read(self) -> Sequence[StepRecord]:
        """The steps since the last reading, in order."""
        if not self._pending:
            return ()
        rows = torch.cat([_row(figures) for figures, _ in self._pending]).tolist()
        steps = []
        for figures, known in self._pending:
            losses, rows = rows[: len(figures.names)], rows[len(figures.names) :]
            (grad_norm, finite), rows = rows[:2], rows[2:]
            named = dict(zip(figures.names, losses, strict=True))
            steps.append(StepRecord(losses=named, grad_norm=grad_norm, finite=bool(finite), **known))
        self._pending = []
        return steps


def _row(figures: DeviceFigures) -> Tensor:
    return torch.cat([figures.losses.double(), figures.grad_norm.double()[None], figures.finite.double()[None]])
