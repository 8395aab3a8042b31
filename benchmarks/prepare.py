"""Speed of `cslr prepare`: annotations only, a manifest, and frames, compared with a bare loop and on several cores.

    python -m benchmarks.prepare
    python -m benchmarks.prepare --clips 64 --workers 4 --repeats 5

The compared measurements take turns and the best of each is shown, so that other load on the machine affects all of
them. Wall time and processor time are shown; processor time is also valid on a busy machine.
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

# Size of PHOENIX2014.
CLIPS = {"train": 5671, "dev": 540, "test": 629}
NUM_GLOSSES = Phoenix2014.vocabulary_size or 0
GLOSSES_PER_CLIP = 11

# Prepares annotations in a new process and prints time and memory.
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


# Prepares a manifest in a new process and prints time and memory.
MANIFEST_PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from cslr_cli.corpora import OwnCorpus
from cslr_cli.corpora.preparation import PreparationOptions, prepare
manifest, output = map(Path, sys.argv[1:])
start = time.perf_counter()
prepare(OwnCorpus("own", manifest=manifest), manifest.parent, output, PreparationOptions(frames=False))
used = resource.getrusage(resource.RUSAGE_SELF)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "kib": used.ru_maxrss}))
"""


@dataclass(frozen=True)
class Run:
    """Times of one run.

    Attributes:
        clock: wall time, seconds.
        processor: processor time of this process and its child processes, seconds.
    """

    clock: float
    processor: float


def time_work(work: Callable[[], object]) -> Run:
    """Measure the time of some work."""
    clock, processor = time.perf_counter(), _processor_seconds()
    work()
    return Run(time.perf_counter() - clock, _processor_seconds() - processor)


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def best_times(runs: list[Run]) -> Run:
    """Return the minimum of both times."""
    return Run(min(run.clock for run in runs), min(run.processor for run in runs))


def write_annotations(folder: Path, share: float) -> int:
    """Write annotations like those of PHOENIX2014; return the number of clips."""
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
    """Measure time and memory of `--no-frames`, for multiples of the size of PHOENIX2014."""
    print("annotations only (--no-frames)")
    for share in (0.25, 0.5, 1.0, 2.0):
        source, output = work / f"annotations-{share}", work / f"bare-{share}"
        num_clips = write_annotations(source, share)
        command = [sys.executable, "-c", ANNOTATIONS_PROGRAM, str(source), str(output)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"  {num_clips:6d} clips {result['seconds']:6.2f} s {result['kib'] / 1024:6.0f} MiB peak memory")


def write_manifest(folder: Path, num_clips: int) -> Path:
    """Write the manifest of your own corpus, with umlauts in its glosses."""
    generator = random.Random(0)
    glosses = [f"{'ÜBUNG' if number % 3 else 'GLOSS'}{number}" for number in range(2000)]
    lines = ["path,glosses,signer,translation"]
    for number in range(num_clips):
        sentence = " ".join(generator.choices(glosses, k=8))
        lines.append(f"videos/s{number % 40}/clip{number}.mp4,{sentence},signer{number % 40},ein Satz {number}")
    folder.mkdir(parents=True)
    path = folder / "clips.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measure_manifest(work: Path, num_clips: int) -> None:
    """Measure time and memory of `cslr prepare --manifest --no-frames`, as a command in a new process."""
    manifest = write_manifest(work / "own", num_clips)
    command = [sys.executable, "-c", MANIFEST_PROGRAM, str(manifest), str(work / "own-prepared")]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    print(f"your own corpus: {num_clips} clips of a manifest, --no-frames")
    print(f"  {result['seconds']:6.2f} s, {result['processor']:6.2f} s processor time, {result['kib'] / 1024:4.0f} MiB")


def run_bare_loop(pictures: list[Path]) -> None:
    """Decode, resize and encode every picture."""
    for path in pictures:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        cv2.imencode(".png", cv2.resize(picture, (256, 256), interpolation=cv2.INTER_LANCZOS4))


def measure_frames(work: Path, num_clips: int, workers: int, repeats: int) -> None:
    """Measure frames per second of a bare loop, one process and several processes."""
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
    run_bare_loop(pictures)  # so that the files are cached for all measurements
    for _ in range(repeats):
        bare.append(time_work(lambda: run_bare_loop(pictures)))
        one.append(time_work(lambda: prepare_with(1)))
        several.append(time_work(lambda: prepare_with(workers)))
    print(f"frames: {len(pictures)} pictures of 210×260 to 256×256 in {num_clips + 3} clips, best of {repeats}")
    for name, runs in (("bare loop", bare), ("1 process", one), (f"{workers} processes", several)):
        run = best_times(runs)
        rates = (
            f"{len(pictures) / run.clock:7.0f} per second, {len(pictures) / run.processor:6.0f} per processor second"
        )
        print(f"  {name:12s} {rates}")
    by_clock = best_times(bare).clock / best_times(one).clock
    by_processor = best_times(bare).processor / best_times(one).processor
    print(f"  1 process reaches {by_clock:.0%} of the bare loop ({by_processor:.0%} by processor time)")
    print(f"  {workers} processes are {best_times(one).clock / best_times(several).clock:.2f} times as fast as one")


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100, help="number of clips, about 46 frames each")
    parser.add_argument("--workers", type=int, default=2, help="number of processes to compare with one")
    parser.add_argument("--repeats", type=int, default=3, help="number of runs; the best is shown")
    parser.add_argument("--manifest-clips", type=int, default=20_000, help="number of clips of a manifest")
    parser.add_argument("--smoke", action="store_true", help="measure only a small manifest, to try the program")
    arguments = parser.parse_args()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            measure_manifest(Path(folder), 200)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_annotations(Path(folder))
        measure_manifest(Path(folder), arguments.manifest_clips)
        measure_frames(Path(folder), arguments.clips, arguments.workers, arguments.repeats)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"largest process: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
