"""Everything that is wrong with a release is told together, and stands in the report."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from cslr_cli.corpora import AnnotationError, ReleasePaths, find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.preparation.report import shorten_paths
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import UsageError
from tests.corpora.phoenix_release import CLIPS, FRAMES, HEADER, clip_dir, write_annotation
from tests.corpora.preparation.steps import SMALL, contents, prepared, refused
from tests.corpora.releases import write_phoenix2014_t


def report_of(output: Path) -> dict[str, Any]:
    report = json.loads((output / "prepare-report.json").read_text(encoding="utf-8"))
    assert isinstance(report, dict)
    return report


def test_faults_of_annotation_references_and_frames_are_reported_together(release: Path, tmp_path: Path) -> None:
    annotation = write_annotation(release, "train", f"{HEADER}\na|a/1/*.png|Signer01\nb|b/1/*.png|Signer01|WARM\n")
    stm = release / "evaluation" / "phoenix2014-groundtruth-dev.stm"
    stm.parent.mkdir()
    stm.write_text("")
    shutil.rmtree(clip_dir(release, "test", CLIPS["test"][0][0]))
    output = tmp_path / "prepared"
    with pytest.raises(AnnotationError) as caught:
        prepared(release, output)
    assert [fault.where for fault in caught.value.faults] == [
        f"{annotation}:2",
        str(stm),
        str(release / FRAMES / "train" / "b" / "1"),
        str(clip_dir(release, "test", CLIPS["test"][0][0])),
    ]
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"see all faults in {output / 'prepare-report.json'}")
    relative = os.path.relpath(release)
    assert report_of(output)["faults"] == [
        {name: text.replace(str(release), relative) for name, text in dataclasses.asdict(fault).items()}
        for fault in caught.value.faults
    ]


def test_the_report_of_a_corpus_has_no_absolute_paths(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = next(clip_dir(release, "train", CLIPS["train"][0][0]).glob("*.png"))
    picture.write_bytes(b"not a picture")
    prepare(find_reader("phoenix2014"), release, tmp_path / "prepared", SMALL, workers=1)
    text = (tmp_path / "prepared" / "prepare-report.json").read_text(encoding="utf-8")
    assert picture.name in text
    assert str(tmp_path) not in text


def test_only_whole_names_of_folders_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'"{tmp_path}/a.csv:3: {tmp_path}-2/b, {tmp_path}"'
    assert shorten_paths(text, [tmp_path, Path("relative"), Path("/")]) == f'"./a.csv:3: {tmp_path}-2/b, ."'


def test_of_many_faults_the_report_has_all(release: Path, tmp_path: Path) -> None:
    write_annotation(release, "train", "\n".join([HEADER, *["wrong"] * 500]))
    error = refused(release, tmp_path / "prepared")
    assert error.message.endswith("and 490 more")
    assert len(report_of(tmp_path / "prepared")["faults"]) == 500


def test_after_fixing_the_report_tells_of_the_corpus(release: Path, tmp_path: Path) -> None:
    text = (release / "annotations/manual/train.corpus.csv").read_text()
    write_annotation(release, "train", "wrong")
    refused(release, tmp_path / "mended")
    write_annotation(release, "train", text)
    prepared(release, tmp_path / "mended")
    prepared(release, tmp_path / "anew")
    assert contents(tmp_path / "mended") == contents(tmp_path / "anew")


def test_a_folder_with_other_things_gets_no_report(release: Path, tmp_path: Path) -> None:
    write_annotation(release, "train", "wrong")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "thesis.tex").touch()
    error = refused(release, tmp_path / "documents")
    assert "prepare-report.json" not in (error.hint or "")
    assert os.listdir(tmp_path / "documents") == ["thesis.tex"]


def test_with_strict_clips_without_glosses_are_faults_like_the_others(release: Path, tmp_path: Path) -> None:
    write_annotation(release, "dev", f"{HEADER}\na|a/1/*.png|Signer01|\nb|b/1/*.png|Signer01|WARM\n")
    error = refused(release, tmp_path / "prepared", dataclasses.replace(SMALL, strict=True))
    lines = error.message.splitlines()
    assert lines[0].startswith("dev clip a: ")
    assert lines[0].endswith("no glosses in the annotation")
    assert "clip 'b'" in lines[1]


def test_where_no_frame_is_found_the_pattern_the_folder_and_the_layout_are_reported(tmp_path: Path) -> None:
    root = write_phoenix2014_t(tmp_path / "release")
    dev = root / FRAMES / "dev"
    (clip,) = dev.iterdir()
    for path in clip.iterdir():
        path.unlink()
    (clip / "images.tar").touch()
    error = refused_t(root, tmp_path / "prepared")
    assert error.message == "no clip of dev can be prepared"
    assert error.hint is not None
    told = error.hint.splitlines()
    assert f"no frame matches {clip}/*.png; {clip}: no pictures in this folder" in told[0]
    assert "the folder holds images.tar" in told[0]
    assert "└── features/fullFrame-210x260px/{train,dev,test}/ID/*.png   (or ID/1/*.png)" in told
    shutil.rmtree(clip)
    error = refused_t(root, tmp_path / "prepared")
    assert f"no frame matches {clip}/*.png; {clip}: there is no such file or folder" in (error.hint or "")


def refused_t(source: Path, output: Path) -> Any:
    with pytest.raises(Exception, match="no clip of dev") as caught:
        prepare(find_reader("phoenix2014-T"), source, output, SMALL, workers=1)
    return caught.value


def test_the_layout_comes_with_the_report_where_some_clips_have_no_frames(release: Path, tmp_path: Path) -> None:
    assert prepared(release, tmp_path / "whole").expected_layout is None
    shutil.rmtree(clip_dir(release, "train", CLIPS["train"][0][0]))
    report = prepared(release, tmp_path / "prepared")
    assert report.expected_layout == find_reader("phoenix2014").layout
    written = report_of(tmp_path / "prepared")
    reason = report.faults[0].reason.replace(str(release), os.path.relpath(release))
    assert written["faults"] == [{"where": f"train clip {CLIPS['train'][0][0]}", "what": reason}]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the picture is empty (0 bytes)"),
        (b"\x89PNG\r\n\x1a\n cut", "the picture is"),
        (b"text", "cannot be read"),
    ],
)
def test_an_invalid_picture_leaves_its_clip_out_by_name(release: Path, tmp_path: Path, data: bytes, why: str) -> None:
    path = sorted(clip_dir(release, "train", CLIPS["train"][1][0]).iterdir())[2]
    path.write_bytes(data)
    (left_out,) = prepared(release, tmp_path / "prepared").faults
    assert left_out.reason.startswith(f"{path}: {why}")


def test_a_picture_of_another_size_leaves_its_clip_out(release: Path, tmp_path: Path) -> None:
    folder = clip_dir(release, "train", CLIPS["train"][1][0])
    other = sorted(clip_dir(release, "train", CLIPS["train"][0][0]).iterdir())[0]
    picture = cv2.imread(str(other))
    assert picture is not None
    last = sorted(folder.iterdir())[-1]
    cv2.imwrite(str(last), picture[:-3])
    (left_out,) = prepared(release, tmp_path / "prepared").faults
    assert left_out.reason.startswith(f"{last}: 21×23 pixels, but the frames before have 21×26")


@pytest.mark.parametrize("option", ["annotations", "references"])
def test_a_folder_that_was_named_and_is_not_there_is_reported(release: Path, tmp_path: Path, option: str) -> None:
    nowhere = tmp_path / "nowhere"
    paths = ReleasePaths(release, nowhere) if option == "annotations" else ReleasePaths(release, None, nowhere)
    with pytest.raises(UsageError, match=f"--{option} .*nowhere: folder not found"):
        prepare(find_reader("phoenix2014"), paths, tmp_path / "prepared", SMALL, workers=1)


def test_the_error_with_its_faults_comes_whole_from_another_process(release: Path, tmp_path: Path) -> None:
    write_annotation(release, "train", "wrong")
    with pytest.raises(AnnotationError) as caught:
        prepared(release, tmp_path / "prepared")
    received = pickle.loads(pickle.dumps(caught.value))
    assert (received.faults, str(received)) == (caught.value.faults, str(caught.value))


def test_nothing_is_prepared_of_a_release_with_faults(release: Path, tmp_path: Path) -> None:
    write_annotation(release, "train", "wrong")
    refused(release, tmp_path / "prepared", PreparationOptions(frame_size=32))
    with pytest.raises(Exception, match=r"the folder has no corpus\.yaml"):
        PreparedCorpus.open(tmp_path / "prepared")
