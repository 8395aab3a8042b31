from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin, find_corpus
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError


@pytest.fixture
def project(tiny_checkpoint: Checkpoint, tiny_corpus: PreparedCorpus, tmp_path: Path) -> Path:
    """A folder with a run and the corpus that it was trained on."""
    project = tmp_path / "project"
    shutil.copytree(tiny_corpus.path, project / "prepared" / "synthetic")
    origin = CorpusOrigin.from_corpus(PreparedCorpus.open(project / "prepared" / "synthetic"))
    (project / "runs" / "tiny").mkdir(parents=True)
    save_checkpoint(dataclasses.replace(tiny_checkpoint, corpus=origin), project / "runs" / "tiny" / "best.pt")
    return project


def stored(path: Path) -> dict[str, Any]:
    corpus = torch.load(path, weights_only=True)["corpus"]
    assert isinstance(corpus, dict)
    return corpus


def origin_of(project: Path) -> CorpusOrigin:
    return load_checkpoint(project / "runs" / "tiny" / "best.pt").corpus


def as_of_version_0_1(origin: CorpusOrigin) -> CorpusOrigin:
    """An origin as an old checkpoint stores it: an absolute path, no fingerprint."""
    return dataclasses.replace(origin, fingerprint=None)


def test_a_checkpoint_stores_a_path_relative_to_itself(project: Path, tmp_path: Path) -> None:
    best = project / "runs" / "tiny" / "best.pt"
    assert stored(best)["path"] == "../../prepared/synthetic"
    save_checkpoint(load_checkpoint(best), tmp_path / "converted.pt")
    assert stored(tmp_path / "converted.pt")["path"] == "project/prepared/synthetic"
    assert load_checkpoint(tmp_path / "converted.pt").corpus == load_checkpoint(best).corpus


def test_a_moved_project_uses_its_own_corpus_from_any_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    assert find_corpus(origin_of(Path("copy"))).corpus.path == Path("copy/prepared/synthetic")
    monkeypatch.chdir(copy)
    found = find_corpus(origin_of(copy))
    assert (found.corpus.path, found.warnings) == (Path("prepared/synthetic"), [])
    shutil.rmtree(project)
    monkeypatch.chdir(copy / "runs")
    found = find_corpus(origin_of(copy))
    assert found.corpus.path == copy / "prepared" / "synthetic"
    assert found.rule == "stored relative path"


def test_the_order_is_the_given_folder_the_relative_path_and_the_prepared_corpus_of_its_name(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in ("named", "prepared/synthetic"):
        shutil.copytree(project / "prepared" / "synthetic", elsewhere / folder)
    monkeypatch.chdir(elsewhere)
    origin = origin_of(project)
    assert (find_corpus(origin, Path("named")).corpus.path, find_corpus(origin, Path("named")).rule) == (
        Path("named"),
        "--corpus",
    )
    assert find_corpus(origin).corpus.path == project / "prepared" / "synthetic"
    (project / "prepared" / "synthetic" / "corpus.yaml").unlink()
    found = find_corpus(origin)
    assert (found.corpus.path, found.rule) == (Path("prepared/synthetic"), "prepared/NAME in the current folder")
    shutil.rmtree("prepared")
    with pytest.raises(DataError, match="preparation of this corpus is not finished"):
        find_corpus(origin)
    shutil.rmtree(project / "prepared")
    with pytest.raises(DataError) as caught:
        find_corpus(origin)
    assert str(project / "prepared" / "synthetic") in caught.value.message
    assert str(elsewhere / "prepared" / "synthetic") in caught.value.message
    assert "--corpus" in str(caught.value.hint)
    assert "cslr prepare synthetic --size 36" in str(caught.value.hint)


def test_the_absolute_path_of_an_old_checkpoint_comes_last_and_is_not_compared(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    origin = as_of_version_0_1(origin_of(project))
    manifest = Path("prepared/synthetic/dev.jsonl")
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))
    found = find_corpus(origin)
    assert (found.corpus.path, found.warnings) == (Path("prepared/synthetic"), [])
    shutil.rmtree("prepared")
    found = find_corpus(origin)
    assert found.corpus.path == project / "prepared" / "synthetic"
    assert "old checkpoint" in found.rule


def test_an_old_checkpoint_of_a_copied_project_uses_the_corpus_of_the_copy_from_any_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    run = copy / "runs" / "tiny"
    origin = as_of_version_0_1(origin_of(project))
    monkeypatch.chdir(tmp_path)
    assert find_corpus(origin, run=run).corpus.path == Path("copy/prepared/synthetic")
    monkeypatch.chdir(run)
    assert find_corpus(origin, run=Path()).corpus.path == copy / "prepared" / "synthetic"
    monkeypatch.chdir(copy)
    assert find_corpus(origin, run=run).rule == "prepared/NAME in the current folder"
    shutil.rmtree(copy / "prepared")
    assert find_corpus(origin, run=run).corpus.path == project / "prepared" / "synthetic"


def test_an_old_checkpoint_is_written_anew_without_its_absolute_path(
    project: Path, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    old = dataclasses.replace(tiny_checkpoint, corpus=as_of_version_0_1(origin_of(project)))
    save_checkpoint(old, tmp_path / "averaged.pt")
    corpus = stored(tmp_path / "averaged.pt")
    assert corpus["path"] == "project/prepared/synthetic"
    fingerprint = PreparedCorpus.open(project / "prepared" / "synthetic").fingerprint
    assert corpus["fingerprint"] == {"vocabulary": fingerprint.vocabulary, "splits": {}}
    assert find_corpus(load_checkpoint(tmp_path / "averaged.pt").corpus).warnings == []


def test_a_corpus_with_other_contents_is_warned_of(project: Path) -> None:
    corpus = project / "prepared" / "synthetic"
    manifest, vocabulary = corpus / "dev.jsonl", corpus / "vocabulary.txt"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))
    assert find_corpus(origin_of(project)).differences == ("split dev",)
    vocabulary.write_text(vocabulary.read_text() + "NEU\t1\n")
    (warning,) = find_corpus(origin_of(project), corpus).warnings
    assert f"{corpus}: differs from the corpus of the training" in warning
    assert "vocabulary, split dev" in warning
