"""Speed of reading videos, compared with plain loops over OpenCV.

    python -m benchmarks.video
    python -m benchmarks.video --seconds 20 --repeats 5 --json
    python -m benchmarks.video --jobs part

Jobs: all frames of a video of 1280 × 720 and of 1920 × 1080 pixels (H.264, 25 frames per second), and 2 seconds from
the middle of an hour. The side "opencv" decodes once, and converts to RGB. The side "twice" finds the times of all
frames first, as version 0.1 did, and as is needed for a video of an uneven rate. The compared value is the number of
frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import alternate_runs, report, serve, summarize_sides
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import Segment

SIDES = ("opencv", "twice", "cslr")
FPS = 25
# Frames of each job: width, height. The hour consists of repeated seconds.
JOBS = {"720p": (1280, 720), "1080p": (1920, 1080), "part": (640, 360)}
PART_START, PART_SECONDS, HOUR = 1800.0, 2.0, 3600


def draw_frames(number: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Draw a textured background with two moving hands, and the noise of a camera; uint8 (H, W, 3), RGB."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(60, 200, (height // 16, width // 16, 3)).astype(np.uint8), (width, height))
    noise = rng.integers(0, 17, (height, 2 * width, 1), dtype=np.uint8)
    for index in range(number):
        shift = int(rng.integers(width))
        frame = texture + noise[:, shift : shift + width]
        for side in (-1, 1):
            middle = (
                round(width * (0.5 + side * (0.15 + 0.08 * np.sin(index / 4)))),
                round(height * (0.5 + 0.2 * np.cos(index / 5 + side))),
            )
            cv2.circle(frame, middle, height // 10, (210, 160, 130), -1)
        yield frame


def write_video(path: Path, num_frames: int, width: int, height: int) -> None:
    """Write an H.264 video with B-frames and a key frame every 2 seconds."""
    options = {"preset": "veryfast", "crf": "23", "g": str(2 * FPS), "bf": "2"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in draw_frames(num_frames, width, height):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def repeat_video(path: Path, longer: Path, num_frames: int, repeats: int) -> None:
    """Write a video of `num_frames` frames many times in a row, without encoding it again."""
    with av.open(str(longer), "w") as target:
        copied = None
        for repeat in range(repeats):
            with av.open(str(path)) as source:
                stream = source.streams.video[0]
                copied = copied or target.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.size and packet.time_base and packet.pts is not None and packet.dts is not None:
                        shift = round(repeat * num_frames / (FPS * packet.time_base))
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = copied
                        target.mux(packet)


def read_with_opencv(path: Path, start: float = 0.0, seconds: float | None = None, *, times_first: bool = False) -> int:
    """Read frames in a plain loop, convert them to RGB, and return their number."""
    if times_first:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if start:
            capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * start)
        times = list[float]()
        while capture.grab() and (seconds is None or len(times) < seconds * FPS):
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        capture.release()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if start:
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * start)
    number = 0
    while seconds is None or number < seconds * FPS:
        found, picture = capture.read()
        if not found:
            break
        cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        number += 1
    capture.release()
    return number


def read_with_cslr(path: Path, start: float = 0.0, seconds: float | None = None) -> int:
    """Read frames at an even rate, as `cslr predict` does, and return their number."""
    source = open_frames(path)
    if seconds is None:
        return sum(1 for _ in source.iterate(source.resample(FPS).indices))
    return sum(1 for _ in source.read_segment(Segment(start, start + seconds), FPS).frames)


def make_reading_run(side: str, job: str, path: Path) -> Callable[[], float]:
    """Return the work of a side in one run, which returns the number of frames."""
    part = (PART_START, PART_SECONDS) if job == "part" else (0.0, None)
    if side == "cslr":
        return lambda: float(read_with_cslr(path, *part))
    return lambda: float(read_with_opencv(path, *part, times_first=side == "twice"))


def write_job(job: str, folder: Path, num_frames: int) -> Path:
    """Write the video of a job, and return its path."""
    path = folder / f"{job}.mp4"
    write_video(path, num_frames, *JOBS[job])
    if job == "part":
        repeat_video(path, folder / "hour.mp4", num_frames, round(HOUR * FPS / num_frames))
        return folder / "hour.mp4"
    return path


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="*", choices=JOBS, default=list(JOBS), help="jobs (default: all)")
    parser.add_argument("--seconds", type=int, default=10, help="length of a video, seconds, even (default: 10)")
    parser.add_argument("--repeats", type=int, default=5, help="runs per side, in turn; medians are shown (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        serve(make_reading_run(given.side, given.jobs[0], given.path))
        return
    for job in given.jobs:
        with TemporaryDirectory(prefix="cslr-video-") as folder:
            num_frames = given.seconds * FPS
            path = write_job(job, Path(folder), num_frames)
            runs = alternate_runs("benchmarks.video", SIDES, [f"--path={path}", "--jobs", job], given.repeats)
            num_read = round(PART_SECONDS * FPS) if job == "part" else num_frames
            rows = summarize_sides(runs, SIDES[0], num_read)
            what = f"{PART_SECONDS:g} s in the middle of an hour" if job == "part" else f"{num_frames} frames"
            title = f"Reading {what}, {JOBS[job][0]} × {JOBS[job][1]}, H.264"
            report(title, rows, as_json=given.json, mebibytes=round(path.stat().st_size / 2**20, 1))


if __name__ == "__main__":
    main()
