from __future__ import annotations

import glob
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cslr_cli.errors import MediaError
from cslr_cli.media import picture_sources
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.frames import open_frames
from cslr_cli.media.pictures import decode_picture, resize_frame
from cslr_cli.media.resampling import resample
from tests.corpora.phoenix_release import picture, write_picture


def picture_folder(path: Path, names: list[str]) -> list[Frame]:
    frames = [picture(seed) for seed in range(len(names))]
    for name, frame in zip(names, frames, strict=True):
        write_picture(path / name, frame)
    return frames


def zip_folder(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)


def write_video(path: Path, colours: list[tuple[int, int, int]], fps: float = 25.0, codec: str = "mp4v") -> None:
    """Write a video of pictures of one RGB colour each, 64 pixels wide and 48 high."""
    fourcc = cv2.VideoWriter_fourcc(*codec)  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(path), fourcc, fps, (64, 48))
    for red, green, blue in colours:
        writer.write(np.full((48, 64, 3), (blue, green, red), np.uint8))
    writer.release()


GREYS = [(10 * number, 10 * number, 10 * number) for number in range(20)]


def grey_of(frames: NDArray[np.uint8]) -> list[int]:
    """Which of GREYS each frame shows."""
    return [round(float(frame.mean()) / 10) for frame in frames]


# Pictures in folders and zips


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_pictures_are_sorted_by_the_numbers_in_their_names(tmp_path: Path, kind: str) -> None:
    names = ["frame2.png", "frame10.png", "frame1.png"]
    frames = picture_folder(tmp_path / "clip", names)
    path = tmp_path / "clip"
    if kind == "zip":
        path = tmp_path / "clip.zip"
        zip_folder(tmp_path / "clip", path)
    source = open_frames(path)
    assert source.num_frames == 3
    assert source.fps is None
    assert source.timestamps is None
    np.testing.assert_array_equal(source.read(), np.stack([frames[2], frames[0], frames[1]]))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg", ".JPEG", ".gif"])
def test_red_is_red_in_every_kind_of_picture(tmp_path: Path, suffix: str) -> None:
    red = np.full((16, 24, 3), (230, 20, 40), np.uint8)
    Image.fromarray(red).save(tmp_path / f"0{suffix}")
    frames = open_frames(tmp_path).read()
    assert frames.shape == (1, 16, 24, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames[0].astype(int) - red).max() <= 3


def test_a_picture_with_an_orientation_tag_is_upright(tmp_path: Path) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = 255  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "0.jpg", exif=exif)
    (frame,) = open_frames(tmp_path).read()
    assert np.abs(frame.astype(int) - upright).max() <= 3


def test_other_files_are_ignored(tmp_path: Path) -> None:
    picture_folder(tmp_path, ["0.png", "1.png"])
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "._0.png").write_bytes(b"left by macOS")
    (tmp_path / "more.png").mkdir()
    assert open_frames(tmp_path).num_frames == 2


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_each_requested_frame_is_decoded_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = picture_folder(tmp_path / "clip", [f"{number}.png" for number in range(5)])
    zip_folder(tmp_path / "clip", tmp_path / "clip.zip")
    decoded = []

    def counted(data: bytes, name: str) -> Frame:
        decoded.append(Path(name).name)
        return decode_picture(data, name)

    monkeypatch.setattr(picture_sources, "decode_picture", counted)
    source = open_frames(tmp_path / ("clip" if kind == "folder" else "clip.zip"))
    read = source.read([3, 0, 3, 3])
    np.testing.assert_array_equal(read, np.stack([frames[number] for number in (3, 0, 3, 3)]))
    assert decoded == ["0.png", "3.png"]


def test_a_source_can_be_sent_to_another_process(tmp_path: Path) -> None:
    frames = picture_folder(tmp_path / "clip", ["0.png"])
    zip_folder(tmp_path / "clip", tmp_path / "clip.zip")
    source = open_frames(tmp_path / "clip.zip")
    source.read()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read(), np.stack(frames))


def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    picture_folder(tmp_path / "clip", ["0.png", "1.png"])
    zip_folder(tmp_path / "clip", tmp_path / "clip.zip")
    before = len(os.listdir("/dev/fd"))
    sources = [open_frames(tmp_path / "clip.zip") for _ in range(5)]
    for source in sources:
        source.read()
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("indices", [[3], [-1], [0, 5]])
def test_indices_out_of_range_are_an_index_error(tmp_path: Path, indices: list[int]) -> None:
    picture_folder(tmp_path, ["0.png", "1.png", "2.png"])
    with pytest.raises(IndexError, match="has 3 frames"):
        open_frames(tmp_path).read(indices)


