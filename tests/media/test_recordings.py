"""Recordings after public bug reports: what each shows, and when.

The files are in `tests/data/recordings`, or are made here.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import FrameSource
from cslr_cli.media.frames import open_frames
from tests.media.video_making import HAS_FFMPEG, decode, draw_scene, run_program, set_display_matrix

RECORDINGS = Path(__file__).parent.parent / "data" / "recordings"
needs_ffmpeg = pytest.mark.skipif(not HAS_FFMPEG, reason="needs the programs ffmpeg and ffprobe")

IDENTITY, MIRROR, FLIP = (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1)


def even_times(number: int) -> NDArray[np.float64]:
    return np.arange(number) / 25


def times_of(source: FrameSource) -> NDArray[np.float64]:
    assert source.timestamps is not None
    return source.timestamps


def with_matrix(matrix: tuple[int, int, int, int], path: Path) -> Path:
    """Copy the mirrored recording with another display matrix."""
    shutil.copy(RECORDINGS / "mirrored.mp4", path)
    set_display_matrix(matrix)(path)
    return path


# Colours


@pytest.mark.parametrize("name", ["full_range_vp9.webm", "full_range_hevc10.mp4"])
def test_grey_of_full_range_keeps_its_brightness(name: str) -> None:
    source = open_frames(RECORDINGS / name)
    frames = source.read()
    assert frames.shape == (25, 64, 64, 3)
    assert np.abs(frames.astype(int) - 64).max() <= 2
    np.testing.assert_allclose(times_of(source), even_times(25), atol=1e-3)
    assert source.missing is None
    assert source.warnings == ()


def test_red_of_a_transport_stream_follows_the_matrix_that_the_codec_states() -> None:
    source = open_frames(RECORDINGS / "h264_709_red.ts")
    frames = source.read()
    assert frames.shape == (25, 64, 64, 3)
    assert np.abs(frames.astype(int) - (251, 0, 0)).max() <= 2
    np.testing.assert_allclose(times_of(source), even_times(25), atol=1e-3)


# Orientation


def test_a_mirrored_recording_is_mirrored_and_not_turned(tmp_path: Path) -> None:
    plain = open_frames(with_matrix(IDENTITY, tmp_path / "plain.mp4")).read()
    assert plain.shape == (15, 260, 210, 3)
    mirrored = open_frames(RECORDINGS / "mirrored.mp4").read()
    np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])
    flipped = open_frames(with_matrix(FLIP, tmp_path / "flipped.mp4")).read()
    np.testing.assert_array_equal(flipped, plain[:, ::-1])


@needs_ffmpeg
def test_a_mirrored_recording_is_seen_as_ffmpeg_shows_it() -> None:
    path = RECORDINGS / "mirrored.mp4"
    expected = decode(path, "scale=in_color_matrix=bt601:in_range=tv:out_range=pc,format=rgb24,hflip", (210, 260))
    assert np.abs(open_frames(path).read().astype(int) - expected).mean() <= 1.5


# Names


@pytest.mark.parametrize(
    "name",
    [
        "talk-12:30.mp4",
        "data:text.mp4",
        "file:talk.mp4",
        "http:talk.mp4",
        "concat:a.mp4|b.mp4",
        "pipe:0.mp4",
        "subfile,,start,0,end,0,,:talk.mp4",
        "crypto+file:talk.mp4",
        "-i.mp4",
        "-",
        "talk%03d.mp4",
        "talk?*[a].mp4",
        "new\nline.mp4",
        "quote'\"\\.mp4",
        " talk .mp4 ",
        "Gebärde.mp4",
        "x" * 250 + ".mp4",
    ],
)
def test_a_local_name_is_a_file_whatever_its_characters(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(RECORDINGS / "full_range_vp9.webm", tmp_path / name)
    for path in (Path(name), tmp_path / name):
        source = open_frames(path)
        assert np.abs(source.read().astype(int) - 64).max() <= 2
        assert source.num_frames == 25


def test_a_name_that_is_not_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"talk-\xff\xfe.webm")
    shutil.copy(RECORDINGS / "full_range_vp9.webm", path)
    assert open_frames(path).num_frames == 25


# Clocks


def check_jump(path: Path, before: int, after: int) -> FrameSource:
    """Check that a recording keeps all frames, that its times increase, and that the jump costs little."""
    started = time.process_time()
    source = open_frames(path)
    times = times_of(source)
    assert len(times) == before + after
    assert len(source.read()) == before + after
    np.testing.assert_allclose(times[:before], even_times(before), atol=1e-3)
    np.testing.assert_allclose(times[before:] - times[before], even_times(after), atol=1e-3)
    assert times[before] > times[before - 1]
    chosen = source.resample(25.0).indices
    assert set(chosen.tolist()) == set(range(before + after))  # every frame is shown
    assert len(chosen) <= 25 * (5 + 2) + before + after  # and the gap is not filled
    assert any("time stamps" in text or "no frame between" in text for text in (*source.warnings, source.missing or ""))
    assert time.process_time() - started < 5
    return source


def test_both_halves_are_read_when_the_clock_jumps_back() -> None:
    source = check_jump(RECORDINGS / "time_jump_back.ts", 15, 15)
    assert times_of(source)[-1] < 10


@needs_ffmpeg
def test_frames_around_a_jump_of_the_clock_are_the_recorded_ones() -> None:
    path = RECORDINGS / "time_jump_back.ts"
    expected = decode(path, "scale=in_color_matrix=bt601:in_range=tv:out_range=pc,format=rgb24", (210, 260))
    frames = open_frames(path).read()
    assert len(frames) == len(expected) == 30
    assert np.abs(frames.astype(np.int16) - expected).mean(axis=(1, 2, 3)).max() <= 1.5


@pytest.mark.parametrize("name", ["gap_of_an_hour.mkv", "gap_of_26_hours.mkv"])
def test_a_gap_of_hours_is_reported_and_not_filled(name: str) -> None:
    check_jump(RECORDINGS / name, 23, 1)


def test_an_absurd_rate_neither_hangs_nor_fills_memory() -> None:
    started = time.process_time()
    source = open_frames(RECORDINGS / "absurd_rate.avi", partial=True)
    with pytest.raises(MediaError, match=r"absurd_rate\.avi"):
        source.resample(25.0)
    assert time.process_time() - started < 5


def test_a_box_of_an_absurd_size_is_no_traceback(tmp_path: Path) -> None:
    def box(kind: bytes, size: int, content: bytes) -> bytes:
        return struct.pack(">I", 1) + kind + struct.pack(">Q", size) + content

    data = (RECORDINGS / "mirrored.mp4").read_bytes()
    (length,) = struct.unpack(">I", data[:4])
    inner = box(b"free", 2**63 + 50, b"x" * 64)
    path = tmp_path / "talk.mp4"
    path.write_bytes(data[:length] + box(b"moov", 2**64 - 100, inner) + data[length:])
    with pytest.raises(MediaError, match=r"talk\.mp4"):
        open_frames(path).read()


# Tracks


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".m4a", ".mp3", ".mka"])
def test_sound_with_cover_art_is_no_video(tmp_path: Path, suffix: str) -> None:
    cover, path = tmp_path / "cover.png", tmp_path / f"talk{suffix}"
    Image.fromarray(draw_scene(1, 96, 64)[0]).save(cover)
    attached = ["-attach", str(cover), "-metadata:s:t", "mimetype=image/png"]
    if suffix != ".mka":
        attached = ["-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "png", "-disposition:v", "attached_pic"]
    run_program("ffmpeg -v error -y -f lavfi -i sine=duration=1", [*attached, str(path)])
    with pytest.raises(MediaError, match="video"):
        open_frames(path).read()


@needs_ffmpeg
def test_a_sound_that_begins_in_the_middle_of_a_transport_stream_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "talk.ts"
    # FFmpeg looks for streams in the first 5 MB and at the end; here they are padded.
    for number, sound in enumerate(([], ["-f", "lavfi", "-i", "sine=duration=2"], [])):
        part = tmp_path / f"{number}.ts"
        encoder = ["-c:v", "libx264", "-c:a", "mp2", "-output_ts_offset", str(2 * number)]
        padding = [] if sound else ["-muxrate", "25M"]
        run_program(
            "ffmpeg -v error -y -f lavfi -i testsrc=size=96x64:rate=25:duration=2",
            [*sound, *encoder, *padding, str(part)],
        )
        with open(path, "ab") as file:
            file.write(part.read_bytes())
    source = open_frames(path)
    assert source.num_frames == len(list(source.iterate())) == 150
    assert (np.diff(times_of(source)) > 0).all()


# Pictures that move


def moving_pictures(path: Path, milliseconds: list[int]) -> NDArray[np.uint8]:
    """Write an animated picture, each frame of which is shown so long; return the frames as Pillow reads them."""
    scene = draw_scene(len(milliseconds), 96, 64)
    first, *others = [Image.fromarray(frame).quantize(64) if path.suffix == ".gif" else Image.fromarray(frame)
                      for frame in scene]  # fmt: skip
    options: dict[str, Any] = {} if path.suffix == ".gif" else {"lossless": True}
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0, **options)
    frames = []
    with Image.open(path) as picture:
        for number in range(len(milliseconds)):
            picture.seek(number)
            frames.append(np.asarray(picture.convert("RGB")))
    return np.stack(frames)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".apng", ".webp"])
def test_an_animated_picture_is_a_video(tmp_path: Path, suffix: str) -> None:
    milliseconds = [40, 40, 120, 40, 80, 200]
    path = tmp_path / f"talk{suffix}"
    expected = moving_pictures(path, milliseconds)
    source = open_frames(path)
    frames = source.read()
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean(axis=(1, 2, 3)).max() <= 1.5
    np.testing.assert_allclose(times_of(source), np.cumsum([0, *milliseconds[:-1]]) / 1000, atol=1e-3)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_transparent_parts_of_an_animated_picture_are_black(tmp_path: Path, suffix: str) -> None:
    pictures = []
    for number in range(4):
        values = np.zeros((64, 96, 4), np.uint8)
        values[16:48, 20 * number : 20 * number + 20] = (240, 180, 30, 255)
        pictures.append(Image.fromarray(values))
    path = tmp_path / f"talk{suffix}"
    options: dict[str, Any] = {} if suffix != ".webp" else {"lossless": True}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40, loop=0, disposal=2, **options)
    expected = np.stack([np.asarray(picture)[..., :3] for picture in pictures])
    frames = open_frames(path).read()
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected).mean(axis=(1, 2, 3)).max() <= 1.5


def test_a_webp_with_an_orientation_tag_is_upright(tmp_path: Path) -> None:
    upright = draw_scene(1, 48, 32)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "0.webp", exif=exif, lossless=True)
    (frame,) = open_frames(tmp_path).read()
    np.testing.assert_array_equal(frame, upright)
