"""Averages of weights: a moving average during a training, or the mean of its best epochs afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network
from cslr_cli.training.run.folder import RunFolder, best_epochs


class MovingAverage:
    """The exponential moving average of a network's weights.

    After update n (from 1), `average ← average + (1 - d) · (weights - average)` with
    `d = min(decay, (1 + n) / (10 + n))`, so that the first steps, far from the final weights, lose their effect soon.
    The average starts at the current weights of the network.

    Batch norm's running statistics are averaged like weights; integers (its number of batches) are copied.
    All processes of a distributed training compute the same average, without communication.

    Args:
        network: network that is trained, not wrapped for distributed training.
        decay: decay per step, between 0 and 1; the average is over about `1 / (1 - decay)` steps.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._decay = decay
        self._updates = 0
        self._live = network.state_dict()  # shares its memory with the network
        self._average = {name: value.clone() for name, value in self._live.items()}
        self._swapped = False
        self._floating = [name for name, value in self._live.items() if value.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the current weights of the network; call it after each step.

        Skipped steps count too: on a GPU it is not known yet that they were skipped.
        """
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        average, live = ([tensors[name] for name in self._floating] for tensors in (self._average, self._live))
        torch._foreach_lerp_(average, live, 1 - decay)  # one call for all: a loop would launch a kernel for each
        for name in self._live.keys() - set(self._floating):
            self._average[name].copy_(self._live[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the network the averaged weights for the duration of the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, live in self._live.items():
            trained = live.clone()
            live.copy_(self._average[name])
            self._average[name].copy_(trained)
        self._swapped = not self._swapped

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The averaged weights by name, whether swapped in or not; read-only."""
        return self._live if self._swapped else self._average

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """The trained weights by name, whether swapped out or not; read-only."""
        return self._average if self._swapped else self._live

    @torch.no_grad()
    def restart(self) -> None:
        """Start again at the current weights of the network."""
        self.restore(self.trained, 0)

    @property
    def updates(self) -> int:
        """Number of steps in the average."""
        return self._updates

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Restore a saved average; raises a KeyError or RuntimeError if a tensor is missing or has another shape."""
        for name, value in self.weights.items():
            value.copy_(weights[name])
        self._updates = updates


def mean_weights(checkpoints: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Compute the mean of the weights of several checkpoints of one network.

    Batch norm's running statistics are averaged like weights; integers become their maximum. Sums are in float64;
    the result has the dtypes of the checkpoints.

    Args:
        checkpoints: weights by name of at least one checkpoint, all with the same names, shapes and dtypes; iterated
            over once.
    """
    sums: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    number = 0
    for weights in checkpoints:
        number += 1
        for name, value in weights.items():
            if name not in sums:
                dtypes[name] = value.dtype
                sums[name] = value.double() if value.is_floating_point() else value
            elif value.is_floating_point():
                sums[name] = sums[name].add(value)
            else:
                sums[name] = torch.maximum(sums[name], value)
    return {
        name: (total / number).to(dtypes[name]) if dtypes[name].is_floating_point else total
        for name, total in sums.items()
    }


@dataclass(frozen=True)
class BestAverage:
    """The mean of a run's best checkpoints.

    Attributes:
        checkpoint: checkpoint with the mean weights; its `averaged_epochs` are the epochs, best first.
        missing: epochs among the best whose weights were not kept.
        evaluated: number of evaluated epochs of the run.
        warnings: faults of the run's files that do not prevent the average.
    """

    checkpoint: Checkpoint
    missing: tuple[int, ...]
    evaluated: int
    warnings: tuple[str, ...] = ()


def average_best(run: RunFolder, number: int) -> BestAverage:
    """Average the checkpoints of a run's best epochs.

    Args:
        run: run with `epoch-N.pt` files.
        number: number of epochs to average, those with the lowest WER on dev.

    Raises:
        CheckpointError: the run has fewer than two such checkpoints, or they are not of the same network.
    """
    warnings: list[str] = []
    history, files = run.read_metrics(warnings.append), run.epoch_files()
    wanted = best_epochs(history, number)
    epochs = [epoch for epoch in wanted if epoch in files]
    if len(epochs) < 2:
        kind = f"of {len(wanted)} evaluated epochs" if len(wanted) < number else f"of the {number} best epochs"
        raise CheckpointError(
            f"{run.path}: has the weights of {len(epochs)} {kind}; an average needs at least 2",
            "train with a larger training.keep_best, the number of epochs whose weights are kept\n"
            f"{run.metrics} has the WER of each epoch",
        )
    best = load_checkpoint(files[epochs[0]])
    weights = mean_weights(_load_same_network(files[epoch], best) for epoch in epochs)
    averaged = replace(
        best, weights=weights, epoch=max(epochs), history=(), training=None, averaged_epochs=tuple(epochs)
    )
    missing = tuple(epoch for epoch in wanted if epoch not in files)
    return BestAverage(averaged, missing, sum(record.wer is not None for record in history), tuple(warnings))


def _load_same_network(path: Path, best: Checkpoint) -> Mapping[str, Tensor]:
    """Load the weights of a checkpoint, and check that it is of the same network as the best one."""
    checkpoint = load_checkpoint(path)
    if checkpoint.config.model != best.config.model or checkpoint.vocabulary.glosses != best.vocabulary.glosses:
        raise CheckpointError(
            f"{path}: has another network or vocabulary than the run's best checkpoint",
            "remove the file if it is from another run: only checkpoints of one run can be averaged",
        )
    return checkpoint.weights
