"""Checkpoints on the command line: all four networks, published ones, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.checkpoints.published_files import save_gloss_dict, save_published, state_of
from tests.cli.conftest import REPOSITORY, Command
from tests.model.batches import NETWORK_NAMES


@pytest.fixture
def published(workplace: Path, tiny_corpus: PreparedCorpus) -> Path:
    """A published checkpoint for the tiny corpus in the user's folder, and its `gloss_dict.npy`."""
    save_gloss_dict(Path(), tiny_corpus.vocabulary)
    return save_published(Path("dev_18.80.pt"), "corrnet", tiny_corpus.vocabulary.num_classes)


@pytest.fixture
def converted(cslr: Command, published: Path) -> Path:
    options = ("--vocabulary", "prepared/synthetic", "--set", "data.crop_size=32", "--output", "ours.pt")
    assert cslr("convert", published, *options).status == 0
    return Path("ours.pt")


@pytest.fixture
def clip(tiny_corpus: PreparedCorpus) -> Path:
    return tiny_corpus.frames_path(tiny_corpus.samples("test")[0])


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_every_network_is_trained_evaluated_and_used(cslr: Command, workplace: Path, clip: Path, name: str) -> None:
    settings = ("--set", f"model.name={name}", "--set", "training.epochs=1")
    assert cslr("train", "--config", "tiny.yaml", "--name", name, *settings).status == 0
    best = Path("runs") / name / "best.pt"
    records = json.loads((best.parent / "metrics.jsonl").read_text().splitlines()[0])
    assert ("lifting_update" in records) == (name == "corrnet-plus")
    assert cslr("evaluate", best, "--split", "dev", "--json").status == 0
    assert cslr("predict", clip, "--checkpoint", best, "--json").status == 0
    reported = json.loads(cslr("inspect", best, "--json").stdout)
    assert (reported["network"], reported["epoch"], reported["history"][0]["epoch"]) == (name, 1, 1)


