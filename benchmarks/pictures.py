"""Speed of decoding the pictures of a prepared corpus on one core, compared with OpenCV.

    python -m benchmarks.pictures
    python -m benchmarks.pictures --video talk.mp4      # frames of a video instead of synthetic ones

Both sides decode the same files in turn and must give the same pixels.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.drawn_corpus import drawn_corpus
from benchmarks.measuring import report
from cslr_cli.corpora.preparation.clip_writer import ClipFormat, write_clip
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media.frames import open_frames
from cslr_cli.media.pictures import decode_picture

PICTURES = 48


def by_opencv(data: bytes) -> NDArray[np.uint8]:
    """Decode a picture, uint8 (H, W, 3), RGB, as the published code does."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def by_cslr(data: bytes) -> NDArray[np.uint8]:
    """Decode a picture, uint8 (H, W, 3), RGB."""
    return decode_picture(data, "picture")


SIDES: dict[str, Callable[[bytes], NDArray[np.uint8]]] = {"OpenCV": by_opencv, "cslr": by_cslr}


def prepared_pictures(video: Path | None) -> list[bytes]:
    """Return the first PNG files of a prepared clip, from a video or a synthetic corpus."""
    if video is None:
        with drawn_corpus(1, 1) as path:
            corpus = PreparedCorpus.open(path)
            return _files(corpus.frames_path(corpus.samples("train")[0]))
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.zip"
        write_clip(islice(open_frames(video).iterate(), PICTURES), clip, ClipFormat())
        return _files(clip)


def _files(clip: Path) -> list[bytes]:
    with ZipFile(clip) as archive:
        return [archive.read(name) for name in archive.namelist()[:PICTURES]]


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="video whose frames are decoded (default: synthetic frames)")
    parser.add_argument("--repeats", type=int, default=20, help="passes per side, in turn; medians are shown")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    files = prepared_pictures(given.video)
    assert all(np.array_equal(by_opencv(file), by_cslr(file)) for file in files)
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(given.repeats):
        for side, decode in SIDES.items():
            started = time.perf_counter()
            for file in files:
                decode(file)
            seconds[side].append((time.perf_counter() - started) / len(files))
    rows = [
        {
            "side": side,
            "milliseconds_per_picture": round(1000 * statistics.median(of), 3),
            "times_as_fast": round(statistics.median(a / b for a, b in zip(seconds["OpenCV"], of, strict=True)), 2),
        }
        for side, of in seconds.items()
    ]
    size = round(statistics.mean(map(len, files)) / 1000)
    report(f"Decoding {len(files)} pictures of {size} kB, one core", rows, as_json=given.json)


if __name__ == "__main__":
    main()