def test_no_indices_or_decreasing_ones_are_a_value_error(tmp_path: Path) -> None:
    picture_folder(tmp_path, ["0.png", "1.png"])
    source = open_frames(tmp_path)
    with pytest.raises(ValueError, match="no frame"):
        source.read([])
    with pytest.raises(ValueError, match="decrease"):
        list(source.iterate([1, 0]))


def test_resizing_is_lanczos_whatever_the_proportions() -> None:
    frame = picture(0, 260, 210)
    expected = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_LANCZOS4)
    np.testing.assert_array_equal(resize_frame(frame, 256), expected)


def test_cropping_keeps_the_middle_and_the_proportions() -> None:
    frame = picture(0, 260, 210)
    expected = cv2.resize(frame[25:235], (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resize_frame(frame, 64, "area", "crop"), expected)
    wide = picture(1, 100, 161)
    expected = cv2.resize(wide[:, 30:130], (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_frame(wide, 64, "linear", "crop"), expected)


@pytest.mark.parametrize(("height", "width"), [(260, 210), (210, 260), (1, 300), (300, 1)])
def test_padding_keeps_everything_and_the_proportions(height: int, width: int) -> None:
    frame = np.full((height, width, 3), 255, np.uint8)
    padded = resize_frame(frame, 64, "area", "pad")
    assert padded.shape == (64, 64, 3)
    rows, columns = (padded[:, :, 0] > 0).any(axis=1), (padded[:, :, 0] > 0).any(axis=0)
    longer = max(height, width)
    assert abs(rows.sum() - max(1, 64 * height / longer)) <= 0.5
    assert abs(columns.sum() - max(1, 64 * width / longer)) <= 0.5
    for is_picture in (rows, columns):
        empty = np.flatnonzero(~is_picture)
        assert abs((empty < 32).sum() - (empty >= 32).sum()) <= 1  # as much on both sides


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_square_is_resized_alike_with_every_fit(fit: Any) -> None:
    frame = picture(0, 100, 100)
    np.testing.assert_array_equal(resize_frame(frame, 64, "lanczos", fit), resize_frame(frame, 64))


# Pictures that cannot be read


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, picture(0, 60, 80))[1].tobytes()


def damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0x55 for byte in data[middle : middle + 8]) + data[middle + 8 :]


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(0, 60, 80)).save(buffer, "GIF")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.png", b""),
        ("short.png", encoded(".png")[:-40]),
        ("half.png", encoded(".png")[:300]),
        ("damaged.png", damaged(encoded(".png"))),
        ("short.jpg", encoded(".jpg")[:-100]),
        ("short.bmp", encoded(".bmp")[:-100]),
        ("short.webp", encoded(".webp")[:-100]),
        ("short.gif", gif()[:200]),
        ("text.png", b"this is no picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_picture_that_cannot_be_read_is_named_and_nothing_else_is_printed(
    tmp_path: Path, name: str, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "0.png", picture(0, 60, 80))
    (tmp_path / f"1{name}").write_bytes(data)
    with pytest.raises(MediaError) as caught:
        open_frames(tmp_path).read()
    assert f"{tmp_path}/1{name}" in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_only_the_damaged_frame_of_a_zip_cannot_be_read(tmp_path: Path) -> None:
    picture_folder(tmp_path / "clip", ["0.png", "1.png"])
    path = tmp_path / "clip.zip"
    zip_folder(tmp_path / "clip", path)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("1.png").header_offset + 200
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
    source = open_frames(path)
    assert source.read([0]).shape == (1, 26, 21, 3)
    with pytest.raises(MediaError, match=r"clip\.zip/1\.png: cannot be read from the zip"):
        source.read()


def test_pictures_of_two_sizes_in_one_clip_are_an_error(tmp_path: Path) -> None:
    write_picture(tmp_path / "0.png", picture(0, 26, 21))
    write_picture(tmp_path / "1.png", picture(0, 20, 21))
    with pytest.raises(MediaError, match=r"1\.png: 21×20 pixels, but the frames before have 21×26"):
        open_frames(tmp_path).read()


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.txt").touch()
    with pytest.raises(MediaError) as caught:
        _ = open_frames(tmp_path).num_frames
    assert caught.value.hint is not None
    assert "a.txt, b.txt, c.txt, d.txt, e.txt and 2 more" in caught.value.hint
    assert ".webp" in caught.value.hint


def test_the_error_for_a_missing_path_lists_its_folder(tmp_path: Path) -> None:
    (tmp_path / "clip1.mp4").touch()
    with pytest.raises(MediaError, match="there is no such file") as caught:
        open_frames(tmp_path / "clip2.mp4")
    assert caught.value.hint == f"{tmp_path} holds clip1.mp4"


