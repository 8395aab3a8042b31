"""Checkpoints: one self-describing file with a network and everything needed to use it.

A checkpoint is plain tensors and plain values; reading one runs none of its code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from cslr_cli.checkpoints.checkpoint_file import (
    EXPECTED,
    find_weight_faults,
    non_finite_warnings,
    read_checkpoint_file,
    write_checkpoint_file,
)
from cslr_cli.checkpoints.published_tensors import find_published_state
from cslr_cli.config import Config, DataConfig
from cslr_cli.corpora.registry import CORPORA
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, ConfigError, DataError, join_faults
from cslr_cli.media.frame_fit import FrameFit
from cslr_cli.media.options import Aspect, FitMode, Interpolation
from cslr_cli.model.network import Network, build_network
from cslr_cli.model.registry import NETWORKS
from cslr_cli.version import __version__
from cslr_cli.vocabulary import Vocabulary

FORMAT = "cslr checkpoint"
FORMAT_VERSION = 1

EXPECTED_NETWORKS = f"expected one of {', '.join(NETWORKS)}, as their published code saves them"


@dataclass(frozen=True)
class CorpusOrigin:
    """The corpus that a network was trained on, as far as using the network depends on it.

    Attributes:
        name: as `cslr prepare` knows it.
        path: where the prepared corpus was at the time.
        protocol: the scoring protocol.
        fps: frames a second that the network expects.
        frame_size: side of the prepared frames, pixels; pictures are resized to it before the crop.
        interpolation: how they are resized.
        aspect: how they become squares.
        original_size: width and height that they had before; None if it does not say.
    """

    name: str
    path: str
    protocol: str
    fps: float
    frame_size: int
    interpolation: Interpolation = "lanczos"
    aspect: Aspect = "stretch"
    original_size: tuple[int, int] | None = None

    @classmethod
    def from_corpus(cls, corpus: PreparedCorpus) -> CorpusOrigin:
        """What a checkpoint keeps of a prepared corpus."""
        return cls(
            name=corpus.name,
            path=str(corpus.path.resolve()),
            protocol=corpus.protocol,
            fps=corpus.fps,
            frame_size=corpus.frame_size,
            interpolation=corpus.info.interpolation,
            aspect=corpus.info.aspect,
            original_size=corpus.info.original_size,
        )

    def check_frame_size(self, corpus: PreparedCorpus) -> None:
        """Check that a prepared corpus has frames of the size that the network was trained on.

        Raises:
            DataError: its frames have another size.
        """
        if corpus.frame_size != self.frame_size:
            raise DataError(
                f"{corpus.path}: its frames have {corpus.frame_size} pixels, "
                f"those that the checkpoint was trained on {self.frame_size}",
                f"prepare it with --size {self.frame_size}",
            )

    def frame_fit(self, config: DataConfig, mode: FitMode = "crop") -> FrameFit:
        """What makes pictures for the network of frames of any shape.

        Args:
            config: crop and scale of its training.
            mode: how frames of another proportion become the corpus'.
        """
        original_size = self.original_size
        if original_size is None and self.name in CORPORA:  # the checkpoint is older than this value
            original_size = CORPORA[self.name].original_size
        return FrameFit(self.frame_size, config, self.interpolation, self.aspect, original_size, mode)


@dataclass(frozen=True)
class PublishedOrigin:
    """Where a network came from that was not trained here.

    Attributes:
        source: name of the published checkpoint.
        unused: tensors of it that its network does not use, under their published names; kept so that
            the way back loses nothing.
    """

    source: str
    unused: Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with everything needed to use it or to continue its training.

    Attributes:
        config: the resolved configuration of its training.
        vocabulary: what its classes mean.
        corpus: what it was trained on.
        weights: the network's tensors by name.
        epoch: epochs of training behind it.
        history: a record for each epoch: losses, rates, word error rates.
        training: what resuming needs (optimizer, schedule, scaler); None where it cannot be resumed.
        published_origin: where it came from; None where it was trained here.
        averaged_epochs: the epochs of a run whose weights these are the mean of; none where it is no mean.
        version: of this package, when it was written.
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
        """Warnings for the user before the checkpoint is used."""
        return non_finite_warnings(self.weights)

    def build_network(self) -> Network:
        """Build the network with its weights, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: weights are missing, left over or of another shape; they are listed.
        """
        network = self.build_network_without_weights()
        self._check_weights_fit(network)
        own = {
            name: self.weights[name].to(value.dtype, copy=True, memory_format=torch.contiguous_format)
            for name, value in network.state_dict().items()
        }
        network.load_state_dict(own, assign=True)
        return network.eval()

    def build_network_without_weights(self) -> Network:
        """Build the network on the `meta` device: shapes only, without memory for weights."""
        with torch.device("meta"):
            return build_network(self.config.model, self.vocabulary.num_classes)

    def load_weights_into(self, network: Network) -> None:
        """Load these weights into a network.

        Raises:
            CheckpointError: weights are missing, left over or of another shape; they are listed.
        """
        self._check_weights_fit(network)
        network.load_state_dict(dict(self.weights))

    def _check_weights_fit(self, network: Network) -> None:
        faults = find_weight_faults(network.state_dict(), self.weights)
        if faults:
            raise CheckpointError("the checkpoint's weights are not those of the network", join_faults(faults))


class _FileModel(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _FileVocabulary(_FileModel):
    glosses: list[str]
    counts: list[int]


class _FileCorpus(_FileModel):
    name: str
    path: str
    protocol: str
    fps: float
    frame_size: int
    interpolation: Interpolation = "lanczos"
    aspect: Aspect = "stretch"
    original_size: tuple[int, int] | None = None


class _FilePublishedOrigin(_FileModel):
    source: str
    unused: dict[str, Tensor]


class _FileContent(_FileModel):
    """What stands in the file beside format and version: a file from outside may hold anything."""

    version: str
    config: dict[str, Any]
    vocabulary: _FileVocabulary
    corpus: _FileCorpus
    weights: dict[str, Tensor]
    epoch: int
    history: list[dict[str, Any]]
    training: dict[str, Any] | None
    converted: _FilePublishedOrigin | None = None  # files of the first release have none, nor the next
    averaged_epochs: list[int] = []


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: it cannot be written; what stood under `path` before is still there.
    """
    origin = checkpoint.published_origin
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": checkpoint.version,
        "config": checkpoint.config.to_dict(),
        "vocabulary": {
            "glosses": list(checkpoint.vocabulary.glosses),
            "counts": list(checkpoint.vocabulary.counts),
        },
        "corpus": dataclasses.asdict(checkpoint.corpus),
        "weights": {name: value.detach().cpu() for name, value in checkpoint.weights.items()},
        "epoch": checkpoint.epoch,
        "history": [dict(record) for record in checkpoint.history],
        "training": None if checkpoint.training is None else dict(checkpoint.training),
        "converted": origin and {"source": origin.source, "unused": dict(origin.unused)},
        "averaged_epochs": list(checkpoint.averaged_epochs),
    }
    write_checkpoint_file(content, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of this project.

    Raises:
        CheckpointError: no such file, no checkpoint, a damaged one, one of the published code, one
            of another format, or one whose weights are not those of its network; with what to do
            about it.
    """
    return parse_checkpoint(read_checkpoint_file(path), path)


def parse_checkpoint(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """Build the checkpoint from the content of a file.

    Args:
        content: content of the file, from `read_checkpoint_file`.
        path: name of the file in errors.

    Raises:
        CheckpointError: as `load_checkpoint` does.
    """
    if content.get("format") != FORMAT:
        raise _explain_foreign_file(content, path)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in checkpoint format {version}; this version of cslr reads format {FORMAT_VERSION}",
            f"it was written by cslr {content.get('version', '(unknown)')}: install that version or a newer one",
        )
    checkpoint = _validate_content(content, path)
    faults = find_weight_faults(checkpoint.build_network_without_weights().state_dict(), checkpoint.weights)
    if faults:
        raise CheckpointError(
            f"{path}: its weights are not those of the network that it describes",
            f"{join_faults(faults)}\n{EXPECTED}, unchanged",
        )
    return checkpoint


def _explain_foreign_file(content: Mapping[str, Any], path: Path) -> CheckpointError:
    if find_published_state(content) is not None:
        source, output = quote(str(path)), quote(f"{path.stem}-cslr.pt")
        return CheckpointError(
            f"{path}: a checkpoint of the published code, which has no vocabulary in it",
            f"convert it: cslr convert {source} --vocabulary gloss_dict.npy --output {output}\n"
            "or, where there is a --vocabulary, name the vocabulary by it",
        )
    if "model_state_dict" in content:
        return CheckpointError(f"{path}: in the form of the published code, but of another network", EXPECTED_NETWORKS)
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return CheckpointError(
            f"{path}: weights alone (a state dict), with nothing that says of which network",
            f"{EXPECTED}, or one of the published code: {EXPECTED_NETWORKS.removeprefix('expected ')}",
        )
    return CheckpointError(f"{path}: weights or other data, but not a checkpoint of cslr", EXPECTED)


def _validate_content(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """Validate the content of a file and build the checkpoint."""
    try:
        plain = _FileContent.model_validate(content)
        vocabulary = Vocabulary(tuple(plain.vocabulary.glosses), tuple(plain.vocabulary.counts))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()]
        raise CheckpointError(f"{path}: not as a checkpoint should be", f"{join_faults(faults)}\n{EXPECTED}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: its vocabulary is not as it should be ({error})", EXPECTED) from error
    try:
        config = Config.from_dict(plain.config, "its configuration")
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: cslr {__version__} does not understand the configuration in it",
            f"{error}\nit was written by cslr {plain.version}: install that version or a newer one",
        ) from error
    origin = plain.converted
    return Checkpoint(
        config=config,
        vocabulary=vocabulary,
        corpus=CorpusOrigin(**plain.corpus.model_dump()),
        weights=plain.weights,
        epoch=plain.epoch,
        history=tuple(plain.history),
        training=plain.training,
        published_origin=None if origin is None else PublishedOrigin(origin.source, origin.unused),
        averaged_epochs=tuple(plain.averaged_epochs),
        version=plain.version,
    )
