"""Checkpoints: one self-describing file with a network and everything needed to use it.

A checkpoint file contains only tensors and plain values; reading one runs no code from the file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cslr_cli.checkpoints.checkpoint_file import (
    EXPECTED,
    find_weight_faults,
    non_finite_warnings,
    read_checkpoint_file,
    write_checkpoint_file,
)
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin, StoredCorpus, store_origin
from cslr_cli.checkpoints.published_tensors import find_published_state
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError, ConfigError, join_faults
from cslr_cli.media.clip_plan import small_crop_warning
from cslr_cli.model.network import Network, build_network
from cslr_cli.model.registry import NETWORKS
from cslr_cli.version import __version__
from cslr_cli.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

FORMAT = "cslr checkpoint"
FORMAT_VERSION = 1

PUBLISHED_NETWORKS = f"a checkpoint of {', '.join(NETWORKS)} as the published code saves it"


@dataclass(frozen=True)
class PublishedOrigin:
    """Origin of a network that was converted from a published checkpoint.

    Attributes:
        source: file name of the published checkpoint.
        unused: tensors by published name that the network does not use; kept so that converting back loses nothing.
    """

    source: str
    unused: Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with everything needed to use it or to continue its training.

    Attributes:
        config: complete configuration of the training.
        vocabulary: glosses of the network's classes.
        corpus: facts about the training corpus.
        weights: tensors of the network by name.
        epoch: number of trained epochs.
        history: one record per epoch: losses, learning rates, word error rates.
        training: state for resuming (optimizer, schedule, scaler); None if training cannot be resumed.
        published_origin: origin of a converted network; None if it was trained with this package.
        averaged_epochs: epochs whose weights were averaged; empty if the weights are no average.
        version: version of this package that wrote the checkpoint.

    Example:
        >>> network = load_checkpoint(Path("runs/quickstart/best.pt")).build_network()
    """

    config: Config
    vocabulary: Vocabulary
    corpus: CorpusOrigin
    weights: Mapping[str, Tensor]
    epoch: int = 0
    history: tuple[Mapping[str, Any], ...] = ()
    training: Mapping[str, Any] | None = None
    published_origin: PublishedOrigin | None = None
    averaged_epochs: tuple[int, ...] = ()
    version: str = field(default=__version__)

    @property
    def warnings(self) -> list[str]:
        """Warnings that the user should see before the checkpoint is used."""
        crop = small_crop_warning(self.config.data, self.corpus.frame_size)
        return [*non_finite_warnings(self.weights), *([] if crop is None else [crop])]

    @property
    def dev_wer(self) -> float | None:
        """WER on dev of these weights, percent; None if they were not evaluated in the training."""
        wers = (record.get("wer") for record in self.history if record.get("epoch") == self.epoch)
        wer = next(wers, None)
        return float(wer) if isinstance(wer, int | float) else None

    def describe(self) -> str:
        """Describe the network by a text that no other network has: its name, its epoch, and a hash of its content."""
        config = self.config.to_dict()
        parts = [config["model"], config["data"], config["decoding"], self.vocabulary.hash]
        content = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=6)
        for name, tensor in sorted(self.weights.items()):
            content.update(name.encode())
            content.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return f"{self.config.model.name}, epoch {self.epoch}, {content.hexdigest()}"

    def build_network(self) -> Network:
        """Build the network with its weights, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: weights are missing, unexpected or of another shape; they are listed.
        """
        network = self.build_network_without_weights()
        self._check_weights_fit(network)
        own = {
            name: self.weights[name].to(value.dtype, copy=True, memory_format=torch.contiguous_format)
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(own, assign=True)
        return network.eval()

    def network(self) -> Network:
        """Build the network, under the name that `build_network` had in version 0.1."""
        message = "`Checkpoint.network` is now `build_network`; version 1.0 will remove the old name"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.build_network()

    def build_network_without_weights(self) -> Network:
        """Build the network on the `meta` device: shapes only, without memory for weights."""
        with torch.device("meta"):
            return build_network(self.config.model, self.vocabulary.num_classes)

    def load_weights_into(self, network: Network) -> None:
        """Load the weights into a network; raise a `CheckpointError` as `build_network` does if they do not fit."""
        self._check_weights_fit(network)
        network.load_state_dict(dict(self.weights))

    def _check_weights_fit(self, network: Network) -> None:
        faults = find_weight_faults(network.state_dict(), self.weights)
        if faults:
            raise CheckpointError("the weights of the checkpoint do not fit the network", join_faults(faults))


class _FileModel(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _FileVocabulary(_FileModel):
    glosses: list[str]
    counts: list[int]


class _FilePublishedOrigin(_FileModel):
    source: str
    unused: dict[str, Tensor]


class _FileContent(_FileModel):
    """Content of a file besides its format; validated, because a file may contain anything."""

    version: str
    config: dict[str, Any]
    vocabulary: _FileVocabulary
    corpus: StoredCorpus
    weights: dict[str, Tensor]
    epoch: Annotated[int, Field(ge=0)]
    history: list[dict[str, Any]]
    training: dict[str, Any] | None
    converted: _FilePublishedOrigin | None = None  # missing in old files, like the next field
    averaged_epochs: list[int] = []


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: the file cannot be written; an older file at `path` stays unchanged.
    """
    origin = checkpoint.published_origin
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": checkpoint.version,
        "config": checkpoint.config.with_relative_paths().to_dict(),
        "vocabulary": {
            "glosses": list(checkpoint.vocabulary.glosses),
            "counts": list(checkpoint.vocabulary.counts),
        },
        "corpus": store_origin(checkpoint.corpus, checkpoint.vocabulary, path.parent),
        "weights": {name: value.detach().cpu() for name, value in checkpoint.weights.items()},
        "epoch": checkpoint.epoch,
        "history": [dict(record) for record in checkpoint.history],
        "training": None if checkpoint.training is None else dict(checkpoint.training),
        "converted": origin and {"source": origin.source, "unused": dict(origin.unused)},
        "averaged_epochs": list(checkpoint.averaged_epochs),
    }
    write_checkpoint_file(content, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `cslr train` or `cslr convert` wrote.

    `published.open_checkpoint` also reads checkpoints of the published code.

    Raises:
        CheckpointError: the file is missing, damaged, not a checkpoint, a published checkpoint, of another format, or
            its weights do not fit its network. The hint says what to do.

    Example:
        >>> from pathlib import Path
        >>> from cslr_cli import load_checkpoint
        >>> checkpoint = load_checkpoint(Path("runs/quickstart/best.pt"))
        >>> checkpoint.corpus.name, checkpoint.config.model.name
        ('synthetic', 'corrnet')
    """
    checkpoint = parse_checkpoint(read_checkpoint_file(path), path)
    _log.debug(
        "read %s: %s of epoch %d, written by cslr %s",
        *(path, checkpoint.config.model.name, checkpoint.epoch, checkpoint.version),
    )
    return checkpoint


def parse_checkpoint(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """Build the checkpoint from the content of a file, as `load_checkpoint` does.

    Args:
        content: result of `read_checkpoint_file`.
        path: path of the file, for messages.
    """
    if content.get("format") != FORMAT:
        raise _explain_foreign_file(content, path)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version}; this version of cslr reads format {FORMAT_VERSION}",
            f"install the version that wrote it, cslr {content.get('version', '(unknown)')}, or a newer one",
        )
    checkpoint = _validate_content(content, path)
    faults = find_weight_faults(checkpoint.build_network_without_weights().state_dict(), checkpoint.weights)
    if faults:
        raise CheckpointError(
            f"{path}: the weights do not fit the network that the file describes",
            f"{join_faults(faults)}\n{EXPECTED}, unchanged",
        )
    return checkpoint


def _explain_foreign_file(content: Mapping[str, Any], path: Path) -> CheckpointError:
    if find_published_state(content) is not None:
        source, output = quote(str(path)), quote(f"{path.stem}-cslr.pt")
        return CheckpointError(
            f"{path}: a checkpoint of the published code, which contains no vocabulary",
            f"convert it: cslr convert {source} --vocabulary gloss_dict.npy --output {output}\n"
            "or add --vocabulary FILE, if the command has this option",
        )
    if "model_state_dict" in content:
        return CheckpointError(
            f"{path}: looks like a checkpoint of the published code, but the network is unknown",
            f"use {PUBLISHED_NETWORKS}",
        )
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return CheckpointError(
            f"{path}: contains only weights (a state dict) of an unknown network",
            f"{EXPECTED}, or {PUBLISHED_NETWORKS}",
        )
    return CheckpointError(f"{path}: not a cslr checkpoint", EXPECTED)


def _validate_content(content: Mapping[str, Any], path: Path) -> Checkpoint:
    try:
        plain = _FileContent.model_validate(content)
        vocabulary = Vocabulary(tuple(plain.vocabulary.glosses), tuple(plain.vocabulary.counts))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()]
        raise CheckpointError(f"{path}: invalid content", f"{join_faults(faults)}\n{EXPECTED}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: invalid vocabulary ({error})", EXPECTED) from error
    try:
        config = Config.from_dict(plain.config, "its configuration")
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: cslr {__version__} cannot read the configuration in this checkpoint",
            f"{error}\ninstall the version that wrote it, cslr {plain.version}, or a newer one",
        ) from error
    origin = plain.converted
    return Checkpoint(
        config=config,
        vocabulary=vocabulary,
        corpus=plain.corpus.to_origin(path.parent),
        weights=plain.weights,
        epoch=plain.epoch,
        history=tuple(plain.history),
        training=plain.training,
        published_origin=None if origin is None else PublishedOrigin(origin.source, origin.unused),
        averaged_epochs=tuple(plain.averaged_epochs),
        version=plain.version,
    )
