"""What version 0.1.0 wrote still loads, evaluates and resumes (tests/data/version-0.1.0)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command

FILES = Path(__file__).parents[1] / "data" / "version-0.1.0"
EXPECTED: dict[str, Any] = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a user of version 0.1.0."""
    folder = tmp_path / "workplace"
    shutil.copytree(FILES, folder)
    monkeypatch.chdir(folder)
    return folder


def test_its_prepared_corpus_can_be_read(workplace: Path) -> None:
    corpus = PreparedCorpus.open("prepared/synthetic")
    assert (corpus.fps, corpus.frame_size, corpus.protocol) == (25.0, 36, "phoenix2014")
    assert corpus.info.original_size == (210, 260)
    assert {split: len(corpus.samples(split)) for split in corpus.splits} == {"train": 4, "dev": 2, "test": 2}
    assert len(corpus.vocabulary.glosses) == 8


def test_its_checkpoint_computes_what_it_computed(workplace: Path) -> None:
    from cslr_cli.recognizer import Recognizer

    checkpoint = load_checkpoint(Path("runs/tiny/best.pt"))
    assert (checkpoint.version, checkpoint.epoch) == ("0.1.0", 1)
    recognizer = Recognizer(checkpoint, device=torch.device("cpu"), precision="fp32")
    corpus = PreparedCorpus.open("prepared/synthetic")
    for sample in corpus.samples("test"):
        recognition = recognizer.recognize(corpus.frames_path(sample), keep_logits=True)
        assert recognition.logits is not None
        computed = torch.from_numpy(recognition.logits.sequence_logits[:4])
        expected = torch.tensor(EXPECTED["sequence_logits"][sample.sample_id])
        torch.testing.assert_close(computed, expected, atol=1e-4, rtol=1e-3)


def test_its_checkpoint_is_evaluated(workplace: Path, cslr: Command) -> None:
    outcome = cslr("evaluate", "runs/tiny/best.pt", "--corpus", "prepared/synthetic", "--workers", 0, "--json")
    assert outcome.status == 0, outcome.stderr
    splits = json.loads(outcome.stdout)["splits"]
    assert {split: scores["clips"] for split, scores in splits.items()} == {"dev": 2, "test": 2}


def test_its_run_is_resumed_to_the_end(workplace: Path, cslr: Command) -> None:
    outcome = cslr("train", "--resume", "runs/tiny", "--device", "cpu")
    assert outcome.status == 0, outcome.stderr
    records = [json.loads(line) for line in Path("runs/tiny/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    for record, expected in zip(records, EXPECTED["history"], strict=True):
        exact = {"epoch", "step", "lr"}
        assert {key: record[key] for key in exact} == {key: expected[key] for key in exact}
        losses = expected.keys() - exact - {"wer", "conv_wer"}  # a gloss more or less is 17 points on two clips
        assert {key: record[key] for key in losses} == pytest.approx({k: expected[k] for k in losses}, rel=1e-2)
    outcome = cslr("runs", "--json")
    run = json.loads(outcome.stdout)
    assert (run["name"], run["state"]) == ("tiny", "finished")


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_its_key_for_the_shape_of_frames_is_read(fit: str, workplace: Path) -> None:
    path = Path("prepared/synthetic/corpus.yaml")
    text = path.read_text(encoding="utf-8")
    assert "\naspect: stretch" in text
    path.write_text(text.replace("aspect: stretch", f"aspect: {fit}"), encoding="utf-8")
    assert PreparedCorpus.open("prepared/synthetic").info.fit == fit
    assert load_checkpoint(Path("runs/tiny/best.pt")).corpus.fit == "stretch"
