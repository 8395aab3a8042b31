"""Why a training cannot go on: many steps in a row whose loss or gradient is not finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cslr_cli.errors import TrainingError
from cslr_cli.training.monitoring.epoch_record import StepRecord

# So many skipped steps in a row are no accident. In fp16 it may take as many to find the scale of the loss.
LONGEST_ROW = 20
# Steps before the row that are remembered as evidence.
_REMEMBERED = 50
# Clips that a message names.
_CLIPS_NAMED = 10


class Diagnostician:
    """Looks at every step, and ends a training that goes wrong for good, with the reason.

    Args:
        lr: the learning rate wanted, for the advice.
    """

    def __init__(self, lr: float) -> None:
        self._lr = lr
        self._good: deque[StepRecord] = deque(maxlen=_REMEMBERED)
        self._row: list[StepRecord] = []

    def see(self, step: StepRecord, scale: float | None) -> None:
        """Take note of a step.

        Args:
            step: the last one.
            scale: of the loss, in fp16; None in other precisions. As long as it can fall, skipped steps
                are the search for it.

        Raises:
            TrainingError: it was one too many that had to be skipped.
        """
        if step.finite:
            self._good.append(step)
            self._row = []
            return
        self._row.append(step)
        if len(self._row) >= LONGEST_ROW and (scale is None or scale < 1):
            raise self._error(scale)

    def _error(self, scale: float | None) -> TrainingError:
        first, last = self._row[0], self._row[-1]
        reason, hint = self._targets_too_long() or self._overflow(scale) or self._diverged()
        return TrainingError(
            f"epoch {last.epoch}, steps {first.step} to {last.step}: the loss or its gradient is not finite in "
            f"{len(self._row)} steps in a row\n{reason}",
            hint,
        )

    def _targets_too_long(self) -> tuple[str, str] | None:
        """In every batch of the row a clip has more glosses than steps: each loss is infinite by itself."""
        if not all(step.unfit for step in self._row):
            return None
        unfit = sum(step.unfit for step in self._row)
        return (
            f"reason: targets longer than steps, in each of these batches ({unfit} clips); clips: "
            f"{_named([name for step in self._row for name in step.sample_ids])}",
            "give a clip more steps (a smaller data.frame_interval or data.temporal_scale, fewer P in "
            "model.temporal_layers), or leave clips with so many glosses out of the corpus",
        )

    def _overflow(self, scale: float | None) -> tuple[str, str] | None:
        """In fp16 the scale of the loss has fallen as far as it goes, and numbers are still too large."""
        if scale is None:
            return None
        return (
            f"reason: fp16 overflow: numbers beyond 65504 even with the loss scaled by {scale:.3g}",
            "--precision bf16 or fp32 has no such limit; if it is the same there, lower optimizer.lr",
        )

    def _diverged(self) -> tuple[str, str]:
        """What remains: glosses fit, and the precision has room."""
        course = "from the very first step on"
        if self._good:
            first, last = self._good[0], self._good[-1]
            course = (
                f"loss {first.losses['loss']:.4g} and gradient norm {first.grad_norm:.4g} at step {first.step}, "
                f"{last.losses['loss']:.4g} and {last.grad_norm:.4g} at step {last.step}"
            )
        return (
            f"reason: too high a learning rate ({self._row[0].lr:.3g}): the training has diverged ({course})",
            f"lower optimizer.lr, for example to {self._lr / 3:.1g}, or set optimizer.clip_norm=5; "
            "--resume RUN --set optimizer.lr=… goes on from the last save",
        )


def unfit_told(clips: Sequence[str]) -> str:
    """What to know before the start of clips that have fewer steps than their glosses need.

    Args:
        clips: their names, at least one.
    """
    return (
        f"{len(clips)} training clips have fewer steps than their glosses need: their loss is infinite, and a step "
        f"with one of them is skipped, together with the other clips of its batch; train.log has all names: "
        f"{_named(clips)}"
    )


def _named(clips: Sequence[str]) -> str:
    several = list(dict.fromkeys(clips))
    more = len(several) - _CLIPS_NAMED
    return ", ".join(several[:_CLIPS_NAMED]) + (f" and {more} more" if more > 0 else "")
