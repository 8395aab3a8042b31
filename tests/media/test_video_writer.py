"""A video appears under its name only if it can be shown; other programs see its frames, times, colours and sound."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media import video_writer as module
from cslr_cli.media.frames import open_frames
from cslr_cli.media.sound import SoundPart, find_sound
from cslr_cli.media.video_writer import VideoWriter, video_writer

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
RATE = 16_000  # samples per second of the compared sound


def noise(num_frames: int, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Frames that an encoder cannot make small."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, size[1], size[0], 3), np.uint8)


def write(path: Path, frames: NDArray[np.uint8], fps: float = 25.0, times: list[float] | None = None) -> VideoWriter:
    with video_writer(path, frames.shape[2], frames.shape[1], fps) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, None if times is None else times[index])
    return writer


def probe(path: Path, entries: str, stream: str = "v") -> dict[str, Any]:
    asked = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", "json", str(path)]
    return dict(json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout))


def frame_times(path: Path) -> list[float]:
    frames = probe(path, "frame=pts_time,best_effort_timestamp_time")["frames"]
    times = [frame.get("pts_time") or frame.get("best_effort_timestamp_time", "nan") for frame in frames]
    return [float(time) for time in times]


@contextmanager
def limited_file_size(num_bytes: int) -> Iterator[None]:
    """Let every write beyond a size fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Files


@pytest.mark.parametrize("num_bytes", [0, 5_000, 100_000])
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, num_bytes: int) -> None:
    frames = noise(60)
    write(tmp_path / "whole.mp4", frames)
    whole = (tmp_path / "whole.mp4").stat().st_size
    (tmp_path / "whole.mp4").unlink()
    assert whole > num_bytes
    with (
        pytest.raises(MediaError, match=r"talk\.mp4: the video could not be written completely") as caught,
        limited_file_size(num_bytes),
    ):
        write(tmp_path / "talk.mp4", frames)
    assert "free disk space" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_the_last_bytes_is_an_error(tmp_path: Path) -> None:
    frames = noise(30)
    write(tmp_path / "whole.mp4", frames)
    whole = (tmp_path / "whole.mp4").stat().st_size
    for missing in (1, 100, 1500):
        with pytest.raises(MediaError, match="completely"), limited_file_size(whole - missing):
            write(tmp_path / "talk.mp4", frames)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.mp4"]


def test_a_video_that_lacks_frames_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoWriter, "_mux", lambda writer, packets: None)  # a library that loses data without error
    with pytest.raises(MediaError, match=r"talk\.mp4: .* holds 0 of 3 frames"):
        write(tmp_path / "talk.mp4", noise(3))
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_caller_is_kept_and_leaves_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"older")
    frames = (noise(1)[0] if number < 3 else None for number in range(4))
    with pytest.raises(AttributeError), video_writer(path, 64, 48, 25.0) as writer:
        deque(map(writer.write, frames))  # type: ignore[arg-type]
    assert path.read_bytes() == b"older"
    assert [other.name for other in tmp_path.iterdir()] == ["talk.mp4"]


def test_without_an_encoder_the_error_says_how_to_install_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENCODERS", ())
    with pytest.raises(MediaError, match=r"talk\.mp4: .*no encoder") as caught:
        write(tmp_path / "talk.mp4", noise(1))
    assert "pip install" in str(caught.value)


def test_a_name_may_contain_any_characters(tmp_path: Path) -> None:
    for name in ("take-12:30.mp4", "50 %d.mp4", "-x.mp4", "'a' \"b\".mp4", "new\nline.mp4"):
        write(tmp_path / name, noise(2))
        assert open_frames(tmp_path / name).num_frames == 2


