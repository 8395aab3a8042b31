"""One step of the optimizer: a batch, in one part or several, on one device or several."""

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

from cslr_cli.config import Config
from cslr_cli.dataset.collate import Batch
from cslr_cli.model.device import autocast
from cslr_cli.model.losses import LossValues, Targets, weighted_loss
from cslr_cli.model.network import NetworkOutput
from cslr_cli.temporal_plan import ctc_steps_needed
from cslr_cli.training.distributed.batch_norm import synchronised
from cslr_cli.training.distributed.ranks import ALONE, Ranks, peers_told
from cslr_cli.training.monitoring.epoch_record import DeviceFigures
from cslr_cli.training.run.state import TrainingState
from cslr_cli.training.schedule import learning_rate

# What torch calls the switch by which buffers are copied from the first rank at each step: it was renamed.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


@dataclass(frozen=True)
class Extent:
    """How much there is of a batch, or of a part of it: what losses are averaged over.

    Attributes:
        clips: their number; 0 where they are counted elsewhere.
        rows: their steps with padding, what the distillation is averaged over.
        unfit: clips among them that have more glosses than steps.
    """

    clips: float
    rows: float
    unfit: float = 0.0

    def share_of(self, loss: str, whole: Extent) -> float:
        """How much this part's value of a loss counts in that of the whole batch.

        CTC is a mean over clips, the distillation one over rows. The losses of lifting pools are norms
        over the whole batch: the root of the sum of squares, here as if all parts had equal ones.
        """
        if loss == "distillation":
            return self.rows / whole.rows
        share = self.clips / whole.clips
        return share if loss.endswith("ctc") else math.sqrt(share)


