"""Reasons why a training cannot continue: too many skipped steps in a row, or too little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import torch

from cslr_cli.config import Config
from cslr_cli.errors import TrainingError
from cslr_cli.training.monitoring.epoch_record import StepRecord

# More skipped steps in a row than by accident. In fp16, the search for the loss scale may skip as many.
MAX_SKIPPED_IN_A_ROW = 20
# Number of finite steps that are kept for the error message.
_STEPS_REMEMBERED = 50
# Number of clips that a message names.
_CLIPS_NAMED = 10


class DivergenceMonitor:
    """Checks every step, and ends a training that skips too many steps in a row, with the reason.

    Args:
        lr: configured learning rate, for the advice.
    """

    def __init__(self, lr: float) -> None:
        self._lr = lr
        self._finite: deque[StepRecord] = deque(maxlen=_STEPS_REMEMBERED)
        self._skipped_steps: list[StepRecord] = []

    def check(self, step: StepRecord, scale: float | None) -> None:
        """Check a step.

        Args:
            step: figures of the step.
            scale: scale of the loss in fp16; None in other precisions. While it can still fall, skipped steps belong to
                the search for the scale.

        Raises:
            TrainingError: too many steps in a row were skipped.
        """
        if step.finite:
            self._finite.append(step)
            self._skipped_steps = []
            return
        self._skipped_steps.append(step)
        if len(self._skipped_steps) >= MAX_SKIPPED_IN_A_ROW and (scale is None or scale < 1):
            raise self._error(scale)

    def _error(self, scale: float | None) -> TrainingError:
        first, last = self._skipped_steps[0], self._skipped_steps[-1]
        reason, hint = self._unfit_clips() or self._overflow(scale) or self._diverged()
        return TrainingError(
            f"epoch {last.epoch}, steps {first.step} to {last.step}: {len(self._skipped_steps)} steps in a row were "
            f"skipped, because the loss or its gradient is not finite\n{reason}",
            hint,
        )

    def _unfit_clips(self) -> tuple[str, str] | None:
        """The reason if every skipped batch has an unfit clip, whose loss is always infinite."""
        if not all(step.unfit_clips for step in self._skipped_steps):
            return None
        number = sum(step.unfit_clips for step in self._skipped_steps)
        clips = _format_clips([name for step in self._skipped_steps for name in step.sample_ids])
        return (
            "reason: each of these batches has clips with fewer output steps than their glosses need "
            f"({number} clips)\n"
            f"clips of these batches: {clips}",
            "use a smaller data.frame_interval or data.temporal_scale, or fewer P in model.temporal_layers, for more\n"
            "output steps per clip; or remove these clips from the corpus",
        )

    def _overflow(self, scale: float | None) -> tuple[str, str] | None:
        """The reason in fp16: numbers overflow even at the lowest scale of the loss."""
        if scale is None:
            return None
        return (
            f"reason: fp16 overflow: values above 65504 even with the loss scaled by {scale:.3g}",
            "use --precision bf16 or fp32; if steps are skipped there too, use a lower optimizer.lr",
        )

    def _diverged(self) -> tuple[str, str]:
        """The remaining reason: the learning rate is too high."""
        course = "from the first step on"
        if self._finite:
            first, last = self._finite[0], self._finite[-1]
            course = (
                f"loss {first.losses['loss']:.4g} and gradient norm {first.grad_norm:.4g} at step {first.step}, "
                f"{last.losses['loss']:.4g} and {last.grad_norm:.4g} at step {last.step}"
            )
        lr = self._skipped_steps[0].lr
        return (
            f"reason: the learning rate ({lr:.3g}) is too high; the training has diverged ({course})",
            f"use a lower optimizer.lr, for example {self._lr / 3:.1g}, or optimizer.clip_norm=5;\n"
            "continue from the last save with --resume RUN --set optimizer.lr=…",
        )


def describe_unfit_clips(clips: Sequence[str]) -> str:
    """Describe the effect of unfit clips: clips with fewer output steps than their glosses need.

    CTC needs one output step per gloss, and one more for the blank between two equal glosses.

    Args:
        clips: sample ids, at least one.
    """
    return (
        f"{len(clips)} training clips have fewer output steps than their glosses need. Their loss is infinite, so a "
        "step with one of them is skipped, with all clips of its batch. train.log has all names: "
        f"{_format_clips(clips)}"
    )


def _format_clips(clips: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(clips))
    more = len(distinct) - _CLIPS_NAMED
    return ", ".join(distinct[:_CLIPS_NAMED]) + (f" and {more} more" if more > 0 else "")


def memory_advice(config: Config, device: torch.device, run: Path) -> str:
    """List the settings that reduce the memory of a training and are not in use yet, the least intrusive first.

    Args:
        config: configuration of the training.
        device: device that is out of memory.
        run: folder of the run.
    """
    settings, clips = config.training, config.training.batch_size
    measures = []
    if device.type == "cuda" and settings.precision == "fp32":
        measures.append("--precision bf16: needs less memory than fp32")
    if settings.batch_frames is None and settings.accumulation < clips:
        measures.append(f"--set training.accumulation={clips}: computes the clips of a batch one after the other")
    if not settings.activation_checkpointing:
        measures.append("--set training.activation_checkpointing=true: stores less and computes more")
    if settings.batch_frames is None:
        measures.append("--set training.group_by_length=true, or --batch-frames N: less padding") if clips > 1 else None
    else:
        measures.append(f"--batch-frames N: smaller batches (now {settings.batch_frames} frames)")
    longest = config.data.max_clip_frames
    measures.append(
        f"--set data.max_clip_frames=N: shorter clips{'' if longest is None else f' (now at most {longest} frames)'}"
    )
    if clips > 1:
        measures.append("--set training.batch_size=N: fewer clips per step (this changes the recipe)")
    return "\n".join(["use one of:", *measures, f"continue from the last save with: --resume {run} --set …"])
