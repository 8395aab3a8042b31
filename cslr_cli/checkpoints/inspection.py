"""Inspection of a checkpoint file: its network, vocabulary, corpus and training history."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from typing_extensions import TypedDict

from cslr_cli.checkpoints.checkpoint import Checkpoint, parse_checkpoint
from cslr_cli.checkpoints.checkpoint_file import non_finite_warnings, read_checkpoint_file
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.checkpoints.published_tensors import (
    find_published_state,
    from_published,
    published_epochs,
    published_model_config,
    published_num_classes,
)
from cslr_cli.config import DataConfig, ModelConfig
from cslr_cli.model.definition import Normalisation, load_definition
from cslr_cli.model.network import build_network
from cslr_cli.vocabulary import Vocabulary

FIRST_GLOSSES = 10

# Part of the network by prefix of a parameter's name; the first match counts.
_PARAMETER_GROUPS = {
    "backbone.correlation.": "correlation",
    "backbone.alpha": "correlation",
    "backbone.temporal_weighting.": "temporal weighting",
    "backbone.": "backbone",
    "temporal.": "temporal convolution",
    "lstm.": "BiLSTM",
    "classifier.": "classifier",
    "conv_classifier.": "convolution's classifier",
}


class VocabularyFacts(TypedDict):
    """The vocabulary of a checkpoint.

    Attributes:
        glosses: number of glosses.
        first: the first glosses.
        hash: hash of all glosses.
    """

    glosses: int
    first: list[str]
    hash: str


class PreprocessingFacts(TypedDict):
    """How a frame becomes the network's input.

    Attributes:
        crop_size: height and width of the crop in pixels.
        image_scale: scale after the crop.
        input_size: height and width of the network's input in pixels.
        frame_interval: every n-th frame is read.
        normalisation: normalisation of the pixels.
    """

    crop_size: int
    image_scale: float
    input_size: int
    frame_interval: int
    normalisation: str


class CheckpointDocument(TypedDict):
    """The content of a checkpoint: what `cslr inspect CHECKPOINT --json` prints.

    Values that a published checkpoint does not contain are null.

    Attributes:
        schema_version: version of this document.
        path: path of the file.
        num_bytes: size of the file.
        written_by: `cslr` and its version, or the published code.
        network: name of the network.
        model: settings of the network.
        parameters: number of parameters by part of the network.
        num_parameters: number of all parameters.
        num_classes: number of glosses plus the blank.
        vocabulary: glosses of the network.
        corpus: facts about the training corpus.
        preprocessing: how a frame becomes the network's input.
        epoch: number of trained epochs.
        epochs: number of epochs in the configuration.
        best: figures of the epoch with the lowest WER on dev; null without evaluations.
        history: figures of each epoch.
        resumable: whether training can be resumed from it.
        converted_from: file name of the published checkpoint that was converted.
        averaged_epochs: epochs whose weights were averaged.
        warnings: messages about the weights.
    """

    schema_version: Literal[1]
    path: str
    num_bytes: int
    written_by: str
    network: str
    model: dict[str, Any]
    parameters: dict[str, int]
    num_parameters: int
    num_classes: int
    vocabulary: VocabularyFacts | None
    corpus: CorpusOrigin | None
    preprocessing: PreprocessingFacts | None
    epoch: int
    epochs: int | None
    best: dict[str, Any] | None
    history: list[dict[str, Any]]
    resumable: bool
    converted_from: str | None
    averaged_epochs: list[int]
    warnings: list[str]


@dataclass(frozen=True)
class CheckpointInspection:
    """Content of a checkpoint file; values that a published checkpoint does not contain are None.

    Attributes:
        num_bytes: size of the file.
        written_by: `cslr` and its version, or the published code.
        parameters: number of parameters by part of the network.
        num_classes: V, number of glosses plus the blank.
        epoch: number of trained epochs.
        num_epochs: number of epochs in the configuration.
        history: one record per epoch.
        resumable: whether training can be resumed from it.
        converted_from: file name of the published checkpoint that was converted.
        averaged_epochs: epochs whose weights were averaged.
    """

    path: Path
    num_bytes: int
    written_by: str
    model: ModelConfig
    parameters: Mapping[str, int]
    num_classes: int
    epoch: int
    vocabulary: Vocabulary | None = None
    corpus: CorpusOrigin | None = None
    data: DataConfig | None = None
    num_epochs: int | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    resumable: bool = False
    converted_from: str | None = None
    averaged_epochs: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The record with the lowest WER on dev; None without evaluations."""
        evaluated = [record for record in self.history if record.get("wer") is not None]
        return min(evaluated, key=lambda record: float(record["wer"]), default=None)

    def to_dict(self) -> CheckpointDocument:
        """The values that `--json` prints."""
        definition = load_definition(self.model.name)
        backbone = f"{definition.backbone.__module__.rpartition('.')[2]}.{definition.backbone.__name__}"
        parts = {"backbone": backbone, **dataclasses.asdict(self.model.parts)}
        vocabulary = self.vocabulary
        return {
            "schema_version": 1,
            "path": str(self.path),
            "num_bytes": self.num_bytes,
            "written_by": self.written_by,
            "network": self.model.name,
            "model": {**self.model.model_dump(mode="json"), **parts},
            "parameters": dict(self.parameters),
            "num_parameters": sum(self.parameters.values()),
            "num_classes": self.num_classes,
            "vocabulary": None if vocabulary is None else _vocabulary_facts(vocabulary),
            "corpus": self.corpus,
            "preprocessing": None if self.data is None else _preprocessing(self.data, definition.normalisation),
            "epoch": self.epoch,
            "epochs": self.num_epochs,
            "best": None if self.best is None else dict(self.best),
            "history": [dict(record) for record in self.history],
            "resumable": self.resumable,
            "converted_from": self.converted_from,
            "averaged_epochs": list(self.averaged_epochs),
            "warnings": list(self.warnings),
        }


