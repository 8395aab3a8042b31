from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from cslr_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from cslr_cli.config import load_config
from cslr_cli.corpora.synthetic.release import clip_folder
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.scoring import find_protocol, read_ctm, read_stm, score
from cslr_cli.training.loop import TrainingResult
from tests.cli.conftest import Command, command_line, environment, in_a_process, without_checkpoint_lines

TINY = ["--glosses", 8, "--signers", 3, "--train-clips", 8, "--dev-clips", 4, "--test-clips", 4]


def clip(corpus: PreparedCorpus, number: int = 0) -> Path:
    """A test clip, as it lies in the prepared corpus."""
    return corpus.frames_path(corpus.samples("test")[number])


# prepare


def test_prepare_prints_the_contents_and_skips_finished_work(
    cslr: Command, tiny_release: Path, tiny_corpus: PreparedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_release, "dataset/synthetic")
    outcome = cslr("prepare", "synthetic", *TINY, "--size", 36, "--workers", 1, "--json")
    assert outcome.status == 0
    report = json.loads(outcome.stdout)
    assert report["output"] == "prepared/synthetic"
    assert {split: counts["clips"] for split, counts in report["splits"].items()} == {"train": 8, "dev": 4, "test": 4}
    assert PreparedCorpus.open("prepared/synthetic").vocabulary == tiny_corpus.vocabulary
    before = {path: path.stat().st_mtime_ns for path in Path("prepared").rglob("*.zip")}
    again = cslr("prepare", "synthetic", *TINY, "--size", 36, "--workers", 1)
    assert again.status == 0
    assert "train" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in Path("prepared").rglob("*.zip")} == before


# train


def test_train_prints_every_epoch_and_the_best_one(cslr: Command, workplace: Path) -> None:
    outcome = cslr("train", "--config", "tiny.yaml", "--json")
    assert outcome.status == 0
    result = json.loads(outcome.stdout)
    assert (result["run"], result["checkpoint"]) == ("runs/tiny", "runs/tiny/best.pt")
    assert result["best"]["wer"] == load_checkpoint(Path("runs/tiny/best.pt")).history[-1]["wer"]
    lines = outcome.stderr.splitlines()
    assert [line for line in lines if line.startswith("epoch 1/2, loss ")]
    assert [line for line in lines if line.startswith("epoch 2/2, loss ") and "dev WER" in line and "clips/s" in line]
    assert [line for line in lines if line.startswith("train 8/8") and "elapsed" in line]


def test_train_prints_the_next_command(cslr: Command, workplace: Path) -> None:
    outcome = cslr("train", "--config", "tiny.yaml", "--set", "training.epochs=1", "--name", "again")
    assert "best WER on dev" in outcome.stdout
    assert "cslr evaluate runs/again/best.pt" in outcome.stdout


def test_options_override_the_file_and_the_file_overrides_defaults(cslr: Command, workplace: Path) -> None:
    (workplace / "tiny.yaml").rename("own.yaml")
    given = ["--set", "optimizer.lr=5e-5", "--set", "training.epochs=1", "--precision", "bf16", "--workers", 0]
    assert cslr("train", "--config", "own.yaml", *given).status == 0
    config = load_config("runs/own/config.yaml")
    assert (config.optimizer.lr, config.training.epochs, config.training.precision) == (5e-5, 1, "bf16")
    assert (config.model.width, config.data.num_workers) == (8, 0)  # from the file
    assert config.decoding.beam_width == 10  # from nowhere


@pytest.mark.parametrize("name", ["corpus # 1", "2014", "5e3", "null", "a=b", "[1]", "ÄÖÜ 手语"])
def test_a_corpus_may_be_in_a_folder_of_any_name(
    cslr: Command, workplace: Path, name: str, tiny_corpus: PreparedCorpus
) -> None:
    (workplace / name).symlink_to(tiny_corpus.path)
    outcome = cslr("train", "--config", "tiny.yaml", "--corpus", name, "--set", "data.crop_size=224")
    assert outcome.status == 1
    assert "more than the 36 pixels of the prepared frames" in outcome.stderr  # so it was found


