"""Your own corpus gets other clips: only new ones are prepared, and the others keep their splits."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.corpora import OwnCorpus, SplitDrawing
from cslr_cli.corpora.preparation import PreparationOptions, PreparationReport, prepare
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.media.frames import open_frames
from tests.corpora.releases import write_frames
from tests.corpora.test_own_corpus import write_counting_video

SMALL = PreparationOptions(frame_size=16)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for number in range(12):
        write_frames(folder / "anna" / f"{number:03d}", number)
    write_counting_video(folder / "talk.avi", 50, 25.0)
    return folder


def prepared(
    videos: Path, rows: Sequence[str], columns: str = "path,glosses,split", **options: object
) -> PreparationReport:
    manifest = videos / "clips.csv"
    manifest.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    corpus = OwnCorpus("mine", manifest=manifest, **options)  # type: ignore[arg-type]
    return prepare(corpus, videos, videos.parent / "out", SMALL, workers=1)


def contents(videos: Path) -> dict[str, tuple[str, int]]:
    """Split of each clip of the prepared corpus, and the mean of its frames."""
    corpus = PreparedCorpus.open(videos.parent / "out")
    found = {}
    for split in corpus.splits:
        for sample in corpus.samples(split):
            frames = open_frames(corpus.frames_path(sample)).read()
            assert len(frames) == sample.num_frames
            found[sample.sample_id] = split, round(1000 * float(np.mean(frames)))
    return found


def files(videos: Path) -> dict[str, int]:
    """The files of prepared clips, each with its inode, which a copy does not keep."""
    frames = videos.parent / "out" / "frames"
    return {path.relative_to(frames).as_posix(): path.stat().st_ino for path in frames.rglob("*") if path.is_file()}


def test_new_clips_are_added_and_the_others_are_not_prepared_again(videos: Path) -> None:
    prepared(videos, ["anna/000,A,train", "anna/001,B,dev"])
    before = files(videos)
    report = prepared(videos, ["anna/002,NEW,train", "anna/000,A,train", "anna/001,B,dev"])
    assert report.clips_finished_before == 2
    assert "clips that are new: 1; prepared before: 2; removed: 0" in report.notes
    after = files(videos)
    assert before.items() <= after.items()
    assert len(after) == 3
    assert PreparedCorpus.open(videos.parent / "out").vocabulary.glosses == ("A", "B", "NEW")


def test_clips_keep_their_drawn_splits(videos: Path) -> None:
    drawing = SplitDrawing((60, 20, 20), seed=3)
    rows = [f"anna/{number:03d},A" for number in range(12)]
    prepared(videos, rows[:5], "path,glosses", drawing=drawing)
    first = {name: split for name, (split, _) in contents(videos).items()}
    report = prepared(videos, rows[::-1], "path,glosses", drawing=drawing)
    second = {name: split for name, (split, _) in contents(videos).items()}
    assert first.items() <= second.items()
    assert any("splits drawn for 7 clips" in note and "5 others keep theirs" in note for note in report.notes)
    counts = [list(second.values()).count(split) for split in ("train", "dev", "test")]
    assert all(abs(count - 12 * share) < 2 for count, share in zip(counts, (0.6, 0.2, 0.2), strict=True))


def test_new_clips_of_a_known_signer_get_the_split_of_this_signer(videos: Path) -> None:
    drawing = SplitDrawing((1, 1, 1), "signer")
    rows = [f"anna/{number:03d},A,signer{number % 4}" for number in range(12)]
    prepared(videos, rows[:4], "path,glosses,signer", drawing=drawing)
    first = contents(videos)
    prepared(videos, rows, "path,glosses,signer", drawing=drawing)
    for name, (split, _) in contents(videos).items():
        assert split == first[f"{int(name) % 4:03d}"][0]


def test_other_random_splits_are_refused(videos: Path) -> None:
    rows = [f"anna/{number:03d},A" for number in range(12)]
    prepared(videos, rows, "path,glosses", drawing=SplitDrawing(seed=0))
    before = contents(videos)
    with pytest.raises(DataError, match="the annotations or the drawn splits have changed"):
        prepared(videos, rows, "path,glosses", drawing=SplitDrawing(seed=1))
    assert contents(videos) == before


def test_frames_follow_clips_that_get_another_name_or_split(videos: Path) -> None:
    for number in range(3):
        write_frames(videos / "ben" / f"{number:03d}", number + 5)
    prepared(videos, ["anna/000,A,train", "anna/001,B,train", "anna/002,C,dev"])
    before = contents(videos)
    inodes = sorted(files(videos).values())
    # Ben's files have the names of Anna's, two clips exchange their splits.
    rows = ["anna/000,A,train", "anna/001,B,dev", "anna/002,C,train", "ben/000,A,train", "ben/001,A,train"]
    report = prepared(videos, rows)
    assert report.clips_finished_before == 3
    after = contents(videos)
    assert {name: split for name, (split, _) in after.items()} == {
        "anna/000": "train",
        "anna/001": "dev",
        "002": "train",
        "ben/000": "train",
        "ben/001": "train",
    }
    assert [after[name][1] for name in ("anna/000", "anna/001", "002")] == [before[name][1] for name in sorted(before)]
    assert set(inodes) <= set(files(videos).values())


def test_ids_that_are_exchanged_exchange_the_frames(videos: Path) -> None:
    columns = "path,glosses,split,id"
    prepared(videos, ["anna/000,A,train,x", "anna/003,A,train,y"], columns)
    before = contents(videos)
    assert before["x"][1] != before["y"][1]
    prepared(videos, ["anna/000,A,train,y", "anna/003,A,train,x"], columns)
    after = contents(videos)
    assert (after["x"][1], after["y"][1]) == (before["y"][1], before["x"][1])


def test_other_times_prepare_the_clip_again(videos: Path) -> None:
    columns = "path,glosses,split,id,start,end"
    prepared(videos, ["talk.avi,A,train,x,0,1", "talk.avi,B,train,y,1,2"], columns)
    report = prepared(videos, ["talk.avi,A,train,x,0,1.2", "talk.avi,B,train,y,1,2"], columns)
    assert report.clips_finished_before == 1
    corpus = PreparedCorpus.open(videos.parent / "out")
    assert [sample.num_frames for sample in corpus.samples("train")] == [30, 25]


def test_frames_of_removed_clips_are_removed(videos: Path) -> None:
    prepared(videos, ["anna/000,A,train", "anna/001,B,train"])
    report = prepared(videos, ["anna/001,B,train"])
    assert list(files(videos)) == ["train/001.zip"]
    assert "clips that are new: 0; prepared before: 1; removed: 1" in report.notes


def test_one_part_of_a_file_may_be_two_clips(videos: Path) -> None:
    columns = "path,glosses,split,id"
    rows = ["anna/000,A,train,x", "anna/000,B,dev,y"]
    prepared(videos, rows, columns)
    report = prepared(videos, [*rows, "anna/001,C,train,z"], columns)
    assert report.clips_finished_before == 2
    assert sorted(files(videos)) == ["dev/y.zip", "train/x.zip", "train/z.zip"]


def test_an_interruption_at_any_moment_leaves_no_wrong_frames(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rename of the move is the last one before the process ends; the next call makes the right corpus."""
    columns = "path,glosses,split,id"
    first = ["anna/000,A,train,x", "anna/003,A,train,y", "anna/006,A,dev,z"]
    second = ["anna/000,A,train,y", "anna/003,A,dev,z", "anna/006,A,train,x"]
    prepared(videos, second, columns)
    expected = contents(videos)
    rename, replace = Path.rename, os.replace
    for last in range(6):
        prepared(videos, first, columns)
        num_done = 0

        def count(what: str, last: int = last) -> None:
            nonlocal num_done
            if what.endswith(".zip") or ".moved." in what:
                if num_done == last:
                    raise KeyboardInterrupt
                num_done += 1

        def counted_rename(path: Path, target: Path) -> Path:
            count(str(target))
            return rename(path, target)

        def counted_replace(source: Path, target: Path) -> None:
            count(str(target))
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", counted_rename)
            patch.setattr(os, "replace", counted_replace)
            with pytest.raises(KeyboardInterrupt):
                prepared(videos, second, columns)
        with pytest.raises(DataError, match="not finished"):
            PreparedCorpus.open(videos.parent / "out")
        prepared(videos, second, columns)
        assert contents(videos) == expected
        assert not list((videos.parent / "out").rglob("*.unfinished*"))


def test_a_corpus_without_known_sources_does_not_change(videos: Path) -> None:
    """As version 0.1 made it; the same call writes the sources."""
    rows = ["anna/000,A,train", "anna/001,B,dev"]
    prepared(videos, rows)
    sources = videos.parent / "out" / "sources.jsonl"
    sources.unlink()
    with pytest.raises(DataError, match="the annotations or the drawn splits have changed"):
        prepared(videos, [*rows, "anna/002,C,train"])
    prepared(videos, rows)
    assert prepared(videos, [*rows, "anna/002,C,train"]).clips_finished_before == 2


def test_damaged_sources_are_an_error(videos: Path) -> None:
    prepared(videos, ["anna/000,A,train"])
    sources = videos.parent / "out" / "sources.jsonl"
    for line in ("x", "[]", json.dumps({"key": "k", "split": "train", "frames": "../../x"})):
        sources.write_text(f'{{"drawing": null}}\n{line}\n')
        with pytest.raises(DataError, match=r"sources\.jsonl: cannot be read"):
            prepared(videos, ["anna/001,A,train"])
