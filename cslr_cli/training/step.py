"""One step of the optimizer: learning rate, forward, losses, backward, update, on one device or several.

A step whose loss or gradient is not finite is skipped: weights and batch norm's statistics stay as they were.
`monitoring.observer.LogObserver` logs skipped steps, and `monitoring.divergence` ends a run that skips too many.

`step` is a step of the optimizer. The steps of the network's output, which CTC aligns, are `output_steps`.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from cslr_cli.config import Config, ScheduleConfig
from cslr_cli.dataset.collate import Batch
from cslr_cli.model.device import autocast
from cslr_cli.model.losses import LossValues, Targets, weighted_loss
from cslr_cli.model.network import NetworkOutput
from cslr_cli.temporal_plan import ctc_steps_needed
from cslr_cli.training.distributed.batch_norm import synchronize_batch_norm
from cslr_cli.training.distributed.ranks import SINGLE_PROCESS, Ranks, translate_connection_errors
from cslr_cli.training.monitoring.epoch_record import StepRecord
from cslr_cli.training.run.state import TrainingState

# Torch's name for the option to copy buffers from the first rank at each step; it was renamed.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


# A one-cycle training starts and ends at these fractions of the highest rate (Smith 2018).
_FIRST_RATE, _LAST_RATE = 1 / 25, 1e-4


def learning_rate(highest: float, config: ScheduleConfig, *, epoch: int, step: int, num_steps: int) -> float:
    """Compute the learning rate of a step.

    Args:
        highest: `optimizer.lr`.
        config: schedule of the learning rate.
        epoch: number of the epoch, from 1.
        step: number of earlier steps of the training.
        num_steps: number of steps of the whole training.
    """
    if config.kind == "milestones":
        passed = sum(epoch > milestone for milestone in config.milestones)
        return float(highest * config.gamma**passed)
    rising = config.warmup * num_steps
    if step < rising:
        return _cosine(highest * _FIRST_RATE, highest, step / rising)
    return _cosine(highest, highest * _LAST_RATE, (step - rising) / max(1, num_steps - rising))


def _cosine(start: float, end: float, fraction: float) -> float:
    """The value at a fraction of the way from `start` to `end` along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


@dataclass(frozen=True)
class BatchCounts:
    """The counts of a batch or micro-batch, for the averages of its losses.

    Attributes:
        clips: number of clips; 0 if another rank counts them.
        padded_output_steps: number of output steps of all clips, with padding.
        unfit_clips: number of clips with fewer output steps than their glosses need.
    """

    clips: float
    padded_output_steps: float
    unfit_clips: float = 0.0

    def loss_fraction(self, loss: str, batch: BatchCounts) -> float:
        """The weight of a micro-batch's loss in the loss of the whole batch.

        CTC is a mean over clips, the distillation a mean over padded output steps. The losses of lifting pools are
        norms over the whole batch (roots of sums of squares); micro-batches are assumed to have equal ones.

        Args:
            loss: name of the loss.
            batch: counts of the whole batch.
        """
        if loss == "distillation":
            return self.padded_output_steps / batch.padded_output_steps
        fraction = self.clips / batch.clips
        return fraction if loss.endswith("ctc") else math.sqrt(fraction)


@dataclass(frozen=True)
class DeviceFigures:
    """The figures of a step while they are on the device.

    Attributes:
        names: names of the losses: `loss`, the weighted sum, then its terms.
        losses: float (len(names),), losses of the whole batch.
        grad_norm: float scalar, norm of the gradient before clipping.
        finite: bool scalar, whether losses and gradient are finite; if not, the step was skipped.
    """

    names: tuple[str, ...]
    losses: Tensor
    grad_norm: Tensor
    finite: Tensor


