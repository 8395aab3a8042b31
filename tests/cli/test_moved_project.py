"""A project, `runs/` and `prepared/`, that was copied to another place, and what its files say about places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import Command


@pytest.fixture
def project(trained: Path, workplace: Path, cslr: Command) -> Path:
    """A project whose run was made with absolute paths on the command line."""
    corpus = workplace / "prepared" / "synthetic"
    source = corpus.resolve()
    corpus.unlink()
    shutil.copytree(source, corpus)
    outcome = cslr(
        *("train", "--config", "tiny.yaml", "--name", "one", "--corpus", corpus, "--set", "training.epochs=1"),
        *("--init-weights", workplace / "runs" / "tiny" / "best.pt"),
    )
    assert outcome.status == 0, outcome.stderr
    return workplace


def strings(value: Any) -> Iterator[str]:
    """Yield all texts in plain values, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def test_no_file_of_a_run_holds_an_absolute_path(project: Path, cslr: Command) -> None:
    assert cslr("evaluate", project / "runs" / "one" / "best.pt", "--split", "dev").status == 0
    assert cslr("convert", project / "runs" / "one", "--to", "published", "--output", "published.pt").status == 0
    files = [path for path in (project / "runs" / "one").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"config.yaml", "environment.json", "report.json", "report.html", "dev.hypotheses.json"} <= names
    for path in [*files, Path("published.pt")]:
        if path.suffix == ".pt":
            texts = list(strings(torch.load(path, weights_only=True)))
        else:
            texts = [path.read_text(encoding="utf-8", errors="replace")]
        assert [text for text in texts if str(project) in text] == [], path
    fingerprint = torch.load("runs/one/best.pt", weights_only=True)["corpus"]["fingerprint"]
    environment = json.loads(Path("runs/one/environment.json").read_text())
    assert environment["corpus"]["path"] == "../../prepared/synthetic"
    assert environment["corpus"]["fingerprint"] == fingerprint
    report = json.loads(Path("runs/one/evaluation/best/report.json").read_text())
    assert report["facts"]["checkpoint"] == "runs/one/best.pt"
    assert report["facts"]["corpus"] == "prepared/synthetic"
    assert report["facts"]["corpus fingerprint"].startswith("vocabulary ")


def test_a_copied_project_is_evaluated_and_resumed_on_its_own_corpus(
    project: Path, cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    manifest = copy / "prepared" / "synthetic" / "dev.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))
    references = copy / "prepared" / "synthetic" / "references" / "dev.stm"
    first = json.loads((project / "prepared" / "synthetic" / "dev.jsonl").read_text().splitlines()[0])["sample_id"]
    references.write_text("".join(line for line in references.read_text().splitlines(True) if first not in line))
    monkeypatch.chdir(tmp_path)
    outcome = cslr("evaluate", "copy/runs/one", "--split", "dev", "--json")
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["splits"]["dev"]["clips"] == 3
    assert "corpus: copy/prepared/synthetic (stored relative path)" in outcome.stderr
    assert "warning: copy/prepared/synthetic: differs from the corpus of the training: split dev" in outcome.stderr
    outcome = cslr("train", "--resume", "copy/runs/one", "--set", "training.epochs=2")
    assert outcome.status == 0, outcome.stderr
    assert "corpus: copy/prepared/synthetic (stored relative path)" in outcome.stderr
    assert "differs from the corpus of the training: split dev" in outcome.stderr
    shutil.rmtree(project)
    shutil.rmtree(copy / "prepared" / "synthetic" / "frames" / "test")  # not needed to train
    Path("copy/prepared").rename("copy/corpora")
    outcome = cslr(
        *("train", "--resume", "copy/runs/one", "--corpus", "copy/corpora/synthetic", "--set", "training.epochs=3")
    )
    assert outcome.status == 0, outcome.stderr
    assert "corpus: copy/corpora/synthetic (--corpus)" in outcome.stderr
    stored = torch.load("copy/runs/one/last.pt", weights_only=True)
    assert stored["corpus"]["path"] == "../../corpora/synthetic"


def test_a_run_without_a_save_is_resumed_on_the_corpus_that_it_was_started_with(
    project: Path, cslr: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("best.pt", "last.pt", "epoch-1.pt", "metrics.jsonl"):
        Path("runs/one", name).unlink()
    Path("runs/tiny").rename(tmp_path / "start")  # the initial weights
    monkeypatch.chdir(tmp_path)
    outcome = cslr("train", "--resume", project / "runs" / "one", "--set", "training.init_weights=start/best.pt")
    assert outcome.status == 0, outcome.stderr
    assert "stored relative path" in outcome.stderr
