"""How time and memory grow with the frames of a clip, the clips of a batch, the size of pictures, and workers.

    python -m benchmarks.growth --plot docs/images/growth.png
    python -m benchmarks.growth --size 64

The curves over frames and clips are drawn; those over pictures and workers are in the table alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.drawn_corpus import drawn_corpus
from benchmarks.loading import num_frames
from benchmarks.measuring import THREADS, alternate, median, report
from cslr_cli.dataset.manifest import PreparedCorpus

FRAMES = (25, 50, 100, 200, 400, 800)
BATCHES = (1, 2, 4, 8)
SIZES = (112, 160, 224, 320)
WORKERS = (1, 2)
LOADED_CLIPS = 20
AXES = {"frames": "frames of a clip", "batch": "clips of a batch", "size": "pixels of a side"}


def measured(kind: str, batch: int, num_frames: int, size: int, threads: int) -> dict[str, object]:
    """One training step or one pass of inference in a process of its own; the second run of two counts."""
    arguments = [f"--batch={batch}", f"--frames={num_frames}", f"--size={size}", f"--threads={threads}"]
    module = "benchmarks.train_step" if kind == "training" else "benchmarks.inference"
    (runs,) = alternate(module, ["bf16"], arguments, 2).values()
    return {
        "kind": kind,
        "batch": batch,
        "frames": num_frames,
        "size": size,
        "seconds": round(runs[-1].seconds, 3),
        "processor_seconds": round(runs[-1].processor, 3),
        "peak_mib": round(runs[-1].peak_mib),
    }


def measurements(threads: int, size: int) -> list[dict[str, object]]:
    """All points of all curves."""
    points = [(1, frames, size) for frames in FRAMES]
    points += [(batch, 100, size) for batch in BATCHES[1:]]
    points += [(1, 50, other) for other in SIZES]
    kinds = ("training", "inference")
    return [measured(kind, *point, threads) for kind in kinds for point in dict.fromkeys(points)]


def loading_rows(repeats: int) -> list[dict[str, object]]:
    """Training clips loaded by one worker, and by two."""
    with drawn_corpus(LOADED_CLIPS, 1) as path:
        corpus = PreparedCorpus.open(path)
        frames = num_frames(corpus, corpus.samples("train"))
        rows = []
        for workers in WORKERS:
            arguments = [f"--corpus={path}", f"--workers={workers}"]
            (runs,) = alternate("benchmarks.loading", ["cslr"], arguments, repeats).values()
            seconds = round(median(runs), 3)
            rows.append({"workers": workers, "seconds": seconds, "frames_per_second": round(frames / seconds)})
    return rows


def draw(rows: list[dict[str, object]], path: Path, size: int) -> None:
    """Time and memory over frames and over clips, with the straight line through the first and the last point."""
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
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="pixels, of the curves over frames and clips")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--plot", type=Path, help="where to draw it")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = measurements(given.threads, given.size)
    if given.plot:
        draw(rows, given.plot, given.size)
    report("Growth in bf16", rows, as_json=given.json)
    report("Loading", loading_rows(5), as_json=given.json)


if __name__ == "__main__":
    main()
