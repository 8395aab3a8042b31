"""Checkpoints of the published code of VAC, SMKD, CorrNet and CorrNet+: from there, and back.

A published checkpoint holds tensors by name and nothing that says what they are: the network is
recognised by them, and the vocabulary and the corpus have to be said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import (
    EXPECTED_NETWORKS,
    Checkpoint,
    CorpusOrigin,
    PublishedOrigin,
    parse_checkpoint,
)
from cslr_cli.checkpoints.checkpoint_file import read_checkpoint_file, write_checkpoint_file
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
from cslr_cli.dataset.manifest import DEFAULT_FRAME_SIZE, VOCABULARY_FILE, PreparedCorpus
from cslr_cli.errors import CheckpointError, CslrError, UsageError
from cslr_cli.model.definition import load_definition
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES
from cslr_cli.vocabulary import Vocabulary

GLOSS_DICT = "gloss_dict.npy"

_CSLR_KEY = "cslr"


@dataclass(frozen=True)
class Conversion:
    """A published checkpoint as one of this project.

    Attributes:
        checkpoint: what it is now.
        notes: what was taken for granted, and the user should look at.
    """

    checkpoint: Checkpoint
    notes: tuple[str, ...]


class _CslrSection(BaseModel):
    """What this project adds to the files that it writes for the published code, which passes over it."""

    config: dict[str, Any] | None = None
    corpus: CorpusOrigin | None = None
    vocabulary_hash: str | None = None


@dataclass(frozen=True)
class _PublishedFile:
    """What is in a published file: its tensors without prefixes, epochs of training, and what was added to them."""

    path: Path
    state: Mapping[str, Tensor]
    epoch: int
    added: _CslrSection


def convert_published(
    path: Path, vocabulary: Path, *, corpus: str | PreparedCorpus | None = None, settings: Sequence[str] = ()
) -> Conversion:
    """Read a checkpoint of the published code.

    Args:
        path: of the checkpoint.
        vocabulary: a `gloss_dict.npy`, a prepared corpus, or a text file with the glosses.
        corpus: the one that it was trained on, or its name; by default the prepared corpus of
            `vocabulary`, else the published corpus that has so many glosses.
        settings: `section.key=value`, for what the tensors do not tell.

    Raises:
        CheckpointError: it is none of the four networks, or tensors are missing, left over or of
            another shape, or the vocabulary is of another size or order.
        DataError: the vocabulary cannot be read.
        UsageError: the corpus is not known, or a setting is wrong.
    """
    content = read_checkpoint_file(path)
    if _is_cslr_checkpoint(content):
        raise UsageError(f"{path}: a checkpoint of cslr already", "--to published converts it into a published one")
    return _convert(_parse_published_file(content, path), vocabulary, corpus, settings)


def open_checkpoint(
    path: Path, vocabulary: Path | None = None, corpus: str | PreparedCorpus | None = None
) -> Conversion:
    """Read a checkpoint for use: one of this project, or a published one with its vocabulary.

    Args:
        path: of the checkpoint.
        vocabulary: needed for a published one; one of this project has its own, and this one is
            compared with it.
        corpus: as in `convert_published`.

    Raises:
        CheckpointError: as in `load_checkpoint` and `convert_published`.
        DataError: the vocabulary cannot be read.
    """
    content = read_checkpoint_file(path)
    if vocabulary is not None and find_published_state(content) is not None:
        return _convert(_parse_published_file(content, path), vocabulary, corpus, ())
    checkpoint = parse_checkpoint(content, path)
    if vocabulary is not None:
        _check_vocabulary_hash(read_any_vocabulary(vocabulary), vocabulary, checkpoint.vocabulary.hash, path)
    return Conversion(checkpoint, ())


def _is_cslr_checkpoint(content: Mapping[str, Any]) -> bool:
    return "format" in content and find_published_state(content) is None


def _parse_published_file(content: Mapping[str, Any], path: Path) -> _PublishedFile:
    state = find_published_state(content)
    if state is None:
        raise CheckpointError(f"{path}: not a checkpoint of the published code", EXPECTED_NETWORKS)
    try:
        added = _CslrSection.model_validate(content.get(_CSLR_KEY, {}))
    except ValidationError:
        added = _CslrSection()  # somebody else's
    return _PublishedFile(path, state, published_epochs(content), added)


def _convert(
    published: _PublishedFile, source: Path, corpus: str | PreparedCorpus | None, settings: Sequence[str]
) -> Conversion:
    path = published.path
    vocabulary = read_any_vocabulary(source)
    expected = published_num_classes(published.state) - 1
    if len(vocabulary.glosses) != expected:
        reader = find_reader_by_vocabulary(expected)
        known = "" if reader is None else f"; {expected} is the size of {reader.name}'s"
        raise CheckpointError(
            f"{source}: a vocabulary of {len(vocabulary.glosses)} glosses, and {path} knows {expected}",
            f"name the vocabulary that it was trained with{known}",
        )
    if published.added.vocabulary_hash is not None:
        _check_vocabulary_hash(vocabulary, source, published.added.vocabulary_hash, path)
    origin, notes = _find_corpus_origin(published, source, vocabulary, corpus)
    config = _build_config(published, origin, settings)
    weights, unused = from_published(published.state, config.model, str(path))
    if list(vocabulary.glosses) != sorted(vocabulary.glosses):
        notes.append("the glosses are not in the order of their code points, in which published vocabularies are")
    checkpoint = Checkpoint(
        config, vocabulary, origin, weights, published.epoch, published_origin=PublishedOrigin(path.name, unused)
    )
    return Conversion(checkpoint, tuple(notes))


def _check_vocabulary_hash(vocabulary: Vocabulary, source: Path, expected: str, path: Path) -> None:
    if vocabulary.hash != expected:
        raise CheckpointError(
            f"{source}: not the vocabulary of {path}: other glosses, or the same in another order",
            f"its hash is {vocabulary.hash}, expected {expected}; every gloss would be taken for another one",
        )


def _build_config(published: _PublishedFile, origin: CorpusOrigin, settings: Sequence[str]) -> Config:
    values = published.added.config  # where it was once ours: nothing has to be recognised
    values = {"model": identify_network(published.state)} if values is None else dict(values)
    values["corpus"] = {"name": origin.name, "path": origin.path}
    apply_settings(values, settings)
    return Config.from_dict(values, f"{published.path} as a configuration")


def _find_corpus_origin(
    published: _PublishedFile, source: Path, vocabulary: Vocabulary, corpus: str | PreparedCorpus | None
) -> tuple[CorpusOrigin, list[str]]:
    """The corpus that the network was trained on, and what the user should know of how it was found."""
    if corpus is None and source.is_dir():
        corpus = open_prepared_corpus(source)
    if isinstance(corpus, PreparedCorpus):
        return CorpusOrigin.from_corpus(corpus), []
    if corpus is None and published.added.corpus is not None:
        return published.added.corpus, []
    notes: list[str] = []
    if corpus is None:
        # A published checkpoint tells the number of glosses and nothing else of its corpus.
        reader = find_reader_by_vocabulary(len(vocabulary.glosses))
        if reader is None:
            raise UsageError(
                f"{published.path}: not known which corpus it was trained on, and so at how many frames a second",
                f"give the prepared corpus as --vocabulary, or convert it with --corpus NAME ({', '.join(CORPORA)})",
            )
        corpus = reader.name
        notes.append(f"taken to be of {corpus}, which has {len(vocabulary.glosses)} glosses; else say --corpus NAME")
    prepared = Path("prepared") / corpus
    if corpus.lower() not in map(str.lower, CORPORA) and (prepared / VOCABULARY_FILE).is_file():
        return CorpusOrigin.from_corpus(open_prepared_corpus(prepared)), notes
    reader = find_reader(corpus)
    notes += _compare_with_prepared(vocabulary, source, reader.default_output)
    path = str(reader.default_output)
    return CorpusOrigin(reader.name, path, reader.protocol, reader.fps, DEFAULT_FRAME_SIZE), notes


def _compare_with_prepared(vocabulary: Vocabulary, source: Path, prepared: Path) -> list[str]:
    """Whether the corpus, where it has been prepared, knows the same glosses in the same order."""
    try:
        ours = open_prepared_corpus(prepared).vocabulary
    except CslrError:
        return []  # there is none to compare with
    if ours.hash == vocabulary.hash:
        return []
    same_glosses = set(ours.glosses) == set(vocabulary.glosses)
    difference = "the same glosses in another order" if same_glosses else "other glosses"
    return [f"{source} has {difference} than {prepared} (hash {vocabulary.hash}, there {ours.hash})"]


def write_published(checkpoint: Checkpoint, path: Path) -> Path:
    """Write a checkpoint for the published code, and the vocabulary beside it.

    Args:
        checkpoint: of this project.
        path: of the file to be written.

    Returns:
        The path of the `gloss_dict.npy`.

    Raises:
        CheckpointError: it cannot be written, or a `gloss_dict.npy` of another vocabulary is there.
    """
    gloss_dict = path.with_name(GLOSS_DICT)
    exists = gloss_dict.exists()
    if exists and read_gloss_dict(gloss_dict).hash != checkpoint.vocabulary.hash:
        raise CheckpointError(
            f"{gloss_dict}: the vocabulary of another network is there",
            "choose another folder by --output, or move that file away",
        )
    unused = checkpoint.published_origin.unused if checkpoint.published_origin is not None else {}
    content = {
        "epoch": checkpoint.epoch - 1,  # it counts from 0, and names the last one
        "model_state_dict": to_published(checkpoint.weights, checkpoint.config.model, unused),
        _CSLR_KEY: {
            "config": checkpoint.config.to_dict(),
            "corpus": dataclasses.asdict(checkpoint.corpus),
            "vocabulary_hash": checkpoint.vocabulary.hash,
        },
    }
    write_checkpoint_file(content, path)
    if not exists:
        write_gloss_dict(checkpoint.vocabulary, gloss_dict)
    return gloss_dict


def find_unsupported_parts(checkpoint: Checkpoint) -> list[str]:
    """What the published code, as it is, has no network for; a line each."""
    model = checkpoint.config.model
    found = []
    if model.width != 64 or model.blocks != (2, 2, 2, 2):
        found.append(f"a ResNet of width {model.width} and blocks {list(model.blocks)}; it has ResNet-18 only")
    if model.temporal_layers not in PUBLISHED_SCHEDULES:
        found.append(f"temporal layers {' '.join(model.temporal_layers)}; it has nine schedules, and not this one")
    if load_definition(model.name).published.correlation_blocks and "layer1" in model.correlation_after:
        found.append("a correlation block after layer1")
    return found
