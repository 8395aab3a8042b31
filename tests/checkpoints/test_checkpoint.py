from __future__ import annotations

import dataclasses
import os
import pickle
import random
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import CheckpointError, CslrError
from cslr_cli.training.loop import TrainingResult


@pytest.fixture
def best(tiny_training: TrainingResult) -> Path:
    return tiny_training.run.best


@pytest.fixture
def last(tiny_training: TrainingResult) -> Path:
    return tiny_training.run.last


def content_of(path: Path) -> dict[str, Any]:
    content = torch.load(path, weights_only=True)
    assert isinstance(content, dict)
    return content


def refused(path: Path) -> CheckpointError:
    """The error, which names the file and says what to do."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def changed(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a checkpoint with something changed in it."""
    content = content_of(source)
    change(content)
    torch.save(content, target)
    return target


# There and back


def test_a_checkpoint_comes_back_as_it_was_saved(tiny_training: TrainingResult, tmp_path: Path) -> None:
    saved = load_checkpoint(tiny_training.run.last)
    save_checkpoint(saved, tmp_path / "copy.pt")
    loaded = load_checkpoint(tmp_path / "copy.pt")
    assert loaded.config == saved.config
    assert loaded.vocabulary == saved.vocabulary
    assert loaded.corpus == saved.corpus
    assert (loaded.epoch, loaded.history, loaded.version) == (saved.epoch, saved.history, saved.version)
    assert loaded.weights.keys() == saved.weights.keys()
    for name, tensor in saved.weights.items():
        assert loaded.weights[name].dtype == tensor.dtype
        assert torch.equal(loaded.weights[name], tensor), name
    assert loaded.training is not None
    assert saved.training is not None
    assert loaded.training["step"] == saved.training["step"] == 8
    moments = [training["optimizer"]["state"] for training in (loaded.training, saved.training)]
    assert all(torch.equal(moments[0][key]["exp_avg"], moments[1][key]["exp_avg"]) for key in moments[1])


def test_weights_survive_bit_by_bit_even_where_they_are_no_numbers(best: Path, tmp_path: Path) -> None:
    saved = load_checkpoint(best)
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    weights = dict(saved.weights)
    name = "temporal.1.bias"
    weights[name] = weights[name].clone()
    weights[name][: len(odd)] = odd
    save_checkpoint(dataclasses.replace(saved, weights=weights), tmp_path / "odd.pt")
    loaded = load_checkpoint(tmp_path / "odd.pt").weights[name]
    assert torch.equal(loaded.view(torch.int32), weights[name].view(torch.int32))


def test_a_checkpoint_records_the_corpus_it_was_trained_on(
    tiny_training: TrainingResult, tiny_corpus: PreparedCorpus, best: Path
) -> None:
    loaded = load_checkpoint(best)
    assert loaded.vocabulary == tiny_corpus.vocabulary
    assert loaded.corpus.name == "synthetic"
    assert loaded.corpus.path == str(tiny_corpus.path.resolve())
    assert (loaded.corpus.fps, loaded.corpus.frame_size) == (25.0, 36)
    assert loaded.epoch == tiny_training.best.epoch
    assert loaded.training is None  # the best one is for use, the last one for going on


def test_the_network_of_a_checkpoint_is_ready_for_use(best: Path) -> None:
    checkpoint = load_checkpoint(best)
    network = checkpoint.build_network()
    assert not network.training
    assert all(torch.equal(value, checkpoint.weights[name]) for name, value in network.state_dict().items())


# Files from outside


