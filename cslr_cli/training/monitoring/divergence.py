"""Why a training cannot go on: too many steps in a row are not finite, or the memory is too small."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch

from cslr_cli.config import Config
from cslr_cli.errors import TrainingError
from cslr_cli.training.monitoring.epoch_record import StepRecord

# This many skipped steps in a row are no accident. In fp16 it may take as many to find the scale of the loss.
MAX_SKIPPED_IN_A_ROW = 20
# Steps before the skipped ones that the error quotes.
_STEPS_REMEMBERED = 50
# Clips that a message names.
_CLIPS_NAMED = 10


class DivergenceMonitor:
    """Checks every step, and ends a training that has diverged, with the reason.

    Args:
        lr: configured learning rate, for the advice.
    """

    def __init__(self, lr: float) -> None:
        self._lr = lr
        self._finite: deque[StepRecord] = deque(maxlen=_STEPS_REMEMBERED)
        self._skipped: list[StepRecord] = []

    def check(self, step: StepRecord, scale: float | None) -> None:
        """Check a step.

        Args:
            step: figures of the step.
            scale: scale of the loss in fp16; None in other precisions. While it can still fall, skipped steps
                only mean that the scale is being searched for.

        Raises:
            TrainingError: too many steps in a row were skipped.
        """
        if step.finite:
            self._finite.append(step)
            self._skipped = []
            return
        self._skipped.append(step)
        if len(self._skipped) >= MAX_SKIPPED_IN_A_ROW and (scale is None or scale < 1):
            raise self._error(scale)

    def _error(self, scale: float | None) -> TrainingError:
        first, last = self._skipped[0], self._skipped[-1]
        reason, hint = self._targets_too_long() or self._overflow(scale) or self._diverged()
        return TrainingError(
            f"epoch {last.epoch}, steps {first.step} to {last.step}: the loss or its gradient is not finite in "
            f"{len(self._skipped)} steps in a row\n{reason}",
            hint,
        )

    def _targets_too_long(self) -> tuple[str, str] | None:
        """Every skipped batch has a clip with more glosses than steps, whose loss is always infinite."""
        if not all(step.unfit for step in self._skipped):
            return None
        unfit = sum(step.unfit for step in self._skipped)
        return (
            f"reason: targets longer than steps, in each of these batches ({unfit} clips); clips: "
            f"{_format_clips([name for step in self._skipped for name in step.sample_ids])}",
            "give a clip more steps (a smaller data.frame_interval or data.temporal_scale, fewer P in "
            "model.temporal_layers), or leave clips with so many glosses out of the corpus",
        )

    def _overflow(self, scale: float | None) -> tuple[str, str] | None:
        """In fp16: the scale of the loss is at its minimum, and numbers still overflow."""
        if scale is None:
            return None
        return (
            f"reason: fp16 overflow: numbers beyond 65504 even with the loss scaled by {scale:.3g}",
            "--precision bf16 or fp32 has no such limit; if it is the same there, lower optimizer.lr",
        )

    def _diverged(self) -> tuple[str, str]:
        """The remaining reason: the learning rate is too high."""
        course = "from the very first step on"
        if self._finite:
            first, last = self._finite[0], self._finite[-1]
            course = (
                f"loss {first.losses['loss']:.4g} and gradient norm {first.grad_norm:.4g} at step {first.step}, "
                f"{last.losses['loss']:.4g} and {last.grad_norm:.4g} at step {last.step}"
            )
        return (
            f"reason: too high a learning rate ({self._skipped[0].lr:.3g}): the training has diverged ({course})",
            f"lower optimizer.lr, for example to {self._lr / 3:.1g}, or set optimizer.clip_norm=5; "
            "--resume RUN --set optimizer.lr=… goes on from the last save",
        )


def describe_unfit_clips(clips: Sequence[str]) -> str:
    """Describe what happens with clips that have fewer steps than their glosses need.

    Args:
        clips: sample ids, at least one.
    """
    return (
        f"{len(clips)} training clips have fewer steps than their glosses need: their loss is infinite, and a step "
        f"with one of them is skipped, together with the other clips of its batch; train.log has all names: "
        f"{_format_clips(clips)}"
    )


def _format_clips(clips: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(clips))
    more = len(distinct) - _CLIPS_NAMED
    return ", ".join(distinct[:_CLIPS_NAMED]) + (f" and {more} more" if more > 0 else "")


def memory_advice(config: Config, device: torch.device, run: Path) -> str:
    """List the settings that reduce the memory of a training and are not set yet, the least intrusive first.

    Args:
        config: configuration of the training.
        device: device that is out of memory.
        run: folder of the run.
    """
    settings, clips = config.training, config.training.batch_size
    measures = []
    if device.type == "cuda" and settings.precision == "fp32":
        measures.append("--precision bf16: half of the memory of fp32")
    if settings.batch_frames is None and settings.accumulation < clips:
        measures.append(f"--set training.accumulation={clips}: a batch's clips one after the other, on one device")
    if not settings.activation_checkpointing:
        measures.append("--set training.activation_checkpointing=true: less to remember, more to compute")
    if settings.batch_frames is None:
        measures.append("--set training.group_by_length=true, or --batch-frames N: less padding") if clips > 1 else None
    else:
        measures.append(f"--batch-frames, which is {settings.batch_frames}: a smaller one")
    longest = config.data.max_clip_frames
    measures.append(
        f"--set data.max_clip_frames=N: shorter clips than {'they are' if longest is None else f'{longest} frames'}"
    )
    if clips > 1:
        measures.append("--set training.batch_size=N: fewer clips a step; no longer the same recipe")
    return "\n".join(["what helps:", *measures, f"go on with it from the last save: --resume {run} --set …"])
