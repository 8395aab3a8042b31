"""What `cslr inspect` shows of the quality of a corpus: copies, still clips, lengths, counts, signers, a sheet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cslr_cli.corpora import OwnCorpus
from cslr_cli.corpora.inspection import CorpusInspection, Finding, draw_contact_sheet, inspect_corpus
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.temporal_plan import TemporalPlan
from tests.cli.conftest import Command
from tests.cli.conftest import cslr as cslr

PLAN = TemporalPlan.parse(["K5", "P2"])


def write_clip(folder: Path, num_frames: int, *, seed: int, moves: bool = True, noise: int = 0) -> None:
    """Write a clip: a bright square on a random ground, which moves or not, with the noise of a camera."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    ground = cv2.resize(generator.integers(0, 120, (6, 6, 3), np.uint8), (96, 96))
    for number in range(num_frames):
        frame = ground.astype(np.int64)
        left = 8 * number % 70 if moves else 30
        frame[30:50, left : left + 20] = 220
        frame += generator.integers(-noise, noise + 1, frame.shape)
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), frame.clip(0, 255).astype(np.uint8))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Train: one clip twice, one still with noise, one very long for its gloss; dev: a copy of a train clip."""
    videos = tmp_path / "videos"
    write_clip(videos / "a", 12, seed=0)
    shutil.copytree(videos / "a", videos / "a-again")
    shutil.copytree(videos / "a", videos / "dev-copy")
    write_clip(videos / "still", 12, seed=1, moves=False, noise=8)
    write_clip(videos / "noisy", 12, seed=2, noise=8)
    write_clip(videos / "long", 80, seed=3)
    rows = [
        "a,A B,train,anna",
        "a-again,A C,train,anna",
        "still,A A B,train,ben",
        "noisy,B 他,train,ben",
        "long,A,train,ben",
        "dev-copy,A,dev,ben",
    ]
    manifest = videos / "clips.csv"
    manifest.write_text("\n".join(["path,glosses,split,signer", *rows]), encoding="utf-8")
    reader = OwnCorpus("mine", manifest=manifest)
    prepare(reader, videos, tmp_path / "prepared", PreparationOptions(frame_size=64), workers=1)
    return tmp_path / "prepared"


def inspected(corpus: Path, *, read_frames: bool = True) -> CorpusInspection:
    return inspect_corpus(corpus, plan=PLAN, read_frames=read_frames, workers=1)


def finding(inspection: CorpusInspection, kind: str) -> Finding:
    (found,) = (each for each in inspection.findings if each.kind == kind)
    return found


def test_clips_with_the_same_frames_are_found_also_across_splits(corpus: Path) -> None:
    found = finding(inspected(corpus), "equal_frames")
    assert found.details == ("train clip a = train clip a-again = dev clip dev-copy",)
    assert "1, 1 of them in several splits" in found.what
    assert not found.breaks_training


def test_clips_in_which_nothing_moves_are_found_in_spite_of_noise(corpus: Path) -> None:
    assert finding(inspected(corpus), "still_clips").details == ("train clip still",)


def test_without_reading_frames_their_contents_are_not_compared(corpus: Path) -> None:
    kinds = {each.kind for each in inspected(corpus, read_frames=False).findings}
    assert not kinds & {"equal_frames", "still_clips"}


def test_clips_far_longer_per_gloss_than_the_others_are_found(corpus: Path) -> None:
    """Frames per gloss: 6, 6, 4, 6, 80, 12, so the median is 6 frames, 0.24 seconds."""
    found = finding(inspected(corpus), "unusual_lengths")
    assert found.details == ("train clip long: 3.20 seconds per gloss",)
    assert "median of 0.24 seconds" in found.what


def test_glosses_are_counted_by_how_often_they_occur(corpus: Path) -> None:
    inspection = inspected(corpus)
    bins = {bin_["first"]: bin_["glosses"] for bin_ in inspection.gloss_frequencies()}
    # train: A 5 times, B 3 times, C and 他 once; dev: A once.
    assert bins[0] == {"train": 0, "dev": 3}
    assert bins[1] == {"train": 2, "dev": 1}
    assert bins[2] == {"train": 1, "dev": 0}
    assert bins[5] == {"train": 1, "dev": 0}
    document = inspection.to_dict()
    assert document["splits"]["train"]["gloss_counts"] == {"A": 5, "B": 3, "C": 1, "他": 1}
    seconds = document["splits"]["train"]["seconds_per_gloss"]
    assert seconds is not None
    assert seconds["min"] == pytest.approx(4 / 25)
    assert seconds["max"] == pytest.approx(80 / 25)


def test_the_command_shows_signers_counts_and_a_sheet(corpus: Path, tmp_path: Path, cslr: Command) -> None:
    sheet = tmp_path / "clips.png"
    outcome = cslr("inspect", corpus, "--config", "quickstart", "--workers", 1, "--sheet", sheet)
    assert outcome.status == 0, outcome.stdout
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert ["anna", "2", "–"] in rows
    assert ["ben", "3", "1"] in rows
    assert "most frequent in train: A (5), B (3), C (1)" in outcome.stdout
    assert "signers of dev that are also in train: 1 of 1" in outcome.stdout
    assert f"contact sheet of 6 clips: {sheet}" in outcome.stderr
    with Image.open(sheet) as picture:
        assert picture.width > 800
        assert picture.height > 6 * 112
    assert cslr("inspect", corpus, "--config", "quickstart", "--sheet", sheet).status == 2
    outcome = cslr("inspect", corpus, "--config", "quickstart", "--json", "--workers", 1)
    assert json.loads(outcome.stdout)["gloss_frequencies"][1] == {
        "first": 1,
        "last": 1,
        "glosses": {"train": 2, "dev": 1},
    }


def test_the_sheet_shows_the_frames_of_each_clip(corpus: Path, tmp_path: Path) -> None:
    """The strip of a clip is drawn pixel by pixel: its first frame is at the left edge."""
    prepared = PreparedCorpus.open(corpus)
    assert draw_contact_sheet(prepared, tmp_path / "sheet.png") == 6
    with Image.open(tmp_path / "sheet.png") as picture:
        shown = np.asarray(picture.convert("RGB"), np.int64)
    from cslr_cli.media.frames import open_frames

    first = open_frames(prepared.frames_path(prepared.samples("train")[0])).read([0])[0]
    expected = cv2.resize(first, (112, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(shown[28:140, :112] - expected).mean() < 3


def test_a_sheet_of_damaged_clips_is_drawn(corpus: Path, tmp_path: Path) -> None:
    (corpus / "frames/train/a.zip").write_bytes(b"x")
    assert draw_contact_sheet(PreparedCorpus.open(corpus), tmp_path / "sheet.png") == 6
