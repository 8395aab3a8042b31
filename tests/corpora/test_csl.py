from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cslr_cli.corpora import AnnotationError, Release, ReleasePaths
from cslr_cli.corpora.csl import CSL
from cslr_cli.corpora.csl_daily import CSLDaily
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError
from tests.corpora.releases import write_csl, write_csl_daily


def read(source: Path, annotations: Path | None = None) -> Release:
    return CSL().read(ReleasePaths(source, annotations)).check()


def read_daily(source: Path, annotations: Path | None = None) -> Release:
    return CSLDaily().read(ReleasePaths(source, annotations)).check()


def faults(error: pytest.ExceptionInfo[AnnotationError]) -> list[str]:
    return [str(fault) for fault in error.value.faults]


# CSL


def test_a_line_of_a_split_file_becomes_a_sample(tmp_path: Path) -> None:
    root = write_csl(tmp_path)
    release = read(root)
    assert release.root == root
    assert release.samples[0] == Sample(
        sample_id="video450",
        split="train",
        frames="CSL_Continuous/video450",
        num_frames=None,
        signer=None,
        glosses=("他", "妈妈", "的", "同学", "是", "公务员"),
    )
    assert [sample.split for sample in release.samples] == ["train"] * 4 + ["dev"] * 2


def test_the_folder_of_videos_itself_may_be_named(tmp_path: Path) -> None:
    root = write_csl(tmp_path, annotations=tmp_path / "lists")
    release = read(root / "CSL_Continuous", tmp_path / "lists")
    assert release.samples[0].frames == "video450"
    assert (release.root / "video450").is_dir()


def test_videos_that_are_not_found_name_the_pattern_the_folder_and_its_contents(tmp_path: Path) -> None:
    root = write_csl(tmp_path)
    shutil.move(root / "CSL_Continuous", root / "color")
    for folder in (root / "color").iterdir():
        folder.rename(folder.with_name(f"renamed-{folder.name}"))
    with pytest.raises(AnnotationError) as caught:
        read(root)
    pattern = root / "CSL_Continuous/video450/*.jpg"
    assert faults(caught) == [f"{pattern}: no frame matches this pattern; {root} holds color/, dev.txt, train.txt"]
    assert caught.value.hint is not None
    assert "CSL_Continuous/VIDEO/*.jpg" in caught.value.hint


def test_wrong_lines_of_split_files_are_named(tmp_path: Path) -> None:
    root = write_csl(tmp_path)
    (root / "dev.txt").write_text("CSL_Continuous/video450|他\n../secret|他\nvideo1 他 的\n", encoding="utf-8")
    with pytest.raises(AnnotationError) as caught:
        read(root)
    assert faults(caught) == [
        f"{root / 'dev.txt'}:3: 1 field instead of 2: 'video1 他 的'",
        f"{root / 'dev.txt'}:1: duplicate clip 'video450', first in {root / 'train.txt'}:1",
        f"{root / 'dev.txt'}:2: '../secret' is not a folder of pictures in the release",
    ]


def test_a_folder_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder not found"):
        read(tmp_path / "nowhere")


# CSL-Daily


def test_a_line_of_the_map_becomes_a_sample(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path)
    release = read_daily(root)
    dev = next(sample for sample in release.samples if sample.split == "dev")
    assert dev == Sample(
        sample_id="S000020_P0000_T00",
        split="dev",
        frames="frames_512x512/S000020_P0000_T00",
        num_frames=None,
        signer="P0000",
        glosses=("他", "今天", "年龄", "4"),
        translation="他今年四岁。",
        fields={
            "characters": "他 今 年 四 岁 。",
            "words": "他 今年 四 岁 。",
            "parts_of_speech": "r t m q w",
            "length": "54",
        },
    )
    assert [sample.split for sample in release.samples] == ["train"] * 5 + ["dev", "test"]


def test_a_clip_that_is_in_no_split_is_trained_on_with_a_note(tmp_path: Path) -> None:
    release = read_daily(write_csl_daily(tmp_path))
    last = "S000153_P0008_T00"
    assert next(sample for sample in release.samples if sample.sample_id == last).split == "train"
    (note,) = release.notes
    assert note.endswith(f"added to train: {last}")


def test_the_clip_that_every_copy_lacks_is_reported_as_known(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path)
    path = root.parent / "sentence_label" / "video_map.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("S000153_P0008_T00", "S000007_P0003_T00"), "utf-8")
    release = read_daily(root)
    assert len(release.samples) == 7
    assert release.notes[0].endswith("S000007_P0003_T00 (as in every copy of CSL-Daily)")


def test_everything_wrong_with_both_tables_is_reported(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path, annotations=tmp_path / "lists")
    splits = tmp_path / "lists" / "split_1.txt"
    splits.write_text(splits.read_text() + "S000020_P0000_T00|dev\nS9_P0_T0|train\nS8_P0_T0|holdout\n")
    video_map = tmp_path / "lists" / "video_map.txt"
    video_map.write_text(video_map.read_text(encoding="utf-8") + "9|S8|10|他\n", encoding="utf-8")
    with pytest.raises(AnnotationError) as caught:
        read_daily(root, tmp_path / "lists")
    assert faults(caught) == [
        f"{splits}:8: duplicate clip 'S000020_P0000_T00', first in {splits}:2",
        f"{splits}:10: unknown split 'holdout'; expected one of train, dev, test",
        f"{video_map}:9: 4 fields instead of 7: '9|S8|10|他'",
        f"{splits}:9: clip 'S9_P0_T0' is not in video_map.txt",
    ]


def test_frames_that_do_not_exist_are_reported(tmp_path: Path) -> None:
    root = write_csl_daily(tmp_path)
    shutil.rmtree(root / "frames_512x512")
    with pytest.raises(DataError) as caught:
        read_daily(tmp_path / "CSL-Daily")
    assert caught.value.hint is not None
    assert "sentence/frames_512x512/NAME/*.jpg" in caught.value.hint
    assert len(CSLDaily().read(ReleasePaths(tmp_path / "CSL-Daily", need_frames=False)).check().samples) == 7