# Frames, times and colours


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["h264", "vp9"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (97, 71)])
def test_other_programs_read_codec_size_and_colours(
    tmp_path: Path, codec: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec == "vp9":
        monkeypatch.setattr(module, "_ENCODERS", module._ENCODERS[1:])
    frames = np.full((5, size[1], size[0], 3), (200, 60, 30), np.uint8)
    writer = write(tmp_path / "talk.mp4", frames)
    assert writer.codec == {"h264": "H.264", "vp9": "VP9"}[codec]
    entries = "codec_name,width,height,pix_fmt,color_space,color_range,color_transfer,color_primaries,nb_frames"
    (stream,) = probe(tmp_path / "talk.mp4", f"stream={entries}")["streams"]
    assert (stream["codec_name"], stream["pix_fmt"], stream["nb_frames"]) == (codec, "yuv420p", "5")
    assert (stream["width"], stream["height"]) == tuple(side + side % 2 for side in size)
    assert (stream["color_space"], stream["color_range"]) == ("bt709", "tv")
    assert (stream["color_transfer"], stream["color_primaries"]) == ("bt709", "bt709")
    asked = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "talk.mp4"), "-vf"]
    asked += ["scale=in_color_matrix=bt709:in_range=tv,format=rgb24", "-f", "rawvideo", "-"]
    shown = np.frombuffer(subprocess.run(asked, capture_output=True, check=True).stdout, np.uint8)
    assert np.abs(shown.reshape(-1, 3).mean(axis=0) - (200, 60, 30)).max() <= 2


