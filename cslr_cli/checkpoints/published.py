"""Conversion from and to checkpoints of the published code of VAC, SMKD, CorrNet and CorrNet+.

A published checkpoint contains only named tensors. Their names and shapes identify the network; the vocabulary and, if
it is ambiguous, the corpus must be given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import (
    PUBLISHED_NETWORKS,
    Checkpoint,
    PublishedOrigin,
    parse_checkpoint,
)
from cslr_cli.checkpoints.checkpoint_file import read_checkpoint_file, write_checkpoint_file
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin, StoredCorpus, store_origin
from cslr_cli.checkpoints.gloss_dict import read_any_vocabulary, read_gloss_dict, write_gloss_dict
from cslr_cli.checkpoints.published_tensors import (
    find_published_state,
    from_published,
    identify_network,
    published_epochs,
    published_num_classes,
    to_published,
)
from cslr_cli.config import Config, apply_settings
from cslr_cli.corpora.registry import CORPORA, find_reader, find_reader_by_vocabulary, open_prepared_corpus
from cslr_cli.dataset.fingerprint import CorpusFingerprint
from cslr_cli.dataset.manifest import DEFAULT_FRAME_SIZE, VOCABULARY_FILE, PreparedCorpus
from cslr_cli.errors import CheckpointError, CslrError, UsageError
from cslr_cli.files import relative_path
from cslr_cli.model.definition import load_definition
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES
from cslr_cli.vocabulary import Vocabulary

GLOSS_DICT = "gloss_dict.npy"

_CSLR_KEY = "cslr"


@dataclass(frozen=True)
class Conversion:
    """A checkpoint, and notes on its conversion.

    Attributes:
        checkpoint: converted checkpoint.
        notes: assumptions that the user should check.
    """

    checkpoint: Checkpoint
    notes: tuple[str, ...]


class _CslrSection(BaseModel):
    """Section that this package adds to published checkpoints; the published code ignores it."""

    config: dict[str, Any] | None = None
    corpus: StoredCorpus | None = None
    vocabulary_hash: str | None = None


@dataclass(frozen=True)
class _PublishedFile:
    """Content of a published checkpoint: tensors without prefixes, number of epochs, and this package's section."""

    path: Path
    state: Mapping[str, Tensor]
    epoch: int
    added: _CslrSection


def convert_published(
    path: Path, vocabulary: Path, *, corpus: str | PreparedCorpus | None = None, settings: Sequence[str] = ()
) -> Conversion:
    """Convert a checkpoint of the published code.

    Args:
        path: path of the checkpoint.
        vocabulary: path of a `gloss_dict.npy`, a prepared corpus, or a text file with the glosses.
        corpus: training corpus or its name; by default the prepared corpus at `vocabulary`, else the published
            corpus with this number of glosses.
        settings: `section.key=value` for settings that do not follow from the tensors.

    Raises:
        CheckpointError: unknown network; missing or unexpected tensors; another size or order of the vocabulary.
        DataError: the vocabulary cannot be read.
        UsageError: unknown corpus, or a wrong setting.
    """
    content = read_checkpoint_file(path)
    if "format" in content and find_published_state(content) is None:
        raise UsageError(f"{path}: already a cslr checkpoint", "use --to published to convert it to a published one")
    return _convert(_parse_published_file(content, path), vocabulary, corpus, settings)


def open_checkpoint(
    path: Path, vocabulary: Path | None = None, corpus: str | PreparedCorpus | None = None
) -> Conversion:
    """Read a checkpoint of this package or, with its vocabulary, of the published code.

    For checkpoints of this package alone, use `checkpoint.load_checkpoint`.

    Args:
        path: path of the checkpoint.
        vocabulary: vocabulary of a published checkpoint. A checkpoint of this package contains its own, which must
            be the same.
        corpus: training corpus of a published checkpoint, see `convert_published`.

    Raises:
        CheckpointError: see `load_checkpoint` and `convert_published`.
        DataError: the vocabulary cannot be read.
    """
    content = read_checkpoint_file(path)
    if vocabulary is not None and find_published_state(content) is not None:
        return _convert(_parse_published_file(content, path), vocabulary, corpus, ())
    checkpoint = parse_checkpoint(content, path)
    if vocabulary is not None:
        _check_vocabulary_hash(read_any_vocabulary(vocabulary), vocabulary, checkpoint.vocabulary.hash, path)
    return Conversion(checkpoint, ())


def _parse_published_file(content: Mapping[str, Any], path: Path) -> _PublishedFile:
    state = find_published_state(content)
    if state is None:
        raise CheckpointError(f"{path}: not a checkpoint of the published code", f"use {PUBLISHED_NETWORKS}")
    try:
        added = _CslrSection.model_validate(content.get(_CSLR_KEY, {}))
    except ValidationError:
        added = _CslrSection()  # written by other software
    return _PublishedFile(path, state, published_epochs(content), added)


def _convert(
    published: _PublishedFile, source: Path, corpus: str | PreparedCorpus | None, settings: Sequence[str]
) -> Conversion:
    path = published.path
    vocabulary = read_any_vocabulary(source)
    expected = published_num_classes(published.state) - 1
    if len(vocabulary.glosses) != expected:
        reader = find_reader_by_vocabulary(expected)
        known = "" if reader is None else f"; {reader.name} has {expected} glosses"
        raise CheckpointError(
            f"{source}: {len(vocabulary.glosses)} glosses, but {path} was trained with {expected}",
            f"use the vocabulary of its training{known}",
        )
    if published.added.vocabulary_hash is not None:
        _check_vocabulary_hash(vocabulary, source, published.added.vocabulary_hash, path)
    origin, notes = _find_corpus_origin(published, source, vocabulary, corpus)
    config = _build_config(published, origin, settings)
    weights, unused = from_published(published.state, config.model, str(path))
    if list(vocabulary.glosses) != sorted(vocabulary.glosses):
        notes.append("the glosses are not sorted by code points, unlike those of published vocabularies")
    checkpoint = Checkpoint(
        config, vocabulary, origin, weights, published.epoch, published_origin=PublishedOrigin(path.name, unused)
    )
    return Conversion(checkpoint, tuple(notes))


