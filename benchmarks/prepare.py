"""How fast `cslr prepare` is: annotations alone, and frames against a bare loop and on several cores.

    python -m benchmarks.prepare
    python -m benchmarks.prepare --clips 64 --workers 4 --repeats 5

Every measurement is repeated in turn with what it is compared to, and the best of each counts: so that
what else the machine does falls on both alike. Times are of the clock; beside them stands processor time,
which says the same where the cores are shared with other work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cslr_cli.corpora import find_reader
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release

# PHOENIX2014's own size.
CLIPS = {"train": 5671, "dev": 540, "test": 629}
NUM_GLOSSES = Phoenix2014.vocabulary_size
GLOSSES_PER_CLIP = 11

# Prepares annotations in a process of its own, and says how long it took and how much memory.
ANNOTATIONS_PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
start = time.perf_counter()
prepare(find_reader("phoenix2014"), Path(sys.argv[1]), Path(sys.argv[2]), PreparationOptions(frames=False))
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


@dataclass(frozen=True)
class Run:
    """One run of something.

    Attributes:
        clock: seconds by the clock.
        processor: seconds of processor time, of this process and those that it started.
    """

    clock: float
    processor: float


def measured(work: Callable[[], object]) -> Run:
    """Time some work."""
    clock, processor = time.perf_counter(), _processor_seconds()
    work()
    return Run(time.perf_counter() - clock, _processor_seconds() - processor)


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def best(runs: list[Run]) -> Run:
    """The least of both times."""
    return Run(min(run.clock for run in runs), min(run.processor for run in runs))


def write_annotations(folder: Path, share: float) -> int:
    """Write annotations like those of PHOENIX2014; give the number of their lines."""
    choose = random.Random(0)
    glosses = [f"GLOSS{number:04d}" for number in range(NUM_GLOSSES)]
    total = 0
    for split, full in CLIPS.items():
        num_clips = round(full * share)
        lines = ["id|folder|signer|annotation"]
        for number in range(num_clips):
            name = f"{1 + number % 28:02d}April_2010_Thursday_heute_default-{split}-{number}"
            sentence = " ".join(choose.choices(glosses, k=choose.randint(1, 2 * GLOSSES_PER_CLIP)))
            lines.append(f"{name}|{name}/1/*.png|Signer{1 + number % 9:02d}|{sentence}")
        path = folder / "annotations" / "manual" / f"{split}.corpus.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        total += num_clips
    return total


def measure_annotations(work: Path) -> None:
    """Time and memory of `--no-frames`, for all of PHOENIX2014's clips and for parts of them."""
    print("annotations alone (--no-frames)")
    for share in (0.25, 0.5, 1.0, 2.0):
        source, output = work / f"annotations-{share}", work / f"bare-{share}"
        num_clips = write_annotations(source, share)
        command = [sys.executable, "-c", ANNOTATIONS_PROGRAM, str(source), str(output)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"  {num_clips:6d} clips {told['seconds']:6.2f} s {told['kib'] / 1024:6.0f} MiB at most")


def bare_loop(pictures: list[Path]) -> None:
    """Decode, resize and encode every picture, and nothing else."""
    for path in pictures:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        cv2.imencode(".png", cv2.resize(picture, (256, 256), interpolation=cv2.INTER_LANCZOS4))


def measure_frames(work: Path, num_clips: int, workers: int, repeats: int) -> None:
    """Frames a second of one process against a bare loop, and of several against one."""
    release = work / "release"
    options = SyntheticOptions(num_train_clips=num_clips, num_dev_clips=1, num_test_clips=2, num_signers=2)
    make_release(release, options, workers=os.cpu_count() or 1)
    pictures = sorted(release.rglob("*.png"))
    cv2.setNumThreads(0)

    def prepare_with(count: int) -> None:
        output = work / "prepared"
        prepare(find_reader("synthetic"), release, output, PreparationOptions(), workers=count)
        shutil.rmtree(output)

    bare, one, several = [], [], []
    bare_loop(pictures)  # so that every measurement finds the pictures in memory
    for _ in range(repeats):
        bare.append(measured(lambda: bare_loop(pictures)))
        one.append(measured(lambda: prepare_with(1)))
        several.append(measured(lambda: prepare_with(workers)))
    print(f"frames: {len(pictures)} pictures of 210×260 to 256×256 in {num_clips + 3} clips, best of {repeats}")
    for name, runs in (("bare loop", bare), ("1 process", one), (f"{workers} processes", several)):
        run = best(runs)
        rates = f"{len(pictures) / run.clock:7.0f} a second, {len(pictures) / run.processor:6.0f} a processor second"
        print(f"  {name:12s} {rates}")
    by_clock = best(bare).clock / best(one).clock
    by_processor = best(bare).processor / best(one).processor
    print(f"  1 process reaches {by_clock:.0%} of the bare loop ({by_processor:.0%} by processor time)")
    print(f"  {workers} processes are {best(one).clock / best(several).clock:.2f} times as fast as one")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100, help="drawn clips, of about 46 frames each")
    parser.add_argument("--workers", type=int, default=2, help="processes to compare with one")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement; the best counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_annotations(Path(folder))
        measure_frames(Path(folder), arguments.clips, arguments.workers, arguments.repeats)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"largest process: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