class Stepper:
    """Does one step of a training after the other.

    Where there are several ranks, each computes its parts of the batch, and all have the gradient of
    the whole of it, and so the same weights, after the step.

    Args:
        state: network, optimizer, scaler; changed by each step.
        config: losses, rates, clipping, seed.
        device: where the network is.
        dtype: what it computes in; losses are computed in fp32.
        num_steps: of the whole training.
        ranks: the processes.
    """

    def __init__(
        self,
        state: TrainingState,
        config: Config,
        *,
        device: torch.device,
        dtype: torch.dtype,
        num_steps: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self._state, self._config = state, config
        self._device, self._dtype = device, dtype
        self._num_steps = num_steps
        self._ranks = ranks
        self._parallel = None if ranks.is_alone else self._in_parallel()

    def _in_parallel(self) -> DistributedDataParallel:
        synchronised(self._state.network, self._device)
        # Of 1×1 convolutions, whose gradients can lie in memory in two ways that are the same.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
        loss = self._config.loss
        # Batch norm's are the same everywhere: they follow the whole batch.
        no_exchange_of_buffers: dict[str, Any] = {_SYNC_BUFFERS: False}
        parallel = DistributedDataParallel(
            self._state.network,
            device_ids=[self._device] if self._device.type == "cuda" else None,
            # A head that no loss looks at has no gradient; torch would wait for it.
            find_unused_parameters=0 in (loss.sequence_ctc, loss.conv_ctc),
            gradient_as_bucket_view=True,
            **no_exchange_of_buffers,
        )
        if self._device.type == "cpu":
            world_size = self._ranks.world_size
            # Not the function itself: torch wants its annotations to be classes, and here they are words. Nor may the
            # hook know this step, which knows `parallel`: torch would keep all of them, and gloo's threads, for good.
            parallel.register_comm_hook(None, lambda _, bucket: _mean_in_order(bucket, world_size))
        return parallel

    def extent(self, part: Batch, *, counts: bool) -> Extent:
        """How much there is of a part; nothing, if another rank counts it."""
        if not counts:
            return Extent(0, 0)
        plan = self._state.network.plan
        steps = [plan.num_steps(int(length)) for length in part.frame_lengths]
        targets = part.targets.split(part.target_lengths.tolist())
        unfit = sum(ctc_steps_needed(clip.tolist()) > there for clip, there in zip(targets, steps, strict=True))
        return Extent(len(steps), len(steps) * max(steps), unfit)

    def __call__(self, parts: Sequence[tuple[Batch, Extent]], whole: Extent, epoch: int) -> DeviceFigures:
        """Do a step; where loss or gradient is not finite, leave everything as it was.

        Args:
            parts: this rank's, with their extents.
            whole: the extent of the batch, over all parts and ranks.
            epoch: from 1.

        Raises:
            TrainingError: another rank has ended.
        """
        state, settings = self._state, self._config.optimizer
        self._seed(epoch)
        self._set_rate(epoch)
        buffers = [buffer.clone() for buffer in state.network.buffers()]
        state.optimizer.zero_grad()
        weights = {name: weight for name, weight in self._config.loss_weights(epoch).items() if weight}
        sums: Tensor | None = None
        with peers_told():
            for number, (batch, extent) in enumerate(parts, start=1):
                shares = {name: extent.share_of(name, whole) for name in weights}
                with nullcontext() if number == len(parts) else self._without_exchange():
                    losses = self._part(batch, weights, shares, counts=extent.clips > 0)
                sums = losses if sums is None else sums + losses
        assert sums is not None  # a batch has at least one part
        self._ranks.add_up(sums)
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._trained(), settings.clip_norm or math.inf)
        finite = sums[0].isfinite() & norm.isfinite()
        self._apply(finite, buffers)
        state.step += 1
        return DeviceFigures(("loss", *weights), sums, norm.detach(), finite)

    def _trained(self) -> list[Tensor]:
        return [parameter for parameter in self._state.network.parameters() if parameter.requires_grad]

    def _seed(self, epoch: int) -> None:
        """Dropout draws from here: the same after an interruption as without one; each rank its own numbers."""
        entropy = [self._config.training.seed, epoch, self._state.step]
        if not self._ranks.is_first:
            entropy.append(self._ranks.rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _set_rate(self, epoch: int) -> None:
        config, state = self._config, self._state
        rate = learning_rate(
            config.optimizer.lr, config.schedule, epoch=epoch, step=state.step, num_steps=self._num_steps
        )
        for group in state.optimizer.param_groups:
            group["lr"] = rate

    def _part(self, batch: Batch, weights: Mapping[str, float], shares: Mapping[str, float], *, counts: bool) -> Tensor:
        """Add the gradient of a part; its losses, as shares of the batch's: `loss` and its parts."""
        network = self._parallel or self._state.network
        with autocast(self._device, self._dtype):
            output = network(batch.frames.to(self._device, non_blocking=True), batch.frame_lengths)
        if counts:
            targets = Targets(batch.targets, batch.target_lengths)
            loss = weighted_loss(output, targets, {name: weights[name] * shares[name] for name in weights})
        else:
            loss = _no_loss(output, weights)
        # The ranks' gradients are averaged; what is wanted is their sum.
        self._state.scaler.scale(loss.total * self._ranks.world_size).backward()
        parts = [loss.parts[name] * shares[name] for name in weights]
        return torch.stack([loss.total.detach(), *parts])

    def _without_exchange(self) -> AbstractContextManager[None]:
        """Gradients of several parts are exchanged once, with the last one."""
        return nullcontext() if self._parallel is None else self._parallel.no_sync()

    def _apply(self, finite: Tensor, buffers: Sequence[Tensor]) -> None:
        """Change the weights, or where the step is not finite, put batch norm's statistics back.

        What batch norm has seen may be infinite as well, and would stay in its means for ever. On a
        GPU neither is known here, for knowing would be waiting: the optimizer is given the flag.
        """
        state = self._state
        on_gpu = self._device.type == "cuda"
        if on_gpu and not state.scaler.is_enabled():
            # As torch's scaler does it in fp16: a fused optimizer looks at this by itself.
            state.optimizer.found_inf = 1 - finite.float()  # type: ignore[attr-defined]
        # In fp16 the scaler looks at the gradients itself.
        if on_gpu or state.scaler.is_enabled() or bool(finite):
            state.scaler.step(state.optimizer)
        state.scaler.update()
        if on_gpu or not bool(finite):
            for buffer, before in zip(state.network.buffers(), buffers, strict=True):
                buffer.copy_(torch.where(finite, buffer, before))


def _mean_in_order(bucket: Any, world_size: int) -> torch.futures.Future[Tensor]:
    """The mean of some gradients over all ranks, added up in the order of the ranks.

    In which order gloo adds up depends on where a number lies, and torch lays its buckets out anew after the
    first step: with three ranks or more, a training that goes on would differ in the last digit.
    """
    shares = [torch.empty_like(bucket.buffer()) for _ in range(world_size)]
    dist.all_gather(shares, bucket.buffer())
    total = shares[0]
    for share in shares[1:]:
        total += share
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(total / world_size)
    return done


def _no_loss(output: NetworkOutput, weights: Mapping[str, float]) -> LossValues:
    """Nothing to learn from, by way of all that has parameters: torch wants a gradient of each."""
    zero = torch.stack([output.sequence_logits.sum(), output.conv_logits.sum(), *output.losses.values()]).sum() * 0
    return LossValues(zero, {name: zero.detach() for name in weights})