def _check_vocabulary_hash(vocabulary: Vocabulary, source: Path, expected: str, path: Path) -> None:
    if vocabulary.hash != expected:
        raise CheckpointError(
            f"{source}: not the vocabulary of {path}: other glosses, or another order",
            f"use the vocabulary with hash {expected}; this one has hash {vocabulary.hash}",
        )


def _build_config(published: _PublishedFile, origin: CorpusOrigin, settings: Sequence[str]) -> Config:
    values = published.added.config  # present if this package wrote the file
    values = {"model": identify_network(published.state)} if values is None else dict(values)
    values["corpus"] = {"name": origin.name, "path": relative_path(origin.path) if origin.path else None}
    apply_settings(values, settings)
    return Config.from_dict(values, f"{published.path} as a configuration")


def _find_corpus_origin(
    published: _PublishedFile, source: Path, vocabulary: Vocabulary, corpus: str | PreparedCorpus | None
) -> tuple[CorpusOrigin, list[str]]:
    """Find the training corpus; also return notes for the user on how it was found."""
    if corpus is None and source.is_dir():
        corpus = open_prepared_corpus(source)
    if isinstance(corpus, PreparedCorpus):
        return CorpusOrigin.from_corpus(corpus), []
    if corpus is None and published.added.corpus is not None:
        return published.added.corpus.to_origin(published.path.parent), []
    notes: list[str] = []
    if corpus is None:
        # A published checkpoint says nothing about its corpus but the number of glosses.
        reader = find_reader_by_vocabulary(len(vocabulary.glosses))
        if reader is None:
            raise UsageError(
                f"{published.path}: unknown training corpus, so its frame rate is unknown",
                f"use the prepared corpus as --vocabulary, or convert with --corpus NAME ({', '.join(CORPORA)})",
            )
        corpus = reader.name
        notes.append(
            f"assuming corpus {corpus}, which has {len(vocabulary.glosses)} glosses; if wrong, use --corpus NAME"
        )
    prepared = Path("prepared") / corpus
    if corpus.lower() not in map(str.lower, CORPORA) and (prepared / VOCABULARY_FILE).is_file():
        return CorpusOrigin.from_corpus(open_prepared_corpus(prepared)), notes
    reader = find_reader(corpus)
    notes += _compare_with_prepared(vocabulary, source, reader.default_output)
    path, fingerprint = os.path.abspath(reader.default_output), CorpusFingerprint.of(vocabulary)
    origin = CorpusOrigin(reader.name, path, reader.protocol, reader.fps, DEFAULT_FRAME_SIZE, fingerprint=fingerprint)
    return origin, notes


def _compare_with_prepared(vocabulary: Vocabulary, source: Path, prepared: Path) -> list[str]:
    """Return a note if the corpus has been prepared with other glosses or in another order."""
    try:
        expected = open_prepared_corpus(prepared).vocabulary
    except CslrError:
        return []  # not prepared
    if expected.hash == vocabulary.hash:
        return []
    same_glosses = set(expected.glosses) == set(vocabulary.glosses)
    difference = "the same glosses as {}, in another order" if same_glosses else "other glosses than {}"
    return [f"{source} has {difference.format(prepared)} (hash {vocabulary.hash}, there {expected.hash})"]


def write_published(checkpoint: Checkpoint, path: Path) -> Path:
    """Write a checkpoint in the published code's format, and `gloss_dict.npy` in the same folder.

    Returns:
        The path of the `gloss_dict.npy`.

    Raises:
        CheckpointError: a file cannot be written, or the folder has a `gloss_dict.npy` of another vocabulary.
    """
    gloss_dict = path.with_name(GLOSS_DICT)
    exists = gloss_dict.exists()
    if exists and read_gloss_dict(gloss_dict).hash != checkpoint.vocabulary.hash:
        raise CheckpointError(
            f"{gloss_dict}: the file exists, with the vocabulary of another network",
            "use another folder for --output, or move that file",
        )
    unused = checkpoint.published_origin.unused if checkpoint.published_origin is not None else {}
    content = {
        "epoch": checkpoint.epoch - 1,  # the published code counts from 0 and saves the last epoch
        "model_state_dict": to_published(checkpoint.weights, checkpoint.config.model, unused),
        _CSLR_KEY: {
            "config": checkpoint.config.with_relative_paths().to_dict(),
            "corpus": store_origin(checkpoint.corpus, checkpoint.vocabulary, path.parent),
            "vocabulary_hash": checkpoint.vocabulary.hash,
        },
    }
    write_checkpoint_file(content, path)
    if not exists:
        write_gloss_dict(checkpoint.vocabulary, gloss_dict)
    return gloss_dict


def find_unsupported_parts(checkpoint: Checkpoint) -> list[str]:
    """Return the parts of the network that the published code cannot build, one per line."""
    model = checkpoint.config.model
    found = []
    if model.width != 64 or model.blocks != (2, 2, 2, 2):
        found.append(f"a ResNet of width {model.width} and blocks {list(model.blocks)}; it supports only ResNet-18")
    if model.temporal_layers not in PUBLISHED_SCHEDULES:
        found.append(f"temporal layers {' '.join(model.temporal_layers)}; it supports only its nine schedules")
    if load_definition(model.name).published.correlation_blocks and "layer1" in model.correlation_after:
        found.append("a correlation block after layer1")
    return found
