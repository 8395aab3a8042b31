"""Averages of weights: moving along with a training, or taken over its best epochs afterwards."""

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
    `d = min(decay, (1 + n) / (10 + n))`: the first steps, which are far from where the training goes,
    are forgotten soon. It begins at the weights that the network has when this is made.

    Batch norm's running statistics are averaged like weights; whole numbers (how many batches it has
    seen) are those of the network. All processes of a distributed training that have the same weights
    compute the same average: nothing is exchanged.

    Args:
        network: the one that is trained; without a wrapper around it.
        decay: between 0 and 1; about `1 / (1 - decay)` steps are averaged over.
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
        """Take the weights that the network has now into the average.

        To be called after each step. One that was skipped has changed nothing, and counts all the same: on
        a GPU it is not known so early.
        """
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        average, live = ([tensors[name] for name in self._floating] for tensors in (self._average, self._live))
        torch._foreach_lerp_(average, live, 1 - decay)  # all of them at once: a loop would wait for each
        for name in self._live.keys() - set(self._floating):
            self._average[name].copy_(self._live[name])

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the network the averaged weights as long as the block lasts."""
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
        """The averaged weights by name, whether the network has them or not; not to be changed."""
        return self._live if self._swapped else self._average

    @property
    def trained(self) -> Mapping[str, Tensor]:
        """The weights that are trained, whether the network has them or not; not to be changed."""
        return self._average if self._swapped else self._live

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again, at the weights that the network has now."""
        self.restore(self.trained, 0)

    @property
    def updates(self) -> int:
        """How many steps have gone into it."""
        return self._updates

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go back to an average that was saved.

        Raises:
            KeyError: a tensor is missing.
            RuntimeError: a tensor has another shape.
        """
        for name, value in self.weights.items():
            value.copy_(weights[name])
        self._updates = updates


def mean_weights(checkpoints: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of the weights of several checkpoints of one network.

    Batch norm's running statistics are averaged like weights; of whole numbers the largest is taken.
    Sums are made in float64; the result has the dtypes of the checkpoints.

    Args:
        checkpoints: weights by name, at least one, all with the same names, shapes and dtypes. They are
            gone through once, and may be read one at a time.
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
        checkpoint: with the mean weights; `averaged_epochs` says of which epochs, the best first.
        missing: epochs that are among the best and of which no weights were kept.
        evaluated: how many epochs of the run were evaluated; no more can be averaged.
    """

    checkpoint: Checkpoint
    missing: tuple[int, ...]
    evaluated: int


def average_best(run: RunFolder, number: int) -> BestAverage:
    """Average the checkpoints of a run's best epochs.

    Args:
        run: whose `epoch-N.pt` are averaged.
        number: of epochs wanted, those of lowest WER on dev.

    Raises:
        CheckpointError: there are not even two such checkpoints, or they are not of one network.
        DataError: the run's metrics cannot be read.
    """
    history, files = run.read_metrics(), run.epoch_files()
    wanted = best_epochs(history, number)
    epochs = [epoch for epoch in wanted if epoch in files]
    if len(epochs) < 2:
        there = f"of {len(wanted)} evaluated epochs" if len(wanted) < number else f"of the {number} best epochs"
        raise CheckpointError(
            f"{run.path}: the weights of {len(epochs)} {there} are there; an average takes at least 2",
            "a run keeps as many as training.keep_best says in its configuration; for how good single epochs were,\n"
            f"see {run.metrics}",
        )
    best = load_checkpoint(files[epochs[0]])
    weights = mean_weights(_alike(files[epoch], best) for epoch in epochs)
    mean = replace(best, weights=weights, epoch=max(epochs), history=(), training=None, averaged_epochs=tuple(epochs))
    missing = tuple(epoch for epoch in wanted if epoch not in files)
    return BestAverage(mean, missing, sum(record["wer"] is not None for record in history))


def _alike(path: Path, best: Checkpoint) -> Mapping[str, Tensor]:
    """The weights of a checkpoint of the same network as another one."""
    checkpoint = load_checkpoint(path)
    if checkpoint.config.model != best.config.model or checkpoint.vocabulary.glosses != best.vocabulary.glosses:
        raise CheckpointError(
            f"{path}: of another network or vocabulary than the run's best checkpoint",
            "was the file put there from another run? only checkpoints of one run can be averaged",
        )
    return checkpoint.weights