class PendingFigures:
    """Collects the figures of steps on the device, and reads many together: reading waits for all work of the device.

    Args:
        interval: number of steps that are read together.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._pending: list[tuple[DeviceFigures, dict[str, Any]]] = []

    @property
    def is_full(self) -> bool:
        """Whether `interval` steps are waiting."""
        return len(self._pending) >= self._interval

    def add(self, figures: DeviceFigures, **known: Any) -> None:
        """Add the figures of a step; `known` are the other fields of its `StepRecord`."""
        self._pending.append((figures, known))

    def read(self) -> Sequence[StepRecord]:
        """Read the steps since the last reading, in order."""
        if not self._pending:
            return ()
        values = torch.cat([_flatten(figures) for figures, _ in self._pending]).tolist()
        steps = []
        for figures, known in self._pending:
            losses, values = values[: len(figures.names)], values[len(figures.names) :]
            (grad_norm, finite), values = values[:2], values[2:]
            by_name = dict(zip(figures.names, losses, strict=True))
            steps.append(StepRecord(losses=by_name, grad_norm=grad_norm, finite=bool(finite), **known))
        self._pending = []
        return steps


def _flatten(figures: DeviceFigures) -> Tensor:
    return torch.cat([figures.losses.double(), figures.grad_norm.double()[None], figures.finite.double()[None]])


class Stepper:
    """Performs the steps of a training.

    With several ranks, each computes its micro-batches. All get the gradient of the whole batch, and so the same
    weights.

    Args:
        state: network, optimizer and scaler, changed by each step.
        config: losses, learning rate, clipping, seed.
        device: device of the network.
        dtype: dtype of the forward pass; losses are computed in fp32.
        num_steps: number of steps of the whole training.
        ranks: processes of the training.
    """

    def __init__(
        self,
        state: TrainingState,
        config: Config,
        *,
        device: torch.device,
        dtype: torch.dtype,
        num_steps: int,
        ranks: Ranks = SINGLE_PROCESS,
    ) -> None:
        self._state, self._config = state, config
        self._device, self._dtype = device, dtype
        self._num_steps = num_steps
        self._ranks = ranks
        self._ddp = None if ranks.is_single_process else self._wrap_in_ddp()

    def _wrap_in_ddp(self) -> DistributedDataParallel:
        synchronize_batch_norm(self._state.network, self._device)
        # The gradients of 1×1 convolutions have two equivalent strides.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
        loss = self._config.loss
        # Batch norm has the same statistics on all ranks: they are those of the whole batch.
        no_exchange_of_buffers: dict[str, Any] = {_SYNC_BUFFERS: False}
        ddp = DistributedDataParallel(
            self._state.network,
            device_ids=[self._device] if self._device.type == "cuda" else None,
            # A head without a loss has no gradient, and torch would wait for one.
            find_unused_parameters=0 in (loss.sequence_ctc, loss.conv_ctc),
            gradient_as_bucket_view=True,
            **no_exchange_of_buffers,
        )
        if self._device.type == "cpu":
            world_size = self._ranks.world_size
            # A lambda, because torch rejects annotations that are strings. It must not refer to `self`, which refers to
            # `ddp`: torch would keep all of them, and gloo's threads, for ever.
            ddp.register_comm_hook(None, lambda _, bucket: _mean_in_rank_order(bucket, world_size))
        return ddp

    def count(self, micro_batch: Batch, *, is_counted: bool) -> BatchCounts:
        """The counts of a micro-batch; zero if another rank counts its clips."""
        if not is_counted:
            return BatchCounts(0, 0)
        plan = self._state.network.plan
        output_steps = [plan.num_steps(int(length)) for length in micro_batch.frame_lengths]
        targets = micro_batch.targets.split(micro_batch.target_lengths.tolist())
        unfit_clips = sum(
            ctc_steps_needed(glosses.tolist()) > steps for glosses, steps in zip(targets, output_steps, strict=True)
        )
        return BatchCounts(len(output_steps), len(output_steps) * max(output_steps), unfit_clips)

    def __call__(
        self, micro_batches: Sequence[tuple[Batch, BatchCounts]], batch_counts: BatchCounts, epoch: int
    ) -> DeviceFigures:
        """Perform a step, or skip it if its loss or gradient is not finite.

        Args:
            micro_batches: micro-batches of this rank with their counts.
            batch_counts: counts of the batch, over all micro-batches and ranks.
            epoch: number of the epoch, from 1.

        Raises:
            RankLostError: another rank has ended.
        """
        state, settings = self._state, self._config.optimizer
        self._set_seed(epoch)
        self._set_learning_rate(epoch)
        buffers = [buffer.clone() for buffer in state.network.buffers()]
        state.optimizer.zero_grad()
        weights = {name: weight for name, weight in self._config.loss_weights(epoch).items() if weight}
        sums: Tensor | None = None
        with translate_connection_errors():
            for number, (micro_batch, counts) in enumerate(micro_batches, start=1):
                fractions = {name: counts.loss_fraction(name, batch_counts) for name in weights}
                with nullcontext() if number == len(micro_batches) else self._without_exchange():
                    losses = self._backward(micro_batch, weights, fractions, is_counted=counts.clips > 0)
                sums = losses if sums is None else sums + losses
        assert sums is not None  # a batch has at least one micro-batch
        self._ranks.sum_tensor(sums)
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._trained_parameters(), settings.clip_norm or math.inf)
        finite = sums[0].isfinite() & norm.isfinite()
        self._update_or_skip(finite, buffers)
        state.step += 1
        return DeviceFigures(("loss", *weights), sums, norm.detach(), finite)

    def _trained_parameters(self) -> list[Tensor]:
        return [parameter for parameter in self._state.network.parameters() if parameter.requires_grad]

    def _set_seed(self, epoch: int) -> None:
        """Seed dropout: the same with and without an interruption, and different on each rank."""
        entropy = [self._config.training.seed, epoch, self._state.step]
        if not self._ranks.is_first:
            entropy.append(self._ranks.rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _set_learning_rate(self, epoch: int) -> None:
        config, state = self._config, self._state
        rate = learning_rate(
            config.optimizer.lr, config.schedule, epoch=epoch, step=state.step, num_steps=self._num_steps
        )
        for group in state.optimizer.param_groups:
            group["lr"] = rate

    def _backward(
        self, batch: Batch, weights: Mapping[str, float], fractions: Mapping[str, float], *, is_counted: bool
    ) -> Tensor:
        """Add the gradient of a micro-batch; returns its part of the batch's `loss`, and of its terms."""
        network = self._ddp or self._state.network
        with autocast(self._device, self._dtype):
            output = network(batch.frames.to(self._device, non_blocking=True), batch.frame_lengths)
        if is_counted:
            targets = Targets(batch.targets, batch.target_lengths)
            loss = weighted_loss(output, targets, {name: weights[name] * fractions[name] for name in weights})
        else:
            loss = _zero_loss(output, weights)
        # Torch averages the gradients of the ranks; the step needs their sum.
        self._state.scaler.scale(loss.total * self._ranks.world_size).backward()
        terms = [loss.parts[name] * fractions[name] for name in weights]
        return torch.stack([loss.total.detach(), *terms])

    def _without_exchange(self) -> AbstractContextManager[None]:
        """Do not exchange gradients between ranks within the block: the last micro-batch exchanges them."""
        return nullcontext() if self._ddp is None else self._ddp.no_sync()

    def _update_or_skip(self, finite: Tensor, buffers: Sequence[Tensor]) -> None:
        """Update the weights; if the step is not finite, skip it: restore batch norm's statistics instead.

        Infinite values would stay in batch norm's running means for ever. On a GPU the optimizer gets the flag, because
        reading it here would wait for the device.
        """
        state = self._state
        on_gpu = self._device.type == "cuda"
        if on_gpu and not state.scaler.is_enabled():
            # As torch's scaler does in fp16: a fused optimizer skips the step if this attribute is 1.
            state.optimizer.found_inf = 1 - finite.float()  # type: ignore[attr-defined]
        # In fp16 the scaler checks the gradients itself.
        if on_gpu or state.scaler.is_enabled() or bool(finite):
            state.scaler.step(state.optimizer)
        state.scaler.update()
        if on_gpu or not bool(finite):
            for buffer, before in zip(state.network.buffers(), buffers, strict=True):
                buffer.copy_(torch.where(finite, buffer, before))


def _mean_in_rank_order(bucket: Any, world_size: int) -> torch.futures.Future[Tensor]:
    """Compute the mean of gradients over all ranks, summed in the order of the ranks.

    Gloo's order of summation depends on the position in the bucket, and torch rearranges its buckets after the first
    step: with three or more ranks, a resumed training would differ in the last digit.
    """
    gradients = [torch.empty_like(bucket.buffer()) for _ in range(world_size)]
    dist.all_gather(gradients, bucket.buffer())
    total = gradients[0]
    for gradient in gradients[1:]:
        total += gradient
    future: torch.futures.Future[Tensor] = torch.futures.Future()
    future.set_result(total / world_size)
    return future


def _zero_loss(output: NetworkOutput, weights: Mapping[str, float]) -> LossValues:
    """Return a loss of zero that depends on all parameters: torch needs a gradient for each."""
    zero = torch.stack([output.sequence_logits.sum(), output.conv_logits.sum(), *output.losses.values()]).sum() * 0
    return LossValues(zero, {name: zero.detach() for name in weights})
