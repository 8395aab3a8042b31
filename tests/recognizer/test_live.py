from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.cli.predict_live import format_summary
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.errors import MediaError, UsageError
from cslr_cli.recognizer import Recognizer, Segmentation
from cslr_cli.recognizer.live.camera import Camera, CameraFrame, DeviceCamera, FileCamera
from cslr_cli.recognizer.live.live_recognizer import EvenRateSampler, LiveGloss, LiveRecognizer, LiveSummary
from cslr_cli.recognizer.live.sliding_window import SlidingWindowRecognizer
from cslr_cli.recognizer.live.stability import StableGlossFilter, WindowResult
from cslr_cli.recognizer.live.stream_camera import is_camera, open_camera
from cslr_cli.recognizer.options import LiveOptions
from cslr_cli.scoring import TimedGloss

BEGAN = 1000.0  # what the clock says when the camera begins
PATIENCE = 240.0  # seconds for what happens in another thread, however busy the machine is


class FakeClock:
    """A clock that goes on only when somebody sleeps, or works."""

    def __init__(self) -> None:
        self.time = BEGAN

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakeCamera(Camera):
    """Gives numbered frames at a rate, on a fake clock."""

    def __init__(self, clock: FakeClock, seconds: float, fps: float = 25.0) -> None:
        super().__init__("fake", clock, max_wait=2.0)
        self._times = [BEGAN + number / fps for number in range(round(seconds * fps))]

    def take(self) -> list[CameraFrame]:
        while self.num_frames < len(self._times) and self._times[self.num_frames] <= self.clock.now():
            self._add(CameraFrame(self._times[self.num_frames], np.zeros((2, 2, 3), np.uint8)))
        return self._take_waiting()

    @property
    def is_over(self) -> bool:
        return self.num_frames >= len(self._times) and not self._waiting

    def close(self) -> None:
        del self._times[self.num_frames :]


class FakeRecognizer:
    """Knows what is signed when, and is as unsure at the ends of its window as a network.

    Args:
        truth: what is signed, on the frames' clock.
        clock: that its work takes time on.
        seconds: of the window.
        work: seconds that it takes for a second of frames.
    """

    fps = 25.0
    latency = 0.7

    def __init__(self, truth: Sequence[TimedGloss], clock: FakeClock, seconds: float = 6.0, work: float = 0.1) -> None:
        self.truth, self.clock, self.seconds, self.work = truth, clock, seconds, work
        self.frames: list[CameraFrame] = []
        self.rounds = 0
        self.finished = False

    def push(self, frames: Sequence[CameraFrame]) -> None:
        assert all(before.time < after.time for before, after in itertools.pairwise(frames))
        self.frames += frames
        self.clock.time += self.work * len(frames) / self.fps

    def finish(self) -> None:
        self.finished = True

    def recognize(self) -> WindowResult | None:
        if not self.frames:
            return None
        self.rounds += 1
        first = self.frames[0].time
        end = self.frames[-1].time + 1 / self.fps - (0.0 if self.finished else self.latency)
        start = max(first, end - self.seconds)
        cold = start > first
        jitter = 0.04 * (self.rounds % 3 - 1)
        seen = []
        for timed in self.truth:
            if not (start < timed.end and timed.start < end):
                continue
            near_end = timed.end > end - 0.45 and not self.finished
            unsure = near_end or (cold and timed.start < start + 0.45)
            gloss = f"WRONG{self.rounds}" if unsure else timed.gloss
            seen.append(TimedGloss(gloss, max(start, timed.start + jitter), min(end, timed.end + jitter), 0.5))
        return WindowResult(start, end, tuple(seen), starts_mid_stream=cold)


def truth(num_glosses: int, spacing: float = 0.9) -> list[TimedGloss]:
    """Signs of half a second, one after the other; some directly follow each other, and some occur again."""
    return [
        TimedGloss(f"G{number % 7}", BEGAN + 0.4 + spacing * number, BEGAN + 0.4 + spacing * number + 0.5)
        for number in range(num_glosses)
    ]