@needs_ffmpeg
def test_frames_have_their_own_times(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    times = np.concatenate([[0.0], np.cumsum(drawn.choice([0.001, 0.0334, 0.04, 0.5, 7.0], 79))])
    write(tmp_path / "talk.mp4", noise(80), fps=80 / times[-1], times=times.tolist())
    assert frame_times(tmp_path / "talk.mp4") == pytest.approx(times, abs=1e-3)
    ours = open_frames(tmp_path / "talk.mp4").timestamps
    assert ours == pytest.approx(times, abs=1e-3)


@needs_ffmpeg
@pytest.mark.parametrize("fps", [5.0, 12.5, 23.976, 25.0, 29.97, 60.0, 1000 / 33])
def test_an_even_rate_has_no_drift(tmp_path: Path, fps: float) -> None:
    write(tmp_path / "talk.mp4", noise(50), fps)
    assert frame_times(tmp_path / "talk.mp4") == pytest.approx(np.arange(50) / fps, abs=1e-4)
    (stream,) = probe(tmp_path / "talk.mp4", "stream=duration")["streams"]
    assert float(stream["duration"]) == pytest.approx(50 / fps, abs=1e-3)


# Sound


def make_source(path: Path, *options: str, seconds: float = 4.0, offset: float = 0.0) -> Path:
    """A film with a rising tone, of which no two moments are alike."""
    tone = f"aevalsrc=0.5*sin(2*PI*(200+150*t)*t):s={RATE}:d={seconds}"
    picture = f"testsrc=size=64x48:rate=25:duration={seconds}"
    asked = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-itsoffset", str(offset)]
    subprocess.run([*asked, "-f", "lavfi", "-i", tone, *options, str(path)], check=True)
    return path


def sound_of(path: Path) -> NDArray[np.float32]:
    """The sound as ffmpeg decodes it, on the clock of the file, from time 0; float32 (samples,)."""
    asked = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0", "-ac", "1"]
    asked += ["-af", f"aresample={RATE}:async=1:first_pts=0", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(asked, capture_output=True, check=True).stdout, np.float32)


def delay(expected: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[float, float]:
    """The delay of one sound after another, seconds, and how similar they then are, at most 1."""
    length, reach = min(len(expected), len(found)) - 4000, 400
    part = expected[2000 : 2000 + length]
    similar = {}
    for shift in range(-reach, reach + 1):
        other = found[2000 + shift : 2000 + shift + length]
        similar[shift] = float(part @ other / np.sqrt((part @ part) * (other @ other) + 1e-9))
    best = max(similar, key=lambda shift: similar[shift])
    return best / RATE, similar[best]


def copy_part(source: Path, output: Path, start: float, seconds: float) -> VideoWriter:
    frames = open_frames(source)
    times = frames.timestamps
    assert times is not None
    chosen = np.flatnonzero((times >= start - 1e-4) & (times < start + seconds - 1e-4))
    sound, fault = find_sound(frames, float(times[chosen[0]]), seconds)
    assert fault is None
    with video_writer(output, 64, 48, 25.0, sound) as writer:
        for time, frame in zip(times[chosen], frames.iterate(chosen), strict=True):
            writer.write(frame, float(time - times[chosen[0]]))
    assert writer.sound_fault is None
    return writer


FORMATS = {
    "aac.mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "adts.ts": ("-c:v", "libx264", "-c:a", "aac"),
    "mp3.mkv": ("-c:v", "libx264", "-c:a", "libmp3lame"),
    "opus.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "alac.mov": ("-c:v", "libx264", "-c:a", "alac"),
    "flac.mkv": ("-c:v", "libx264", "-c:a", "flac"),
    "vorbis.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libvorbis"),
    "pcm.avi": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "eight-bit.avi": ("-c:v", "mpeg4", "-c:a", "pcm_u8", "-ar", "11025"),
    "five-channels.mov": ("-c:v", "libx264", "-c:a", "pcm_s24le", "-ac", "6", "-ar", "48000"),
    "mp2.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
}
COPIED = ("aac.mp4", "adts.ts", "mp3.mkv", "opus.webm", "alac.mov", "flac.mkv")


@needs_ffmpeg
@pytest.mark.parametrize("name", FORMATS)
def test_the_sound_stays_with_the_frames(tmp_path: Path, name: str) -> None:
    source = make_source(tmp_path / name, *FORMATS[name])
    origin = float(np.nanmin(np.array(frame_times(source)) - np.arange(100) / 25))  # a stamp may be missing
    whole = sound_of(source)
    for start, seconds in ((0.0, 4.0), (1.6, 1.8)):
        writer = copy_part(source, tmp_path / "copy.mp4", start, seconds)
        assert writer.sound == ("copied" if name in COPIED else "encoded")
        found = sound_of(tmp_path / "copy.mp4")
        expected = whole[round((origin + start) * RATE) :]
        late, similarity = delay(expected[: len(found)], found)
        assert abs(late) <= 0.002
        assert similarity > 0.98
        assert len(found) / RATE == pytest.approx(min(seconds, len(expected) / RATE), abs=0.26)  # a packet of ALAC


@needs_ffmpeg
@pytest.mark.parametrize("name", ["aac.mkv", "pcm.mkv"])
@pytest.mark.parametrize("offset", [1.3, -0.7])
def test_sound_that_begins_before_or_after_the_film_stays_aligned(tmp_path: Path, name: str, offset: float) -> None:
    codec = {"aac.mkv": "aac", "pcm.mkv": "pcm_s16le"}[name]
    source = make_source(tmp_path / name, "-c:v", "libx264", "-c:a", codec, offset=offset)
    copy_part(source, tmp_path / "copy.mp4", 0.52, 3.0)
    found, whole = sound_of(tmp_path / "copy.mp4"), sound_of(source)
    begin = round((frame_times(source)[0] + 0.52) * RATE)
    late, similarity = delay(whole[begin:][: len(found)], found)
    assert abs(late) <= 0.002
    assert similarity > 0.98


@needs_ffmpeg
def test_a_long_gap_in_the_sound_takes_no_memory_and_stays_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source(tmp_path / "a.mkv", "-c:v", "libx264", "-c:a", "pcm_s16le", offset=3000.0)
    part = SoundPart(source, "a.mkv", 0.0, 3002.0)
    with video_writer(tmp_path / "copy.mp4", 64, 48, 25.0, part) as writer:
        for time in (0.0, 1000.0, 2000.0, 3001.0):
            writer.write(noise(1)[0], time)
    assert writer.sound_fault is None
    found = sound_of(tmp_path / "copy.mp4")
    assert len(found) / RATE == pytest.approx(3002.0, abs=0.1)
    assert np.abs(found[: 2990 * RATE]).max() < 1e-3
    assert np.abs(found[3001 * RATE :]).max() > 0.3


@needs_ffmpeg
def test_damaged_sound_does_not_spoil_the_video(tmp_path: Path) -> None:
    source = make_source(tmp_path / "a.mkv", "-c:v", "libx264", "-c:a", "libvorbis")
    data = bytearray(source.read_bytes())
    drawn = np.random.default_rng(0)
    with av.open(str(source)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size and packet.pos]
    for place, size in places[20:]:
        data[place + 8 : place + size] = drawn.bytes(max(0, size - 8))
    source.write_bytes(data)
    frames = open_frames(source, partial=True)
    sound, _ = find_sound(frames, 0.0, 4.0)
    with video_writer(tmp_path / "copy.mp4", 64, 48, 25.0, sound) as writer:
        for frame in frames.iterate():
            writer.write(frame)
    assert open_frames(tmp_path / "copy.mp4").num_frames == frames.num_frames


@needs_ffmpeg
def test_a_source_without_sound_gives_none(tmp_path: Path) -> None:
    source = make_source(tmp_path / "a.mp4", "-c:v", "libx264", "-an")
    assert find_sound(open_frames(source), 0.0, 4.0) == (None, None)
