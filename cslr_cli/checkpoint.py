"""Checkpoints: one file that says by itself what network it holds and how to use it.

A checkpoint is plain tensors and plain values; reading one runs none of its code.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from cslr_cli import __version__
from cslr_cli.atomic import whole_file
from cslr_cli.config import Config
from cslr_cli.errors import CheckpointError, ConfigError
from cslr_cli.model.network import Network
from cslr_cli.model.networks import build_network
from cslr_cli.vocabulary import Vocabulary

FORMAT = "cslr checkpoint"
FORMAT_VERSION = 1

_EXPECTED = "expected a file that `cslr train` wrote"
_FAULTS_TOLD = 10


@dataclass(frozen=True)
class CorpusOrigin:
    """The corpus that a network was trained on, as far as using the network depends on it.

    Attributes:
        name: as `cslr prepare` knows it.
        path: where the prepared corpus was at the time.
        protocol: the scoring protocol.
        fps: frames a second that the network expects.
        frame_size: side of the prepared frames, pixels; pictures are resized to it before the crop.
    """

    name: str
    path: str
    protocol: str
    fps: float
    frame_size: int


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with everything that using it or training it on needs.

    Attributes:
        config: the resolved configuration of its training.
        vocabulary: what its classes mean.
        corpus: what it was trained on.
        weights: the network's tensors by name.
        epoch: epochs of training behind it.
        history: a record for each epoch: losses, rates, word error rates.
        training: what resuming needs (optimizer, schedule, scaler); None where it cannot be resumed.
        version: of this package, when it was written.
    """

    config: Config
    vocabulary: Vocabulary
    corpus: CorpusOrigin
    weights: Mapping[str, Tensor]
    epoch: int = 0
    history: tuple[Mapping[str, Any], ...] = ()
    training: Mapping[str, Any] | None = None
    version: str = field(default=__version__)

    def network(self) -> Network:
        """The network with its weights, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: weights are missing, left over or of another shape; they are listed.
        """
        network = build_network(self.config.model, self.vocabulary.num_classes)
        self.load_weights_into(network)
        return network.eval()

    def load_weights_into(self, network: Network) -> None:
        """Give a network these weights.

        Raises:
            CheckpointError: weights are missing, left over or of another shape; they are listed.
        """
        faults = _weight_faults(network.state_dict(), self.weights)
        if faults:
            raise CheckpointError("the checkpoint's weights are not those of the network", _told(faults))
        network.load_state_dict(dict(self.weights))


class _Plain(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _PlainVocabulary(_Plain):
    glosses: list[str]
    counts: list[int]


class _PlainCorpus(_Plain):
    name: str
    path: str
    protocol: str
    fps: float
    frame_size: int


class _Content(_Plain):
    """What stands in the file beside format and version: a file from outside may hold anything."""

    version: str
    config: dict[str, Any]
    vocabulary: _PlainVocabulary
    corpus: _PlainCorpus
    weights: dict[str, Tensor]
    epoch: int
    history: list[dict[str, Any]]
    training: dict[str, Any] | None


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        CheckpointError: it cannot be written; what stood under `path` before is still there.
    """
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
    }
    try:
        with whole_file(path) as unfinished, open(unfinished, "wb") as file:
            torch.save(content, file)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror or error})",
            "make room or mend the rights; the checkpoints written before are whole",
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of this project.

    Raises:
        CheckpointError: no such file, no checkpoint, a damaged one, one of the published code, one
            of another format, or one whose weights are not those of its network; with what to do
            about it.
    """
    content = _read(path)
    if "model_state_dict" in content:
        raise CheckpointError(f"{path}: a checkpoint of the published code, not of this project", _EXPECTED)
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: weights or other data, but not a checkpoint of cslr", _EXPECTED)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in checkpoint format {version}; this version of cslr reads format {FORMAT_VERSION}",
            f"it was written by cslr {content.get('version', '(unknown)')}: install that version or a newer one",
        )
    checkpoint = _checked(content, path)
    # Without memory for its weights, a network is built at once.
    with torch.device("meta"):
        network = build_network(checkpoint.config.model, checkpoint.vocabulary.num_classes)
    faults = _weight_faults(network.state_dict(), checkpoint.weights)
    if faults:
        raise CheckpointError(
            f"{path}: its weights are not those of the network that it describes",
            f"{_told(faults)}\n{_EXPECTED}, unchanged",
        )
    return checkpoint


def _checked(content: Mapping[str, Any], path: Path) -> Checkpoint:
    """The content of a file as a checkpoint, if it has the form of one."""
    try:
        plain = _Content.model_validate(content)
        vocabulary = Vocabulary(tuple(plain.vocabulary.glosses), tuple(plain.vocabulary.counts))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()]
        raise CheckpointError(f"{path}: not as a checkpoint should be", f"{_told(faults)}\n{_EXPECTED}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: its vocabulary is not as it should be ({error})", _EXPECTED) from error
    try:
        config = Config.from_dict(plain.config, "its configuration")
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: cslr {__version__} does not understand the configuration in it",
            f"{error}\nit was written by cslr {plain.version}: install that version or a newer one",
        ) from error
    return Checkpoint(
        config=config,
        vocabulary=vocabulary,
        corpus=CorpusOrigin(**plain.corpus.model_dump()),
        weights=plain.weights,
        epoch=plain.epoch,
        history=tuple(plain.history),
        training=plain.training,
        version=plain.version,
    )


def _read(path: Path) -> dict[str, Any]:
    """What is in the file, with no code run and no damage overlooked."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "`cslr train` writes them to runs/NAME/best.pt")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint", f"perhaps {path / 'best.pt'}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: may not be read", "check the rights of the file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: an empty file", _EXPECTED)
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a checkpoint, or one that was cut off", f"{_EXPECTED}, whole")
    if _is_damaged(path):
        raise CheckpointError(f"{path}: the file is damaged", "take another copy of it, or `last.pt` of the same run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds other things than tensors and plain values; it was not opened, and nothing in it was run",
            _EXPECTED,
        ) from error
    except Exception as error:  # a zip of something else makes the unpickler raise anything
        raise CheckpointError(f"{path}: not a checkpoint", _EXPECTED) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of cslr", _EXPECTED)
    return content


def _is_damaged(path: Path) -> bool:
    """Whether the file's own checksums say so; torch does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return True  # headers that contradict each other; RuntimeError: an unknown packing


def _weight_faults(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with weights for a network that has those expected."""
    return [
        *(f"missing: {name}" for name in expected if name not in found),
        *(f"left over: {name}" for name in found if name not in expected),
        *(
            f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ),
    ]


def _told(faults: Sequence[str]) -> str:
    """The first few of many faults, a line each."""
    more = len(faults) - _FAULTS_TOLD
    return "\n".join([*faults[:_FAULTS_TOLD], *([f"and {more} more"] if more > 0 else [])])