def watched(watching: LiveRecognizer) -> list[LiveGloss]:
    told = []
    while not watching.is_over:
        told += watching.step()
    return told + watching.finish()


# Stable glosses


def test_each_gloss_is_returned_once_in_order_despite_errors_at_the_edges() -> None:
    clock = FakeClock()
    signed = truth(30)
    watching = LiveRecognizer(FakeCamera(clock, 28.0), FakeRecognizer(signed, clock), LiveOptions())
    told = watched(watching)
    assert [gloss.timed.gloss for gloss in told] == [timed.gloss for timed in signed]
    for gloss, timed in zip(told, signed, strict=True):
        assert gloss.timed.start == pytest.approx(timed.start - BEGAN, abs=0.05)  # since the first frame
        assert gloss.timed.end == pytest.approx(timed.end - BEGAN, abs=0.05)


def test_the_delay_is_from_the_end_of_a_sign_to_its_output() -> None:
    clock = FakeClock()
    signed = truth(10)
    options = LiveOptions(interval=0.5, uncertain=0.5)
    watching = LiveRecognizer(FakeCamera(clock, 20.0), FakeRecognizer(signed, clock), options)
    delays = []
    while not watching.is_over:
        for gloss in watching.step():
            delays.append(gloss.delay)
            assert gloss.delay == pytest.approx(clock.now() - BEGAN - gloss.timed.end)
    # What the network needs of the future, the unsure end, and up to two looks until it is confirmed.
    assert len(delays) == 10
    assert min(delays) > FakeRecognizer.latency + 0.5
    assert max(delays) < FakeRecognizer.latency + 0.5 + 2 * 0.5 + 0.2
    summary = watching.summary()
    assert (summary.num_glosses, summary.longest_delay) == (10, max(delays))
    assert summary.median_delay == pytest.approx(float(np.median(delays)))
    assert (summary.num_frames, summary.num_dropped) == (500, 0)
    assert summary.seconds == pytest.approx(19.96)


def test_the_last_signs_are_returned_at_the_end() -> None:
    clock = FakeClock()
    signed = truth(3)
    watching = LiveRecognizer(FakeCamera(clock, 2.75), FakeRecognizer(signed, clock), LiveOptions())
    before = []
    while not watching.is_over:
        before += watching.step()
    assert len(before) < 3
    assert [gloss.timed.gloss for gloss in before + watching.finish()] == ["G0", "G1", "G2"]


def test_a_gloss_must_be_in_two_successive_windows() -> None:
    stable = StableGlossFilter(uncertain=0.5)
    glosses = (TimedGloss("A", 1.0, 1.5), TimedGloss("B", 3.8, 4.2))
    assert stable.update(WindowResult(0.0, 4.0, glosses)) == []
    assert stable.update(WindowResult(0.0, 4.4, (TimedGloss("C", 1.0, 1.5), glosses[1]))) == []
    assert stable.update(WindowResult(0.0, 4.5, glosses)) == []
    assert stable.update(WindowResult(0.0, 4.6, glosses)) == [glosses[0]]
    assert stable.update(WindowResult(0.0, 4.8, glosses)) == [glosses[1]]
    assert stable.update(WindowResult(0.0, 5.0, glosses)) == []


def test_a_returned_gloss_is_neither_repeated_nor_revoked() -> None:
    stable = StableGlossFilter(uncertain=0.5)
    for _ in range(2):
        told = stable.update(WindowResult(0.0, 4.0, (TimedGloss("A", 1.0, 1.6),)))
    assert [timed.gloss for timed in told] == ["A"]
    later = [
        (TimedGloss("A", 1.2, 1.9),),  # the same, a little later
        (TimedGloss("B", 1.0, 1.6),),  # something else at its time
        (TimedGloss("C", 0.2, 0.6), TimedGloss("A", 1.0, 1.6)),  # something before it
    ]
    for glosses in later:
        assert stable.update(WindowResult(0.0, 4.0, glosses)) == stable.update(WindowResult(0.0, 4.0, glosses)) == []
    again = (TimedGloss("A", 1.0, 1.6), TimedGloss("A", 2.0, 2.4))  # signed once more
    assert [stable.update(WindowResult(0.0, 4.0, again)) for _ in range(2)] == [[], [again[1]]]