def test_train_resumes_a_run(cslr: Command, trained: Path, tiny_training: TrainingResult) -> None:
    run = trained.parent
    # As it was after the first epoch of two.
    os.remove(trained)
    os.remove(run / "last.pt")
    outcome = cslr("train", "--resume", run, "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["best"]["wer"] == tiny_training.best.wer
    # Now it is finished, and can be asked again, by a file of it as well.
    outcome = cslr("train", "--resume", run / "last.pt", "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["best"]["epoch"] == tiny_training.best.epoch


def test_skipped_clips_are_named_on_the_screen(cslr: Command, workplace: Path, tiny_corpus: PreparedCorpus) -> None:
    shutil.copytree(tiny_corpus.path, "impossible")
    manifest = Path("impossible/train.jsonl")
    first, *rest = [json.loads(line) for line in manifest.read_text().splitlines()]
    first["glosses"] *= 30
    manifest.write_text("".join(json.dumps(sample) + "\n" for sample in [first, *rest]))
    outcome = cslr("train", "--config", "tiny.yaml", "--corpus", "impossible", "--set", "training.epochs=1")
    assert outcome.status == 0
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("epoch 1/1")]
    assert "2 clips skipped, loss not finite" in line
    assert first["sample_id"] in line


# evaluate


def test_evaluate_prints_the_figures_of_both_heads_and_all_signers(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    outcome = cslr("evaluate", trained, "--precision", "fp32", "--json")
    assert outcome.status == 0
    result = json.loads(outcome.stdout)
    assert set(result["splits"]) == {"dev", "test"}
    for split, figures in result["splits"].items():
        hypotheses = {
            sample_id: [timed.gloss for timed in glosses]
            for sample_id, glosses in read_ctm(trained.parent / "evaluation" / "best" / f"{split}.ctm").items()
        }
        references = read_stm(trained.parent / "evaluation" / "best" / f"{split}.stm")
        counts = score(references, hypotheses, find_protocol(tiny_corpus.protocol)).counts
        names = ("wer", "substitutions", "deletions", "insertions", "references")
        assert [figures[name] for name in names] == [getattr(counts, name) for name in names]
        assert figures["clips"] == 4
        assert figures["conv"]["references"] == counts.references
    test = result["splits"]["test"]
    assert test["known_signers"]["references"] + test["unseen_signers"]["references"] == test["references"]
    assert test["unseen_signers"] == test["signers"]["Signer03"]
    assert test["unseen_signers"]["references"] > 0
    assert result["splits"]["dev"]["unseen_signers"]["wer"] is None


def test_evaluate_prints_a_table_with_separate_unseen_signers(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained)
    table, _, errors = outcome.stdout.partition("most often confused")
    lines = table[table.rindex("─") + 1 :].splitlines()[1:]
    rows = [line.strip().split("  ")[0] for line in itertools.takewhile(str.strip, lines)]
    assert [row for row in rows if row != "greedy decoding"] == [
        *("dev", "convolution head"),
        *("test", "known signers", "unseen Signer03", "convolution head"),
    ]
    assert "dev" in errors


def test_evaluate_uses_each_split_once_and_writes_to_the_given_folder(cslr: Command, trained: Path) -> None:
    outcome = cslr("evaluate", trained, "--split", "dev,dev", "--split", "dev", "--output", "here/it", "--json")
    assert list(json.loads(outcome.stdout)["splits"]) == ["dev"]
    assert {path.name for path in Path("here/it").iterdir()} == {
        *("dev.ctm", "dev.conv.ctm", "dev.stm", "dev.hypotheses.json"),
        *("report.html", "report.json", "dev.clips.csv", ".cslr-output.json"),
    }
    assert "here/it" in outcome.stderr
    assert not (trained.parent / "evaluation").exists()


def test_each_checkpoint_of_a_run_has_its_own_evaluation(cslr: Command, trained: Path) -> None:
    other, evaluation = trained.parent / "epoch-1.pt", trained.parent / "evaluation"
    assert cslr("evaluate", trained).status == 0
    before = {path.name: path.read_bytes() for path in (evaluation / "best").iterdir()}
    outcome = cslr("evaluate", other, "--split", "dev")
    assert outcome.status == 0
    assert f"{evaluation / 'epoch-1' / 'report.html'}" in outcome.stderr
    assert {path.name for path in evaluation.iterdir()} == {"best", "epoch-1"}
    assert {path.name: path.read_bytes() for path in (evaluation / "best").iterdir()} == before
    for name in ("best", "epoch-1"):
        report = json.loads((evaluation / name / "report.json").read_text())
        assert report["facts"]["checkpoint"] == f"{trained.parent / name}.pt"
        assert set(report["sections"]) == {path.name.split(".")[0] for path in (evaluation / name).glob("*.stm")}


def test_evaluate_uses_the_given_decoder(cslr: Command, trained: Path) -> None:
    def ctm(*given: object) -> str:
        assert cslr("evaluate", trained, "--split", "dev", "--precision", "fp32", *given).status == 0
        return (trained.parent / "evaluation" / "best" / "dev.ctm").read_text()

    assert ctm() == ctm("--decoder", "beam", "--beam-width", 10)
    assert ctm("--decoder", "greedy") != ctm()


# Streams


def test_only_results_go_to_standard_output(trained: Path, workplace: Path, tiny_corpus: PreparedCorpus) -> None:
    videos = [clip(tiny_corpus), workplace / "missing.mp4", clip(tiny_corpus, 1)]
    outcome = in_a_process("predict", *videos, "--json", cwd=workplace)
    assert outcome.status == 1
    first, failed, second = map(json.loads, outcome.stdout.splitlines())
    assert [first["source"], failed["input"], second["source"]] == list(map(str, videos))
    assert "checkpoint: runs/tiny/best.pt" in outcome.stderr
    assert "missing.mp4" in outcome.stderr
    assert "\x1b" not in outcome.stderr  # no colours where there is no terminal


def test_a_closed_pipe_is_not_an_error(trained: Path, workplace: Path, tiny_corpus: PreparedCorpus) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command_line(["predict", clip(tiny_corpus), clip(tiny_corpus)]),
        cwd=workplace,
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert done.returncode != 0
    assert without_checkpoint_lines(done.stderr) == []


def test_a_picture_is_recognised_as_a_clip_of_one_frame(cslr: Command, trained: Path, tiny_release: Path) -> None:
    picture = sorted(clip_folder(tiny_release, "test", "synthetic_test-0001").glob("*.png"))[0]
    Path("one").mkdir()
    cv2.imwrite("one/frame.png", cv2.imread(str(picture)))
    outcome = cslr("predict", "one", "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["num_frames"] == 1


# The crop


def test_train_says_that_it_scales_a_recipe_s_crop_and_keeps_the_user_s(
    cslr: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["model.width=8", "model.hidden_size=16", "training.epochs=1", "data.num_workers=0"]
    settings = [part for setting in small for part in ("--set", setting)]
    train = ("train", "--config", "quickstart", *settings, "--device", "cpu", "--name")
    outcome = cslr(*train, "scaled")
    assert outcome.status == 0, outcome.stderr
    assert "note: the crop of the recipe is 64 of 72 pixels" in outcome.stderr
    outcome = cslr(*train, "own", "--set", "data.crop_size=16", "--set", "data.resize_to=32")
    assert outcome.status == 0, outcome.stderr
    assert "warning: the network sees only the middle 20 % of each frame: its crop is 16 of 36" in outcome.stderr
    data = load_config("runs/own/config.yaml").data
    assert (data.frame_size, data.crop_size, data.input_size) == (None, 16, 32)


def test_commands_warn_about_a_checkpoint_that_sees_little_of_the_frame(
    cslr: Command, trained: Path, tiny_corpus: PreparedCorpus
) -> None:
    checkpoint = load_checkpoint(trained)
    save_checkpoint(replace(checkpoint, corpus=replace(checkpoint.corpus, frame_size=64)), Path("old.pt"))
    video = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    for command in (("predict", video), ("features", video)):
        outcome = cslr(*command, "--checkpoint", "old.pt", "--device", "cpu")
        assert outcome.status == 0, outcome.stderr
        assert "warning: old.pt: the network sees only the middle 25 % of each frame" in outcome.stderr
        again = cslr(*command, "--checkpoint", trained, "--device", "cpu", "--output", "again")
        assert "sees only" not in again.stderr
