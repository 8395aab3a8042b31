"""Time and memory by number of frames, batch size, frame size and number of workers.

    python -m benchmarks.growth --plot docs/images/growth.png
    python -m benchmarks.growth --size 64

The plot shows the curves over frames and batch size; the others are only in the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.drawn_corpus import drawn_corpus
from benchmarks.loading import count_frames
from benchmarks.measuring import THREADS, alternate_runs, median, report
from cslr_cli.dataset.manifest import PreparedCorpus

FRAMES = (25, 50, 100, 200, 400, 800)
BATCHES = (1, 2, 4, 8)
SIZES = (112, 160, 224, 320)
WORKERS = (1, 2)
LOADED_CLIPS = 20
AXES = {"frames": "frames per clip", "batch": "clips per batch", "size": "pixels per side"}


def measure_point(kind: str, batch: int, num_frames: int, size: int, threads: int) -> dict[str, object]:
    """Measure a training step or an inference pass in a new process; the second of two runs is returned."""
    arguments = [f"--batch={batch}", f"--frames={num_frames}", f"--size={size}", f"--threads={threads}"]
    module = "benchmarks.train_step" if kind == "training" else "benchmarks.inference"
    (runs,) = alternate_runs(module, ["bf16"], arguments, 2).values()
    return {
        "kind": kind,
        "batch": batch,
        "frames": num_frames,
        "size": size,
        "seconds": round(runs[-1].seconds, 3),
        "processor_seconds": round(runs[-1].processor, 3),
        "peak_mib": round(runs[-1].peak_mib),
    }


def measure_curves(threads: int, size: int) -> list[dict[str, object]]:
    """Measure all points of all curves."""
    points = [(1, frames, size) for frames in FRAMES]
    points += [(batch, 100, size) for batch in BATCHES[1:]]
    points += [(1, 50, other) for other in SIZES]
    kinds = ("training", "inference")
    return [measure_point(kind, *point, threads) for kind in kinds for point in dict.fromkeys(points)]


def measure_loading(repeats: int) -> list[dict[str, object]]:
    """Measure loading of training clips with each number of workers."""
    with drawn_corpus(LOADED_CLIPS, 1) as path:
        corpus = PreparedCorpus.open(path)
        frames = count_frames(corpus, corpus.samples("train"))
        rows = []
        for workers in WORKERS:
            arguments = [f"--corpus={path}", f"--workers={workers}"]
            (runs,) = alternate_runs("benchmarks.loading", ["cslr"], arguments, repeats).values()
            seconds = round(median(runs), 3)
            rows.append({"workers": workers, "seconds": seconds, "frames_per_second": round(frames / seconds)})
    return rows


def draw_curves(rows: list[dict[str, object]], path: Path, size: int) -> None:
    """Draw time and memory over frames and over batch size, with a straight line from the first to the last point."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 4, figsize=(14, 3.4), constrained_layout=True)
    wanted = [("frames", 1, None), ("batch", None, 100)]
    for column, (axis, batch, frames) in enumerate(wanted):
        for kind in ("training", "inference"):
            of = [row for row in rows if row["kind"] == kind and row["size"] == size]
            of = [row for row in of if batch in (None, row["batch"]) and frames in (None, row["frames"])]
            of.sort(key=lambda row: float(str(row[axis])))
            x = np.array([float(str(row[axis])) for row in of])
            for offset, name in enumerate(("seconds", "peak_mib")):
                y = np.array([float(str(row[name])) for row in of])
                panel = panels[2 * column + offset]
                (line,) = panel.plot(x, y, "o", label=kind)
                panel.plot(x[[0, -1]], y[[0, -1]], "-", color=line.get_color(), linewidth=0.8)
                panel.set_xlabel(AXES[axis])
                panel.set_ylabel("seconds" if name == "seconds" else "peak MiB of the process")
                panel.set_ylim(bottom=0)
    panels[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run the benchmark, print the results and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="side of the frames in the plotted curves, pixels")
    parser.add_argument("--threads", type=int, default=THREADS, help="number of CPU threads")
    parser.add_argument("--plot", type=Path, help="file for the plot")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    rows = measure_curves(given.threads, given.size)
    if given.plot:
        draw_curves(rows, given.plot, given.size)
    report("Growth in bf16", rows, as_json=given.json)
    report("Loading", measure_loading(5), as_json=given.json)


if __name__ == "__main__":
    main()