def test_no_gloss_is_returned_before_an_earlier_unstable_one() -> None:
    stable = StableGlossFilter(uncertain=0.5)
    late = TimedGloss("LATE", 2.0, 2.4)
    stable.update(WindowResult(0.0, 4.0, (late,)))
    early = TimedGloss("EARLY", 1.0, 1.4)
    assert stable.update(WindowResult(0.0, 4.0, (early, late))) == []
    assert stable.update(WindowResult(0.0, 4.0, (early, late))) == [early, late]


# Too slow a machine


def test_a_slow_machine_drops_and_counts_frames_and_does_not_fall_behind() -> None:
    clock = FakeClock()
    signed = truth(66)
    camera = FakeCamera(clock, 60.0)
    recognizer = FakeRecognizer(signed, clock, work=1.6)  # for each second that it sees, more than one goes by
    watching = LiveRecognizer(camera, recognizer, LiveOptions())
    told = watched(watching)
    summary = watching.summary()
    assert summary.num_frames == 1500
    assert summary.num_dropped + len(recognizer.frames) == pytest.approx(1500, abs=60)
    assert summary.num_dropped / summary.num_frames == pytest.approx(1 - 1 / 1.6, abs=0.07)
    delays = [gloss.delay for gloss in told]
    assert len(delays) > 20
    assert max(delays[-5:]) < 9  # a queue would be more than 20 s behind by then
    names = [gloss.timed.gloss for gloss in told]
    assert not [name for name in names if name.startswith("WRONG")]


def test_a_gap_in_the_frames_is_not_filled() -> None:
    even = EvenRateSampler(10.0)
    frames = [
        CameraFrame(time, np.full((1, 1, 3), number, np.uint8)) for number, time in enumerate([0, 0.1, 0.2, 3.0, 3.1])
    ]
    chosen = even.sample(frames) + even.flush()
    assert [(round(frame.time, 2), int(frame.pixels[0, 0, 0])) for frame in chosen] == [
        *((0.0, 0), (0.1, 1), (0.2, 2)),
        *((3.0, 3), (3.1, 4)),
    ]


@pytest.mark.parametrize("fps", [7.0, 15.0, 25.0, 29.97, 60.0])
def test_a_camera_of_any_rate_is_resampled_to_the_corpus_rate(fps: float) -> None:
    even = EvenRateSampler(25.0)
    frames = [CameraFrame(5 + number / fps, np.full((1, 1, 3), number, np.uint8)) for number in range(round(3 * fps))]
    chosen = [
        frame for place in range(0, len(frames), 4) for frame in even.sample(frames[place : place + 4])
    ] + even.flush()
    assert len(chosen) == pytest.approx(75, abs=1 + 25 / fps)  # the last frame may stay for less than its time
    for place, frame in enumerate(chosen[:-1]):
        assert frame.time == pytest.approx(5 + place / 25)
        shown = 5 + int(frame.pixels[0, 0, 0]) / fps
        assert abs(shown - frame.time) <= 0.5 / fps + 1e-6  # the nearest there is


# Cameras


