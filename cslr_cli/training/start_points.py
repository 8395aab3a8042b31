"""The weights that a training starts from (fresh, ImageNet's or a checkpoint's), and the parts that stay frozen."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.checkpoints.checkpoint_file import find_weight_faults
from cslr_cli.checkpoints.imagenet import load_imagenet_weights
from cslr_cli.checkpoints.published import open_checkpoint
from cslr_cli.config import Config, ModelConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError, join_faults
from cslr_cli.model.network import Network
from cslr_cli.model.temporal import NormalisedClassifier
from cslr_cli.untrusted import normalize_label
from cslr_cli.vocabulary import BLANK_ID, Vocabulary

# Settings in `model` of the weights to start from. All others change the network.
START_WEIGHT_KEYS = {"pretrained", "backbone_weights"}


@dataclass(frozen=True)
class StartPoint:
    """The weights that a training starts from.

    Attributes:
        source: path of the checkpoint, or `ImageNet` for the backbone's weights; None for fresh weights.
        glosses: number of glosses of the corpus.
        kept: number of glosses of the corpus whose classifier weights are from the checkpoint.
        dropped: number of glosses of the checkpoint that the corpus does not have.
    """

    source: Path | str | None = None
    glosses: int = 0
    kept: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        """One line: `best.pt; 1,102 of 1,295 glosses kept, 193 new, 13 dropped`."""
        if not isinstance(self.source, Path):
            return "fresh weights" if self.source is None else f"{self.source} weights"
        counts = [f"{self.kept:,} of {self.glosses:,} glosses kept"]
        if self.kept < self.glosses:
            counts.append(f"{self.glosses - self.kept:,} new")
        if self.dropped:
            counts.append(f"{self.dropped:,} dropped")
        return f"{self.source}; {', '.join(counts)}"


def load_start_weights(network: Network, config: Config, corpus: PreparedCorpus) -> StartPoint:
    """Load the weights that a configuration starts from into a fresh network for the vocabulary of a corpus.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is of another network.
        ConfigError: two settings give the weights of the backbone.
        DataError: the vocabulary of a published checkpoint cannot be read.
    """
    settings = config.training
    if settings.init_weights is not None:
        if config.model.backbone_weights is not None:
            raise ConfigError(
                f"model.backbone_weights is {config.model.backbone_weights}, and training.init_weights "
                f"{settings.init_weights}: both would set the weights of the backbone",
                "remove --backbone-weights or --init-weights",
            )
        # The corpus and frame rate of a published checkpoint do not matter here.
        conversion = open_checkpoint(settings.init_weights, settings.init_vocabulary, corpus)
        return load_shared_weights(
            network, config.model, corpus.vocabulary, conversion.checkpoint, settings.init_weights
        )
    if config.model.pretrained:
        load_imagenet_weights(network.backbone, config.model.backbone_weights)
        return StartPoint("ImageNet")
    return StartPoint()


def load_shared_weights(
    network: Network, model: ModelConfig, vocabulary: Vocabulary, checkpoint: Checkpoint, path: Path
) -> StartPoint:
    """Load the weights of a checkpoint, with the classifier weights of the glosses that both vocabularies have.

    The classifier weights of other glosses do not change.

    Args:
        network: network to load the weights into.
        model: configuration of the network.
        vocabulary: vocabulary of the network.
        checkpoint: checkpoint with the weights.
        path: path of the checkpoint, for errors.

    Raises:
        CheckpointError: the checkpoint's network has other shapes, which the message names; `network` is unchanged.
    """
    own = network.state_dict()
    checkpoint_ids = {gloss: index for index, gloss in enumerate(checkpoint.vocabulary.glosses, start=1)}
    # Version 0.1 did not normalise glosses.
    spellings = {normalize_label(gloss): index for gloss, index in checkpoint_ids.items()} | checkpoint_ids
    shared = [
        (gloss_id, spellings[gloss]) for gloss_id, gloss in enumerate(vocabulary.glosses, start=1) if gloss in spellings
    ]
    shared_ids = [(BLANK_ID, BLANK_ID), *shared]
    weights = dict(checkpoint.weights)
    for name, axis in _class_axes(network).items():
        if name in weights and _shape_without(weights[name], axis) == _shape_without(own[name], axis):
            weights[name] = _with_shared_classes(own[name], weights[name], axis, shared_ids)
    faults = find_weight_faults(own, weights)
    if faults:
        settings = _compare_models(checkpoint.config.model, model)
        raise CheckpointError(
            f"{path}: the network in this checkpoint and the network to train have different shapes",
            "\n".join([join_faults(faults), *_describe_differences(settings)]),
        )
    network.load_state_dict(weights)
    return StartPoint(path, len(vocabulary.glosses), len(shared), len(checkpoint_ids) - len(shared))


def _class_axes(network: Network) -> dict[str, int]:
    """The axis of the classes in each tensor of the classifiers, by name."""
    classifiers = {"classifier": network.classifier, "conv_classifier": network.conv_classifier}
    return {
        f"{name}.{leaf}": 1 if isinstance(module, NormalisedClassifier) else 0
        for name, module in classifiers.items()
        if module is not None
        for leaf in module.state_dict()
    }


def _shape_without(tensor: Tensor, axis: int) -> tuple[int, ...]:
    """The shape of a tensor without one axis."""
    return tuple(size for place, size in enumerate(tensor.shape) if place != axis)


def _with_shared_classes(own: Tensor, source: Tensor, axis: int, shared_ids: Sequence[tuple[int, int]]) -> Tensor:
    """A copy of `own` with some slices along an axis from `source`; `shared_ids` are pairs of indices in the two."""
    own_ids, source_ids = (torch.tensor(ids) for ids in zip(*shared_ids, strict=True))
    slices = source.index_select(axis, source_ids).to(own)
    return own.index_copy(axis, own_ids.to(own.device), slices)


def _compare_models(checkpoint: ModelConfig, config: ModelConfig) -> dict[str, tuple[object, object]]:
    """Return the settings of the model that differ, with the values in the checkpoint and in the configuration."""
    values = []
    for model in (checkpoint, config):
        parts = model.parts
        resolved = {"pool": parts.pool, "classifier": parts.classifier, "shared_classifier": parts.shared_classifier}
        values.append({**model.model_dump(mode="json"), **resolved})
    before, now = values
    return {key: (before[key], now[key]) for key in before if before[key] != now[key] and key not in START_WEIGHT_KEYS}


def _describe_differences(settings: Mapping[str, tuple[object, object]]) -> list[str]:
    if not settings:
        return []
    changes = " ".join(f"--set model.{key}={json.dumps(before)}" for key, (before, _) in settings.items())
    return [
        *(f"model.{key} is {before} in the checkpoint and {now} here" for key, (before, now) in settings.items()),
        f"to train the checkpoint's network, use: {changes.replace(', ', ',')}",
    ]


def freeze_parts(network: Network, names: Sequence[str]) -> list[nn.Parameter]:
    """Exclude parts of a network from the training: their parameters get no gradient.

    Args:
        network: network to be trained.
        names: modules (`backbone.layer1`) or parameters (`backbone.alpha`), as in the network's state dict.

    Returns:
        The parameters to train, in the network's order.

    Raises:
        ConfigError: the network has no such part, or no parameters are left to train.
    """
    known = {name for name, _ in (*network.named_modules(), *network.named_parameters()) if name}
    faults = [_describe_unknown_part(name, known) for name in dict.fromkeys(names) if name not in known]
    if faults:
        raise ConfigError(join_faults(faults), "use names of modules or parameters, such as backbone.layer1")
    for name, parameter in network.named_parameters():
        if _is_frozen(name, names):
            parameter.requires_grad_(False)
    trained = trained_parameters(network)
    if not trained:
        raise ConfigError("training.frozen: no parameters are left to train", "remove at least one part")
    return trained


def trained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained, in the network's order."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_training_mode(network: nn.Module, frozen: Sequence[str]) -> None:
    """Set a network to training mode, except the named frozen parts.

    The batch norm of frozen parts uses its running statistics and keeps them, and their dropout does nothing.
    """
    network.train()
    for name, module in network.named_modules():
        if _is_frozen(name, frozen):
            module.eval()


def _is_frozen(name: str, frozen: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in frozen)


def _describe_unknown_part(name: str, known: Collection[str]) -> str:
    ending = sorted((other for other in known if other.endswith(f".{name}")), key=len)
    nearest = ending[:1] or difflib.get_close_matches(name, sorted(known), n=1)
    return f"training.frozen: the network has no part '{name}'" + "".join(f"; did you mean {n}?" for n in nearest)
