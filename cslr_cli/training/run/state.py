"""What a training is between two steps: enough to go on exactly, kept in `last.pt`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network
from cslr_cli.training.averaging import MovingAverage
from cslr_cli.training.monitoring.epoch_record import EpochSums
from cslr_cli.vocabulary import Vocabulary

Record = Mapping[str, Any]


@dataclass
class TrainingState:
    """The parts of a training that change.

    Random numbers are no part of it: each step draws from (seed, epoch, step) anew.

    Attributes:
        network: on its device.
        optimizer: of the network's parameters.
        scaler: of the loss in fp16; does nothing in other precisions.
        epoch: epochs finished.
        step: steps done, over all epochs.
        history: a record for each finished epoch.
        unfinished: what was counted of the epoch that has begun; None between two epochs.
        average: the moving average of the weights; None: the training has none.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    history: list[Record] = field(default_factory=list)
    unfinished: EpochSums | None = None
    average: MovingAverage | None = None

    @property
    def best_wer(self) -> float | None:
        """Lowest WER on dev so far, percent; None before the first evaluation."""
        return min((record["wer"] for record in self.history if record["wer"] is not None), default=None)

    def to_be_used(self) -> AbstractContextManager[None]:
        """The network with the weights that its checkpoints have, averaged or not, as long as the block lasts."""
        return nullcontext() if self.average is None else self.average.swapped_in()

    def checkpoint(
        self, config: Config, vocabulary: Vocabulary, corpus: CorpusOrigin, *, resumable: bool
    ) -> Checkpoint:
        """The state as a checkpoint; `resumable` with optimizer and scaler, three times as large.

        Where there is a moving average, it is the checkpoint's weights, for it is what was evaluated; those
        that are trained are with the optimizer.
        """
        training = None
        if resumable:
            training = {
                "step": self.step,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "unfinished": None if self.unfinished is None else self.unfinished.to_plain(),
            }
            if self.average is not None:
                training["weights"] = dict(self.average.trained)
                training["average_updates"] = self.average.updates
        return Checkpoint(
            config=config,
            vocabulary=vocabulary,
            corpus=corpus,
            weights=self.network.state_dict() if self.average is None else self.average.weights,
            epoch=self.epoch,
            history=tuple(self.history),
            training=training,
        )

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Go back to what a resumable checkpoint says.

        Raises:
            CheckpointError: the checkpoint has no training state, or that of another network.
        """
        if checkpoint.training is None:
            raise CheckpointError(f"{path}: holds weights only", "resume from a run's `last.pt`")
        try:
            trained = checkpoint.training.get("weights", checkpoint.weights)
            replace(checkpoint, weights=trained).load_weights_into(self.network)
            if self.average is not None:  # one that is begun with this resumption begins at these weights
                self.average.restore(checkpoint.weights, int(checkpoint.training.get("average_updates", 0)))
            self.optimizer.load_state_dict(dict(checkpoint.training["optimizer"]))
            scaler = dict(checkpoint.training["scaler"])
            if scaler and self.scaler.is_enabled():  # the run may have begun in another precision
                self.scaler.load_state_dict(scaler)
            self.step = int(checkpoint.training["step"])
            unfinished = checkpoint.training.get("unfinished")  # the first version saved only whole epochs
            self.unfinished = None if unfinished is None else EpochSums.from_plain(unfinished)
        except (CheckpointError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: not the state of a training with this configuration",
                f"{error}\nwas the network changed, in config.yaml or by --set? start another run by --name",
            ) from error
        self.epoch = checkpoint.epoch
        self.history = list(checkpoint.history)