@pytest.mark.parametrize("name", ["clip.zip", "clip.mp4"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(MediaError, match=r"the file is empty \(0 bytes\)"):
        open_frames(tmp_path / name)


def test_a_truncated_zip_or_one_without_pictures_is_an_error(tmp_path: Path) -> None:
    picture_folder(tmp_path / "clip", ["0.png"])
    zip_folder(tmp_path / "clip", tmp_path / "clip.zip")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "clip.zip").read_bytes()[:100])
    with pytest.raises(MediaError, match=r"cut\.zip: the file is not a zip, or is cut off"):
        open_frames(tmp_path / "cut.zip").read()
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("notes.txt", "no picture")
    with pytest.raises(MediaError, match=r"no pictures in this zip") as caught:
        open_frames(tmp_path / "text.zip").read()
    assert caught.value.hint is not None
    assert "notes.txt" in caught.value.hint


# Videos


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v")])
def test_a_video_keeps_its_colours_its_length_and_its_rate(tmp_path: Path, name: str, codec: str) -> None:
    colours = [(200, 40, 60), (30, 180, 50), (40, 60, 220), (200, 200, 40)]
    write_video(tmp_path / name, colours, fps=30.0, codec=codec)
    source = open_frames(tmp_path / name)
    assert source.num_frames == 4
    assert source.fps == pytest.approx(30.0, rel=0.01)
    assert source.timestamps is not None
    np.testing.assert_allclose(source.timestamps, np.arange(4) / 30, atol=0.001)
    frames = source.read()
    assert frames.shape == (4, 48, 64, 3)
    expected = np.array(colours)[:, None, None]
    assert np.abs(frames.astype(int) - expected).max() <= 12