def test_a_file_is_played_in_real_time(tmp_path: Path) -> None:
    for number in range(50):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), np.full((4, 4, 3), number, np.uint8))
    clock = FakeClock()
    camera = FileCamera(tmp_path, clock, max_wait=1.0, picture_fps=10.0)
    clock.sleep(7)  # nothing is missed before somebody looks
    began = clock.now()
    first = camera.take()
    assert [frame.time for frame in first] == [began]
    clock.sleep(0.55)
    assert [int(frame.pixels[0, 0, 0]) for frame in camera.take()] == [1, 2, 3, 4, 5]
    clock.sleep(3.0)
    assert [int(frame.pixels[0, 0, 0]) for frame in camera.take()] == list(range(25, 36))  # a second, no more
    assert (camera.num_frames, camera.num_dropped, camera.is_over) == (36, 19, False)
    clock.sleep(10)
    camera.take()
    assert camera.is_over


class FakeCapture:
    """Gives frames as fast as it is allowed to, until it is told to stop."""

    def __init__(self, clock: FakeClock, num_frames: int) -> None:
        self.clock, self.left = clock, num_frames
        self.is_released = False
        self.may_go_on = threading.Semaphore(0)

    def read(self) -> tuple[bool, NDArray[Any] | None]:
        self.may_go_on.acquire()
        if not self.left:
            return False, None
        self.left -= 1
        self.clock.sleep(0.125)
        return True, np.full((2, 2, 3), (self.left, 0, 255), np.uint8)  # BGR

    def get(self, what: int) -> float:
        return 0.0

    def release(self) -> None:
        self.is_released = True


def wait_until(camera: DeviceCamera, num_frames: int) -> None:
    end = time.monotonic() + PATIENCE
    while camera.num_frames < num_frames:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_webcam_is_read_in_the_background_and_drops_the_oldest(tmp_path: Path) -> None:
    clock = FakeClock()
    capture = FakeCapture(clock, 40)
    camera = DeviceCamera("0", capture, clock, 1.0)  # type: ignore[arg-type]
    capture.may_go_on.release(5)
    wait_until(camera, 5)
    frames = camera.take()
    assert [frame.time - BEGAN for frame in frames] == [0.125, 0.25, 0.375, 0.5, 0.625]
    assert frames[0].pixels[0, 0].tolist() == [255, 0, 39]  # RGB
    capture.may_go_on.release(36)
    wait_until(camera, 40)
    left = camera.take()
    assert [frame.time - BEGAN for frame in left] == [4.0 + 0.125 * number for number in range(9)]  # the last second
    assert camera.num_dropped == 40 - 5 - 9
    camera.close()
    assert camera.is_over
    assert capture.is_released


def test_a_webcam_that_is_disconnected_ends_with_a_message() -> None:
    capture = FakeCapture(FakeClock(), 3)
    camera = DeviceCamera("0", capture, capture.clock, 100.0)  # type: ignore[arg-type]
    capture.may_go_on.release(4)
    wait_until(camera, 3)
    camera.close()
    assert len(camera.take()) == 3
    assert camera.is_over
    assert "camera 0: sends no more pictures" in str(camera.error)


