from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.config import DataConfig
from cslr_cli.errors import MediaError, UsageError
from cslr_cli.media import clip_reader
from cslr_cli.media.clip_reader import ClipReader, Prefetcher, Source, evenly_spaced_indices
from cslr_cli.media.frame_fit import Box, FrameFit
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.options import ReadOptions
from cslr_cli.media.picture_sources import FolderFrames
from cslr_cli.media.resampling import resample, resample_stream
from cslr_cli.media.video_stream import VideoDecoder

FIT = FrameFit(32, DataConfig(crop_size=32), original_size=(32, 32))


def numbered(num_frames: int, size: int = 32) -> NDArray[np.uint8]:
    """Frames whose grey value is their number."""
    values = np.arange(num_frames, dtype=np.uint8)
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    frames[:] = values[:, None, None, None]
    return frames


def reader(source: Source, frame_interval: int = 1, **reading: Any) -> ClipReader:
    return ClipReader(source, ReadOptions(**reading), FIT, fps=25.0, frame_interval=frame_interval)


def numbers(pictures: Any) -> list[int]:
    return [int(picture[0, 0, 0]) for picture in pictures]


def folder_of(frames: NDArray[np.uint8], folder: Path) -> Path:
    folder.mkdir()
    for place, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{place:05d}.png"), frame[..., ::-1])
    return folder


def video_of(frames: NDArray[np.uint8], path: Path, fps: float) -> Path:
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


# Sources


def test_an_array_a_list_an_iterator_and_a_folder_give_the_same(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), dtype=np.uint8)
    sources: list[Source] = [frames, list(frames), iter(frames), folder_of(frames, tmp_path / "clip")]
    for source in sources:
        clip = reader(source).read()
        np.testing.assert_array_equal(clip.pictures, frames)
        assert clip.edges == pytest.approx(np.arange(10) / 25)
        assert (clip.num_frames, clip.fps, clip.source_size) == (9, 25.0, (32, 32))
        assert clip.seen == Box(0, 0, 32, 32)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 32, 32, 3), np.float32), "of type float32"),
        (np.zeros((3, 3, 32, 32), np.uint8), r"frame 0: an array of shape \(3, 32, 32\)"),
        (np.zeros((32, 32, 3), np.uint8), r"an array of shape \(32, 32, 3\)"),
        (np.zeros((3, 32, 32), np.uint8), r"an array of shape \(3, 32, 32\)"),
        (np.zeros((0, 32, 32, 3), np.uint8), "no frames"),
        ([], "no frames"),
        (iter([]), "no frames"),
        ([[1, 2], [3, 4]], "a list, not an array"),
        ([np.zeros((32, 32, 3), np.uint8), np.zeros((30, 32, 3), np.uint8)], "frame 1: 32×30 pixels, .* are 32×32"),
    ],
)
def test_invalid_frames_are_refused_by_name(source: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message) as caught:
        reader(source).read()
    assert "expected" in str(caught.value)


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        reader(tmp_path / "nothing.mp4")


# Rates and times


@pytest.mark.parametrize("given_fps", [5.0, 12.5, 15.0, 24.0, 25.0, 29.97, 30.0, 59.94, 120.0])
@pytest.mark.parametrize("num_frames", [1, 2, 12, 101])
def test_a_stream_is_resampled_like_frames_of_known_number(given_fps: float, num_frames: int) -> None:
    expected = resample(np.arange(num_frames) / given_fps, 25.0).indices
    chosen = list(resample_stream(iter(numbered(num_frames, 2)), given_fps, 25.0))
    assert numbers(chosen) == expected.tolist()


def test_an_iterator_is_not_read_further_than_needed() -> None:
    taken: list[int] = []

    def frames() -> Iterator[Frame]:
        for number, frame in enumerate(numbered(100)):
            taken.append(number)
            yield frame

    pictures = iter(reader(frames(), source_fps=50.0))
    next(pictures)
    assert len(taken) <= 3


def test_a_segment_is_read_with_its_times(tmp_path: Path) -> None:
    frames = numbered(50)
    for source in (frames, folder_of(frames, tmp_path / "clip")):
        clip = reader(source, start=0.4, end=1.2).read()
        assert numbers(clip.pictures) == list(range(10, 30))
        assert (clip.edges[0], clip.edges[-1]) == pytest.approx((0.4, 1.2))


def test_a_segment_of_a_video_equals_that_of_the_same_pictures(tmp_path: Path) -> None:
    frames = (numbered(75) * 3).astype(np.uint8)
    video = video_of(frames, tmp_path / "clip.mp4", 25)
    with_end = reader(video, start=1.0, end=2.0).read()
    to_the_end = reader(video, start=1.0).read()
    np.testing.assert_array_equal(with_end.pictures, to_the_end.pictures[:25])
    assert with_end.edges == pytest.approx(np.arange(25, 51) / 25)
    assert numbers(with_end.pictures) == pytest.approx(list(range(75, 150, 3)), abs=4)


