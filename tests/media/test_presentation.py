"""Colours, proportions and lengths of videos that other programs have written."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media import video_stream
from cslr_cli.media.frames import open_frames
from cslr_cli.media.video import VideoFrames
from cslr_cli.media.video_writer import video_writer

VIDEOS = Path(__file__).parents[1] / "data" / "videos"
STRIPES = [(200, 40, 40), (40, 160, 60), (50, 60, 200), (224, 172, 105)]


def stripes_of(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The colours of four stripes side by side, without their edges: (4, 3)."""
    width = frame.shape[1] // 4
    stripes = [frame[8:-8, width * number + 8 : width * (number + 1) - 8] for number in range(4)]
    return np.array([stripe.reshape(-1, 3).mean(axis=0) for stripe in stripes])


@pytest.mark.parametrize(
    "name", ["bt601.mp4", "bt709.mp4", "bt709.ts", "bt709_colr.mp4", "bt709_vp9.webm", "bt2020.mkv", "wide_pixels.mp4"]
)
def test_colours_are_correct_for_every_encoded_matrix(name: str) -> None:
    # By the wrong matrix the first three stripes would be 15 to 20 off.
    assert stripes_of(open_frames(VIDEOS / name).read()[1]) == pytest.approx(np.array(STRIPES), abs=4)


def test_wide_pixels_become_square() -> None:
    frames = open_frames(VIDEOS / "wide_pixels.mp4").read()
    assert frames.shape == (4, 64, 128, 3)  # encoded as 96×64


def test_wide_pixels_of_a_rotated_video_become_square(tmp_path: Path) -> None:
    data = bytearray((VIDEOS / "wide_pixels.mp4").read_bytes())
    # The display matrix of the track header, 40 bytes behind the name: turn by 90 degrees clockwise.
    one = 1 << 16
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, 0, one, 0, -one, 0, 0, 96 * one, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    _, height, width, _ = open_frames(tmp_path / "turned.mp4").read().shape
    assert height == 2 * width


def test_a_video_trimmed_without_encoding_is_complete() -> None:
    source = VideoFrames(VIDEOS / "trimmed.mp4", partial=True)
    assert source.num_frames == 50
    assert source.missing is None
    assert VideoFrames(VIDEOS / "trimmed.mp4").num_frames == 50


def test_damaged_headers_give_frames_or_an_error_for_the_user(tmp_path: Path) -> None:
    drawn = random.Random(0)
    path = tmp_path / "damaged"
    for video in sorted(VIDEOS.glob("*.[mw]*")):
        whole = video.read_bytes()
        for _ in range(10):
            data = bytearray(whole)
            for _ in range(drawn.randint(1, 8)):
                data[drawn.randrange(min(1000, len(data)))] = drawn.choice([0, 255, drawn.randrange(256)])
            path.write_bytes(data[: drawn.choice([len(data), drawn.randrange(1, len(data))])])
            with suppress(MediaError):
                frames = open_frames(path, partial=True).read()
                assert frames.dtype == np.uint8
                assert frames.shape[3] == 3


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_other_programs_see_the_colours_that_were_written(tmp_path: Path) -> None:
    frame = np.repeat(np.array([STRIPES], np.uint8), 32, axis=1).repeat(64, axis=0)
    with video_writer(tmp_path / "written.mp4", 128, 64, 25) as writer:
        for _ in range(3):
            writer.write(frame)
    shown = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(tmp_path / "written.mp4"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    )
    other = np.frombuffer(shown.stdout, np.uint8).reshape(3, 64, 128, 3)[1]
    assert stripes_of(other) == pytest.approx(np.array(STRIPES), abs=4)
    assert stripes_of(open_frames(tmp_path / "written.mp4").read()[1]) == pytest.approx(np.array(STRIPES), abs=4)


@pytest.mark.parametrize("length", [2**63 + 50, 2**64 - 100])
def test_a_box_longer_than_any_file_is_an_error(tmp_path: Path, length: int) -> None:
    def long_box(name: bytes, contents: bytes) -> bytes:
        return struct.pack(">I4sQ", 1, name, length) + contents

    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + long_box(b"moov", long_box(b"trak", bytes(64))))
    with pytest.raises(MediaError, match=r"a\.mp4: the video cannot be opened"):
        _ = open_frames(path).num_frames


@pytest.mark.parametrize("part", [b"\0\0\0\x08free", b"\xec\x80"])
def test_a_file_of_empty_boxes_is_an_error_in_bounded_time(
    tmp_path: Path, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_stream, "_MAX_WAIT_SECONDS", 1)
    begin = b"\0\0\0\x10ftypisom\0\0\0\0" if part.endswith(b"free") else b"\x1a\x45\xdf\xa3\x80"
    path = tmp_path / "a.mp4"
    path.write_bytes(begin + part * (50 * 2**20 // len(part)))
    started = time.perf_counter()
    with pytest.raises(MediaError):
        _ = open_frames(path).num_frames
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{video}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        "<BaseURL>{video}</BaseURL></Period></MPD>",
    ],
    ids=["hls", "concat", "sdp", "dash"],
)
def test_a_file_that_names_other_files_or_addresses_opens_none_of_them(tmp_path: Path, text: str) -> None:
    shutil.copy(VIDEOS / "bt601.mp4", tmp_path / "secret.mp4")
    path = tmp_path / "upload.mp4"
    path.write_text(text.format(video=tmp_path / "secret.mp4"))
    with pytest.raises(MediaError, match=r"upload\.mp4: the video cannot be opened"):
        _ = open_frames(path).num_frames
