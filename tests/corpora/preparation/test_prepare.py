from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from cslr_cli.choices import ImageFormat
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.manifest import PreparedCorpus, SplitCounts
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import UsageError
from cslr_cli.media.frames import open_frames
from tests.corpora.phoenix_release import CLIPS, clip_dir, picture, write_picture
from tests.corpora.preparation.steps import SMALL, contents, prepared, refused

# What comes out


def test_a_release_becomes_a_prepared_corpus(release: Path, tmp_path: Path) -> None:
    output = tmp_path / "prepared"
    report = prepared(release, output)
    assert report.splits == {
        "train": SplitCounts(clips=2, frames=7, glosses=7),
        "dev": SplitCounts(clips=1, frames=3, glosses=3),
        "test": SplitCounts(clips=1, frames=3, glosses=4),
    }
    corpus = PreparedCorpus.open(output)
    assert (corpus.name, corpus.protocol, corpus.fps, corpus.frame_size) == ("phoenix2014", "phoenix2014", 25.0, 32)
    assert corpus.splits == ("train", "dev", "test")
    assert corpus.info.splits == report.splits
    assert not Path(corpus.info.source).is_absolute()
    assert (corpus.path / corpus.info.source).resolve() == release.resolve()
    assert corpus.samples("dev") == (
        Sample(
            sample_id="11May_2010_heute-6",
            split="dev",
            frames="frames/dev/11May_2010_heute-6.zip",
            num_frames=3,
            signer="Signer04",
            glosses=("MORGEN", "S+H", "WARM"),
        ),
    )
    assert [sample.num_frames for sample in corpus.samples("train")] == [3, 4]
    assert open_frames(corpus.frames_path(corpus.samples("train")[1])).num_frames == 4
    written = {path.name for path in output.iterdir()}
    assert written == {
        *("corpus.yaml", "vocabulary.txt", "references", "frames", "prepare-report.json"),
        *("train.jsonl", "dev.jsonl", "test.jsonl"),
    }


def test_the_vocabulary_has_the_glosses_of_all_splits_with_their_counts(release: Path, tmp_path: Path) -> None:
    report = prepared(release, tmp_path / "prepared")
    text = (tmp_path / "prepared" / "vocabulary.txt").read_text()
    assert text == "ICH\t2\nMORGEN\t2\nOSTERN\t1\nS+H\t1\nUEBER\t2\nWARM\t4\nWETTER\t2\n"
    assert report.num_glosses == 7


def test_glosses_that_training_never_sees_are_counted(release: Path, tmp_path: Path) -> None:
    report = prepared(release, tmp_path / "prepared")
    assert report.unseen_glosses == {"dev": {"S+H": 1}, "test": {"UEBER": 2}}


def test_frames_equal_lanczos_resizing_exactly(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "prepared", PreparationOptions())
    sample_id = CLIPS["train"][1][0]
    sources = sorted(clip_dir(release, "train", sample_id).glob("*.png"))
    with zipfile.ZipFile(tmp_path / "prepared" / "frames" / "train" / f"{sample_id}.zip") as archive:
        assert archive.namelist() == [f"{number:06d}.png" for number in range(4)]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        for source, name in zip(sources, archive.namelist(), strict=True):
            written = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            expected = cv2.resize(cv2.imread(str(source)), (256, 256), interpolation=cv2.INTER_LANCZOS4)
            np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_a_folder_of_pictures_holds_what_a_zip_would(release: Path, tmp_path: Path, image_format: ImageFormat) -> None:
    options = dataclasses.replace(SMALL, image_format=image_format)
    prepared(release, tmp_path / "zips", options)
    prepared(release, tmp_path / "folders", dataclasses.replace(options, layout="folder"))
    zips, folders = PreparedCorpus.open(tmp_path / "zips"), PreparedCorpus.open(tmp_path / "folders")
    assert folders.info.layout == "folder"
    for in_zip, in_folder in zip(zips.samples("train"), folders.samples("train"), strict=True):
        assert folders.frames_path(in_folder).is_dir()
        np.testing.assert_array_equal(
            open_frames(zips.frames_path(in_zip)).read(), open_frames(folders.frames_path(in_folder)).read()
        )


def test_jpeg_frames_are_close_to_the_exact_ones(release: Path, tmp_path: Path) -> None:
    prepared(release, tmp_path / "png")
    prepared(release, tmp_path / "jpeg", dataclasses.replace(SMALL, image_format="jpeg"))
    name = f"frames/train/{CLIPS['train'][0][0]}.zip"
    exact, close = (open_frames(tmp_path / kind / name).read().astype(int) for kind in ("png", "jpeg"))
    assert 0 < np.abs(exact - close).mean() < 8


# References


def test_references_are_made_from_the_annotation_with_a_note(release: Path, tmp_path: Path) -> None:
    report = prepared(release, tmp_path / "prepared")
    assert report.references["dev"] == "made from the annotation"
    text = PreparedCorpus.open(tmp_path / "prepared").references("dev").read_text()
    assert text == "11May_2010_heute-6 1 Signer04 0.0 1.79769e+308 MORGEN S+H WARM\n"


