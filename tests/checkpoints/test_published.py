"""Published checkpoints: from there, back, and what is refused."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cslr_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.checkpoints.published import convert_published, find_unsupported_parts, open_checkpoint, write_published
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, CslrError, DataError, UsageError
from cslr_cli.vocabulary import Vocabulary
from tests.checkpoints.published_files import GLOSSES, content_of, save_gloss_dict, save_published, state_of
from tests.model.batches import NETWORK_NAMES

by_network = pytest.mark.parametrize("name", NETWORK_NAMES)


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    return save_gloss_dict(tmp_path)


def same_bits(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(
        ours[key].dtype == value.dtype and ours[key].numpy().tobytes() == value.numpy().tobytes()
        for key, value in theirs.items()
    )


def refused(
    path: Path, vocabulary: Path, corpus: str | None = "phoenix2014", settings: Sequence[str] = ()
) -> CslrError:
    """The error, which says what to do."""
    with pytest.raises(CslrError) as caught:
        convert_published(path, vocabulary, corpus=corpus, settings=settings)
    assert caught.value.hint
    return caught.value


# There and back


@by_network
def test_there_and_back_gives_equal_bits_under_the_published_names(name: str, tmp_path: Path, vocabulary: Path) -> None:
    conversion = convert_published(save_published(tmp_path / "dev.pt", name), vocabulary, corpus="phoenix2014")
    save_checkpoint(conversion.checkpoint, tmp_path / "ours.pt")
    ours = load_checkpoint(tmp_path / "ours.pt")
    assert (ours.config.model.name, ours.epoch, ours.vocabulary) == (name, 35, GLOSSES)  # theirs count from 0
    assert ours.published_origin is not None
    assert ours.published_origin.source == "dev.pt"

    gloss_dict = write_published(ours, tmp_path / "back" / "dev.pt")
    assert gloss_dict == tmp_path / "back" / "gloss_dict.npy"
    assert gloss_dict.read_bytes() == vocabulary.read_bytes()
    back = torch.load(tmp_path / "back" / "dev.pt", weights_only=True)
    assert back["epoch"] == 34
    assert same_bits(back["model_state_dict"], state_of(name))

    again = convert_published(tmp_path / "back" / "dev.pt", gloss_dict).checkpoint
    assert (again.config, again.corpus, again.vocabulary) == (ours.config, ours.corpus, ours.vocabulary)
    assert same_bits(dict(again.weights), dict(ours.weights))


def test_what_was_trained_here_goes_there_and_comes_back(tmp_path: Path, tiny_checkpoint: Any) -> None:
    gloss_dict = write_published(tiny_checkpoint, tmp_path / "theirs.pt")
    back = convert_published(tmp_path / "theirs.pt", gloss_dict).checkpoint
    assert same_bits(dict(back.weights), dict(tiny_checkpoint.weights))
    assert back.config.data == tiny_checkpoint.config.data
    assert back.corpus == tiny_checkpoint.corpus
    assert (back.vocabulary, back.epoch) == (tiny_checkpoint.vocabulary, tiny_checkpoint.epoch)
    (unsupported,) = find_unsupported_parts(tiny_checkpoint)
    assert unsupported == "a ResNet of width 8 and blocks [2, 2, 2, 2]; it supports only ResNet-18"


# Variants of the file


def changed_state(name: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> dict[str, Any]:
    return content_of(change(state_of(name)))


VARIANTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "wrapped": lambda name: changed_state(
        name, lambda state: {f"module.{key.replace('conv2d.', 'conv2d.module.')}": v for key, v in state.items()}
    ),
    "ordered": lambda name: changed_state(name, OrderedDict),
    "without optimizer": lambda name: {"epoch": 34, "model_state_dict": state_of(name)},
    "without epoch": lambda name: {"model_state_dict": state_of(name)},
    "state dict alone": lambda name: state_of(name),
}


@by_network
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_a_file_is_recognised(name: str, variant: str, tmp_path: Path, vocabulary: Path) -> None:
    torch.save(VARIANTS[variant](name), tmp_path / "dev.pt")
    checkpoint = convert_published(tmp_path / "dev.pt", vocabulary, corpus="csl").checkpoint
    write_published(checkpoint, tmp_path / "back.pt")
    assert checkpoint.config.model.name == name
    assert same_bits(torch.load(tmp_path / "back.pt", weights_only=True)["model_state_dict"], state_of(name))


def test_a_file_of_torch_before_1_6_is_read(tmp_path: Path, vocabulary: Path) -> None:
    torch.save(content_of(state_of("vac")), tmp_path / "dev.pt", _use_new_zipfile_serialization=False)
    assert convert_published(tmp_path / "dev.pt", vocabulary, corpus="csl").checkpoint.config.model.name == "vac"


def test_csl_daily_s_checkpoint_has_no_block_after_layer2(tmp_path: Path, vocabulary: Path) -> None:
    state = {key: value for key, value in state_of("corrnet").items() if not key.startswith("conv2d.corr1.")}
    state["conv2d.alpha"] = state["conv2d.alpha"][1:].clone()
    torch.save(content_of(state), tmp_path / "dev.pt")
    checkpoint = convert_published(tmp_path / "dev.pt", vocabulary, corpus="csl-daily").checkpoint
    assert checkpoint.config.model.correlation_after == ("layer3", "layer4")
    assert (checkpoint.corpus.name, checkpoint.corpus.fps) == ("csl-daily", 30)
    write_published(checkpoint, tmp_path / "back.pt")
    assert same_bits(torch.load(tmp_path / "back.pt", weights_only=True)["model_state_dict"], state)


def test_settings_say_what_the_tensors_do_not(tmp_path: Path, vocabulary: Path) -> None:
    path = save_published(tmp_path / "dev.pt", "corrnet")
    settings = ["model.temporal_layers=[K5, P2, K5]", "data.image_scale=0.5"]
    config = convert_published(path, vocabulary, corpus="csl", settings=settings).checkpoint.config
    assert config.model.temporal_layers == ("K5", "P2", "K5")
    assert config.data.input_size == 112
    error = refused(path, vocabulary, settings=["model.temporal_layers=[K3]"])
    assert "unexpected: conv1d.temporal_conv.4.weight" in str(error.hint)


# Vocabulary and corpus


def test_a_vocabulary_of_another_size_is_an_error_with_both_sizes(tmp_path: Path) -> None:
    path = save_published(tmp_path / "dev.pt", "vac", num_classes=1296)
    error = refused(path, save_gloss_dict(tmp_path))
    assert error.message == f"{tmp_path / 'gloss_dict.npy'}: 12 glosses, but {path} was trained with 1295"
    assert "phoenix2014 has 1295 glosses" in str(error.hint)


def test_a_vocabulary_in_another_order_is_found_by_its_hash(tmp_path: Path, vocabulary: Path) -> None:
    path = save_published(tmp_path / "dev.pt", "vac")
    checkpoint = convert_published(path, vocabulary, corpus="csl").checkpoint
    save_checkpoint(checkpoint, tmp_path / "ours.pt")
    (tmp_path / "back").mkdir()
    write_published(checkpoint, tmp_path / "back" / "dev.pt")
    reversed_glosses = Vocabulary(GLOSSES.glosses[::-1], GLOSSES.counts)
    other = save_gloss_dict(tmp_path / "back", reversed_glosses)
    for path_of_ours, read in (
        (tmp_path / "back" / "dev.pt", convert_published),
        (tmp_path / "ours.pt", open_checkpoint),
    ):
        with pytest.raises(CheckpointError) as caught:
            read(path_of_ours, other)
        assert "another order" in caught.value.message
        assert f"with hash {GLOSSES.hash}; this one has hash {reversed_glosses.hash}" in str(caught.value.hint)
    assert open_checkpoint(tmp_path / "ours.pt", vocabulary).checkpoint.vocabulary == GLOSSES
    # Where it is not known, an odd order is at least mentioned.
    notes = convert_published(path, other, corpus="csl").notes
    assert "not sorted by code points" in notes[0]


def test_a_prepared_corpus_is_vocabulary_and_corpus_in_one(tmp_path: Path, tiny_corpus: PreparedCorpus) -> None:
    path = save_published(tmp_path / "dev.pt", "vac", num_classes=tiny_corpus.vocabulary.num_classes)
    settings = ["data.crop_size=32"]
    checkpoint = convert_published(path, tiny_corpus.path, settings=settings).checkpoint
    assert checkpoint.vocabulary == tiny_corpus.vocabulary
    where, fingerprint = str(tiny_corpus.path), tiny_corpus.fingerprint
    assert checkpoint.corpus == CorpusOrigin(
        "synthetic", where, "phoenix2014", 25.0, 36, "lanczos", "stretch", (210, 260), fingerprint
    )
    from_text = convert_published(path, tiny_corpus.path / "vocabulary.txt", corpus=tiny_corpus, settings=settings)
    assert from_text.checkpoint.corpus == checkpoint.corpus


@pytest.mark.parametrize(
    ("num_glosses", "corpus", "fps"),
    [(1295, "phoenix2014", 25), (1115, "phoenix2014-T", 25), (179, "csl", 30), (2000, "csl-daily", 30)],
)
def test_a_published_corpus_is_known_by_the_number_of_its_glosses(
    tmp_path: Path, num_glosses: int, corpus: str, fps: float
) -> None:
    path = save_published(tmp_path / "dev.pt", "vac-smkd", num_classes=num_glosses + 1)
    glosses = Vocabulary(tuple(f"GLOSS{number:04}" for number in range(num_glosses)), (1,) * num_glosses)
    conversion = convert_published(path, save_gloss_dict(tmp_path, glosses))
    assert (conversion.checkpoint.corpus.name, conversion.checkpoint.corpus.fps) == (corpus, fps)
    assert conversion.checkpoint.config.corpus.name == corpus
    assert f"assuming corpus {corpus}" in conversion.notes[0]


def test_an_unknown_corpus_must_be_named(tmp_path: Path, vocabulary: Path) -> None:
    path = save_published(tmp_path / "dev.pt", "vac")
    assert isinstance(refused(path, vocabulary, corpus=None), UsageError)
    assert "unknown corpus 'phonix2014'" in refused(path, vocabulary, corpus="phonix2014").message


def test_a_vocabulary_that_differs_from_the_prepared_corpus_is_mentioned(
    tmp_path: Path, vocabulary: Path, tiny_corpus: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_published(tmp_path / "dev.pt", "vac")
    monkeypatch.chdir(tiny_corpus.path.parent.parent)  # where prepared/synthetic is
    notes = convert_published(path, vocabulary, corpus="synthetic").notes
    assert f"{vocabulary} has other glosses than prepared/synthetic" in notes[0]


# What is refused


class _Intruder:
    """Whoever unpickles this calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("place", ["model_state_dict", "optimizer_state_dict", "rng_state", "more"])
