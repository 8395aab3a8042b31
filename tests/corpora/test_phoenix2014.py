from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cslr_cli.corpora import CORPORA, Release, ReleasePaths, find_reader, read_release
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.registry import identify_release
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError
from tests.corpora.phoenix_release import CLIPS, HEADER, write_annotation, write_release

UNUSABLE = "13April_2011_Wednesday_tagesschau_default-14"


def read(source: Path) -> Release:
    return read_release(Phoenix2014(), ReleasePaths(source)).check()


def refused(source: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(source)
    return caught.value


def with_train(root: Path, *lines: str) -> Path:
    """A release whose train annotation has these lines."""
    write_release(root, num_frames=0)
    write_annotation(root, "train", "\n".join([HEADER, *lines]) + "\n")
    return root


def test_a_line_of_the_annotation_becomes_a_sample(tmp_path: Path) -> None:
    release = read(write_release(tmp_path, num_frames=0))
    assert release.root == tmp_path
    assert release.samples[0] == Sample(
        sample_id="01April_2010_heute-1",
        split="train",
        frames="features/fullFrame-210x260px/train/01April_2010_heute-1/1",
        num_frames=None,
        signer="Signer04",
        glosses=("ICH", "OSTERN", "WETTER", "WARM"),  # two spaces stand between two of them
    )
    names = [clip[0] for split in CLIPS.values() for clip in split]
    assert [sample.sample_id for sample in release.samples] == names
    assert release.official_references == {}
    assert release.left_out == ()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_release_is_found_in_the_folder_its_parent_and_its_grandparent(tmp_path: Path, depth: int) -> None:
    root = write_release(tmp_path / "phoenix2014-release" / "phoenix-2014-multisigner", num_frames=0)
    source = [root, *root.parents][depth]
    release = read(source)
    assert release.root == root
    assert len(release.samples) == 4


def test_official_references_are_found(tmp_path: Path) -> None:
    root = write_release(tmp_path, num_frames=0)
    (root / "evaluation").mkdir()
    path = root / "evaluation" / "phoenix2014-groundtruth-dev.stm"
    path.touch()
    assert read(root).official_references == {"dev": path}


def test_the_clip_that_is_known_to_be_unusable_is_left_out_with_a_reason(tmp_path: Path) -> None:
    lines = (f"{UNUSABLE}|{UNUSABLE}/1/*.png|Signer05|", "other|other/1/*.png|Signer05|WETTER")
    release = read(with_train(tmp_path, *lines))
    assert [sample.sample_id for sample in release.samples if sample.split == "train"] == ["other"]
    (left_out,) = release.left_out
    assert (left_out.sample_id, left_out.split, left_out.expected) == (UNUSABLE, "train", True)
    assert "known to be unusable" in left_out.reason


def test_a_clip_without_glosses_is_left_out_and_its_line_named(tmp_path: Path) -> None:
    release = read(with_train(tmp_path, "a|a/1/*.png|Signer05|WARM", "b|b/1/*.png|Signer05| "))
    (left_out,) = release.left_out
    assert left_out.sample_id == "b"
    assert not left_out.expected
    assert left_out.reason.endswith("train.corpus.csv:3: no glosses in the annotation")


def test_windows_line_ends_a_byte_order_mark_and_quotes_change_nothing(tmp_path: Path) -> None:
    write_release(tmp_path, num_frames=0)
    text = f'\ufeff{HEADER}\r\na|a/1/*.png|Signer05|"SO" WARM \r\n\r\n'
    write_annotation(tmp_path, "train", text)
    sample = read(tmp_path).samples[0]
    assert sample.glosses == ('"SO"', "WARM")


def test_all_wrong_lines_are_named_with_file_and_number(tmp_path: Path) -> None:
    error = refused(
        with_train(
            tmp_path,
            "a|a/1/*.png|Signer05|WARM",
            "b|b/1/*.png|Signer05",
            "c|c/1/*.png|Signer05|WARM|KALT",
            "a|a/1/*.png|Signer05|WARM",
            "no name|d/1/*.png|Signer05|WARM",
            "../e|e/1/*.png|Signer05|WARM",
            "f|../../../etc/*.png|Signer05|WARM",
            "g|g|Signer05|WARM",
            "h|h/1/*.png|Signer 05|WARM",
        )
    )
    path = tmp_path / "annotations" / "manual" / "train.corpus.csv"
    told = error.message.splitlines()
    assert [line.removeprefix(f"{path}:")[0] for line in told] == ["3", "4", "5", "6", "7", "8", "9", "1"]
    assert "3 fields instead of 4" in told[0]
    assert "5 fields instead of 4" in told[1]
    assert f"duplicate clip 'a', first in {path}:2" in told[2]
    assert error.hint is not None
    assert HEADER in error.hint


def test_of_many_wrong_lines_the_first_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    error = refused(with_train(tmp_path, *itertools.repeat("wrong", 30)))
    assert len(error.message.splitlines()) == 11
    assert error.message.endswith("and 20 more")


def test_an_annotation_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    write_release(tmp_path, num_frames=0)
    path = tmp_path / "annotations" / "manual" / "dev.corpus.csv"
    path.write_bytes(f"{HEADER}\na|a/1/*.png|Signer05|MÄRZ\n".encode("latin-1"))
    error = refused(tmp_path)
    assert error.message.startswith(f"{path}:2: not UTF-8 text (byte 0xc4)")
    assert error.hint is not None
    assert "iconv" in error.hint


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file is empty"),
        (f"{HEADER}\n", "the file has no clips"),
        ("name|video|start|end|speaker|orth|translation\n", "the first line is 'name|video|start"),
    ],
)
def test_an_annotation_without_clips_or_with_another_header_is_reported(tmp_path: Path, text: str, fault: str) -> None:
    write_release(tmp_path, num_frames=0)
    write_annotation(tmp_path, "test", text)
    error = refused(tmp_path)
    assert "test.corpus.csv" in error.message
    assert fault in error.message


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    write_release(tmp_path, num_frames=0)
    annotation = tmp_path / "annotations" / "manual" / "dev.corpus.csv"
    annotation.unlink()
    frames = tmp_path / "features" / "fullFrame-210x260px" / "test"
    frames.rmdir()
    error = refused(tmp_path)
    assert error.message.splitlines() == [f"{annotation}: file not found", f"{frames}: folder not found"]
    assert error.hint is not None
    assert "├── annotations/manual/{train,dev,test}.corpus.csv" in error.hint


