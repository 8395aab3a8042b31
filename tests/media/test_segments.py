"""Parts of longer videos, brought to an even frame rate."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import FrameSource
from cslr_cli.media.frame_times import increase
from cslr_cli.media.frames import iterate_frames, open_frames
from cslr_cli.media.options import Segment
from cslr_cli.media.video import VideoFrames
from tests.corpora.phoenix_release import picture, write_picture

NUM_FRAMES = 1000
_BITS = 12


def write_numbered_video(path: Path, codec: str, fps: float) -> Path:
    """A video whose n-th frame shows n in twelve black or white fields."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for number in range(NUM_FRAMES):
        bits = np.array([255 * (number >> bit & 1) for bit in range(_BITS)], np.uint8).reshape(3, 4)
        writer.write(np.repeat(np.kron(bits, np.ones((16, 16), np.uint8))[..., None], 3, axis=2))
    writer.release()
    return path


@pytest.fixture(scope="module", params=[("a.mp4", "mp4v", 25.0), ("a.avi", "MJPG", 30.0), ("a.mkv", "mp4v", 29.97)])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, codec, fps = request.param
    return write_numbered_video(tmp_path_factory.mktemp("videos") / name, codec, fps)


def numbers(path: Path, segment: Segment | None, fps: float = 25.0) -> list[int]:
    """Which frames of a numbered video are shown."""
    return [
        sum(int(frame[16 * (bit // 4) + 8, 16 * (bit % 4) + 8, 0] > 127) << bit for bit in range(_BITS))
        for frame in iterate_frames(path, fps, segment)
    ]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0.5, 3.3), (1.99, 2.4), (2, 2.04), (10, 13.2), (25.5, 31.05), (32, 33.3), (33, 33.5)]
)
def test_a_segment_equals_that_part_of_the_whole_video(video: Path, start: float, end: float) -> None:
    whole = numbers(video, None)
    if start < len(whole) / 25:
        assert numbers(video, Segment(start, end)) == whole[round(start * 25) : round(end * 25)]


def test_the_rest_of_the_video_is_not_read(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = numbers(video, Segment(28, 29))
    monkeypatch.setattr(VideoFrames, "_index", property(lambda source: pytest.fail("all of it was read")))
    assert numbers(video, Segment(28, 29)) == expected


def test_parts_that_meet_share_no_frame_and_lose_none(video: Path) -> None:
    times = [0, 1.23, 4.5, 4.58, 9.99, 12]
    parts = [number for start, end in itertools.pairwise(times) for number in numbers(video, Segment(start, end))]
    assert parts == numbers(video, Segment(0, 12))


def test_without_an_end_a_part_goes_to_the_end_of_the_video(video: Path) -> None:
    assert numbers(video, Segment(30)) == numbers(video, None)[750:]


def test_a_part_may_end_a_little_after_its_video(video: Path) -> None:
    whole = numbers(video, None)
    length = len(whole) / 25
    assert numbers(video, Segment(length - 1, length + 0.3)) == whole[-25:]
    # What begins in the last half of the last frame has no frame of its own any more.
    last_half = (length - 0.01, None), (length - 0.01, length + 0.2)
    for start, end in ((length - 1, length + 1), (length + 0.1, length + 0.2), (length + 5, None), *last_half):
        with pytest.raises(
            MediaError, match=rf"the clip ends after {length:.2f} s, but the segment is from {start:g} s"
        ):
            numbers(video, Segment(start, end))


def test_a_part_shorter_than_a_frame_is_one_frame(video: Path) -> None:
    assert len(numbers(video, Segment(5, 5.001))) == 1


def test_where_jumping_is_no_use_the_whole_video_is_read(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = numbers(video, Segment(20, 21))
    # A file that can only be read from its beginning: after a jump nothing comes.
    monkeypatch.setattr(VideoFrames, "_index_segment", lambda source, start, end: None)
    assert numbers(video, Segment(20, 21)) == expected


@given(st.integers(0, 30), st.integers(1, 30), st.sampled_from([12.5, 25.0, 50.0]))
def test_pictures_are_taken_to_have_the_rate_that_is_wanted(first: int, count: int, fps: float) -> None:
    class Numbered(FrameSource):
        num_frames = 40
        timestamps = None
        fps = None

        def _decode(self, indices):  # type: ignore[no-untyped-def]
            return ((str(index), np.full((2, 2, 3), index, np.uint8)) for index in indices)

    last = min(first + count, 40)
    segment = Segment(first / fps, last / fps)
    frames = list(Numbered(Path("pictures")).read_segment(segment, fps).frames)
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(first, last))


def test_parts_of_a_folder_of_pictures_are_cut_too(tmp_path: Path) -> None:
    for number in range(10):
        write_picture(tmp_path / f"{number}.png", picture(number))
    frames = list(iterate_frames(tmp_path, 5.0, Segment(0.4, 1)))
    np.testing.assert_array_equal(np.stack(frames), open_frames(tmp_path).read([2, 3, 4]))


# Damaged packets


def damaged(video: Path, target: Path, frames: range) -> Path:
    """A copy of a numbered AVI in which the packets of some frames hold nothing that decodes."""
    data = bytearray(video.read_bytes())
    position = data.index(b"movi") + 4
    for number in range(frames.stop):
        assert data[position : position + 4] == b"00dc"
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if number in frames:
            data[position + 8 : position + 8 + length] = b"\xa5" * length
        position += 8 + length + length % 2
    target.write_bytes(data)
    return target


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered_video(tmp_path_factory.mktemp("videos") / "whole.avi", "MJPG", 25.0)


def test_behind_a_damaged_packet_the_video_goes_on_with_the_times_it_had(avi: Path, tmp_path: Path) -> None:
    hurt = damaged(avi, tmp_path / "hurt.avi", range(300, 303))

    whole = numbers(hurt, None)

    assert len(whole) == NUM_FRAMES
    assert whole[:300] == list(range(300))
    assert set(whole[300:303]) == {299, 303}  # what stands nearest is shown in their place
    assert whole[303:] == list(range(303, NUM_FRAMES))
    assert numbers(hurt, Segment(11.6, 14)) == whole[290:350]
    assert numbers(hurt, Segment(30, 31)) == list(range(750, 775))


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (range(300, 303), "the video is damaged: 3 packets cannot be decoded, first after 11.96 s; 997 frames can"),
        (range(1), "the video is damaged: 1 packet cannot be decoded, first before its first frame"),
        (range(0), None),
    ],
)
def test_damage_is_reported(avi: Path, tmp_path: Path, frames: range, told: str | None) -> None:
    missing = VideoFrames(damaged(avi, tmp_path / "hurt.avi", frames), partial=True).missing
    assert missing is None if told is None else str(missing).startswith(told)