def test_an_error_in_the_reading_thread_ends_the_watch_with_its_message() -> None:
    class Broken(FakeCapture):
        def read(self) -> tuple[bool, NDArray[Any] | None]:
            super().read()
            raise RuntimeError("the driver has crashed")

    capture = Broken(FakeClock(), 3)
    camera = DeviceCamera("0", capture, capture.clock, 100.0)  # type: ignore[arg-type]
    watching = LiveRecognizer(camera, FakeRecognizer([], capture.clock), LiveOptions())
    capture.may_go_on.release(1)
    end = time.monotonic() + PATIENCE
    while not watching.is_over:
        assert time.monotonic() < end
        watching.step()
    camera.close()
    assert capture.is_released
    assert str(camera.error) == "0: RuntimeError: the driver has crashed"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        *(("0", True), ("12", True), ("rtsp://host/1", True), ("HTTP://host/x.m3u8", True), ("udp://@:1234", True)),
        *(("talk.mp4", False), ("-", False), ("1.mp4", False), ("7", False), ("²", False), ("folder/0", False)),
    ],
)
def test_digits_that_are_no_file_and_addresses_are_cameras(
    argument: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("7").touch()
    assert is_camera(argument) == expected


@pytest.mark.parametrize("argument", ["97", "http://127.0.0.1:9/nothing.mp4"])
def test_a_missing_camera_is_an_error(argument: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_camera(argument)
    assert argument in str(caught.value)


@pytest.mark.parametrize("window", [0.0, 1.9, -3.0, float("nan"), float("inf")])
def test_a_window_without_a_certain_part_or_end_is_refused(window: float) -> None:
    with pytest.raises(UsageError, match="invalid window for live recognition"):
        LiveOptions(window=window)


# The network


@pytest.fixture(scope="module")
def recognizer(tiny_checkpoint: Checkpoint) -> Recognizer:
    return Recognizer(tiny_checkpoint, device=torch.device("cpu"), precision="fp32")


@pytest.fixture(scope="module")
def clip(tiny_release: Path, tiny_corpus: PreparedCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    write_clip_video(tiny_release, tiny_corpus.samples("test")[1].sample_id, path)
    return path


def test_a_clip_shorter_than_the_window_is_recognised_as_from_its_file(recognizer: Recognizer, clip: Path) -> None:
    clock = FakeClock()
    window = SlidingWindowRecognizer(recognizer, 60.0)
    watched(LiveRecognizer(FileCamera(clip, clock), window, LiveOptions(window=60.0)))
    expected = recognizer.recognize(clip, segmentation=Segmentation("none")).glosses
    last = window.recognize()
    assert last is not None
    assert not last.starts_mid_stream
    assert [timed.gloss for timed in last.glosses] == [timed.gloss for timed in expected]
    seen = [value for timed in last.glosses for value in (timed.start - BEGAN, timed.end - BEGAN, timed.confidence)]
    assert seen == pytest.approx(
        [value for timed in expected for value in (timed.start, timed.end, timed.confidence)], abs=1e-3
    )


def test_frames_before_the_window_are_dropped(recognizer: Recognizer) -> None:
    window = SlidingWindowRecognizer(recognizer, 2.0)
    rng = np.random.default_rng(0)
    for second in range(6):
        frames = [
            CameraFrame(second + number / 25, rng.integers(0, 255, (36, 36, 3), dtype=np.uint8)) for number in range(25)
        ]
        window.push(frames)
    found = window.recognize()
    assert found is not None
    assert found.starts_mid_stream
    assert found.end - found.start == pytest.approx(2.0, abs=0.17)
    assert 6 - 1.0 < found.end < 6
    assert len(window._features) < 25 * 4  # and so is its memory
    window.finish()
    last = window.recognize()
    assert last is not None
    assert last.end == pytest.approx(6.0)


def test_no_window_is_returned_before_there_are_frames(recognizer: Recognizer) -> None:
    window = SlidingWindowRecognizer(recognizer, 2.0)
    assert window.recognize() is None
    window.push([])
    window.finish()
    assert window.recognize() is None
    window = SlidingWindowRecognizer(recognizer, 2.0)
    window.push([CameraFrame(0.0, np.zeros((36, 36, 3), np.uint8))])
    assert window.recognize() is None  # what follows decides
    window.finish()
    assert window.recognize() is not None


@pytest.mark.parametrize(
    ("num_glosses", "expected"),
    [
        (0, "watched 2.0 s: 50 frames, 5 dropped (10 %); 0 glosses"),
        (1, "watched 2.0 s: 50 frames, 5 dropped (10 %); 1 gloss, 1.5 s after its end (median; at most 2.5 s)"),
        (3, "watched 2.0 s: 50 frames, 5 dropped (10 %); 3 glosses, 1.5 s after their end (median; at most 2.5 s)"),
    ],
)
def test_the_summary_is_one_line(num_glosses: int, expected: str) -> None:
    delays = (None, None) if num_glosses == 0 else (1.5, 2.5)
    assert format_summary(LiveSummary(2.0, 50, 5, num_glosses, *delays)) == expected