def _vocabulary_facts(vocabulary: Vocabulary) -> VocabularyFacts:
    return {
        "glosses": len(vocabulary.glosses),
        "first": list(vocabulary.glosses[:FIRST_GLOSSES]),
        "hash": vocabulary.hash,
    }


def _preprocessing(data: DataConfig, normalisation: Normalisation) -> PreprocessingFacts:
    return {
        "crop_size": data.crop_size,
        "image_scale": data.image_scale,
        "input_size": data.input_size,
        "frame_interval": data.frame_interval,
        "normalisation": str(normalisation),
    }


def inspect_checkpoint(path: Path) -> CheckpointInspection:
    """Inspect a checkpoint of this package or of the published code.

    Raises:
        CheckpointError: the file is neither, or invalid.
    """
    content = read_checkpoint_file(path)
    if find_published_state(content) is not None:
        return _inspect_published(content, path)
    return _inspect_own(parse_checkpoint(content, path), path)


def _inspect_own(checkpoint: Checkpoint, path: Path) -> CheckpointInspection:
    config = checkpoint.config
    return CheckpointInspection(
        path=path,
        num_bytes=path.stat().st_size,
        written_by=f"cslr {checkpoint.version}",
        model=config.model,
        parameters=_count_parameters(config.model, checkpoint.vocabulary.num_classes),
        num_classes=checkpoint.vocabulary.num_classes,
        epoch=checkpoint.epoch,
        vocabulary=checkpoint.vocabulary,
        corpus=checkpoint.corpus.with_relative_path(),
        data=config.data,
        num_epochs=None if checkpoint.published_origin else config.training.epochs,
        history=checkpoint.history,
        resumable=checkpoint.training is not None,
        converted_from=None if checkpoint.published_origin is None else checkpoint.published_origin.source,
        averaged_epochs=checkpoint.averaged_epochs,
        warnings=tuple(checkpoint.warnings),
    )


def _inspect_published(content: Mapping[str, Any], path: Path) -> CheckpointInspection:
    state = find_published_state(content)
    assert state is not None
    model = published_model_config(state)
    weights, _ = from_published(state, model, str(path))
    return CheckpointInspection(
        path=path,
        num_bytes=path.stat().st_size,
        written_by="the published code",
        model=model,
        parameters=_count_parameters(model, published_num_classes(state)),
        num_classes=published_num_classes(state),
        epoch=published_epochs(content),
        warnings=tuple(non_finite_warnings(weights)),
    )


def _count_parameters(model: ModelConfig, num_classes: int) -> dict[str, int]:
    """Count the parameters of each part that the network has."""
    with torch.device("meta"):
        network = build_network(model, num_classes)
    counts = dict.fromkeys(_PARAMETER_GROUPS.values(), 0)
    for name, parameter in network.named_parameters():
        part = next(part for beginning, part in _PARAMETER_GROUPS.items() if name.startswith(beginning))
        counts[part] += parameter.numel()
    return {part: count for part, count in counts.items() if count}