def test_official_references_are_taken_word_for_word(release: Path, tmp_path: Path) -> None:
    line = "11May_2010_heute-6 1 signer04 0.0 1.79769e+308 MORGEN S+H  WARM __OFF__"
    path = release / "evaluation" / "phoenix2014-groundtruth-dev.stm"
    path.parent.mkdir()
    path.write_text(f"another_clip 1 signer04 0.0 1.79769e+308 REGEN\n{line}\n")
    report = prepared(release, tmp_path / "prepared")
    assert report.references["dev"] == "official: evaluation/phoenix2014-groundtruth-dev.stm"
    assert report.references["test"] == "made from the annotation"
    corpus = PreparedCorpus.open(tmp_path / "prepared")
    assert corpus.references("dev").read_text() == f"{line}\n"
    assert corpus.samples("dev")[0].glosses == ("MORGEN", "S+H", "WARM")


def test_official_references_that_lack_a_clip_are_refused_before_any_work(release: Path, tmp_path: Path) -> None:
    path = release / "evaluation" / "phoenix2014-groundtruth-test.stm"
    path.parent.mkdir()
    path.write_text("")
    error = refused(release, tmp_path / "prepared")
    assert error.message == f"{path}: no line for clip '12July_2010_heute-3' of test"
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["prepare-report.json"]


# Clips that cannot be read


def damage(release: Path, split: str, number: int) -> Path:
    """Cut off the second picture of a clip; give its path."""
    path = sorted(clip_dir(release, split, CLIPS[split][number][0]).glob("*.png"))[1]
    path.write_bytes(path.read_bytes()[:-30])
    return path


def test_a_clip_with_a_frame_that_cannot_be_read_is_left_out_with_a_reason(release: Path, tmp_path: Path) -> None:
    path = damage(release, "train", 0)
    output = tmp_path / "prepared"
    report = prepared(release, output)
    (left_out,) = report.faults
    assert (left_out.sample_id, left_out.split) == (CLIPS["train"][0][0], "train")
    assert str(path) in left_out.reason
    assert report.splits["train"] == SplitCounts(clips=1, frames=4, glosses=3)
    corpus = PreparedCorpus.open(output)
    assert [sample.sample_id for sample in corpus.samples("train")] == [CLIPS["train"][1][0]]
    assert CLIPS["train"][0][0] not in corpus.references("train").read_text()
    reported = dataclasses.replace(left_out, reason=left_out.reason.replace(str(release), os.path.relpath(release)))
    assert json.loads((output / "prepare-report.json").read_text())["left_out"] == [dataclasses.asdict(reported)]
    assert sorted(path.name for path in (output / "frames" / "train").iterdir()) == [f"{CLIPS['train'][1][0]}.zip"]
    # Its glosses keep their ids, but training does not see them.
    assert "OSTERN" in corpus.vocabulary
    assert report.unseen_glosses["test"] == {"ICH": 1, "UEBER": 2}


def test_strict_refuses_with_every_clip_that_cannot_be_read(release: Path, tmp_path: Path) -> None:
    paths = [damage(release, "train", 0), damage(release, "test", 0)]
    output = tmp_path / "prepared"
    error = refused(release, output, dataclasses.replace(SMALL, strict=True))
    for path, line in zip(paths, error.message.splitlines(), strict=True):
        assert str(path) in line
    assert not (output / "corpus.yaml").exists()
    assert (output / "prepare-report.json").exists()


def test_after_fixing_only_the_clip_left_out_is_done(release: Path, tmp_path: Path) -> None:
    path = damage(release, "train", 0)
    prepared(release, tmp_path / "prepared")
    write_picture(path, picture(1))
    report = prepared(release, tmp_path / "prepared")
    assert report.faults == ()
    assert report.clips_finished_before == 3
    assert report.splits["train"].clips == 2
    prepared(release, tmp_path / "anew")
    assert contents(tmp_path / "prepared") == contents(tmp_path / "anew")


def test_a_clip_without_a_folder_says_the_contents_of_its_parent_folder(release: Path, tmp_path: Path) -> None:
    folder = clip_dir(release, "train", CLIPS["train"][0][0])
    folder.rename(folder.with_name("2"))
    (left_out,) = prepared(release, tmp_path / "prepared").faults
    assert left_out.reason == (
        f"no frame matches {folder}/*.png; {folder}: there is no such file or folder ({folder.parent} holds 2/)"
    )


def test_a_split_without_a_readable_clip_is_refused(release: Path, tmp_path: Path) -> None:
    path = damage(release, "dev", 0)
    error = refused(release, tmp_path / "prepared")
    assert error.message == "no clip of dev can be prepared"
    assert error.hint is not None
    assert str(path) in error.hint


def test_clips_known_to_be_unusable_are_no_fault_even_if_strict(release: Path, tmp_path: Path) -> None:
    sample_id = CLIPS["train"][0][0]
    corpus = dataclasses.replace(Phoenix2014(), unusable={sample_id: "known"})
    report = prepare(corpus, release, tmp_path / "prepared", dataclasses.replace(SMALL, strict=True), workers=1)
    assert [clip.sample_id for clip in report.left_out] == [sample_id]
    assert report.faults == ()
    assert report.splits["train"].clips == 1


def test_all_wrong_options_are_reported_together() -> None:
    with pytest.raises(UsageError) as caught:
        PreparationOptions(frame_size=0, interpolation="magic", layout="tar", image_format="tiff")  # type: ignore[arg-type]
    assert len(caught.value.message.splitlines()) == 4
    assert "layout is 'tar'; expected one of zip, folder" in caught.value.message