def test_a_source_that_does_not_exist_shows_the_layout_that_was_expected(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere")
    assert error.message == f"{tmp_path / 'nowhere'}: folder not found"
    assert error.hint is not None
    assert "phoenix2014-release/phoenix-2014-multisigner/" in error.hint
    assert "--source" in error.hint


def test_a_folder_with_something_else_says_its_contents(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    (tmp_path / "music").mkdir()
    error = refused(tmp_path)
    assert error.message == f"{tmp_path}: no release of PHOENIX2014 in this folder"
    assert error.hint is not None
    assert error.hint.endswith("the folder holds holiday.jpg, music/")


def test_a_file_instead_of_a_folder_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "phoenix-2014.v3.tar.gz"
    path.touch()
    assert "this is a file" in refused(path).message


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("PHOENIX-2014-T/annotations/manual/PHOENIX-2014-T.dev.corpus.csv", "PHOENIX2014-T"),
        ("phoenix-2014-signerindependent-SI5/annotations/manual/dev.SI5.corpus.csv", "(SI5)"),
        ("release/sentence/frames_512x512/S000000_P0000_T00/000000.jpg", "CSL-Daily"),
        ("corpus.yaml", "a prepared corpus"),
    ],
)
def test_another_release_is_recognised(tmp_path: Path, path: str, title: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    error = refused(tmp_path)
    assert error.hint is not None
    assert error.hint.splitlines()[0].startswith("this looks like ")
    assert title in error.hint.splitlines()[0]


def test_an_ordinary_folder_is_not_mistaken_for_a_release(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert identify_release(tmp_path) is None


def test_corpora_are_found_by_name_in_any_case() -> None:
    assert find_reader("PHOENIX2014") is CORPORA["phoenix2014"]
    assert find_reader("Synthetic").default_source == Path("dataset/synthetic")
    assert find_reader("phoenix2014").default_output == Path("prepared/phoenix2014")


def test_an_unknown_corpus_gets_the_names_of_all_and_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_reader("phoenix-2014")
    assert caught.value.hint is not None
    assert "did you mean phoenix2014?" in caught.value.hint
    assert "synthetic" in caught.value.hint
