from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from cslr_cli.corpora.preparation import PreparationOptions
from cslr_cli.dataset.manifest import PreparedCorpus, SplitCounts
from cslr_cli.errors import DataError, UsageError
from tests.corpora.phoenix_release import CLIPS
from tests.corpora.preparation.steps import SMALL, contents, prepared, refused

BARE = PreparationOptions(frames=False)
NAMES = [clip[0] for split in ("train", "dev", "test") for clip in CLIPS[split]]


def counts_file(tmp_path: Path, text: str) -> PreparationOptions:
    path = tmp_path / "counts.txt"
    path.write_text(text, encoding="utf-8")
    return dataclasses.replace(BARE, frame_counts=path)


def test_no_frames_are_needed_for_manifest_vocabulary_and_references(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "whole")
    shutil.rmtree(release / "features")
    report = prepared(release, tmp_path / "bare", BARE)
    assert report.splits["train"] == SplitCounts(clips=2, frames=None, glosses=7)
    bare, whole = PreparedCorpus.open(tmp_path / "bare"), PreparedCorpus.open(tmp_path / "whole")
    assert bare.info.layout == "none"
    assert bare.vocabulary == whole.vocabulary
    for split in ("train", "dev", "test"):
        assert bare.references(split).read_text() == whole.references(split).read_text()
        assert bare.samples(split) == tuple(
            dataclasses.replace(sample, num_frames=None) for sample in whole.samples(split)
        )
    assert not (tmp_path / "bare" / "frames").exists()


def test_asking_for_frames_of_a_corpus_without_frames_is_an_error(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "bare", BARE)
    corpus = PreparedCorpus.open(tmp_path / "bare")
    with pytest.raises(DataError, match="was prepared without frames") as caught:
        corpus.frames_path(corpus.samples("dev")[0])
    assert caught.value.hint is not None
    assert "without --no-frames" in caught.value.hint


def test_frames_can_be_added_later_and_not_taken_away(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "whole")
    prepared(release, tmp_path / "grown", BARE)
    prepared(release, tmp_path / "grown", SMALL)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")
    assert "layout was zip, is none now" in refused(release, tmp_path / "grown", BARE).message


@pytest.mark.parametrize("separator", [" ", "\t", ",", "|"])
def test_the_numbers_of_frames_may_come_from_a_file(release: Path, tmp_path: Path, separator: str) -> None:
    lines = ["name" + separator + "frames", *(f"{name}{separator}{10 + place}" for place, name in enumerate(NAMES))]
    report = prepared(release, tmp_path / "bare", counts_file(tmp_path, "\r\n".join(lines)))
    corpus = PreparedCorpus.open(tmp_path / "bare")
    numbers = [sample.num_frames for split in corpus.splits for sample in corpus.samples(split)]
    assert numbers == [10, 11, 12, 13]
    assert report.splits["train"].frames == 21
    assert report.notes == ()


def test_clips_missing_in_the_file_have_no_number_of_frames_with_a_note(release: Path, tmp_path: Path) -> None:
    options = counts_file(tmp_path, f"{NAMES[0]} 7\n")
    report = prepared(release, tmp_path / "bare", options)
    assert [sample.num_frames for sample in PreparedCorpus.open(tmp_path / "bare").samples("train")] == [7, None]
    assert report.splits["train"].frames is None
    assert report.notes == (f"{options.frame_counts} lacks 3 clips, first {NAMES[1]}; their lengths are unknown",)


def test_wrong_lines_of_the_file_are_reported_together(release: Path, tmp_path: Path) -> None:
    options = counts_file(tmp_path, "a 7\nb seven\na 8\nc 0\nd 1 2\n")
    error = refused(release, tmp_path / "bare", options)
    assert [line.removeprefix(f"{options.frame_counts}:")[0] for line in error.message.splitlines()] == list("2345")
    assert "duplicate clip 'a'" in error.message


def test_a_file_of_frame_counts_is_refused_with_frames(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--frame-counts needs --no-frames"):
        PreparationOptions(frame_counts=tmp_path)


# The vocabulary of some splits


def test_the_vocabulary_may_have_the_glosses_of_training_only(release: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(SMALL, vocabulary_splits=("train",))
    report = prepared(release, tmp_path / "prepared", options)
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    assert corpus.vocabulary.to_text() == "ICH\t1\nMORGEN\t1\nOSTERN\t1\nWARM\t2\nWETTER\t2\n"
    assert corpus.info.vocabulary_splits == ("train",)
    # The references keep what can only be missed.
    assert corpus.references("dev").read_text().endswith("MORGEN S+H WARM\n")
    assert corpus.samples("dev")[0].glosses == ("MORGEN", "S+H", "WARM")
    assert report.unseen_glosses == {"dev": {"S+H": 1}, "test": {"UEBER": 2}}
    assert report.num_glosses == 5


def test_another_choice_of_splits_is_another_corpus(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "prepared", dataclasses.replace(SMALL, vocabulary_splits=("train",)))
    message = refused(release, tmp_path / "prepared").message
    assert "vocabulary_splits was ['train'], is ['train', 'dev', 'test'] now" in message


@pytest.mark.parametrize(
    ("splits", "fault"),
    [(("dev",), "vocabulary do not include train"), (("train", "x"), "unknown split x")],
)
def test_a_choice_of_splits_that_is_invalid_is_refused(splits: tuple[str, ...], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        PreparationOptions(vocabulary_splits=splits)
