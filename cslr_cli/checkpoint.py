"""Checkpoints: one file that says by itself what network it holds and how to use it.

A checkpoint is plain tensors and plain values; reading one runs none of its code.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
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
        _check_weights(network.state_dict(), self.weights)
        network.load_state_dict(dict(self.weights))
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
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
    with whole_file(path) as unfinished:
        torch.save(content, unfinished)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of this project.

    Raises:
        CheckpointError: no such file, no checkpoint, one of the published code, or one of a newer
            format; with what to do about it.
    """
    content = _read(path)
    if "model_state_dict" in content:
        raise CheckpointError(f"{path}: a checkpoint of the published code, not of this project")
    if content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of cslr", "expected a file that `cslr train` wrote")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in checkpoint format {version}; this version of cslr reads format {FORMAT_VERSION}",
            f"it was written by cslr {content.get('version', '(unknown)')}: install that version or a newer one",
        )
    try:
        return Checkpoint(
            config=Config.from_dict(content["config"], str(path)),
            vocabulary=Vocabulary(
                tuple(content["vocabulary"]["glosses"]), tuple(content["vocabulary"]["counts"])
            ),
            corpus=CorpusOrigin(**content["corpus"]),
            weights=content["weights"],
            epoch=content["epoch"],
            history=tuple(content["history"]),
            training=content["training"],
            version=content["version"],
        )
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path}: damaged: {error}", "take another copy, or `last.pt` of the same run") from error


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "`cslr train` writes them to runs/NAME/best.pt")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint", f"perhaps {path / 'best.pt'}")
    hint = "expected a file that `cslr train` wrote"
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: may not be read", "check the rights of the file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: an empty file", hint)
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a checkpoint, or one that was cut off", hint)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise CheckpointError(f"{path}: not a checkpoint, or a damaged one", hint) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of cslr", hint)
    return content


def _check_weights(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    faults = [f"missing: {name}" for name in expected if name not in found]
    faults += [f"unexpected: {name}" for name in found if name not in expected]
    faults += [
        f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    if faults:
        raise CheckpointError("the weights do not fit the network that the checkpoint describes", "\n".join(faults))
