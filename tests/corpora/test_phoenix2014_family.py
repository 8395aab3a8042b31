"""PHOENIX2014-T and the signer-independent part of PHOENIX2014."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cslr_cli.corpora import AnnotationError, Release, ReleasePaths, read_release
from cslr_cli.corpora.phoenix2014 import Phoenix2014, Phoenix2014SI5
from cslr_cli.corpora.phoenix2014_t import Phoenix2014T
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.dataset.sample import Sample
from tests.corpora.releases import PHOENIX_FRAMES, write_phoenix2014, write_phoenix2014_t, write_si5


def read_t(source: Path) -> Release:
    return read_release(Phoenix2014T(), ReleasePaths(source)).check()


# PHOENIX2014-T


def test_a_sentence_keeps_its_translation(tmp_path: Path) -> None:
    release = read_t(write_phoenix2014_t(tmp_path))
    assert release.samples[0] == Sample(
        sample_id="11August_2010_Wednesday_tagesschau-2",
        split="train",
        frames=f"{PHOENIX_FRAMES}/train/11August_2010_Wednesday_tagesschau-2",
        num_frames=None,
        signer="Signer08",
        glosses=("DRUCK", "TIEF", "KOMMEN"),
        translation="tiefer luftdruck bestimmt in den nächsten tagen unser wetter",
    )
    assert release.official_references == {}


@pytest.mark.parametrize("says_inner", [False, True])
@pytest.mark.parametrize("is_inner", [False, True])
def test_frames_are_found_in_both_layouts_whatever_the_annotation_says(
    tmp_path: Path, says_inner: bool, is_inner: bool
) -> None:
    release = read_t(write_phoenix2014_t(tmp_path, says_inner=says_inner, is_inner=is_inner))
    for sample in release.samples:
        ending = f"/{sample.sample_id}/1" if is_inner else f"/{sample.sample_id}"
        assert sample.frames.endswith(ending)
        assert len(list((release.root / sample.frames).glob("*.png"))) == 3


def test_without_frames_the_layout_is_not_looked_at(tmp_path: Path) -> None:
    root = write_phoenix2014_t(tmp_path, says_inner=True)
    shutil.rmtree(root / "features")
    release = Phoenix2014T().read(ReleasePaths(root, need_frames=False)).check()
    assert len(release.samples) == 7
    with pytest.raises(AnnotationError) as caught:
        read_t(root)
    assert [fault.where for fault in caught.value.faults] == [
        str(root / PHOENIX_FRAMES / split) for split in ("train", "dev", "test")
    ]


def test_the_annotation_of_another_corpus_is_recognised_by_its_first_line(tmp_path: Path) -> None:
    root = write_phoenix2014_t(tmp_path / "T")
    other = write_phoenix2014(tmp_path / "other")
    path = root / "annotations/manual/PHOENIX-2014-T.dev.corpus.csv"
    shutil.copy(other / "annotations/manual/dev.corpus.csv", path)
    with pytest.raises(AnnotationError, match=r"PHOENIX-2014-T\.dev\.corpus\.csv:1: the first line is ") as caught:
        read_t(root)
    assert caught.value.hint is not None
    assert caught.value.hint.splitlines()[0] == f"{path} looks like PHOENIX2014"


def test_faults_of_all_files_are_reported_together(tmp_path: Path) -> None:
    root = write_phoenix2014_t(tmp_path)
    annotations = root / "annotations/manual"
    (annotations / "PHOENIX-2014-T.train.corpus.csv").write_bytes(
        b"\xef\xbb\xbfname|video|start|end|speaker|orth|translation\r\n"
        b"a|a/*.png|-1|-1|Signer01|REGEN\r\n"
        b"b|../b/*.png|-1|-1|Signer01|REGEN|regen\r\n"
        b"c|c/*.png|-1|-1|Signer01|REGEN|regen\r\n"
    )
    (annotations / "PHOENIX-2014-T.dev.corpus.csv").write_bytes("name|video\nmärz".encode("latin-1"))
    (annotations / "PHOENIX-2014-T.test.corpus.csv").write_bytes(b"")
    with pytest.raises(AnnotationError) as caught:
        read_t(root)
    train, dev, test = (annotations / f"PHOENIX-2014-T.{split}.corpus.csv" for split in ("train", "dev", "test"))
    assert [fault.where for fault in caught.value.faults] == [f"{train}:2", f"{train}:3", f"{dev}:2", str(test)]
    assert "6 fields instead of 7" in caught.value.faults[0].what
    assert "not UTF-8" in caught.value.faults[2].what
    assert caught.value.hint is not None
    assert "iconv" in caught.value.hint


# SI5


def test_the_signer_independent_half_has_the_frames_and_references_of_the_other(tmp_path: Path) -> None:
    half = write_si5(tmp_path)
    release = Phoenix2014SI5().read(ReleasePaths(half)).check()
    other = Phoenix2014().read(ReleasePaths(half.with_name("phoenix-2014-multisigner"))).check()
    assert len(release.samples) == len(other.samples) - 1
    paths = {sample.sample_id: other.root / sample.frames for sample in other.samples}
    for sample in release.samples:
        assert (release.root / sample.frames).samefile(paths[sample.sample_id])
    (dev,) = release.official_references.values()
    assert dev.samefile(other.official_references["dev"])
    report = prepare(Phoenix2014SI5(), half, tmp_path / "prepared", PreparationOptions(frame_size=16), workers=1)
    assert report.faults == ()
    assert report.references["dev"].startswith("official: ")


def test_the_signer_independent_half_may_have_frames_of_its_own(tmp_path: Path) -> None:
    half = write_si5(tmp_path)
    shutil.move(half.with_name("phoenix-2014-multisigner") / "features", half / "features")
    release = Phoenix2014SI5().read(ReleasePaths(half)).check()
    assert release.samples[0].frames.startswith(f"{PHOENIX_FRAMES}/train/")
    assert all((release.root / sample.frames).is_dir() for sample in release.samples)


def test_frames_that_are_in_neither_half_are_reported(tmp_path: Path) -> None:
    half = write_si5(tmp_path)
    shutil.rmtree(half.with_name("phoenix-2014-multisigner"))
    with pytest.raises(AnnotationError) as caught:
        Phoenix2014SI5().read(ReleasePaths(half)).check()
    assert caught.value.faults[0].where == str(half / PHOENIX_FRAMES / "train")
    assert caught.value.hint is not None
    assert "phoenix-2014-multisigner/" in caught.value.hint