@pytest.mark.parametrize("reading", [{"start": 9.0}, {"start": 1.0, "end": 9.0}])
def test_a_segment_beyond_the_end_is_refused(tmp_path: Path, reading: dict[str, Any]) -> None:
    with pytest.raises(MediaError, match=r"ends after 2\.00 s"):
        reader(folder_of(numbered(50), tmp_path / "clip"), **reading).read()
    if "end" not in reading:
        with pytest.raises(MediaError, match="the frames end before the start, 9 s"):
            reader(iter(numbered(50)), **reading).read()


def test_every_second_frame_keeps_its_time(tmp_path: Path) -> None:
    for source in (numbered(9), folder_of(numbered(9), tmp_path / "clip")):
        clip = reader(source, frame_interval=2).read()
        assert numbers(clip.pictures) == [0, 2, 4, 6, 8]
        assert clip.edges == pytest.approx(np.array([0, 2, 4, 6, 8, 9]) / 25)
        assert (clip.num_frames, clip.fps) == (9, 12.5)


@pytest.mark.parametrize("reading", [{"source_fps": 50.0}, {}])
def test_thinning_takes_evenly_spaced_frames_from_the_first_to_the_last(
    tmp_path: Path, reading: dict[str, Any]
) -> None:
    frames = numbered(120 if not reading else 240)
    for source in (frames, folder_of(frames, tmp_path / "clip")):
        clip = reader(source, max_frames=30, **reading).read()
        assert len(clip.pictures) == 30
        assert clip.num_frames == 120
        steps = np.diff(clip.edges[:-1] * 25)
        assert set(steps.round().astype(int)) <= {4, 5}
        assert clip.edges[-2:] == pytest.approx([119 / 25, 120 / 25])
        assert clip.fps == pytest.approx(30 / 4.8)


def test_short_clips_are_not_thinned_unlike_in_the_published_inference() -> None:
    # There any clip up to the limit becomes 50 frames, by a linspace without a count.
    assert evenly_spaced_indices(7, 360) == list(range(7))
    assert evenly_spaced_indices(360, 360) == list(range(360))
    chosen = evenly_spaced_indices(1000, 360)
    assert (len(chosen), chosen[0], chosen[-1]) == (360, 0, 999)
    assert len(set(chosen)) == 360


