"""`cslr prepare` of every corpus, and `cslr inspect` of what comes out."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import Command, Outcome
from tests.corpora.phoenix_release import HEADER, write_annotation, write_release
from tests.corpora.releases import (
    write_csl,
    write_csl_daily,
    write_frames,
    write_phoenix2014,
    write_phoenix2014_t,
    write_si5,
)

SMALL = ["--size", 16, "--workers", 1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# prepare


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("phoenix2014", write_phoenix2014),
        ("PHOENIX2014-SI5", write_si5),
        ("phoenix2014-t", write_phoenix2014_t),
        ("CSL", write_csl),
        ("CSL-Daily", write_csl_daily),
    ],
)
def test_every_corpus_is_prepared_from_where_it_is_by_default(name: str, write: object, cslr: Command) -> None:
    known = {"phoenix2014-t": "phoenix2014-T"}.get(name, name.lower())
    assert callable(write)
    write(Path("dataset") / known)
    outcome = cslr("prepare", name, *SMALL, "--json")
    assert outcome.status == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert (report["corpus"], report["output"]) == (known, f"prepared/{known}")
    assert report["faults"] == []
    assert PreparedCorpus.open(f"prepared/{known}").name == known


def test_split_files_may_be_elsewhere(cslr: Command) -> None:
    sentence = write_csl_daily(Path("release"), annotations=Path("lists"))
    outcome = cslr("prepare", "csl-daily", "--source", sentence, "--annotations", "lists", *SMALL)
    assert outcome.status == 0
    assert "clips without a split in lists/split_1.txt, added to train: S000153_P0008_T00" in outcome.stderr
    assert "train" in outcome.stdout


def test_origins_of_references_and_unseen_glosses_are_reported(cslr: Command) -> None:
    source = write_phoenix2014(Path("release"))
    outcome = cslr("prepare", "phoenix2014", "--source", source, "--no-frames")
    assert "references of train, test: made from the annotation" in outcome.stderr
    assert "references of dev: official: evaluation/phoenix2014-groundtruth-dev.stm" in outcome.stderr
    assert "glosses of dev that are not in train: 3 (3 distinct)" in outcome.stderr


def test_faults_are_shown_as_a_table_with_the_rest_in_the_report(cslr: Command) -> None:
    write_release(Path("release"))
    write_annotation(Path("release"), "train", "\n".join([HEADER, *["wrong"] * 30]))
    outcome = cslr("prepare", "phoenix2014", "--source", "release", "--output", "out")
    assert outcome.status == 1
    assert outcome.stdout == ""
    lines = [line.strip() for line in outcome.stderr.splitlines() if line.strip()]
    assert lines[0].split() == ["where", "fault"]
    assert lines[2].split()[0].endswith("train.corpus.csv:2")
    assert any(line.startswith("and 20 more") for line in lines)
    assert "error: 30 faults; nothing was prepared" in lines
    assert "see all faults in out/prepare-report.json" in lines
    assert "Traceback" not in outcome.stderr


def test_clips_that_are_left_out_are_shown_as_a_table_with_the_layout(cslr: Command) -> None:
    source = write_phoenix2014_t(Path("release"))
    clip = next((source / "features/fullFrame-210x260px/train").iterdir())
    for path in clip.iterdir():
        path.unlink()
    clip.rmdir()
    outcome = cslr("prepare", "phoenix2014-T", "--source", source, *SMALL)
    assert outcome.status == 0
    assert clip.name in outcome.stderr
    assert "no frame matches" in outcome.stderr
    assert "(or ID/1/*.png)" in outcome.stderr


def test_parts_are_joined_by_a_last_call(cslr: Command) -> None:
    source = write_csl(Path("release"))
    for number in (1, 2):
        outcome = cslr("prepare", "csl", "--source", source, *SMALL, "--shard", f"{number}/2", "--json")
        assert json.loads(outcome.stdout) == {
            "schema_version": 1,
            "output": "prepared/csl",
            "corpus": "csl",
            "shard": f"{number}/2",
            "clips": 3,
            "frames": 9,
            "left_out": [],
        }
    assert cslr("inspect", "prepared/csl").status == 1  # not yet whole
    assert cslr("prepare", "csl", "--source", source, *SMALL).status == 0
    assert cslr("inspect", "prepared/csl").status == 0


def test_frames_are_prepared_with_the_given_options(cslr: Command) -> None:
    source = write_csl(Path("release"))
    options = [
        "--interpolation",
        "area",
        "--fit",
        "pad",
        "--image-format",
        "jpeg",
        "--quality",
        80,
        "--layout",
        "folder",
    ]
    assert cslr("prepare", "csl", "--source", source, *SMALL, *options).status == 0
    info = PreparedCorpus.open("prepared/csl").info
    assert (info.interpolation, info.fit, info.layout) == ("area", "pad", "folder")
    assert (info.image_format, info.image_quality) == ("jpeg", 80)
    assert len(list(Path("prepared/csl/frames/train/video450").glob("*.jpg"))) == 3


def test_your_own_corpus_is_prepared_from_its_manifest(cslr: Command) -> None:
    for number in range(6):
        write_frames(Path("mine/clips") / f"{number}", number)
    rows = [f"clips/{number},HELLO WORLD,anna{number % 3}" for number in range(6)]
    Path("mine/clips.csv").write_text("\n".join(["path,glosses,signer", *rows]) + "\n")
    arguments = [
        "--manifest",
        "mine/clips.csv",
        "--split-shares",
        "1,1,1",
        "--split-by",
        "signer",
        "--fps",
        30,
        "--seed",
        1,
    ]
    outcome = cslr("prepare", "my-corpus", *arguments, *SMALL)
    assert outcome.status == 0, outcome.stderr
    assert "splits drawn for 6 clips, shares 1,1,1 by signer, seed 1: 2 train, 2 dev, 2 test" in outcome.stderr
    corpus = PreparedCorpus.open("prepared/my-corpus")
    assert (corpus.name, corpus.fps) == ("my-corpus", 30.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my-corpus"], "unknown corpus 'my-corpus'"),
        (["phoenix2014", "--manifest", "clips.csv"], "is the name of a published corpus"),
        (["csl", "--fps", 30], "--fps: only for your own corpus"),
        (["csl", "--split-shares", "1,1,1"], "--split-shares: only for your own corpus"),
        (["csl-daily", "--seed", 1], "are for the synthetic corpus, not for csl-daily"),
        (["csl-daily", "--dev-signers", 1], "--dev-signers: only for csl"),
        (["csl", "--dev-signers", 0], "--dev-signers 0: no signers"),
        (["csl", "--glosses", 8], "are for the synthetic corpus, not for csl"),
        (["mine", "--manifest", "clips.csv", "--split-shares", "1,2"], "not three numbers"),
        (["mine", "--manifest", "clips.csv", "--split-by", "day"], "--split-by day: expected one of clip, signer"),
        (["mine", "--manifest", "clips.csv", "--fps", 0], "not a frame rate"),
        (["csl", "--shard", "0/3"], "not a shard"),
        (["csl", "--no-frames", "--shard", "1/3"], "cannot be combined with --no-frames"),
        (["csl", "--layout", "tar", "--fit", "round"], "fit is 'round'"),
        (["csl", "--quality", 90], "PNG is exact and has no quality"),
        (["csl", "--image-format", "jpeg", "--quality", 0], "image_quality is 0"),
        (["csl", "--vocabulary-splits", "dev"], "splits of the vocabulary do not include train"),
        (["csl", "--annotations", "nowhere"], "folder not found"),
    ],
)
def test_wrong_usage_is_reported_with_status_2(arguments: list[object], message: str, cslr: Command) -> None:
    outcome = cslr("prepare", *arguments)
    assert outcome.status == 2
    assert message in outcome.stderr
    assert not Path("prepared").exists()


def test_an_output_that_is_a_file_is_refused(cslr: Command) -> None:
    write_csl(Path("dataset/csl"))
    Path("prepared").touch()
    outcome = cslr("prepare", "csl", "--output", "prepared", *SMALL)
    assert outcome.status == 2
    assert "--output prepared: a file, not a folder" in outcome.stderr


# inspect


@pytest.fixture
def corpus(folder: Path, cslr: Command) -> Path:
    source = write_csl(folder / "release")
    assert cslr("prepare", "csl", "--source", source, *SMALL).status == 0
    return Path("prepared/csl")


def test_inspect_shows_what_is_in_a_corpus(corpus: Path, cslr: Command) -> None:
    outcome = cslr("inspect", corpus, "--workers", 1)
    assert outcome.status == 0
    lines = outcome.stdout.splitlines()
    (train,) = (line.split() for line in lines if line.strip().startswith("train"))
    assert train[:5] == ["train", "4", "12", "0.00", "24"]
    assert "█" in outcome.stdout
    assert "note: glosses of dev that are not in train: 4 (4 distinct)" in lines
    assert "    园丁 (1)" in lines


def test_inspect_as_json_has_every_detail(corpus: Path, cslr: Command) -> None:
    outcome = cslr("inspect", corpus, "--workers", 1, "--json")
    values = json.loads(outcome.stdout)
    assert (values["name"], values["fps"], values["breaks_training"]) == ("csl", 30.0, False)
    assert values["splits"]["dev"]["frames"] == 6


def test_faults_that_break_training_end_with_status_1(corpus: Path, cslr: Command) -> None:
    (corpus / "frames/train/video450.zip").unlink()
    outcome = cslr("inspect", corpus, "--workers", 1)
    assert outcome.status == 1
    assert "breaks training: clips with missing or unreadable frames: 1" in outcome.stdout
    outcome = cslr("inspect", corpus, "--quick", "--workers", 1, "--json")
    assert outcome.status == 1
    assert json.loads(outcome.stdout)["breaks_training"] is True


def test_inspect_uses_the_temporal_plan_of_the_given_configuration(corpus: Path, cslr: Command) -> None:
    Path("dense.yaml").write_text("model:\n  temporal_layers: [K5]\n")
    kinds = [
        {finding["kind"] for finding in json.loads(cslr("inspect", corpus, *options, "--json").stdout)["findings"]}
        for options in ((), ("--config", "dense.yaml"))
    ]
    assert "too_short_for_glosses" in kinds[0]
    assert cslr("inspect", corpus, "--config", "nothing").status == 2


def test_plots_are_written(corpus: Path, cslr: Command) -> None:
    outcome = cslr("inspect", corpus, "--quick", "--plot", "plots/csl.png")
    assert outcome.status == 0
    assert "plots: plots/csl.png" in outcome.stderr
    assert Path("plots/csl.png").read_bytes().startswith(b"\x89PNG")


def test_plots_that_cannot_be_written_are_refused_before_the_work(corpus: Path, cslr: Command) -> None:
    outcome = cslr("inspect", corpus, "--plot", "plots.docx")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "read frames" not in outcome.stderr
    assert "plots.docx: unknown picture format" in outcome.stderr


def test_a_result_is_reported_before_its_plots_fail(
    corpus: Path, cslr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "plots.png")

    monkeypatch.setattr("cslr_cli.corpora.inspection.draw_plots", fail)
    outcome = cslr("inspect", corpus, "--quick", "--plot", "plots.png")
    assert outcome.status == 1
    assert "note: glosses of dev that are not in train" in outcome.stdout
    assert "error: plots.png: No space left" in outcome.stderr


def test_a_folder_of_plots_that_is_a_file_is_refused_before_the_work(corpus: Path, cslr: Command) -> None:
    Path("file").touch()
    outcome = cslr("inspect", corpus, "--quick", "--plot", "file/plots.png")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert "error: --plot: cannot write to file" in outcome.stderr


def test_inspect_of_another_folder_says_what_it_looks_like(corpus: Path, cslr: Command) -> None:
    outcome = cslr("inspect", "release")
    assert outcome.status == 1
    assert "this looks like a release of CSL, not a prepared corpus" in outcome.stderr
    outcome = cslr("inspect", "prepared")
    assert outcome.status == 1
    assert "name one of them: prepared/csl" in outcome.stderr
    assert "did you mean prepared/csl?" in cslr("inspect", "csl").stderr
    outcome = cslr("inspect", corpus / "corpus.yaml")
    assert outcome.status == 1
    assert "not a checkpoint" in outcome.stderr
    assert cslr("inspect", "nowhere").status == 1


# Empty splits


def prepare_clips(cslr: Command, lines: Sequence[str], *options: str) -> Outcome:
    """Prepare a manifest with these lines, `GLOSSES,SPLIT,SIGNER`, one per clip."""
    for number in range(len(lines)):
        write_frames(Path("mine/clips") / f"{number}", number)
    rows = [f"clips/{number},{line}" for number, line in enumerate(lines)]
    Path("mine/clips.csv").write_text("\n".join(["path,glosses,split,signer", *rows]) + "\n")
    return cslr("prepare", "mine", "--manifest", "mine/clips.csv", *options, *SMALL)


@pytest.mark.parametrize(
    ("lines", "options", "empty"),
    [
        (["A,,anna", "B,,anna"], ["--split-by", "signer"], ["dev", "test"]),
        (["A,,anna", "B,,ben"], ["--split-by", "signer", "--split-shares", "50,50,0"], ["test"]),
        (["A,,", "B,,"], [], ["test"]),
        (["A,,"], [], ["dev", "test"]),
        (["A,train,", "B,test,"], [], ["dev"]),
        (["A,,", "B,,", "C,,"], [], []),
    ],
)
def test_an_empty_dev_or_test_is_a_warning(
    cslr: Command, lines: list[str], options: list[str], empty: list[str]
) -> None:
    outcome = prepare_clips(cslr, lines, *options)
    assert outcome.status == 0, outcome.stderr
    warned = [line.split(":")[1].split()[-1] for line in outcome.stderr.splitlines() if line.startswith("warning: ")]
    assert warned == empty
    report = json.loads(Path("prepared/mine/prepare-report.json").read_text())
    assert len(report["warnings"]) == len(empty)


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["A,,anna", "B,,anna"], ["--split-by", "signer", "--split-shares", "10,80,10"]),
        (["A,,"], ["--split-shares", "1,2,3"]),
        (["A,dev,", "B,test,"], []),
        (["A,dev,", "B,test,"], ["--shard", "1/2"]),
    ],
)
def test_an_empty_train_is_refused_before_the_work(cslr: Command, lines: list[str], options: list[str]) -> None:
    outcome = prepare_clips(cslr, lines, *options)
    assert outcome.status == 1
    assert "error: mine: no clip is in the split train" in outcome.stderr
    assert "--split-by" in outcome.stderr
    assert not list(Path("prepared").glob("**/*.zip"))
