"""The state of a training between two steps: all that `last.pt` needs for an exact resume."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError
from cslr_cli.model.network import Network, build_network
from cslr_cli.progress import Progress
from cslr_cli.training.averaging import MovingAverage
from cslr_cli.training.monitoring.epoch_record import EpochRecord, EpochSums
from cslr_cli.training.start_points import freeze_parts
from cslr_cli.untrusted import abbreviate
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
                self.average.restore(
                    checkpoint.weights, _checked_count(checkpoint.training.get("average_updates", 0), "average_updates")
                )
            optimizer = checkpoint.training["optimizer"]
            _check_optimizer_state(self.optimizer, optimizer)
            self.optimizer.load_state_dict(optimizer)
            scaler = dict(checkpoint.training["scaler"])
            if scaler and self.scaler.is_enabled():  # the run may have begun in another precision
                for key, own in self.scaler.state_dict().items():
                    _check_setting(scaler[key], own, f"scaler.{key}")
                self.scaler.load_state_dict(scaler)
            self.step = _checked_count(checkpoint.training["step"], "step")
            unfinished = checkpoint.training.get("unfinished")  # the first version saved only whole epochs
            self.unfinished = None if unfinished is None else EpochSums.from_plain(unfinished)
            self.history = [EpochRecord.from_dict(record) for record in checkpoint.history]
        except (AttributeError, CheckpointError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: does not fit the configuration of this training",
                f"{error}\nrestore the network's settings in config.yaml or with --set; or start a new run with --name",
            ) from error
        self.epoch = checkpoint.epoch


def _check_optimizer_state(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Check that a saved state fits an optimizer; torch would compute with wrong shapes and types, and crash.

    Settings that only one of the two has are of another version of torch, and are not checked.

    Raises:
        ValueError: the state of a parameter has another shape or type, or a setting is not of the optimizer's kind.
        KeyError, TypeError, AttributeError: it is not the state of an optimizer.
    """
    groups, states = saved["param_groups"], saved["state"]
    own_groups = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in groups] != [group["params"] for group in own_groups]:
        raise ValueError("the optimizer has other parameters")
    for number, (group, own) in enumerate(zip(groups, own_groups, strict=True)):
        for key in group.keys() & own.keys() - {"params"}:
            _check_setting(group[key], own[key], f"param_groups.{number}.{key}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in states.items():
        shape = parameters[index].shape
        for name, expected in {"step": torch.Size([]), "exp_avg": shape, "exp_avg_sq": shape}.items():
            value = state[name]
            if not isinstance(value, torch.Tensor) or value.shape != expected or not value.is_floating_point():
                raise ValueError(f"{name} of parameter {index} is not a floating-point tensor of {tuple(expected)}")


def _check_setting(found: Any, own: Any, name: str) -> None:
    """Check that a saved setting is of the same kind as our own: a switch, or numbers that are finite and not below 0.

    Raises:
        ValueError: it is of another kind; the message names it.
    """
    if isinstance(own, (list, tuple)):
        fits = isinstance(found, (list, tuple)) and len(found) == len(own) and all(map(_is_quantity, found))
    elif own is None or isinstance(own, bool):
        fits = found is None or isinstance(found, bool)
    else:
        fits = _is_quantity(found)
    if not fits:
        raise ValueError(f"{name} is {abbreviate(found)}")


def _is_quantity(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value >= 0


def _checked_count(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {abbreviate(value)}, expected a whole number")
    return value