# Colours and sides


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_keeps_its_colours_and_its_orientation(tmp_path: Path, suffix: str) -> None:
    colours = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 210), "skin": (224, 172, 105)}
    frame = np.zeros((64, 64, 3), np.uint8)
    places = [(0, 0), (0, 32), (32, 0), (32, 32)]
    for (top, left), colour in zip(places, colours.values(), strict=True):
        frame[top : top + 32, left : left + 32] = colour
    video = video_of(np.stack([frame] * 10), tmp_path / f"colours{suffix}", 25)
    (picture,) = reader(video, end=0.04).read().pictures
    for (top, left), colour in zip(places, colours.values(), strict=True):
        seen = picture[top // 2 + 4 : top // 2 + 12, left // 2 + 4 : left // 2 + 12].reshape(-1, 3).mean(axis=0)
        assert seen == pytest.approx(colour, abs=8)


# Warnings


def test_a_truncated_video_is_read_as_far_as_possible_with_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    video = video_of(rng.integers(0, 255, (100, 64, 64, 3), dtype=np.uint8), tmp_path / "whole.avi", 25)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    clip = reader(cut)
    pictures = clip.read().pictures
    assert 30 <= len(pictures) <= 60
    (warning,) = clip.warnings
    assert f"{len(pictures) / 25:.2f} s of 4.00 s" in warning
    assert reader(video).read().warnings == ()
    part = reader(cut, start=1, end=3.5)
    assert len(part.read().pictures) == len(pictures) - 25
    assert part.warnings == clip.warnings
    with pytest.raises(MediaError, match=r"the segment is from 3\.5 s"):
        reader(cut, start=3.5, end=4).read()


def test_an_unknown_shape_of_the_corpus_frames_is_a_warning() -> None:
    unknown = FrameFit(32, DataConfig(crop_size=32))
    wide = np.zeros((2, 36, 64, 3), np.uint8)
    clip = ClipReader(wide, ReadOptions(), unknown, fps=25)
    assert "64×36 pixels were stretched" in clip.read().warnings[0]


# Reading ahead


def test_reading_ahead_returns_the_same_pictures(tmp_path: Path) -> None:
    folder = folder_of(numbered(40), tmp_path / "clip")
    plain, ahead = reader(folder, start=0.4, end=1.4).read(), reader(folder, start=0.4, end=1.4).read_ahead().read()
    np.testing.assert_array_equal(plain.pictures, ahead.pictures)
    np.testing.assert_array_equal(plain.edges, ahead.edges)


def test_errors_of_the_prefetching_thread_are_raised_where_pictures_are_taken(tmp_path: Path) -> None:
    folder = folder_of(numbered(5), tmp_path / "clip")
    (folder / "00003.png").write_bytes(b"no picture")
    clip = reader(folder).read_ahead()
    with pytest.raises(MediaError, match=r"00003\.png"):
        clip.read()


def test_closing_stops_the_thread_with_items_waiting() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    before = set(threading.enumerate())
    ahead = Prefetcher(endless, 4)
    assert next(iter(ahead)) == 1
    ahead.close()
    assert set(threading.enumerate()) <= before


def test_a_closed_source_gives_no_more_items_and_does_not_wait_for_them() -> None:
    ahead = Prefetcher(lambda: iter([1, 2, 3]), 4)
    ahead.close()
    with pytest.raises(ValueError, match="is closed"):
        list(ahead)


def test_closing_ends_the_pass_that_counts_the_frames_of_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = video_of(numbered(40), tmp_path / "clip.mp4", 25.0)
    counted: list[str] = []
    has_begun, may_go_on = threading.Event(), threading.Event()
    decode = VideoDecoder.frames

    def decode_slowly(decoder: VideoDecoder) -> Iterator[Any]:
        for frame in decode(decoder):
            counted.append("frame")
            has_begun.set()
            may_go_on.wait(10)
            yield frame

    monkeypatch.setattr(VideoDecoder, "frames", decode_slowly)
    clip = reader(video).read_ahead()
    assert has_begun.wait(10)
    closing = threading.Thread(target=clip.close)
    closing.start()
    while not clip._source._is_stopped.is_set():  # type: ignore[union-attr]
        assert closing.is_alive()
    may_go_on.set()
    closing.join(10)
    assert not closing.is_alive()
    assert len(counted) <= 3  # of 40; one is read for its orientation
    assert len(list(reader(video))) == 40


def test_no_more_items_than_the_limit_are_prefetched() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            made.append(item)
            yield item

    ahead = Prefetcher(items, 4)
    taken = []
    for item in ahead:
        taken.append(item)
        assert len(made) <= len(taken) + 4 + 1  # and one in its hand
    assert taken == list(range(100))
    ahead.close()


# Options


def test_all_faults_of_read_options_are_reported_together() -> None:
    with pytest.raises(UsageError) as caught:
        ReadOptions(source_fps=0, start=-1, end=-2, frame_fit="squash", max_frames=0)  # type: ignore[arg-type]
    assert len(caught.value.message.splitlines()) == 5


@pytest.mark.parametrize(("old", "new"), [("squash", "stretch"), ("crop", "crop"), ("pad", "pad")])
def test_old_names_of_read_options_still_work_with_a_warning(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match="`fps` is now `source_fps`"):
        options = ReadOptions(fps=30.0)  # type: ignore[call-arg]
    assert options == ReadOptions(source_fps=30.0)
    with pytest.warns(DeprecationWarning, match="`fit` is now `frame_fit`"):
        options = ReadOptions(fit=old)  # type: ignore[call-arg]
    assert options == ReadOptions(frame_fit=new)  # type: ignore[arg-type]


def test_source_frames_are_those_of_the_pictures(tmp_path: Path) -> None:
    frames = numbered(60, size=48)
    folder = folder_of(frames, tmp_path / "clip")
    source = list(reader(folder, source_fps=50.0, start=0.4, frame_interval=2).frames())
    assert numbers(source) == list(range(20, 60, 4))
    assert source[0].shape == (48, 48, 3)


def test_a_video_of_variable_rate_is_read_by_its_time_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second at 10 frames a second, then one at 50: what a phone does when it grows light.
    times = np.concatenate([np.arange(10) / 10, 1 + np.arange(50) / 50])

    class Uneven(FolderFrames):
        timestamps: Any = times

    folder = folder_of(numbered(60), tmp_path / "clip")
    monkeypatch.setattr(clip_reader, "open_frames", lambda path, **reading: Uneven(Path(path)))
    clip = reader(folder).read()
    assert (clip.num_frames, clip.edges[-1]) == (50, pytest.approx(2.0))
    for number, wanted in zip(numbers(clip.pictures), np.arange(50) / 25, strict=True):
        assert abs(times[number] - wanted) == pytest.approx(np.abs(times - wanted).min(), abs=1e-9)
