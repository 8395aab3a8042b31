"""Where a training starts: fresh weights, ImageNet's or a checkpoint's; and what of them stays as it is."""

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
from cslr_cli.vocabulary import BLANK_ID, Vocabulary

# Of the model's settings, those that say where weights come from, and not what the network is made of.
_ORIGIN_KEYS = {"pretrained", "backbone_weights"}


@dataclass(frozen=True)
class StartPoint:
    """What a training started from.

    Attributes:
        source: the checkpoint, or `ImageNet` for the backbone's weights alone; None: fresh weights.
        glosses: of the corpus.
        kept: how many of them have their classifier's weights from the checkpoint.
        dropped: glosses of the checkpoint that the corpus has not.
    """

    source: Path | str | None = None
    glosses: int = 0
    kept: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        """One line: `best.pt; 1,102 of 1,295 glosses kept, 193 new, 13 of its own dropped`."""
        if not isinstance(self.source, Path):
            return "fresh weights" if self.source is None else f"{self.source} weights"
        counts = [f"{self.kept:,} of {self.glosses:,} glosses kept"]
        if self.kept < self.glosses:
            counts.append(f"{self.glosses - self.kept:,} new")
        if self.dropped:
            counts.append(f"{self.dropped:,} of its own dropped")
        return f"{self.source}; {', '.join(counts)}"


def start_from(network: Network, config: Config, corpus: PreparedCorpus) -> StartPoint:
    """Give a fresh network the weights that a configuration wants it to start from.

    Args:
        network: as `config.model` describes it, for the vocabulary of `corpus`.
        config: `training.init_weights`, else `model.pretrained`.
        corpus: what will be trained on.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is of another network.
        ConfigError: the backbone is to have its weights from two files.
        DataError: the vocabulary of a published checkpoint cannot be read.
    """
    settings = config.training
    if settings.init_weights is not None:
        if config.model.backbone_weights is not None:
            raise ConfigError(
                f"model.backbone_weights is {config.model.backbone_weights}, and training.init_weights "
                f"{settings.init_weights}: a backbone has its weights from one of them",
                "leave out --backbone-weights or --init-weights",
            )
        # Of which corpus a published checkpoint is, and how fast its videos were, its weights do not depend on.
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
    """Give a network the weights of a checkpoint, of the classifiers those of the glosses that both know.

    The other glosses keep the weights that the network has.

    Args:
        network: to be changed.
        model: what it is made of.
        vocabulary: of the network.
        checkpoint: the source.
        path: what to call it in an error.

    Raises:
        CheckpointError: the checkpoint is of a network of another shape; what differs is named, and
            nothing has been changed.
    """
    own = network.state_dict()
    places = {gloss: index for index, gloss in enumerate(checkpoint.vocabulary.glosses, start=1)}
    shared = [(index, places[gloss]) for index, gloss in enumerate(vocabulary.glosses, start=1) if gloss in places]
    columns = [(BLANK_ID, BLANK_ID), *shared]
    weights = dict(checkpoint.weights)
    for name, axis in _class_axes(network).items():
        if name in weights and _without(weights[name], axis) == _without(own[name], axis):
            weights[name] = _with_columns(own[name], weights[name], axis, columns)
    faults = find_weight_faults(own, weights)
    if faults:
        settings = _differing_settings(checkpoint.config.model, model)
        raise CheckpointError(
            f"{path}: its network has another shape than the one to be trained",
            "\n".join([join_faults(faults), *_told(settings)]),
        )
    network.load_state_dict(weights)
    return StartPoint(path, len(vocabulary.glosses), len(shared), len(places) - len(shared))


def _class_axes(network: Network) -> dict[str, int]:
    """Of each of the classifiers' tensors, the axis along which the classes lie."""
    classifiers = {"classifier": network.classifier, "conv_classifier": network.conv_classifier}
    return {
        f"{name}.{leaf}": 1 if isinstance(module, NormalisedClassifier) else 0
        for name, module in classifiers.items()
        if module is not None
        for leaf in module.state_dict()
    }


def _without(tensor: Tensor, axis: int) -> tuple[int, ...]:
    """The shape of a tensor but for one axis."""
    return tuple(size for place, size in enumerate(tensor.shape) if place != axis)


def _with_columns(own: Tensor, theirs: Tensor, axis: int, columns: Sequence[tuple[int, int]]) -> Tensor:
    """A copy of `own` in which some slices along an axis are those of `theirs`: pairs of their places in the two."""
    ours_at, theirs_at = (torch.tensor(places) for places in zip(*columns, strict=True))
    slices = theirs.index_select(axis, theirs_at).to(own)
    return own.index_copy(axis, ours_at.to(own.device), slices)


def _differing_settings(theirs: ModelConfig, ours: ModelConfig) -> dict[str, tuple[object, object]]:
    """The settings of the model that differ: what each is in the checkpoint, and in the configuration."""
    values = []
    for config in (theirs, ours):
        parts = config.parts
        resolved = {"pool": parts.pool, "classifier": parts.classifier, "shared_classifier": parts.shared_classifier}
        values.append({**config.model_dump(mode="json"), **resolved})
    there, here = values
    return {key: (there[key], here[key]) for key in there if there[key] != here[key] and key not in _ORIGIN_KEYS}


def _told(settings: Mapping[str, tuple[object, object]]) -> list[str]:
    if not settings:
        return []
    changes = " ".join(f"--set model.{key}={json.dumps(there)}" for key, (there, _) in settings.items())
    return [
        *(f"model.{key} is {there} in the checkpoint and {here} here" for key, (there, here) in settings.items()),
        f"to train the network that the checkpoint holds: {changes.replace(', ', ',')}",
    ]


class FrozenParts:
    """The parts of a network that a training leaves as they are.

    Their parameters get no gradient, and where whole modules are frozen, these stay in evaluation
    mode: batch norm keeps its running statistics and uses them, and dropout does nothing.

    Args:
        network: to be trained.
        names: of modules (`backbone.layer1`) or parameters (`backbone.alpha`), as in the network's state dict.

    Raises:
        ConfigError: the network has no part of a name, or nothing is left to train.
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        known = {name for name, _ in (*network.named_modules(), *network.named_parameters()) if name}
        faults = [_unknown(name, known) for name in dict.fromkeys(names) if name not in known]
        if faults:
            raise ConfigError(join_faults(faults), "expected names of modules or parameters, such as backbone.layer1")
        self._network = network
        self._names = tuple(names)
        for name, parameter in network.named_parameters():
            if self._covers(name):
                parameter.requires_grad_(False)
        if not self.trainable:
            raise ConfigError("training.frozen: nothing is left to train", "leave out at least one part of the network")

    @property
    def trainable(self) -> list[nn.Parameter]:
        """The parameters that are trained, in the network's order."""
        return [parameter for parameter in self._network.parameters() if parameter.requires_grad]

    def hold(self) -> None:
        """Put frozen modules into evaluation mode; to be called whenever the network was put into training mode."""
        for name, module in self._network.named_modules():
            if self._covers(name):
                module.eval()

    def _covers(self, name: str) -> bool:
        return any(name == frozen or name.startswith(f"{frozen}.") for frozen in self._names)


def _unknown(name: str, known: Collection[str]) -> str:
    ending = sorted((other for other in known if other.endswith(f".{name}")), key=len)
    nearest = ending[:1] or difflib.get_close_matches(name, sorted(known), n=1)
    return f"training.frozen: the network has no part '{name}'" + "".join(f"; did you mean {n}?" for n in nearest)
