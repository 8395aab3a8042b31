"""The state of a training between two steps: all that `last.pt` needs for an exact resume."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network, build_network
from cslr_cli.progress import Progress
from cslr_cli.training.averaging import MovingAverage
from cslr_cli.training.monitoring.epoch_record import EpochRecord, EpochSums
from cslr_cli.training.start_points import freeze_parts
from cslr_cli.vocabulary import Vocabulary


@dataclass
class TrainingState:
    """The parts of a training that change.

    There is no random state: each step draws its random numbers from (seed, epoch, step).

    Attributes:
        network: network on its device.
        optimizer: optimizer of the network's trained parameters.
        scaler: loss scaler of fp16; does nothing in other precisions.
        epoch: number of finished epochs.
        step: number of steps so far, over all epochs.
        history: records of the finished epochs.
        unfinished: sums of the epoch in progress; None between two epochs.
        average: moving average of the weights; None if the configuration has none.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    unfinished: EpochSums | None = None
    average: MovingAverage | None = None

    @classmethod
    def create(cls, config: Config, num_classes: int, device: torch.device, dtype: torch.dtype) -> TrainingState:
        """Build a fresh network with its optimizer.

        Args:
            config: configuration of the training.
            num_classes: size of the vocabulary with the blank.
            device: device of the network.
            dtype: dtype of the computation; float16 gets a loss scaler.

        Raises:
            ConfigError: `training.frozen` names an unknown part, or leaves nothing to train.
        """
        torch.manual_seed(config.training.seed)
        network = build_network(config.model, num_classes).to(device)
        network.backbone.checkpoint_activations = config.training.activation_checkpointing
        trained = freeze_parts(network, config.training.frozen)
        settings = config.optimizer
        optimizer = torch.optim.Adam(trained, settings.lr, weight_decay=settings.weight_decay, fused=True)
        scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        decay = config.training.ema_decay
        average = None if decay is None else MovingAverage(network, decay)
        return cls(network.train(), optimizer, scaler, average=average)

    @property
    def best_wer(self) -> float | None:
        """Lowest WER on dev so far, percent; None before the first evaluation."""
        return min((record.wer for record in self.history if record.wer is not None), default=None)

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def progress(self, num_epochs: int, num_steps: int) -> Progress:
        """Return the progress within an epoch, for a training of `num_epochs` epochs and `num_steps` steps."""
        figures: dict[str, float] = {"epoch": self.epoch + 1, "epochs": num_epochs}
        sums = self.unfinished or EpochSums()
        if sums.steps:
            figures["loss"] = sums.losses["loss"] / sums.steps
        if self.best_wer is not None:
            figures["best_wer"] = self.best_wer
        figures["clips_per_second"] = sums.clips / sums.seconds
        if sums.skipped_clips:
            figures["skipped"] = len(sums.skipped_clips)
        return Progress("train", self.step, num_steps, figures)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Give the network the weights that are evaluated, the averaged ones if there are any, within the block."""
        return nullcontext() if self.average is None else self.average.swapped_in()

    def to_checkpoint(
        self, config: Config, vocabulary: Vocabulary, corpus: CorpusOrigin, *, resumable: bool
    ) -> Checkpoint:
        """Make a checkpoint of the state; a `resumable` one has optimizer and scaler, and is three times as large.

        If there is a moving average, its weights are the weights of the checkpoint, because they were evaluated. The
        trained weights are saved with the optimizer.
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
            history=tuple(record.to_dict() for record in self.history),
            training=training,
        )

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Restore the state from a resumable checkpoint.

        Args:
            checkpoint: checkpoint made by `to_checkpoint`.
            path: path of the checkpoint, for errors.

        Raises:
            CheckpointError: the checkpoint has no training state, or that of another network.
        """
        if checkpoint.training is None:
            raise CheckpointError(f"{path}: has weights only, no training state", "use the `last.pt` of a run")
        try:
            trained = checkpoint.training.get("weights", checkpoint.weights)
            replace(checkpoint, weights=trained).load_weights_into(self.network)
            if self.average is not None:  # an average that the checkpoint does not have starts at these weights
                self.average.restore(checkpoint.weights, int(checkpoint.training.get("average_updates", 0)))
            self.optimizer.load_state_dict(dict(checkpoint.training["optimizer"]))
            scaler = dict(checkpoint.training["scaler"])
            if scaler and self.scaler.is_enabled():  # the run may have begun in another precision
                self.scaler.load_state_dict(scaler)
            self.step = int(checkpoint.training["step"])
            unfinished = checkpoint.training.get("unfinished")  # the first version saved only whole epochs
            self.unfinished = None if unfinished is None else EpochSums.from_plain(unfinished)
            self.history = [EpochRecord.from_dict(record) for record in checkpoint.history]
        except (CheckpointError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: does not fit the configuration of this training",
                f"{error}\nrestore the network's settings in config.yaml or with --set; or start a new run with --name",
            ) from error
        self.epoch = checkpoint.epoch
