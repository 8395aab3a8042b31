"""What the page does with uploads, without the page."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from cslr_cli.demo import CheckpointMenu, DemoService, Limits, build_checkpoint_menu
from cslr_cli.demo import service as service_module
from cslr_cli.errors import CslrError, MediaError, UsageError
from cslr_cli.recognizer import Recognizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoints(runs: Path) -> CheckpointMenu:
    return build_checkpoint_menu([], runs, device=CPU)


@pytest.fixture
def service(checkpoints: CheckpointMenu, tmp_path: Path) -> DemoService:
    folder = tmp_path / "made"
    folder.mkdir()
    return DemoService(checkpoints, folder, Limits(megabytes=20, seconds=10))


def pictures_of(clip: Path, folder: Path) -> list[Path]:
    """The frames of a clip as pictures whose names sort rightly as numbers only."""
    folder.mkdir(exist_ok=True)
    capture = cv2.VideoCapture(str(clip))
    made: list[Path] = []
    while (read := capture.read())[0]:
        made.append(folder / f"picture {len(made)}.png")
        cv2.imwrite(str(made[-1]), read[1])
    return made


def made_in(service: DemoService) -> list[Path]:
    return list(service._folder.iterdir())


def test_an_uploaded_video_gets_the_glosses_of_the_recognizer(service: DemoService, clip: Path, runs: Path) -> None:
    answer = service.recognize_video(clip, "first")
    expected = Recognizer.load(runs / "first" / "best.pt", device="cpu").recognize(clip)
    assert answer.recognition.glosses == expected.glosses != ()
    assert len(answer.recognition.nbest) > 1


def test_the_chosen_checkpoint_is_used(service: DemoService, clip: Path) -> None:
    assert (
        service.recognize_video(clip, "first").recognition.text
        != service.recognize_video(clip, "second").recognition.text
    )


def test_uploaded_pictures_are_sorted_by_their_numbers(service: DemoService, clip: Path, tmp_path: Path) -> None:
    pictures = pictures_of(clip, tmp_path / "pictures")
    assert len(pictures) > 10, "else names in alphabetical order would do"
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number, picture in enumerate(pictures):
        shutil.copy(picture, folder / f"{number:04d}.png")
    expected = service.checkpoints.recognizer("first").recognize(folder)
    answer = service.recognize_pictures(sorted(pictures), "first", fps=25)
    assert answer.recognition.glosses == expected.glosses
    capture = cv2.VideoCapture(str(answer.video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(pictures)


def test_downloads_have_the_visitor_s_name_of_the_upload(service: DemoService, clip: Path) -> None:
    answer = service.recognize_video(clip, "first")
    assert answer.subtitles.name == "my clip.srt"
    subtitles = answer.subtitles.read_text()
    document = json.loads(answer.document.read_text())
    for timed in answer.recognition.glosses:
        assert timed.gloss in subtitles
    assert document["source"] == "my clip.mp4"
    assert str(service._folder) not in answer.document.read_text()


def test_a_discarded_answer_leaves_no_files(service: DemoService, clip: Path) -> None:
    answer = service.recognize_video(clip, "first")
    assert made_in(service)
    answer.discard()
    assert not made_in(service)


def test_a_text_file_named_mp4_is_an_error_without_a_path_and_leaves_no_files(
    service: DemoService, tmp_path: Path
) -> None:
    fake = tmp_path / "fake.mp4"
    fake.write_text("no video")
    with pytest.raises(MediaError) as caught:
        service.recognize_video(fake, "first")
    assert str(caught.value).startswith("fake.mp4: ")
    assert str(tmp_path) not in str(caught.value)
    assert not made_in(service)


@pytest.mark.parametrize("name", ["notes.txt", "clip.exe", "archive.zip", "list.m3u8"])
def test_uploads_that_are_not_videos_are_refused(service: DemoService, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MediaError, match=f"{name}: not a video"):
        service.recognize_video(tmp_path / name, "first")


def test_a_truncated_video_is_read_as_far_as_possible_with_a_warning(
    service: DemoService, clip: Path, tmp_path: Path
) -> None:
    capture = cv2.VideoCapture(str(clip))
    size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    whole = tmp_path / "whole.avi"  # which browsers do not show: another is made for the player
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    while (read := capture.read())[0]:
        writer.write(read[1])
    writer.release()
    data = whole.read_bytes()
    half = tmp_path / "half.avi"
    half.write_bytes(data[: len(data) // 2])
    answer = service.recognize_video(half, "first")
    assert any("cut off" in warning for warning in answer.recognition.warnings)
    shown = cv2.VideoCapture(str(answer.video)).get(cv2.CAP_PROP_FRAME_COUNT)
    assert shown == answer.recognition.num_frames


def test_uploads_that_are_not_pictures_are_refused(service: DemoService, clip: Path) -> None:
    with pytest.raises(MediaError, match=r"my clip\.mp4: not a picture"):
        service.recognize_pictures([clip], "first")


def test_an_unreadable_picture_among_many_is_named(service: DemoService, clip: Path, tmp_path: Path) -> None:
    pictures = pictures_of(clip, tmp_path / "pictures")
    strange = pictures[5]
    strange.write_bytes(b"")
    with pytest.raises(MediaError, match=r"^picture 5\.png: the picture is empty"):
        service.recognize_pictures(pictures, "first")
    strange.write_bytes(b"no picture at all")
    with pytest.raises(MediaError, match=r"^picture 5\.png: cannot be read as a picture"):
        service.recognize_pictures(pictures, "first")
    cv2.imwrite(str(strange), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(MediaError, match=r"^picture 5\.png: 40×30 pixels"):
        service.recognize_pictures(pictures, "first")


def test_an_empty_upload_is_an_error(service: DemoService) -> None:
    with pytest.raises(MediaError, match="nothing was uploaded"):
        service.recognize_pictures([], "first")


def test_a_video_beyond_the_limits_is_refused_before_any_work(
    checkpoints: CheckpointMenu, clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=r"my clip.mp4: \d+ s long"):
        DemoService(checkpoints, tmp_path, Limits(seconds=0.5)).recognize_video(clip, "first")
    large = tmp_path / "large.mp4"
    large.write_bytes(b"\0" * 1_100_000)
    with pytest.raises(MediaError, match="the limit is 1 MB"):
        DemoService(checkpoints, tmp_path, Limits(megabytes=1)).recognize_video(large, "first")


def test_an_unknown_checkpoint_is_refused(service: DemoService, clip: Path) -> None:
    with pytest.raises(UsageError, match="unknown checkpoint"):
        service.recognize_video(clip, "../../secret")


def test_a_removed_checkpoint_is_an_error_without_its_path(
    checkpoints: CheckpointMenu, runs: Path, clip: Path, tmp_path: Path
) -> None:
    gone = runs.parent / "gone" / "best.pt"
    gone.parent.mkdir(exist_ok=True)
    shutil.copy(runs / "first" / "best.pt", gone)
    found = build_checkpoint_menu([gone], runs, device=CPU)
    gone.unlink()
    with pytest.raises(CslrError) as caught:
        DemoService(found, tmp_path).recognize_video(clip, "gone")
    assert str(runs.parent) not in str(caught.value)


def test_explain_writes_a_picture(service: DemoService, clip: Path) -> None:
    sheet = service.explain(service.recognize_video(clip, "first"))
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert np.ptp(picture) > 0


def test_unused_answers_are_removed_and_cannot_be_explained(service: DemoService, clip: Path) -> None:
    left, used = service.recognize_video(clip, "first"), service.recognize_video(clip, "first")
    for file in (*left.folder.iterdir(), *used.folder.iterdir()):
        os.utime(file, (time.time() - 100, time.time() - 100))
    left.subtitles.unlink()  # no use, though it changes the folder
    service.explain(used)
    service.remove_unused(50)
    assert made_in(service) == [used.folder]
    with pytest.raises(CslrError, match=r"my clip\.mp4: no longer on the server"):
        service.explain(left)


def test_an_answer_discarded_during_the_cleanup_does_not_stop_it(
    service: DemoService, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        service.recognize_video(clip, "first")
    rglob = Path.rglob

    def discarded_meanwhile(folder: Path, pattern: str) -> Iterator[Path]:
        files = list(rglob(folder, pattern))
        shutil.rmtree(folder)
        return iter(files)

    monkeypatch.setattr(Path, "rglob", discarded_meanwhile)
    service.remove_unused(1000)
    assert not made_in(service)


def test_a_removed_upload_must_be_uploaded_again(service: DemoService, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4: no longer on the server\nhint: upload it again"):
        service.recognize_video(tmp_path / "gone.mp4", "first")
    assert not made_in(service)


def test_a_video_too_long_for_heat_maps_is_an_error_without_options(service: DemoService, clip: Path) -> None:
    answer = service.recognize_video(clip, "first")
    long = dataclasses.replace(answer, recognition=dataclasses.replace(answer.recognition, duration=31.0))
    with pytest.raises(MediaError, match="shorten it") as caught:
        service.explain(long)
    assert "--" not in str(caught.value)


def test_hints_about_command_line_options_are_dropped(
    service: DemoService, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blank(*_: object, **__: object) -> None:
        raise CslrError("the map of A is blank", "another layer may show something (--layer layer2)\nor another clip")

    answer = service.recognize_video(clip, "first")
    monkeypatch.setattr("cslr_cli.cam.explain", blank)
    with pytest.raises(CslrError) as caught:
        service.explain(answer)
    assert str(caught.value) == "the map of A is blank\nhint: or another clip"


# The checkpoints to choose from


def test_broken_checkpoints_are_listed_apart_from_the_others(checkpoints: CheckpointMenu) -> None:
    assert sorted(checkpoints.names) == ["first", "second"]
    assert list(checkpoints.broken) == ["broken"]


def test_checkpoints_with_equal_names_are_numbered(runs: Path, tmp_path: Path) -> None:
    paths = []
    for parent in ("a", "b"):
        (tmp_path / parent / "run").mkdir(parents=True)
        paths.append(tmp_path / parent / "run" / "best.pt")
        shutil.copy(runs / "first" / "best.pt", paths[-1])
    assert build_checkpoint_menu(paths, runs, device=CPU).names == ["run", "run (2)"]


def test_a_checkpoint_that_sees_little_of_the_frame_is_a_warning(runs: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(runs / "first" / "best.pt")
    large = dataclasses.replace(checkpoint.corpus, frame_size=64)
    save_checkpoint(dataclasses.replace(checkpoint, corpus=large), tmp_path / "old.pt")
    warnings = build_checkpoint_menu([tmp_path / "old.pt"], runs, device=CPU).warnings
    assert any(f"{tmp_path / 'old.pt'}: the network sees only the middle 25 %" in warning for warning in warnings)


def test_no_checkpoint_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cslr quickstart"):
        build_checkpoint_menu([], tmp_path, device=CPU)


def test_a_single_broken_checkpoint_is_an_error(runs: Path) -> None:
    with pytest.raises(CslrError, match="broken"):
        build_checkpoint_menu([runs / "broken" / "best.pt"], runs, device=CPU)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(
    ("name", "options", "plays"),
    [
        ("a.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p"), True),
        ("a.mov", ("-c:v", "libx264", "-pix_fmt", "yuv420p"), True),
        ("a.webm", ("-c:v", "libvpx", "-pix_fmt", "yuv420p"), True),
        ("b.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv444p"), False),
        ("c.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p10le"), False),
        ("d.mp4", ("-c:v", "mpeg4"), False),
        ("e.mov", ("-c:v", "mjpeg"), False),
        ("f.avi", ("-c:v", "libx264", "-pix_fmt", "yuv420p"), False),
        ("g.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "matroska"), False),  # a wrong suffix
    ],
)
def test_a_player_video_is_made_where_browsers_need_one(
    tmp_path: Path, name: str, options: tuple[str, ...], plays: bool
) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=0.2"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *options, str(tmp_path / name)], check=True)
    assert service_module._plays_in_browsers(tmp_path / name) == plays
