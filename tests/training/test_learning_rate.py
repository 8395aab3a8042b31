from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import MultiStepLR

from cslr_cli.config import ScheduleConfig
from cslr_cli.training.step import learning_rate


def rate_in_epoch(config: ScheduleConfig, epoch: int) -> float:
    return learning_rate(1e-4, config, epoch=epoch, step=0, num_steps=1)


def rate_at_step(config: ScheduleConfig, step: int, num_steps: int) -> float:
    return learning_rate(1.0, config, epoch=1, step=step, num_steps=num_steps)


def test_the_published_rate_falls_to_a_fifth_after_epochs_20_and_35() -> None:
    published = ScheduleConfig()
    assert [rate_in_epoch(published, epoch) for epoch in (1, 20)] == [1e-4, 1e-4]
    assert [rate_in_epoch(published, epoch) for epoch in (21, 35)] == pytest.approx([2e-5, 2e-5])
    assert [rate_in_epoch(published, epoch) for epoch in (36, 40)] == pytest.approx([4e-6, 4e-6])


def test_milestones_are_those_of_torchs_scheduler() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    scheduler = MultiStepLR(optimizer, [2, 3, 7], gamma=0.5)
    config = ScheduleConfig(milestones=(2, 3, 7), gamma=0.5)
    for epoch in range(1, 11):
        assert rate_in_epoch(config, epoch) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_one_cycle_rises_from_a_25th_and_falls_to_nearly_nothing() -> None:
    config = ScheduleConfig(kind="one-cycle", warmup=0.3)
    assert rate_at_step(config, 0, 100) == pytest.approx(1 / 25)
    assert rate_at_step(config, 15, 100) == pytest.approx((1 + 1 / 25) / 2)  # half way up
    assert rate_at_step(config, 10, 100) == pytest.approx(1 / 25 + 24 / 25 * (1 - math.cos(math.pi / 3)) / 2)
    assert rate_at_step(config, 30, 100) == pytest.approx(1.0)
    assert rate_at_step(config, 65, 100) == pytest.approx((1 + 1e-4) / 2)  # half way down
    assert rate_at_step(config, 99, 100) == pytest.approx(1e-4, abs=6e-4)
    rates = [rate_at_step(config, step, 100) for step in range(100)]
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 10])
def test_one_cycle_stays_within_its_bounds_however_short_the_training(warmup: float, num_steps: int) -> None:
    config = ScheduleConfig(kind="one-cycle", warmup=warmup)
    rates = [rate_at_step(config, step, num_steps) for step in range(num_steps)]
    assert all(1e-4 <= rate <= 1.0 for rate in rates)
    if warmup == 0:
        assert rates[0] == 1.0
