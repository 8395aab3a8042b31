"""Addresses as cameras, against servers of this machine: what arrives, when, and how the watch ends."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.errors import MediaError
from cslr_cli.media.frames import open_frames
from cslr_cli.media.network_stream import StreamTimeouts, open_address
from cslr_cli.recognizer.live.camera import CameraFrame, RealClock
from cslr_cli.recognizer.live.stream_camera import Reconnecting, StreamCamera, _Pacer

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")

PATIENCE = 60.0  # seconds, however busy the machine is
SECONDS, FPS = 3.0, 25
TIMEOUTS = StreamTimeouts(open=5.0, read=2.0)
RECONNECTING = Reconnecting(waits=(0.0, 0.2))
COLOURS = ((230, 40, 40), (40, 200, 60))  # of the left and the right half, BT.709


def encode(path: Path, *options: str, seconds: float = SECONDS) -> Path:
    left, right = (f"color=0x{red:02x}{green:02x}{blue:02x}:s=160x720:r={FPS}" for red, green, blue in COLOURS)
    graph = f"{left}[a];{right}[b];[a][b]hstack,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    asked = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", graph, "-t", str(seconds), "-c:v", "libx264"]
    tags = ["-preset", "ultrafast", "-g", "25", "-bf", "0", "-colorspace", "bt709"]
    subprocess.run([*asked, *tags, *options, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same film as `a.ts`, `a.mp4` and as HLS, and a mirrored one."""
    folder = tmp_path_factory.mktemp("film")
    encode(folder / "a.ts")
    for name, options in {
        "a.mp4": ("-movflags", "+faststart"),
        "a.m3u8": ("-hls_time", "1", "-hls_playlist_type", "vod"),
    }.items():
        copied = ["ffmpeg", "-v", "error", "-y", "-i", str(folder / "a.ts"), "-c", "copy", *options]
        subprocess.run([*copied, str(folder / name)], check=True)
    data = (folder / "a.mp4").read_bytes()
    upright = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    mirrored = b"".join(value.to_bytes(4, "big") for value in (2**32 - (1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    place = data.rindex(upright)  # the matrix of the track
    (folder / "mirrored.mp4").write_bytes(data[:place] + mirrored + data[place + 36 :])
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def send(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["ffmpeg", "-v", "error", *options])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serve_bytes(*answers: bytes, hang: bool = False, reset: bool = False) -> Iterator[str]:
    """Give each connection the next answer, then close it, reset it, or keep it open without a word."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        waiting = list(answers)
        kept = []
        listener.settimeout(0.1)
        while not done.is_set() and waiting:
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    connection.sendall(waiting.pop(0))
                if hang:
                    kept.append(connection)
                    continue
                if reset:
                    time.sleep(0.3)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
        if not hang:
            listener.close()
        done.wait()
        for connection in kept:
            connection.close()

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listener.close()


def connect(address: str) -> StreamCamera:
    """Open a camera as soon as its server listens."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return StreamCamera(address, RealClock(), 2.0, TIMEOUTS, RECONNECTING)
        except MediaError:
            assert time.monotonic() < end
            time.sleep(0.1)


def watch(camera: StreamCamera) -> list[CameraFrame]:
    """Take the frames of a camera until it ends."""
    end = time.monotonic() + PATIENCE
    frames: list[CameraFrame] = []
    try:
        while not camera.is_over:
            assert time.monotonic() < end
            frames += camera.take()
            time.sleep(0.02)
    finally:
        camera.close()
    return frames


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    end = time.monotonic() + PATIENCE
    while threading.active_count() > threads or len(os.listdir("/proc/self/fd")) > files:
        assert time.monotonic() < end, "a thread or an open file is left"
        time.sleep(0.05)


def check_frames(frames: list[CameraFrame], *, at_least: int = 1, mirrored: bool = False) -> None:
    assert len(frames) >= at_least
    times = [frame.time for frame in frames]
    assert times == sorted(times)
    colours = COLOURS[::-1] if mirrored else COLOURS
    for frame in (frames[0], frames[-1]):
        assert frame.pixels.shape == (720, 320, 3)
        assert np.abs(frame.pixels[:, :150].mean(axis=(0, 1)) - colours[0]).max() <= 6
        assert np.abs(frame.pixels[:, 170:].mean(axis=(0, 1)) - colours[1]).max() <= 6


# Live streams


@pytest.mark.parametrize("kind", ["http", "tcp", "udp"])
def test_a_live_stream_is_read_until_it_ends_and_then_a_message_says_so(film: Path, kind: str) -> None:
    port = free_port()
    targets = {
        "http": (f"http://127.0.0.1:{port}/a", ("-listen", "1")),
        "tcp": (f"tcp://127.0.0.1:{port}", ()),
        "udp": (f"udp://127.0.0.1:{port}", ()),
    }
    address, options = targets[kind]
    sent = f"{address}?listen=1" if kind == "tcp" else address
    with send("-re", "-i", str(film / "a.ts"), "-c", "copy", "-f", "mpegts", *options, sent):
        camera = connect(address)
        assert not camera.is_recording
        frames = watch(camera)
    check_frames(frames, at_least=25 if kind == "udp" else 70)
    assert frames[-1].time - frames[0].time <= SECONDS + 0.5
    what = "no data for 2 s" if kind == "udp" else "the stream has ended"
    assert f"{address}: {what}, and 2 attempts to connect again" in str(camera.error)


def test_a_stream_that_comes_back_is_watched_on(film: Path) -> None:
    data = (film / "a.ts").read_bytes()
    with serve_bytes(data, data[: len(data) // 2]) as address:
        camera = connect(address)
        frames = watch(camera)
    warnings = camera.take_warnings()
    assert warnings == [f"{address}: the stream has ended; connecting again"] * 2
    assert camera.num_frames > 1.3 * SECONDS * FPS
    assert "2 attempts to connect again" in str(camera.error)
    check_frames(frames)


def test_a_reset_connection_is_told(film: Path) -> None:
    with serve_bytes((film / "a.ts").read_bytes()[:-9000], reset=True) as address:
        camera = connect(address)
        check_frames(watch(camera))
    assert "attempts to connect again" in str(camera.error)


def test_a_server_that_stops_sending_ends_the_watch(film: Path) -> None:
    with serve_bytes((film / "a.ts").read_bytes(), hang=True) as address:
        camera = connect(address)
        begin = time.monotonic()
        frames = watch(camera)
    assert time.monotonic() - begin < PATIENCE / 2
    check_frames(frames)
    assert f"{address}: no data for 2 s" in str(camera.error)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\nhello", b"\0" * 100_000])
@pytest.mark.parametrize("hang", [False, True])
def test_a_server_without_video_is_an_error(answer: bytes, hang: bool) -> None:
    with serve_bytes(answer, hang=hang) as address:
        begin = time.monotonic()
        with pytest.raises(MediaError, match=r"127\.0\.0\.1"):
            StreamCamera(address, RealClock(), 2.0, StreamTimeouts(1.5, 1.5), RECONNECTING)
        assert time.monotonic() - begin < 15


def test_closing_ends_a_stream_at_once(film: Path) -> None:
    port = free_port()
    with send("-re", "-i", str(film / "a.ts"), "-c", "copy", "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"):
        camera = connect(f"tcp://127.0.0.1:{port}")
        while camera.num_frames < 5:
            time.sleep(0.01)
        begin = time.monotonic()
        camera.close()
        assert time.monotonic() - begin < 2.5
        camera.take()
    assert camera.is_over
    assert camera.error is None


# Recordings


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.m3u8", "mirrored.mp4"])
def test_a_recording_is_played_at_its_pace(film: Path, name: str) -> None:
    with serve_folder(film) as server:
        camera = StreamCamera(f"{server}/{name}", RealClock(), 60.0, TIMEOUTS, RECONNECTING)
        begin = time.monotonic()
        frames = watch(camera)
        assert time.monotonic() - begin > SECONDS - 0.5
    assert camera.is_recording
    assert camera.error is None
    assert len(frames) == SECONDS * FPS
    if not os.getloadavg()[0] > 8:  # a busy machine may be late
        assert np.diff([frame.time for frame in frames]) == pytest.approx(1 / FPS, abs=1e-3)
    check_frames(frames, mirrored=name.startswith("mirrored"))


def test_a_recording_that_breaks_off_is_an_error(film: Path) -> None:
    data = (film / "a.mp4").read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    with serve_bytes(head + data[: len(data) // 4]) as address:
        camera = StreamCamera(f"http{address[3:]}/a.mp4", RealClock(), 60.0, TIMEOUTS, RECONNECTING)
        frames = watch(camera)
    assert len(frames) < SECONDS * FPS / 2
    assert "the recording ends after" in str(camera.error)


# Times


class StillClock:
    """A clock that goes on only when somebody sets it, or sleeps."""

    time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_jitter_of_the_network_does_not_move_frames() -> None:
    clock = StillClock()
    pacer = _Pacer(clock, 2.0, waits=False)
    drawn = np.random.default_rng(0)
    found = []
    for number in range(100):
        clock.time = 1000.0 + number / 25 + (0.0 if number == 0 else float(drawn.uniform(0, 0.2)))
        found.append(pacer.time_of(7.0 + number / 25))
    assert found == pytest.approx(1000.0 + np.arange(100) / 25)


def test_after_a_stall_the_old_frames_are_dropped_and_the_newest_are_in_time() -> None:
    clock = StillClock()
    pacer = _Pacer(clock, 2.0, waits=False)
    for number in range(25):
        clock.time = 1000.0 + number / 25
        assert pacer.time_of(number / 25) is not None
    clock.time += 5  # then everything comes at once
    found = [pacer.time_of(number / 25) for number in range(25, 150)]
    assert all(time is None for time in found[:70])
    assert found[-1] == pytest.approx(1000.0 + 149 / 25)


def test_a_delay_that_stays_counts_as_normal() -> None:
    clock = StillClock()
    pacer = _Pacer(clock, 2.0, waits=False)
    found = []
    for number in range(25 * 30):
        clock.time = 1000.0 + number / 25 + (3.0 if number > 100 else 0.0)
        found.append(pacer.time_of(number / 25))
    assert found[-1] == pytest.approx(clock.time)
    assert sum(time is None for time in found) <= 25 * 10.1


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 0.04, 0.08, 0.2, 0.24], [0, 0.04, 0.08, 0.2, 0.24]),
        ([7, 7.5, 8, 108, 108.5], [0, 0.5, 1, 1, 1.5]),  # its times jump where recordings were joined
        ([0, 0, 0], [0, 0, 0]),  # and there may be none
    ],
)
def test_a_recording_waits_for_the_time_of_each_frame(times: list[float], expected: list[float]) -> None:
    clock = StillClock()
    pacer = _Pacer(clock, 2.0, waits=True)
    assert [pacer.time_of(time) for time in times] == pytest.approx([1000.0 + time for time in expected])
    assert clock.time == pytest.approx(1000.0 + expected[-1])


# Addresses and files


def test_a_playlist_cannot_read_local_files(film: Path, tmp_path: Path) -> None:
    shutil.copy(film / "a.ts", tmp_path / "secret.ts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(playlist)
    with serve_folder(tmp_path) as server, pytest.raises(MediaError):
        StreamCamera(f"{server}/list.m3u8", RealClock(), 2.0, TIMEOUTS, RECONNECTING)


def test_a_local_file_never_leads_to_an_address(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_folder(film) as server:
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{server}/a.ts\n#EXT-X-ENDLIST\n"
        (tmp_path / "list.m3u8").write_text(playlist)
        with pytest.raises(MediaError):
            _ = open_frames(tmp_path / "list.m3u8").num_frames
        with pytest.raises(ValueError, match="is not the address of a stream"):
            open_address(str(tmp_path / "list.m3u8"), TIMEOUTS)
