"""What docs/own-corpus.md shows works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.corpora import OwnCorpus, ReleasePaths
from cslr_cli.corpora.own_corpus import COLUMNS
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from tests.cli.conftest import REPOSITORY, Command
from tests.corpora.releases import write_frames
from tests.corpora.test_own_corpus import write_counting_video
from tests.corpora.test_transcripts import Aligned, write_eaf

MANUAL = (REPOSITORY / "docs" / "own-corpus.md").read_text(encoding="utf-8")
SMALL = ["--workers", "1", "--size", "16"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    return [shlex.split(line)[1:] for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manual's folder of videos, with its manifest."""
    monkeypatch.chdir(tmp_path)
    clips = Path("videos/clips")
    write_counting_video(clips / "anna-001.mp4", 30, 25.0)
    write_counting_video(clips / "anna-002.mp4", 30, 50.0)
    write_frames(clips / "ben-002")
    with zipfile.ZipFile(clips / "ben-001.zip", "w") as archive:
        for path in (clips / "ben-002").iterdir():
            archive.write(path, path.name)
    write_counting_video(Path("videos/lecture.mp4"), 430, 25.0)
    (text,) = blocks("csv")
    path = Path("videos/clips.csv")
    path.write_text(text, encoding="utf-8")
    return path


def test_its_manifest_is_prepared_by_its_commands(manifest: Path, cslr: Command) -> None:
    for command in commands():
        if command[0] == "prepare" and not {"--output", "--split-shares", "--transcripts"} & set(command):
            outcome = cslr(*command, *SMALL)
            assert outcome.status == 0, outcome.stderr
            assert "left out" not in outcome.stderr
    corpus = PreparedCorpus.open("prepared/my-corpus")
    samples = {sample.sample_id: sample for split in corpus.splits for sample in corpus.samples(split)}
    assert samples["anna-001"].translation == "today, the weather is good"
    assert samples["lecture-1"].num_frames == round(15.2 * 25) - round(12.4 * 25)
    assert samples["anna-002"].num_frames == 15  # at 25 frames a second
    inspect = next(command for command in commands() if command[0] == "inspect")
    outcome = cslr(*inspect, "--workers", "1")
    assert outcome.status == 0, outcome.stdout


def test_its_json_says_what_its_csv_says(manifest: Path, tmp_path: Path) -> None:
    (line,) = blocks("json")
    assert json.loads(line)["path"] == "clips/anna-001.mp4"
    other = manifest.with_name("clips.jsonl")
    other.write_text(line, encoding="utf-8")
    first, *_ = OwnCorpus("mine", manifest=manifest).read(ReleasePaths(manifest.parent)).check().samples
    (same,) = OwnCorpus("mine", manifest=other).read(ReleasePaths(manifest.parent)).check().samples
    assert (same.sample_id, same.split, same.glosses) == (first.sample_id, first.split, first.glosses)


def test_its_command_for_documents_works(manifest: Path, cslr: Command) -> None:
    manifest.unlink()
    (command,) = (command for command in commands() if "--transcripts" in command)
    tiers: dict[str, list[Aligned]] = {
        "Sentences": [(1000, 3000, "today, the weather is good"), (3000, 4000, "")],
        "Glosses": [(2000, 3000, "GOOD"), (900, 1500, "TODAY"), (1500, 1900, "WEATHER REPORT"), (3100, 3900, "ÜBER")],
    }
    write_eaf(Path("videos/lecture.eaf"), tiers)
    outcome = cslr(*command, "--split-shares", "1,1,0", *SMALL)
    assert outcome.status == 0, outcome.stderr
    corpus = PreparedCorpus.open("prepared/my-corpus")
    samples = {sample.sample_id: sample for split in corpus.splits for sample in corpus.samples(split)}
    first, second = samples["lecture-1-3"], samples["lecture-3-4"]
    assert (first.glosses, first.translation) == (("TODAY", "WEATHER-REPORT", "GOOD"), "today, the weather is good")
    assert (second.glosses, second.translation, second.num_frames) == (("ÜBER",), None, 25)


def test_its_instructions_for_drawing_splits_work(manifest: Path, cslr: Command) -> None:
    drawn = next(command for command in commands() if "--split-shares" in command)
    text = re.sub(",(train|dev|test),", ",,", manifest.read_text(encoding="utf-8"))
    manifest.write_text(text, encoding="utf-8")
    outcome = cslr(*drawn, *SMALL)
    assert outcome.status == 0, outcome.stderr
    assert "shares 70,15,15 by signer, seed 1" in outcome.stderr


def test_it_explains_every_column(tmp_path: Path) -> None:
    rows = [line for line in MANUAL.splitlines() if line.startswith("| `")]
    explained = [name for row in rows for name in re.findall(r"`([a-z]+)`", row.split("|")[1])]
    assert sorted(explained) == sorted(COLUMNS)


def test_its_commands_and_options_exist() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for name, *arguments in commands():
        assert name in known
        options = {argument for argument in arguments if argument.startswith("--")}
        declared = {declaration for parameter in known[name].params for declaration in parameter.opts}
        assert options <= declared, f"cslr {name}: {options - declared}"


def test_left_out_clips_are_prepared_after_fixing(manifest: Path) -> None:
    video = manifest.parent / "clips" / "anna-002.mp4"
    whole = video.read_bytes()
    video.write_bytes(b"")
    corpus = OwnCorpus("mine", manifest=manifest)
    options = PreparationOptions(frame_size=16)
    assert [clip.sample_id for clip in prepare(corpus, manifest.parent, Path("out"), options, workers=1).faults] == [
        "anna-002"
    ]
    video.write_bytes(whole)
    report = prepare(corpus, manifest.parent, Path("out"), options, workers=1)
    assert (report.faults, report.clips_finished_before) == ((), 5)
