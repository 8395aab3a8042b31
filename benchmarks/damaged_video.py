"""Damaged videos: how many frames are still read with their right times, compared with a plain OpenCV loop.

    python -m benchmarks.damaged_video
    python -m benchmarks.damaged_video --files 200 --seed 7 --output faults/
    python -m benchmarks.damaged_video --smoke

Whole videos in four containers get flipped bits or a cut end. Each frame shows its number, so a frame counts only if
it shows a readable number at the time of that number. The plain side reads as version 0.1 did: it skips packets that
OpenCV cannot decode. The exit status is 1 if cslr reads fewer such frames than the plain side in any container, or if
a file ends in a traceback, a crash, 10 seconds or 1 GB of memory; `--output` gets these files.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import CslrError
from cslr_cli.media.frames import open_frames

MAX_SECONDS, MAX_MIB = 10.0, 1000
_START_SECONDS = 120.0
_SMOKE_FILES = 8

NUM_FRAMES, FPS = 100, 25
# Frames are 128 × 96. The top shows the number in 8 blocks, the bottom shows the opposite of each block.
_BITS, _BLOCK, _HEIGHT = 8, 16, 96
_DARK, _BRIGHT = 40, 215
_LEAST_CONTRAST = 60

# Codec, its options, and those of the container.
SOURCES = {
    ".mp4": ("libx264", {"preset": "veryfast", "crf": "18", "g": "25"}, {"movflags": "+faststart"}),
    ".mkv": ("libx264", {"preset": "veryfast", "crf": "18", "g": "25"}, {}),
    ".avi": ("mpeg4", {"qscale": "2", "g": "12"}, {}),
    ".ts": ("mpeg2video", {"qscale": "2", "g": "12", "bf": "2"}, {}),
}

# Numbers that the frames show, None if unreadable, and their times in seconds.
Reading = tuple[list[int | None], list[float]]


def draw_numbered_frame(number: int) -> NDArray[np.uint8]:
    """Draw a frame that shows its number, uint8 (96, 128, 3), RGB."""
    frame = np.empty((_HEIGHT, _BITS * _BLOCK, 3), np.uint8)
    frame[:] = np.linspace(60, 180, frame.shape[1])[None, :, None]
    frame[32:64, (5 * number) % 100 : (5 * number) % 100 + 20] = (220, 60, 40)  # something that moves
    for place in range(_BITS):
        is_set = number >> place & 1
        columns = slice(place * _BLOCK, (place + 1) * _BLOCK)
        frame[:_BLOCK, columns] = _BRIGHT if is_set else _DARK
        frame[-_BLOCK:, columns] = _DARK if is_set else _BRIGHT
    return frame


def read_number(frame: NDArray[np.uint8]) -> int | None:
    """Return the number that a frame shows; None if a block is not readable."""
    if frame.shape != (_HEIGHT, _BITS * _BLOCK, 3):
        return None
    top, bottom = (
        rows.reshape(_BLOCK, _BITS, _BLOCK * 3).mean(axis=(0, 2)) for rows in (frame[:_BLOCK], frame[-_BLOCK:])
    )
    contrast = top - bottom
    if (np.abs(contrast) < _LEAST_CONTRAST).any():
        return None
    return int(((contrast > 0) << np.arange(_BITS)).sum())


def write_source(path: Path) -> None:
    """Write the whole video with the container of the path's suffix."""
    codec, options, container_options = SOURCES[path.suffix]
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = _BITS * _BLOCK, _HEIGHT, "yuv420p"
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(draw_numbered_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def damage(content: bytes, seed: int) -> bytes:
    """Cut off the end of a file, or flip 1 to 200 bits anywhere in it."""
    rng = random.Random(seed)
    if rng.random() < 0.3:
        return content[: rng.randrange(len(content) // 10, len(content))]
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 5, 20, 200))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def count_right_frames(reading: Reading) -> int:
    """Count the frames that show a readable number at the time of this number, each number once.

    The times count from the first frame that is left, or from the first frame of the whole video.
    """
    numbered = [(number, time) for number, time in zip(*reading, strict=True) if number is not None]
    if not numbered:
        return 0
    counts = []
    for origin in (0.0, numbered[0][0] / FPS - numbered[0][1]):
        counts.append(len({number for number, time in numbered if abs(time + origin - number / FPS) < 0.5 / FPS}))
    return max(counts)


# The two sides


def read_with_cslr(path: Path) -> Reading:
    """Read a damaged video as far as possible with the package."""
    source = open_frames(path, partial=True)
    times = source.timestamps
    numbers: list[int | None] = []
    with suppress(CslrError):
        numbers.extend(map(read_number, source.iterate()))
    return numbers, ([-1.0] * len(numbers) if times is None else times[: len(numbers)].tolist())


def read_plainly(path: Path) -> Reading:
    """Read a damaged video in a loop over OpenCV, as version 0.1 did."""
    # With several threads, damaged frames show something else in each run.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    numbers, milliseconds = [], list[float]()
    failed = num_failed = 0
    while capture.isOpened() and failed <= 300:
        if not capture.grab():
            failed, num_failed = failed + 1, num_failed + 1
            continue
        failed = 0
        time = capture.get(cv2.CAP_PROP_POS_MSEC)
        if num_failed and milliseconds and 0 < milliseconds[-1] >= time:
            continue  # a late frame
        found, picture = capture.retrieve()
        numbers.append(read_number(np.asarray(picture, dtype=np.uint8)[..., ::-1]) if found else None)
        milliseconds.append(time)
    fps = capture.get(cv2.CAP_PROP_FPS) or 1.0
    capture.release()
    times = (np.array(milliseconds) - milliseconds[:1]) / 1000
    # Times that decrease are raised a little; if more than 2 % do, an even rate replaces them.
    highest = np.maximum.accumulate(times)
    late = np.diff(highest, prepend=-np.inf) <= 0
    times = np.arange(len(times)) / fps if late.sum() > 0.02 * len(times) else highest + 1e-5 * np.cumsum(late)
    return numbers, times.tolist()


SIDES: dict[str, Callable[[Path], Reading]] = {"plain": read_plainly, "cslr": read_with_cslr}


@dataclass(frozen=True)
class Outcome:
    """What became of one file on one side.

    Attributes:
        right: number of frames with right times.
        fault: traceback, or what the process did; empty if it ended well.
        seconds: time, seconds.
        peak_mib: peak memory of the process, MiB.
    """

    right: int
    fault: str
    seconds: float
    peak_mib: int


class Reader:
    """A process that reads files on one side; a new one replaces it when it crashes or is too slow."""

    def __init__(self, side: str) -> None:
        self._side = side
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._side, other), daemon=True)
        self._process.start()
        other.close()
        if not self._connection.poll(_START_SECONDS):
            raise RuntimeError("the reading process did not start")
        self._connection.recv()

    def read(self, path: Path) -> Outcome:
        """Read a file."""
        status = Path(f"/proc/{self._process.pid}")
        with suppress(OSError):
            (status / "clear_refs").write_text("5")  # resets the peak memory
        self._connection.send(path)
        if not self._connection.poll(MAX_SECONDS):
            outcome = Outcome(0, f"more than {MAX_SECONDS:g} s", MAX_SECONDS, 0)
        else:
            try:
                right, fault, seconds = self._connection.recv()
                peak = _peak_mib(status)
                outcome = Outcome(right, fault or (f"{peak} MiB" if peak > MAX_MIB else ""), seconds, peak)
                return outcome
            except EOFError:
                self._process.join()
                outcome = Outcome(0, f"the process ended with {self._process.exitcode}", 0.0, 0)
        self.stop()
        self._start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _peak_mib(status: Path) -> int:
    with suppress(OSError):
        lines = (status / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
    return 0


def _serve(side: str, connection: Connection) -> None:
    """Answer each path with its number of right frames, the traceback, and the time in seconds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries print a line for each damaged packet
    connection.send("ready")
    while True:
        try:
            path: Path = connection.recv()
        except EOFError:
            return
        right, fault = 0, ""
        started = os.times().elapsed
        try:
            right = count_right_frames(SIDES[side](path))
        except (CslrError, OSError):
            pass  # said to the user
        except BaseException:
            fault = traceback.format_exc()
        connection.send((right, fault, os.times().elapsed - started))


@dataclass
class Summary:
    """The results of one container.

    Attributes:
        right: number of frames with right times, by side.
        files: number of files.
        worse: names of files of which cslr reads fewer such frames.
        slowest: longest time of cslr for a file, seconds.
        peak_mib: highest memory of cslr, MiB.
        faults: names of files that ended badly with cslr, and how.
    """

    right: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    files: int = 0
    worse: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak_mib: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether cslr is at least as good as the plain side and has no faults."""
        return self.right["cslr"] >= self.right["plain"] and not self.faults

    def add(self, name: str, outcomes: dict[str, Outcome]) -> None:
        """Add the outcomes of a file on both sides."""
        self.files += 1
        for side, outcome in outcomes.items():
            self.right[side] += outcome.right
        own = outcomes["cslr"]
        self.slowest, self.peak_mib = max(self.slowest, own.seconds), max(self.peak_mib, own.peak_mib)
        if own.right < outcomes["plain"].right:
            self.worse.append(f"{name} ({own.right} instead of {outcomes['plain'].right})")
        if own.fault:
            self.faults.append((name, own.fault))


def compare(folder: Path, num_files: int, seed: int, kept: Path | None) -> dict[str, Summary]:
    """Read damaged files of all containers in turn on both sides; return a summary for each container."""
    contents = {}
    for suffix in SOURCES:
        write_source(folder / f"whole{suffix}")
        contents[suffix] = (folder / f"whole{suffix}").read_bytes()
    summaries = {suffix: Summary() for suffix in SOURCES}
    readers = {side: Reader(side) for side in SIDES}
    try:
        for number in range(num_files):
            suffix = list(SOURCES)[number % len(SOURCES)]
            path = folder / f"{seed + number}{suffix}"
            path.write_bytes(damage(contents[suffix], seed + number))
            outcomes = {side: reader.read(path) for side, reader in readers.items()}
            summaries[suffix].add(path.name, outcomes)
            if kept is not None and (outcomes["cslr"].fault or outcomes["cslr"].right < outcomes["plain"].right):
                kept.mkdir(parents=True, exist_ok=True)
                (kept / path.name).write_bytes(path.read_bytes())
            path.unlink()
    finally:
        for reader in readers.values():
            reader.stop()
    return summaries


def print_report(summaries: dict[str, Summary]) -> None:
    """Print a table, the files that are read worse, and the faults."""
    names = (
        "container",
        "files",
        "right frames, plain",
        "right frames, cslr",
        "worse files",
        "slowest, s",
        "peak, MiB",
    )
    print(f"| {' | '.join((*names, 'faults'))} |\n{'|---' * (len(names) + 1)}|")
    for suffix, of in summaries.items():
        columns = [suffix[1:], of.files, of.right["plain"], of.right["cslr"], len(of.worse), f"{of.slowest:.2f}"]
        print(f"| {' | '.join(map(str, [*columns, of.peak_mib, len(of.faults)]))} |")
    for of in summaries.values():
        for text in of.worse:
            print(f"worse: {text}")
        for name, fault in of.faults:
            print(f"fault: {name}\n{fault}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200, help="number of files (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--output", type=Path, help="folder for files with faults, and for those that are read worse")
    parser.add_argument("--smoke", action="store_true", help=f"only {_SMOKE_FILES} files")
    given = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="cslr-damaged-") as folder:
        num_files = _SMOKE_FILES if given.smoke else given.files
        summaries = compare(Path(folder), num_files, given.seed, given.output)
    print_report(summaries)
    return 0 if all(summary.is_good for summary in summaries.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
