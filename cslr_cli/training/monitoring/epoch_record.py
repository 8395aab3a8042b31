"""The figures of a step, of the epoch in progress, and of a finished epoch. Needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from typing_extensions import NotRequired, TypedDict

from cslr_cli.untrusted import abbreviate


@dataclass(frozen=True)
class StepRecord:
    """The figures of one step.

    Attributes:
        epoch: number of the epoch, from 1.
        step: number of the step, from 1, over the whole training.
        lr: learning rate.
        losses: losses by name; `loss` is the weighted sum of the others.
        grad_norm: norm of the gradient before clipping.
        finite: whether losses and gradient are finite; if not, the step was skipped.
        sample_ids: clips of the batch.
        unfit_clips: number of clips with fewer output steps than their glosses need (`describe_unfit_clips`).
    """

    epoch: int
    step: int
    lr: float
    losses: Mapping[str, float]
    grad_norm: float
    finite: bool
    sample_ids: tuple[str, ...]
    unfit_clips: int


@dataclass
class EpochSums:
    """The sums over an epoch so far. A checkpoint within the epoch has them, so that the epoch can be resumed.

    Attributes:
        order: checksum of the epoch's batches: only an epoch with the same batches can be resumed.
        batches: number of finished batches, with those of skipped steps.
        steps: number of steps that changed the weights.
        clips: number of clips in the finished batches.
        seconds: time of the finished batches.
        waited: seconds spent waiting for batches.
        grad_norm: sum over the steps.
        losses: sums over the steps, by name.
        skipped_clips: names of the clips of skipped steps.
    """

    order: int = 0
    batches: int = 0
    steps: int = 0
    clips: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    grad_norm: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    skipped_clips: list[str] = field(default_factory=list)

    def add(self, step: StepRecord) -> None:
        """Count a step."""
        if not step.finite:
            self.skipped_clips += step.sample_ids
            return
        self.steps += 1
        self.grad_norm += step.grad_norm
        for name, value in step.losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value

    def mean_losses(self) -> dict[str, float]:
        """The losses by name, averaged over the steps; empty if every step was skipped."""
        return {name: total / max(1, self.steps) for name, total in self.losses.items()}

    def mean_grad_norm(self) -> float:
        """The norm of the gradient, averaged over the steps."""
        return self.grad_norm / max(1, self.steps)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        values = dataclasses.asdict(self)
        values["skipped"] = values.pop("skipped_clips")
        return values

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> EpochSums:
        """Read the values of `to_plain`; raises a TypeError if they have other types."""
        fields = dict(values)
        sums = cls(skipped_clips=fields.pop("skipped", None), **fields)
        for name, value in dataclasses.asdict(cls()).items():
            if type(getattr(sums, name)) is not type(value):
                raise TypeError(f"{name} of the unfinished epoch is {abbreviate(getattr(sums, name))}")
        numbers, names = sums.losses.values(), [*sums.losses, *sums.skipped_clips]
        if not all(isinstance(value, float) for value in numbers) or not all(isinstance(name, str) for name in names):
            raise TypeError("losses or skipped clips of the unfinished epoch have wrong types")
        return sums


class EpochFigures(TypedDict, extra_items=float):  # type: ignore[call-arg]
    """The figures of an epoch in a document, with one value per loss, averaged over the steps: `loss` and its parts.

    Attributes:
        epoch: number of the epoch, from 1.
        step: steps done by the end of the epoch, over the whole training.
        lr: learning rate of the last step.
        grad_norm: norm of the gradient before clipping, averaged over the steps.
        wer: WER on dev in percent; null if the epoch was not evaluated.
        conv_wer: WER of the convolution head on dev in percent.
        clips_per_second: training speed, without the evaluation.
        seconds: time of training and evaluation.
        waiting_percent: percentage of the training time spent waiting for batches.
        skipped: names of the clips of skipped steps.
    """

    epoch: int
    step: NotRequired[int]
    lr: NotRequired[float]
    grad_norm: NotRequired[float]
    wer: float | None
    conv_wer: float | None
    clips_per_second: NotRequired[float]
    seconds: NotRequired[float]
    waiting_percent: NotRequired[float]
    skipped: list[str]


class MetricsLine(EpochFigures, extra_items=float):  # type: ignore[call-arg]
    """The figures of an epoch: one line of `metrics.jsonl`.

    Attributes:
        schema_version: version of this document.
    """

    schema_version: Literal[1]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """The figures of a finished epoch: one line of `metrics.jsonl`, one entry of a checkpoint's history.

    Unknown figures are None.

    Attributes:
        epoch: number of the epoch, from 1.
        step: steps done by the end of the epoch, over the whole training.
        lr: learning rate of the last step.
        losses: losses by name, averaged over the steps; `loss` is the weighted sum of the others.
        grad_norm: norm of the gradient before clipping, averaged over the steps.
        wer: WER on dev in percent; None if the epoch was not evaluated.
        conv_wer: WER of the convolution head on dev in percent.
        clips_per_second: training speed, without the evaluation.
        seconds: time of training and evaluation.
        waiting_percent: percentage of the training time spent waiting for batches.
        skipped_clips: names of the clips of skipped steps; `skipped` in `metrics.jsonl`.
        other: values of other versions of cslr that this version does not know.
    """

    epoch: int
    step: int | None = None
    lr: float | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    grad_norm: float | None = None
    wer: float | None
    conv_wer: float | None = None
    clips_per_second: float | None = None
    seconds: float | None = None
    waiting_percent: float | None = None
    skipped_clips: tuple[str, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the order of `metrics.jsonl`."""
        values = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.lr,
            **self.losses,
            "grad_norm": self.grad_norm,
            "wer": self.wer,
            "conv_wer": self.conv_wer,
            "clips_per_second": self.clips_per_second,
            "seconds": self.seconds,
            "waiting_percent": self.waiting_percent,
            "skipped": list(self.skipped_clips),
            **self.other,
        }
        return {name: value for name, value in values.items() if value is not None or name in _NULLABLE}

    def figures(self) -> EpochFigures:
        """The figures for a document."""
        return cast("EpochFigures", self.to_dict())

    def metrics_line(self) -> MetricsLine:
        """The line of `metrics.jsonl`."""
        return cast("MetricsLine", {"schema_version": 1, **self.to_dict()})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochRecord:
        """Read the values of `to_dict`, of this version or another one.

        Raises:
            ValueError: the values are not the record of an epoch.
        """
        if type(values.get("epoch")) is not int or "wer" not in values:
            raise ValueError("no epoch, or no wer")
        figures = {name: value for name, value in values.items() if name != "schema_version"}
        skipped_clips = figures.pop("skipped", [])
        known = {name: figures.pop(name) for name in _FIGURES if name in figures}
        wrong = [name for name, value in known.items() if not isinstance(value, int | float | None)]
        if wrong or not isinstance(skipped_clips, list) or not all(isinstance(clip, str) for clip in skipped_clips):
            raise ValueError(f"not numbers: {', '.join(wrong) or 'skipped'}")
        losses = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        other = {name: value for name, value in figures.items() if name not in losses}
        return cls(losses=losses, other=other, skipped_clips=tuple(skipped_clips), **known)


# Written as null if there was no evaluation.
_NULLABLE = {"wer", "conv_wer"}
_NOT_FIGURES = ("losses", "skipped_clips", "other")
_FIGURES = [figure.name for figure in dataclasses.fields(EpochRecord) if figure.name not in _NOT_FIGURES]