def test_damage_is_reported_for_the_read_segment_only(avi: Path, tmp_path: Path) -> None:
    source = VideoFrames(damaged(avi, tmp_path / "hurt.avi", range(300, 330)), partial=True)

    hurt, sound = source.read_segment(Segment(11, 14), 25.0), source.read_segment(Segment(30, 31), 25.0)

    assert str(hurt.missing).startswith("the video is damaged: 30 packets cannot be decoded, first after 11.96 s")
    assert len(list(hurt.frames)) == 75
    assert sound.missing is None
    assert len(list(sound.frames)) == 25


def test_a_gap_in_a_container_is_reported_and_later_frames_keep_their_times(tmp_path: Path) -> None:
    # Without the header of a block FFmpeg knows where the next cluster begins, and nothing in between.
    data = bytearray(write_numbered_video(tmp_path / "whole.mkv", "MJPG", 25.0).read_bytes())
    block = data.index(b"\xa3", len(data) // 2)
    while data[block + 3] != 0x81:  # the number of the track, behind a length of two bytes
        block = data.index(b"\xa3", block + 1)
    data[block] = 0
    (tmp_path / "hurt.mkv").write_bytes(data)

    missing = VideoFrames(tmp_path / "hurt.mkv", partial=True).missing
    shown = numbers(tmp_path / "hurt.mkv", None)

    assert re.match(r"no frame between \d\d\.\d\d and \d\d\.\d\d s: the video is frozen there", str(missing))
    first, last = map(float, re.findall(r"\d\d\.\d\d", str(missing)))
    hole = range(round(first * 25) + 1, round(last * 25))
    assert len(hole) > 12
    assert [number for number in range(NUM_FRAMES) if number not in shown] == list(hole)
    assert shown[hole.stop :] == list(range(hole.stop, NUM_FRAMES))


def test_a_video_of_one_frame_every_second_has_no_gaps(tmp_path: Path) -> None:
    assert VideoFrames(write_numbered_video(tmp_path / "slow.avi", "MJPG", 1.0), partial=True).missing is None


def test_a_video_with_a_damaged_beginning_keeps_its_times(avi: Path, tmp_path: Path) -> None:
    hurt = damaged(avi, tmp_path / "hurt.avi", range(10))

    shown = numbers(hurt, None)

    assert shown[0] == 10
    assert shown[11:] == list(range(11, NUM_FRAMES))
    assert numbers(hurt, Segment(30, 31)) == list(range(750, 775))


def test_a_clip_of_a_corpus_may_lack_a_few_frames_but_not_many(avi: Path, tmp_path: Path) -> None:
    few = damaged(avi, tmp_path / "few.avi", range(300, 310))
    assert open_frames(few).num_frames == NUM_FRAMES - 10
    many = damaged(avi, tmp_path / "many.avi", range(300, 330))
    with pytest.raises(MediaError, match=r"many\.avi: the video is damaged, 970 of 1000 frames decode"):
        _ = open_frames(many).num_frames
    with pytest.raises(MediaError, match=r"many\.avi: the video is damaged"):
        numbers(many, Segment(12, 14))
    assert numbers(many, Segment(30, 31)) == list(range(750, 775))  # far from the damage
    assert open_frames(many, partial=True).num_frames == NUM_FRAMES - 30


def test_a_few_repeated_times_do_not_invalidate_the_others() -> None:
    times = np.arange(200) / 25 + 3 * (np.arange(200) > 100)  # and a pause, which a fixed rate would not know
    times[50] = times[49]
    times[151] = times[149]
    risen = increase(times)
    assert risen is not None
    assert (np.diff(risen) > 0).all()
    np.testing.assert_allclose(risen[50:52], [times[49], times[51]], atol=1e-3)
    np.testing.assert_allclose(risen[150:153], [times[150], times[150], times[152]], atol=1e-3)


@pytest.mark.parametrize("times", [np.zeros(100), np.tile(np.arange(50) / 25, 2), np.repeat(np.arange(50) / 25, 2)])
def test_times_that_do_not_increase_are_rejected(times: NDArray[np.float64]) -> None:
    assert increase(times) is None
