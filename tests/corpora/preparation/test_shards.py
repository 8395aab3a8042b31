"""A preparation divided among several machines, or several calls on one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.choices import Layout
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, Shard, ShardReport, prepare_shard
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError, UsageError
from cslr_cli.locks import LOCK_FILE, LockedError, lock_folder
from tests.corpora.phoenix_release import CLIPS, clip_dir
from tests.corpora.preparation.steps import SMALL, contents, prepared


def part(release: Path, output: Path, number: int, count: int, options: PreparationOptions = SMALL) -> ShardReport:
    return prepare_shard(Phoenix2014(), release, output, options, Shard(number, count), workers=1)


@pytest.mark.parametrize("layout", ["zip", "folder"])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_shards_joined_are_the_same_bytes_as_the_whole(
    release: Path, tmp_path: Path, layout: Layout, count: int
) -> None:
    options = dataclasses.replace(SMALL, layout=layout)
    prepared(release, tmp_path / "whole", options)
    reports = [part(release, tmp_path / "parts", number, count, options) for number in range(count, 0, -1)]
    assert sum(report.num_clips for report in reports) == 4
    assert sum(report.num_frames for report in reports) == 13
    with pytest.raises(DataError, match="is not finished"):
        PreparedCorpus.open(tmp_path / "parts")
    report = prepared(release, tmp_path / "parts", options)
    assert report.clips_finished_before == 4
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_shard_that_is_done_is_not_done_again(release: Path, tmp_path: Path) -> None:
    assert part(release, tmp_path / "parts", 1, 2).clips_finished_before == 0
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("parts/frames/*/*")}
    assert len(finished) == 2
    assert part(release, tmp_path / "parts", 1, 2).clips_finished_before == 2
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    # The last call does what no part has done.
    assert prepared(release, tmp_path / "parts").clips_finished_before == 2


def test_shards_work_side_by_side_but_not_beside_the_whole(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "parts"
    part(release, output, 1, 2)
    with lock_folder(output, "cslr prepare", "wait", shared=True):  # as another part does
        part(release, output, 2, 2)
        with pytest.raises(LockedError, match="cslr prepare"):
            prepared(release, output)
    assert not (output / LOCK_FILE).exists()


def test_shards_of_different_preparations_do_not_mix(release: Path, tmp_path: Path) -> None:
    part(release, tmp_path / "parts", 1, 2)
    with pytest.raises(DataError, match="frame_size was 32, is 64 now"):
        part(release, tmp_path / "parts", 2, 2, PreparationOptions(frame_size=64))


def test_clips_of_a_shard_that_cannot_be_read_are_reported(release: Path, tmp_path: Path) -> None:
    sample_id = CLIPS["train"][0][0]
    next(clip_dir(release, "train", sample_id).iterdir()).write_bytes(b"")
    report = part(release, tmp_path / "parts", 1, 2)
    assert [clip.sample_id for clip in report.faults] == [sample_id]
    with pytest.raises(DataError, match=r"0 bytes"):
        part(release, tmp_path / "parts", 1, 2, dataclasses.replace(SMALL, strict=True))


def test_without_frames_there_is_nothing_to_divide(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be combined with --no-frames"):
        part(release, tmp_path / "parts", 1, 2, PreparationOptions(frames=False))


@given(st.integers(1, 20), st.integers(0, 100))
def test_every_clip_is_in_exactly_one_shard(count: int, num_clips: int) -> None:
    clips = list(range(num_clips))
    parts = [Shard(number, count).select(clips) for number in range(1, count + 1)]
    assert sorted(clip for chosen in parts for clip in chosen) == clips
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_is_formatted_with_a_slash() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert str(Shard(3, 16)) == "3/16"


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "3/", "a/b", "-1/4", "1/0", "1/2/3"])
def test_an_invalid_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a shard"):
        Shard.parse(text)
