"""Which files of a folder or zip are a clip, and in which order."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cslr_cli.errors import MediaError
from cslr_cli.media.frames import open_frames
from cslr_cli.media.picture_series import find_series


def series(*names: str) -> list[str]:
    """The series of some names, in whatever order the folder lists them."""
    shuffled = list(names)
    random.Random(0).shuffle(shuffled)
    found = find_series(shuffled, "clip")
    assert found.left_out == []
    return found.names


@pytest.mark.parametrize(
    "names",
    [
        ["0001.png", "0002.png", "0010.png"],
        ["frame_9.jpg", "frame_10.jpg", "frame_100.jpg"],
        ["0001.png", "0002.jpg", "0003.PNG", "0004.jpeg"],  # one series, whatever its suffixes
        ["t_0.05.png", "t_0.1.png", "t_0.15.png", "t_0.2.png"],
        ["0.png", "0.5.png", "1.png", "1.5.png", "10.png"],
        [f"scene1.{number}.png" for number in range(1, 12)],  # numbers that count up, not decimals
        ["img.png", "img (1).png", "img (2).png", "img (10).png"],
        ["IMG_1.JPG", "img_2.jpg"],
        ["2024-01-02 10.33.09.png", "2024-01-02 10.33.10.png", "2024-01-02 10.34.01.png"],
        ["01April_2010_heute_fn000001-0.png", "01April_2010_heute_fn000002-0.png"],
        ["a.png", "b.png", "c.png"],
        ["a1f0.png", "b7c.png", "c33.png", "dd.png"],
    ],
)
def test_the_pictures_of_a_series_are_in_the_order_of_their_numbers(names: list[str]) -> None:
    assert series(*names) == names


def test_a_picture_beside_a_series_is_left_out_and_told() -> None:
    found = find_series([*(f"{number:04d}.tif" for number in range(20)), "thumb.png"], "clip")
    assert len(found.names) == 20
    assert found.left_out == ["thumb.png"]
    assert found.warning == "1 picture is not part of the series and left out: thumb.png"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["left_1.png", "left_2.png", "right_1.png", "right_2.png"], "2 series of pictures: left_#.png (2), right_#"),
        (["0001.cr2", "0002.cr2", "thumb.jpg"], "pictures of a kind that cannot be read: 0001.cr2, 0002.cr2"),
        (["0001.png", "0001.jpg", "0002.png", "0002.jpg"], "have the same number"),
        (["a/1.png", "a/2.png", "b/1.png"], "pictures in 2 folders: a, b"),
    ],
)
def test_what_is_no_single_series_is_an_error_that_says_what_is_there(names: list[str], told: str) -> None:
    with pytest.raises(MediaError, match=r"^clip: ") as caught:
        find_series(names, "clip")
    assert told in caught.value.message
    assert caught.value.hint


def test_files_of_the_system_and_other_files_do_not_count() -> None:
    assert (
        series("1.png", "2.png")
        == find_series(
            ["1.png", "2.png", "._1.png", ".DS_Store", "Thumbs.db", "notes.txt", "__MACOSX/1.png"], "clip"
        ).names
    )


# Zips


def picture(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def values(path: Path) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in open_frames(path).iterate()]


def test_of_two_files_with_one_name_the_last_one_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clip.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the two names
        for value, name in enumerate(["0.png", "1.png", "0.png", "1.png"]):
            archive.writestr(name, picture(value))
    assert values(tmp_path / "clip.zip") == [2, 3]


def test_a_zip_with_backslashes_between_folders_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clip.zip", "w") as archive:
        for value in range(3):
            archive.writestr(f"clip\\{value}.png", picture(value))
            archive.writestr(f"__MACOSX\\clip\\._{value}.png", b"left by macOS")
    assert values(tmp_path / "clip.zip") == [0, 1, 2]


def test_japanese_names_from_windows_are_read_and_sorted(tmp_path: Path) -> None:
    # The second byte of 表 in Shift-JIS is the one of a backslash.
    path = tmp_path / "raw.zip"
    _write_unmarked_zip(path, {f"表情/表{value}.png".encode("cp932"): picture(value) for value in (10, 2, 1)})
    assert values(path) == [1, 2, 10]
    assert open_frames(path).names[0] == "表情/表1.png"  # type: ignore[attr-defined]


def _write_unmarked_zip(path: Path, files: dict[bytes, bytes]) -> None:
    """Write a zip whose names are bytes of an encoding that it does not state."""
    placeholders = {f"{number}".rjust(len(name), "x").encode(): name for number, name in enumerate(files)}
    with zipfile.ZipFile(path, "w") as archive:
        for placeholder, name in placeholders.items():
            archive.writestr(placeholder.decode(), files[name])
    data = path.read_bytes()
    for placeholder, name in placeholders.items():
        data = data.replace(placeholder, name)
    path.write_bytes(data)


def test_an_encrypted_zip_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "clip.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", picture(0))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"clip\.zip: the zip is encrypted"):
        values(path)


def test_a_zip_of_videos_is_an_error_that_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("talk.mp4", b"x")
    with pytest.raises(MediaError, match=r"clips\.zip: no pictures in this zip") as caught:
        values(tmp_path / "clips.zip")
    assert "it holds videos" in str(caught.value.hint)


def test_a_zip_that_uses_the_fields_for_large_files_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clip.zip", "w") as archive:
        for value in range(2):
            with archive.open(f"{value}.png", "w", force_zip64=True) as file:
                file.write(picture(value))
    assert values(tmp_path / "clip.zip") == [0, 1]


def test_a_huge_file_in_place_of_a_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    with open(tmp_path / "0.png", "wb") as file:
        file.truncate(2**33)  # takes no space on the disk
    with pytest.raises(MediaError, match="larger than 256 MiB"):
        open_frames(tmp_path).read()