def test_a_published_checkpoint_is_converted_and_used_and_converted_back(
    cslr: Command, published: Path, converted: Path, clip: Path
) -> None:
    outcome = cslr("evaluate", converted, "--split", "dev", "--workers", 0, "--json")
    assert outcome.status == 0
    assert Path(json.loads(outcome.stdout)["corpus"]) == Path("prepared/synthetic")
    assert cslr("predict", clip, "--checkpoint", converted).status == 0

    outcome = cslr("convert", converted, "--to", "published", "--output", "back/theirs.pt", "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["vocabulary"] == "back/gloss_dict.npy"
    assert "the published code cannot build a ResNet of width 4" in outcome.stderr
    assert Path("back/gloss_dict.npy").read_bytes() == Path("gloss_dict.npy").read_bytes()
    back = torch.load("back/theirs.pt", weights_only=True)["model_state_dict"]
    before = torch.load(published, weights_only=False)["model_state_dict"]
    assert all(torch.equal(back[key], value) for key, value in before.items())
    assert back.keys() == before.keys()


def test_the_corpus_of_a_published_checkpoint_is_recorded(cslr: Command, published: Path) -> None:
    options = ("--vocabulary", "gloss_dict.npy", "--corpus", "CSL-Daily", "--output", "ours.pt")
    outcome = cslr("convert", published, *options, "--json")
    assert outcome.status == 0
    reported = json.loads(outcome.stdout)
    corpus = load_checkpoint(Path("ours.pt")).corpus
    assert (reported["corpus"], reported["fps"], reported["protocol"]) == ("csl-daily", 30, corpus.protocol)
    outcome = cslr("evaluate", "ours.pt")
    assert outcome.status == 1
    assert "cslr prepare csl-daily" in outcome.stderr


@pytest.mark.parametrize("command", [("evaluate",), ("predict", "video.mp4", "--checkpoint")])
def test_a_published_checkpoint_is_refused_with_the_command_that_converts_it(
    cslr: Command, published: Path, command: tuple[str, ...]
) -> None:
    outcome = cslr(*command, published)
    assert outcome.status == 1
    assert f"cslr convert {published} --vocabulary gloss_dict.npy --output" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_published_checkpoint_works_with_its_vocabulary(cslr: Command, published: Path, clip: Path) -> None:
    for vocabulary in ("gloss_dict.npy", "prepared/synthetic"):
        options = ("--vocabulary", vocabulary, "--corpus", "prepared/synthetic", "--workers", 0)
        outcome = cslr("evaluate", published, *options)
        assert "more than the 36 pixels of the prepared frames" in outcome.stderr  # all is well but for their size
    outcome = cslr("predict", clip, "--checkpoint", published, "--vocabulary", "gloss_dict.npy")
    assert outcome.status == 2
    assert "unknown training corpus, so its frame rate is unknown" in outcome.stderr


# inspect


def test_inspect_describes_a_checkpoint(cslr: Command, trained: Path) -> None:
    outcome = cslr("inspect", trained)
    assert outcome.status == 0
    for words in ("corrnet", "parameters", "BiLSTM", "8: ", "synthetic", "cropped to 32", "best WER on dev", "cslr 0"):
        assert words in outcome.stdout
    assert cslr("inspect", trained.parent).stdout == outcome.stdout  # the run's best one
    assert "cslr train --resume" in cslr("inspect", trained.parent / "last.pt").stdout


def test_inspect_of_a_run_uses_its_best_checkpoint_or_reports_that_none_exists(cslr: Command, trained: Path) -> None:
    run = trained.parent
    outcome = cslr("inspect", run.parent)
    assert (outcome.status, "a folder of runs" in outcome.stderr) == (2, True)
    trained.unlink()
    assert str(run / "last.pt") in cslr("inspect", run).stdout
    (run / "last.pt").unlink()
    outcome = cslr("inspect", run)
    assert (outcome.status, "the run has no checkpoint yet" in outcome.stderr) == (2, True)


def test_inspect_describes_a_published_checkpoint(cslr: Command, published: Path, converted: Path) -> None:
    outcome = cslr("inspect", published)
    assert outcome.status == 0
    assert "8; the file has no vocabulary" in outcome.stdout
    assert f"cslr convert {published}" in outcome.stdout
    assert str(published) in cslr("inspect", converted).stdout  # where it came from


def test_inspect_refuses_other_files(cslr: Command, workplace: Path) -> None:
    Path("text.pt").write_text("no checkpoint")
    for path in ("text.pt", "missing.pt"):
        outcome = cslr("inspect", path)
        assert outcome.status == 1
        assert outcome.stderr.startswith(f"error: {path}: ")


# Bad input


def test_every_command_warns_about_non_finite_weights(
    cslr: Command, published: Path, tiny_corpus: PreparedCorpus, clip: Path
) -> None:
    state = state_of("vac", tiny_corpus.vocabulary.num_classes)
    state["classifier.bias"][0] = torch.nan
    torch.save({"model_state_dict": state}, "spoilt.pt")
    options = ("--vocabulary", "prepared/synthetic", "--set", "data.crop_size=32", "--output", "ours.pt")
    for command in (
        ("convert", "spoilt.pt", *options),
        ("inspect", "spoilt.pt"),
        ("inspect", "ours.pt"),
        ("convert", "ours.pt", "--to", "published", "--output", "back/theirs.pt"),
        ("predict", clip, "--checkpoint", "ours.pt"),
    ):
        outcome = cslr(*command)
        assert "warning: " in outcome.stderr, command
        assert "classifier.bias" in outcome.stderr, command


def test_convert_reports_missing_options_and_overwrites_nothing(
    cslr: Command, published: Path, converted: Path
) -> None:
    cases = {
        ("convert", published, "--output", "new.pt"): "add --vocabulary PATH: gloss_dict.npy",
        ("convert", published, "--vocabulary", "gloss_dict.npy", "--output", "ours.pt"): "--output: ours.pt exists",
        ("convert", published, "--vocabulary", "gloss_dict.npy", "--output", "new.pt"): "--corpus NAME",
        ("convert", converted, "--vocabulary", "gloss_dict.npy", "--output", "new.pt"): "--to published",
        ("convert", converted, "--to", "published", "--corpus", "csl", "--output", "new.pt"): "remove these options",
        ("convert", published, "--vocabulary", "no.npy", "--output", "new.pt"): "no.npy",
    }
    before = converted.read_bytes()
    for command, words in cases.items():
        outcome = cslr(*command)
        assert outcome.status in (1, 2), command
        assert words in outcome.stderr, command
        assert "Traceback" not in outcome.stderr
        assert not Path("new.pt").exists()
    assert converted.read_bytes() == before


# docs/checkpoints.md


def test_the_commands_of_the_manual_for_published_checkpoints_work(cslr: Command, published: Path, clip: Path) -> None:
    manual = (REPOSITORY / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", manual, flags=re.MULTILINE | re.DOTALL)
    of_the_tiny_corpus = {"convert": ["--corpus", "synthetic", "--set", "data.crop_size=32"]}
    for line in (line for language, block in blocks if language == "sh" for line in block.splitlines()):
        _, name, *arguments = shlex.split(line)
        if name != "evaluate" and "talk.mp4" not in arguments:
            added = [] if "--to" in arguments else of_the_tiny_corpus.get(name, [])
            outcome = cslr(name, *arguments, *added)
            assert outcome.status == 0, (line, outcome.stderr)
    for program in (block for language, block in blocks if language == "python"):
        exec(program.replace("talk.mp4", str(clip)).replace('corpus="phoenix2014"', 'corpus="synthetic"'), {})
    saved = torch.load("corrnet-phoenix2014.pt", weights_only=True)
    explained = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", manual.partition("## What is in")[2], flags=re.MULTILINE))
    )
    assert sorted(explained) == sorted(saved)
