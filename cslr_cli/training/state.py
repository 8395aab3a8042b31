"""What a training is at the end of an epoch: enough to go on exactly, kept in `last.pt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cslr_cli.checkpoint import Checkpoint, CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network
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
    """

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    history: list[Record] = field(default_factory=list)

    @property
    def best_wer(self) -> float | None:
        """Lowest WER on dev so far, percent; None before the first evaluation."""
        return min((record["wer"] for record in self.history if record["wer"] is not None), default=None)

    def checkpoint(
        self, config: Config, vocabulary: Vocabulary, corpus: CorpusOrigin, *, resumable: bool
    ) -> Checkpoint:
        """The state as a checkpoint; `resumable` with optimizer and scaler, three times as large."""
        training = None
        if resumable:
            training = {
                "step": self.step,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
            }
        return Checkpoint(
            config=config,
            vocabulary=vocabulary,
            corpus=corpus,
            weights=self.network.state_dict(),
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
            checkpoint.load_weights_into(self.network)
            self.optimizer.load_state_dict(dict(checkpoint.training["optimizer"]))
            scaler = dict(checkpoint.training["scaler"])
            if scaler and self.scaler.is_enabled():  # the run may have begun in another precision
                self.scaler.load_state_dict(scaler)
            self.step = int(checkpoint.training["step"])
        except (CheckpointError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: not the state of a training with this configuration",
                f"{error}\nwas the run's config.yaml changed? start another run by --name",
            ) from error
        self.epoch = checkpoint.epoch
        self.history = list(checkpoint.history)
