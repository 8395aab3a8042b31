"""The learning rate as a function of how far the training is: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from cslr_cli.config import ScheduleConfig

# A one-cycle training starts at this share of the highest rate, and ends at this one (Smith 2018).
_FIRST_SHARE, _LAST_SHARE = 1 / 25, 1e-4


def learning_rate(highest: float, config: ScheduleConfig, *, epoch: int, step: int, num_steps: int) -> float:
    """The learning rate of a step.

    Args:
        highest: `optimizer.lr`.
        config: how it changes.
        epoch: from 1.
        step: steps done before this one, over the whole training.
        num_steps: steps of the whole training.
    """
    if config.kind == "milestones":
        passed = sum(epoch > milestone for milestone in config.milestones)
        return float(highest * config.gamma**passed)
    rising = config.warmup * num_steps
    if step < rising:
        return _cosine(highest * _FIRST_SHARE, highest, step / rising)
    return _cosine(highest, highest * _LAST_SHARE, (step - rising) / max(1, num_steps - rising))


def _cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
