"""`cslr prepare --check` says what a release has and lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Command
from tests.cli.conftest import cslr as cslr
from tests.corpora.releases import PHOENIX_FRAMES, write_phoenix2014_t


def test_a_complete_release_is_described(tmp_path: Path, cslr: Command) -> None:
    write_phoenix2014_t(tmp_path)
    outcome = cslr("prepare", "phoenix2014-T", "--source", tmp_path, "--check")
    assert outcome.status == 0, outcome.stdout
    rows = {line.split()[0]: line.split()[1:] for line in outcome.stdout.splitlines() if line.strip()}
    assert rows["train"][:3] == ["7096", "5", "5"]
    assert rows["test"][:3] == ["642", "1", "1"]
    assert "clips by the form of their frames: folder of pictures: 7" in outcome.stdout
    assert "3 frames of 210×260 pixels" in outcome.stdout
    assert "complete: nothing is missing" in outcome.stdout
    assert not Path("prepared").exists()


def test_what_is_missing_is_listed_with_the_expected_layout(tmp_path: Path, cslr: Command) -> None:
    root = write_phoenix2014_t(tmp_path)
    clip = next((root / PHOENIX_FRAMES / "train").iterdir())
    shutil.rmtree(clip)
    outcome = cslr("prepare", "phoenix2014-T", "--source", root, "--check", "--json")
    document = json.loads(outcome.stdout)
    assert outcome.status == 1
    assert (document["complete"], document["splits"]["train"]["found"]) == (False, 4)
    assert [each["sample_id"] for each in document["left_out"]] == [clip.name]
    outcome = cslr("prepare", "phoenix2014-T", "--source", root, "--check")
    assert f"left out: train clip {clip.name}: no frames" in outcome.stdout
    assert "PHOENIX-2014-T.{train,dev,test}.corpus.csv" in outcome.stderr


def test_faults_are_listed_and_the_annotation_alone_can_be_checked(tmp_path: Path, cslr: Command) -> None:
    root = write_phoenix2014_t(tmp_path)
    shutil.rmtree(root / "features")
    assert cslr("prepare", "phoenix2014-T", "--source", root, "--check", "--no-frames").status == 0
    outcome = cslr("prepare", "phoenix2014-T", "--source", root, "--check")
    assert outcome.status == 1
    assert f"fault: {root / PHOENIX_FRAMES / 'train'}: folder not found" in outcome.stdout