def test_selected_frames_of_a_video_equal_those_of_a_whole_pass(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", GREYS)
    frames = open_frames(tmp_path / "clip.mp4").read([17, 3, 3, 11])
    assert grey_of(frames) == [17, 3, 3, 11]


def test_a_video_name_that_looks_like_a_pattern_is_read(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", GREYS[:3])
    (tmp_path / "clip.mp4").rename(tmp_path / "clip%02d.mp4")
    assert open_frames(tmp_path / "clip%02d.mp4").num_frames == 3


def test_a_video_with_an_orientation_tag_is_upright(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, GREYS[:2])
    data = bytearray(path.read_bytes())
    # The display matrix of the track header, 40 bytes behind the name: turn by 90 degrees clockwise.
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(">9i", data, matrix, 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    path.write_bytes(data)
    assert open_frames(path).read().shape == (2, 64, 48, 3)


def with_uneven_times(path: Path, fast: int, slow: int) -> None:
    """Let the first `fast` frames of an mp4 keep their length, and the `slow` ones behind last twice as long."""
    data = bytearray(path.read_bytes())
    table = data.index(b"stts")
    (entries, count, length) = struct.unpack_from(">3I", data, table + 8)
    assert (entries, count) == (1, fast + slow)
    struct.pack_into(">3I", data, table + 8, 2, fast, length)
    data[table + 20 : table + 20] = struct.pack(">2I", slow, 2 * length)
    # The header stands behind the pictures, so that only the boxes around the table grow.
    for box in (b"stts", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(box, 0, table + 4) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + 8)
    # The edit list would cut the video off at its old length: make it a box that readers pass over.
    edits = data.index(b"edts")
    data[edits : edits + 4] = b"free"
    path.write_bytes(data)


def test_a_video_of_uneven_times_is_resampled_by_its_times(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, GREYS, fps=25.0)
    with_uneven_times(path, fast=10, slow=10)
    source = open_frames(path)
    assert source.timestamps is not None
    np.testing.assert_allclose(source.timestamps[[0, 9, 10, 11, 19]], [0, 0.36, 0.40, 0.48, 1.12], atol=1e-3)
    shown = grey_of(source.read(resample(source.timestamps, 25.0).indices))
    # A slow frame stands for two (in the middle between frames the earlier one is shown), but the last
    # one, whose end no time marks, stays as long as most do.
    assert shown == [*range(10), *(number for number in range(10, 19) for _ in range(2)), 19]


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_truncated_video_is_an_error_without_other_output(
    tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "whole.mp4", GREYS)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * kept)])
    capfd.readouterr()
    with pytest.raises(MediaError, match=r"cut\.mp4: the video cannot be opened") as caught:
        open_frames(tmp_path / "cut.mp4").read()
    assert caught.value.hint is not None
    assert "the file is cut off; copy or download it again" in caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_a_truncated_video_that_still_plays_is_not_taken_for_complete(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.avi", GREYS, codec="MJPG")
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(MediaError, match=r"the video is (cut off|damaged), \d+ of 20 frames decode"):
        open_frames(tmp_path / "cut.avi").read()


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"Dear all,\nhere is the video.\n" * 40, "the file contains text"), (bytes(range(256)) * 4, "only sound")],
)
def test_a_file_that_is_no_video_is_an_error_without_other_output(
    tmp_path: Path, data: bytes, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(MediaError, match=r"clip\.mp4: the video cannot be opened") as caught:
        _ = open_frames(tmp_path / "clip.mp4").num_frames
    assert caught.value.hint is not None
    assert why in caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_opencv_prints_nothing_even_if_it_was_imported_before() -> None:
    code = (
        "import cv2, sys; from cslr_cli.media.frames import open_frames; from cslr_cli.errors import MediaError\n"
        "try: open_frames(sys.executable).read()\n"
        "except MediaError: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# Resampling


@given(st.integers(1, 300), st.sampled_from([12.5, 25.0, 30.0, 50.0]), st.floats(0, 100))
def test_a_video_of_the_wanted_rate_is_unchanged_despite_rounded_times(
    num_frames: int, fps: float, start: float
) -> None:
    times = np.round(start + np.arange(num_frames) / fps, 3)  # Matroska counts milliseconds
    assert resample(times, fps).indices.tolist() == list(range(num_frames))


def test_halving_the_rate_takes_every_second_frame() -> None:
    assert resample(np.arange(8) / 50, 25.0).indices.tolist() == [0, 2, 4, 6]


def test_doubling_the_rate_shows_every_frame_twice() -> None:
    assert resample(np.arange(4) / 25, 50.0).indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@given(
    st.lists(st.floats(0.005, 0.5), min_size=1, max_size=60),
    st.sampled_from([5.0, 24.0, 25.0, 29.97, 60.0]),
)
def test_no_chosen_frame_is_further_from_its_time_than_another_frame(gaps: list[float], fps: float) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    chosen = resample(times, fps).indices
    wanted = np.arange(len(chosen)) / fps
    nearest = np.abs(times[None] - wanted[:, None]).min(axis=1)
    np.testing.assert_allclose(np.abs(times[chosen] - wanted), nearest, atol=3e-6)
    duration = times[-1] + np.median(gaps)
    assert abs(len(chosen) / fps - duration) <= max(0.5 / fps, 1 / fps - duration) + 1e-9


@pytest.mark.parametrize(("times", "fps"), [([], 25.0), ([0.0, 0.0], 25.0), ([1.0, 0.5], 25.0), ([0.0], 0.0)])
def test_times_that_do_not_increase_are_a_value_error(times: list[float], fps: float) -> None:
    with pytest.raises(ValueError, match="increasing times"):
        resample(times, fps)


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    # A PNG that says that it is 10,000×10,000 pixels, and a JPEG that says so in a megabyte.
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    end = b"IEND"
    png += struct.pack(">I", 0) + end + struct.pack(">I", zlib.crc32(end))
    with pytest.raises(MediaError, match="10000×10000 pixels are too large"):
        decode_picture(png, "huge.png")
    size = struct.pack(">HBHHB", 17, 8, 10_000, 10_000, 3) + bytes([1, 17, 0, 2, 17, 0, 3, 17, 0])
    jpeg = b"\xff\xd8\xff\xc0" + size + b"\xff\xda" + bytes(2**20) + b"\xff\xd9"
    with pytest.raises(MediaError, match="too large"):
        decode_picture(jpeg, "huge.jpg")


@pytest.mark.parametrize(
    ("inside", "pattern"),
    [
        ("monday/talk.mp4", "*/*.mp4"),
        ("2024/monday/talk.MOV", "*/*/*.MOV"),
        ("2024/monday/001.png", "*/*"),
    ],
)
def test_a_folder_without_pictures_says_how_to_name_the_clips_below_it(
    inside: str, pattern: str, tmp_path: Path
) -> None:
    (tmp_path / inside).parent.mkdir(parents=True)
    (tmp_path / inside).touch()
    with pytest.raises(MediaError, match="no pictures in this folder") as caught:
        _ = open_frames(tmp_path).num_frames
    what = "pictures" if inside.endswith("png") else "videos"
    wanted = f"it has {what} in folders below it, such as {tmp_path / inside}; use the pattern '{tmp_path / pattern}'"
    assert caught.value.hint == wanted
    found = tmp_path / inside if what == "videos" else (tmp_path / inside).parent
    assert glob.glob(str(tmp_path / pattern)) == [str(found)]


@pytest.mark.parametrize(
    ("inside", "hint"),
    [("talk.mp4", "use the path of one of its videos"), ("readme.txt", "the folder holds readme.txt")],
)
def test_a_folder_of_other_files_says_what_it_holds(inside: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / inside).touch()
    with pytest.raises(MediaError, match="no pictures in this folder") as caught:
        _ = open_frames(tmp_path).num_frames
    assert hint in str(caught.value.hint)