class _Intruder:
    """Whoever unpickles this makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_refused_and_not_run(best: Path, tmp_path: Path) -> None:
    intrusion = tmp_path / "intruder was here"
    path = tmp_path / "crafted.pt"
    for place in ("history", "extra"):
        content: dict[str, Any] = {**content_of(best), place: _Intruder(intrusion)}
        torch.save(content, path)
        error = refused(path)
        assert "no code in it was run" in error.message
        assert not intrusion.exists()
    # The same file does run its code where everything is trusted: the test would notice.
    torch.load(path, weights_only=False)
    assert intrusion.is_dir()


def test_a_bare_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "pickle.pt"
    path.write_bytes(pickle.dumps(_Intruder(tmp_path / "intruder was here")))
    refused(path)
    assert not (tmp_path / "intruder was here").exists()


def test_what_is_no_checkpoint_is_refused_by_name(best: Path, tmp_path: Path) -> None:
    assert "no such checkpoint" in refused(tmp_path / "missing.pt").message
    folder_error = refused(best.parent)
    assert "folder" in folder_error.message
    assert str(best) in str(folder_error.hint)

    path = tmp_path / "file.pt"
    path.touch()
    assert "empty" in refused(path).message
    path.write_text("epoch,loss\n1,2\n")
    assert "not a checkpoint" in refused(path).message
    path.write_bytes(best.read_bytes()[:-2000])
    assert "incomplete" in refused(path).message
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frame.png", b"no picture")
    assert "not a checkpoint" in refused(path).message
    torch.save(torch.zeros(3), path)
    assert "contains no named values" in refused(path).message
    torch.save(content_of(best)["weights"], path)
    assert "only weights" in refused(path).message
    torch.save({"epoch": 3, "model_state_dict": {}}, path)
    assert "published code" in refused(path).message


def stored_files(path: Path) -> list[tuple[int, int]]:
    """Where in a zip the bytes of its files are: start and length; between them is padding, which means nothing."""
    content = path.read_bytes()
    spans = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            header = content[info.header_offset : info.header_offset + 30]
            name_length, extra_length = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
            spans.append((info.header_offset + 30 + name_length + extra_length, info.compress_size))
    return spans


def test_no_damage_to_the_file_goes_unnoticed(best: Path, tmp_path: Path) -> None:
    content = best.read_bytes()
    path = tmp_path / "damaged.pt"
    rng = random.Random(0)
    for _ in range(40):
        start, length = rng.choice(stored_files(best))
        damaged = bytearray(content)
        damaged[start + rng.randrange(length)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        assert "damaged" in refused(path).message


def test_random_damage_raises_a_cslr_error_or_is_harmless(best: Path, tmp_path: Path) -> None:
    content = best.read_bytes()
    path = tmp_path / "damaged.pt"
    rng = random.Random(1)
    for _ in range(60):
        start = rng.randrange(len(content))
        damaged = content[:start] + rng.randbytes(rng.randrange(40)) + content[start + rng.randrange(40) :]
        path.write_bytes(damaged)
        with suppress(CslrError):
            load_checkpoint(path)


def test_a_newer_format_is_refused_with_the_version_that_reads_it(best: Path, tmp_path: Path) -> None:
    path = changed(best, tmp_path / "new.pt", lambda content: content.update(format_version=2, version="7.8.9"))
    error = refused(path)
    assert "format 2" in error.message
    assert "7.8.9" in str(error.hint)


def test_all_faults_of_a_file_are_reported_together(best: Path, tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        del content["epoch"]
        content["weights"] = [1, 2]
        content["corpus"]["fps"] = "fast"

    hint = str(refused(changed(best, tmp_path / "spoilt.pt", spoil)).hint)
    assert all(key in hint for key in ("epoch", "weights", "corpus.fps"))


@pytest.mark.parametrize(
    "key", ["version", "config", "vocabulary", "corpus", "weights", "epoch", "history", "training"]
)
@pytest.mark.parametrize("value", [5, "text", [1], {"a": 1}, {1: 2}])
def test_a_part_of_the_wrong_kind_is_refused(best: Path, tmp_path: Path, key: str, value: object) -> None:
    path = changed(best, tmp_path / "wrong.pt", lambda content: content.update({key: value}))
    is_right_after_all = (key, value) in [("version", "text"), ("epoch", 5), ("training", {"a": 1})]
    if is_right_after_all:
        load_checkpoint(path)
    else:
        refused(path)


def test_a_vocabulary_that_contradicts_itself_is_refused(best: Path, tmp_path: Path) -> None:
    path = changed(best, tmp_path / "wrong.pt", lambda content: content["vocabulary"]["counts"].pop())
    assert "vocabulary" in refused(path).message


def test_a_setting_that_this_version_does_not_know_is_named(best: Path, tmp_path: Path) -> None:
    path = changed(best, tmp_path / "wrong.pt", lambda content: content["config"]["model"].update(depth=3))
    assert "model.depth" in str(refused(path).hint)


def test_an_unknown_network_is_reported_with_the_known_ones(best: Path, tmp_path: Path) -> None:
    path = changed(best, tmp_path / "wrong.pt", lambda content: content["config"]["model"].update(name="slowfast"))
    hint = str(refused(path).hint)
    assert "model.name is 'slowfast'" in hint
    assert "vac, vac-smkd, corrnet, corrnet-plus" in hint


def test_a_checkpoint_from_before_there_were_other_networks_loads(best: Path, tmp_path: Path) -> None:
    def as_it_was(content: dict[str, Any]) -> None:
        del content["converted"]
        for key in ("pool", "classifier", "shared_classifier"):
            del content["config"]["model"][key]
        for key in ("lifting_update", "lifting_prediction"):
            del content["config"]["loss"][key]

    old = load_checkpoint(changed(best, tmp_path / "old.pt", as_it_was))
    assert old.config == load_checkpoint(best).config
    assert old.build_network().conv_classifier is None


def test_weights_that_are_missing_left_over_or_of_another_shape_are_listed(best: Path, tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        del content["weights"]["backbone.conv1.weight"]
        content["weights"]["backbone.conv9.weight"] = torch.zeros(1)
        content["weights"]["classifier.weight"] = torch.zeros(2, 3)

    hint = str(refused(changed(best, tmp_path / "wrong.pt", spoil)).hint)
    assert "missing: backbone.conv1.weight" in hint
    assert "unexpected: backbone.conv9.weight" in hint
    assert "classifier.weight has shape (2, 3), expected (16, 9)" in hint


def test_a_network_of_another_size_is_refused_without_a_screenful_of_names(best: Path, tmp_path: Path) -> None:
    path = changed(best, tmp_path / "wide.pt", lambda content: content["config"]["model"].update(width=12))
    assert len(str(refused(path)).splitlines()) < 20


def test_weights_of_another_network_are_refused_when_they_are_put_in(tiny_checkpoint: Checkpoint) -> None:
    weights = dict(tiny_checkpoint.weights)
    del weights["backbone.conv1.weight"]
    with pytest.raises(CheckpointError) as caught:
        dataclasses.replace(tiny_checkpoint, weights=weights).build_network()
    assert "missing: backbone.conv1.weight" in str(caught.value)


# Nothing half-written


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_saving_that_is_interrupted_leaves_the_older_checkpoint_whole(
    best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(best.read_bytes())

    def save_half(content: object, file: Any) -> None:
        file.write(b"PK\x03\x04 and no more")
        raise interruption

    monkeypatch.setattr(torch, "save", save_half)
    with pytest.raises(type(interruption)):
        save_checkpoint(load_checkpoint(best), path)
    assert path.read_bytes() == best.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk: writing more is an error of the operating system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_reported_and_keeps_the_older_checkpoint(best: Path, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(best.read_bytes())
    checkpoint = load_checkpoint(best)
    with no_file_larger_than(100_000), pytest.raises(CheckpointError) as caught:
        save_checkpoint(checkpoint, path)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert path.read_bytes() == best.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]