def test_code_in_a_published_checkpoint_is_refused_and_not_run(
    tmp_path: Path, vocabulary: Path, place: str, new_format: bool
) -> None:
    target, path = tmp_path / "intruder was here", tmp_path / "dev.pt"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        for intruder in (_Intruder(os.mkdir, str(target)), _Intruder(socket.create_connection, server.getsockname())):
            content = content_of(state_of("vac"))
            content[place] = {**content.get(place, {}), "conv2d.bn1.bias": intruder}
            torch.save(content, path, _use_new_zipfile_serialization=new_format)
            assert "no code in it was run" in refused(path, vocabulary).message
        assert not target.exists()
        with pytest.raises(TimeoutError):
            server.accept()


def test_what_is_no_published_checkpoint_is_refused_by_name(
    tmp_path: Path, vocabulary: Path, tiny_training: Any
) -> None:
    path = tmp_path / "dev.pt"
    assert "no such checkpoint" in refused(path, vocabulary).message
    path.touch()
    assert "empty" in refused(path, vocabulary).message
    whole = save_published(tmp_path / "whole.pt", "vac").read_bytes()
    path.write_bytes(whole[:-1000])
    assert "incomplete" in refused(path, vocabulary).message
    path.write_bytes(whole[: len(whole) // 2] + b"\x00" * 50 + whole[len(whole) // 2 + 50 :])
    assert "damaged" in refused(path, vocabulary).message
    torch.save([1, 2], path)
    assert "contains no named values" in refused(path, vocabulary).message
    for other in ({"model_state_dict": nn.Linear(2, 2).state_dict()}, nn.Linear(2, 2).state_dict(), {"epoch": 3}):
        torch.save(other, path)
        error = refused(path, vocabulary)
        assert error.message == f"{path}: not a checkpoint of the published code"
        assert "vac, vac-smkd, corrnet, corrnet-plus" in str(error.hint)
    error = refused(tiny_training.run.best, vocabulary)
    assert "already a cslr checkpoint" in error.message


def test_tensors_of_another_shape_than_the_network_s_are_listed(tmp_path: Path, vocabulary: Path) -> None:
    state = state_of("corrnet")
    del state["conv2d.layer3.0.conv1.weight"]
    state["conv2d.corr9.weights"] = torch.zeros(3)
    torch.save(content_of(state), tmp_path / "dev.pt")
    error = refused(tmp_path / "dev.pt", vocabulary)
    assert error.message == f"{tmp_path / 'dev.pt'}: the tensors do not fit the published corrnet"
    assert "missing: conv2d.layer3.0.conv1.weight" in str(error.hint)
    assert "unexpected: conv2d.corr9.weights" in str(error.hint)


def test_weights_that_are_no_numbers_are_named_in_a_warning(tmp_path: Path, vocabulary: Path) -> None:
    state = state_of("vac")
    state["temporal_model.rnn.weight_hh_l1"][3, 4] = torch.nan
    torch.save(content_of(state), tmp_path / "dev.pt")
    checkpoint = convert_published(tmp_path / "dev.pt", vocabulary, corpus="csl").checkpoint
    assert len(checkpoint.warnings) == 1
    assert checkpoint.warnings[0].endswith(": lstm.rnn.weight_hh_l1")
    path = save_published(tmp_path / "well.pt", "vac")
    assert convert_published(path, vocabulary, corpus="csl").checkpoint.warnings == []


def test_the_vocabulary_of_another_network_is_not_overwritten(
    tmp_path: Path, vocabulary: Path, tiny_checkpoint: Any
) -> None:
    before = vocabulary.read_bytes()
    with pytest.raises(CheckpointError, match="the vocabulary of another network"):
        write_published(tiny_checkpoint, tmp_path / "theirs.pt")
    assert vocabulary.read_bytes() == before
    assert not (tmp_path / "theirs.pt").exists()
    vocabulary.write_bytes(b"no vocabulary")
    with pytest.raises(DataError):
        write_published(tiny_checkpoint, tmp_path / "theirs.pt")


@by_network
def test_a_published_checkpoint_without_a_vocabulary_is_refused_with_the_command(name: str, tmp_path: Path) -> None:
    path = save_published(tmp_path / "dev.pt", name)
    for load in (load_checkpoint, open_checkpoint):
        with pytest.raises(CheckpointError) as caught:
            load(path)
        assert f"cslr convert {path} --vocabulary gloss_dict.npy" in str(caught.value.hint)


def test_foreign_content_under_the_key_of_cslr_is_ignored(tmp_path: Path, vocabulary: Path) -> None:
    for added in (3, {"config": 5}, {"corpus": {"name": "x"}}, {"vocabulary_hash": [1]}, {"config": {"model": 5}}):
        torch.save({**content_of(state_of("vac")), "cslr": added}, tmp_path / "dev.pt")
        with contextlib.suppress(CslrError):
            convert_published(tmp_path / "dev.pt", vocabulary, corpus="csl")
