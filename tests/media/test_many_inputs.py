"""Reading many inputs, good and bad, leaves no open file, no thread and no memory behind."""

from __future__ import annotations

import gc
import os
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cslr_cli.errors import MediaError
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import Segment

VIDEOS = Path(__file__).parents[1] / "data" / "videos"
NUM_INPUTS = 200
_MEMORY_LIMIT = 40 * 2**20  # bytes; a leak of one frame per input would be more than twice that

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


def inputs(folder: Path) -> list[Path]:
    """A video of each kind, a zip, a folder, animations, and damaged copies of them."""
    pictures = [Image.fromarray(np.full((240, 320, 3), 10 * number, np.uint8)) for number in range(4)]
    (folder / "pictures").mkdir()
    with zipfile.ZipFile(folder / "clip.zip", "w") as archive:
        for number, picture in enumerate(pictures):
            picture.save(folder / "pictures" / f"{number}.png")
            archive.write(folder / "pictures" / f"{number}.png", f"{number}.png")
    for suffix in ("gif", "webp"):
        pictures[0].save(folder / f"clip.{suffix}", save_all=True, append_images=pictures[1:], duration=40)
    good = [
        *VIDEOS.glob("*.[mtw]*"),
        folder / "clip.zip",
        folder / "clip.gif",
        folder / "clip.webp",
        folder / "pictures",
    ]
    damaged = []
    for path in good:
        if path.is_file():
            data = path.read_bytes()
            damaged.append(folder / f"damaged-{path.name}")
            damaged[-1].write_bytes(data[: len(data) * 2 // 3])
    return [*good, *damaged]


def read(path: Path) -> None:
    with suppress(MediaError):
        source = open_frames(path, partial=True)
        next(source.iterate())  # and not its end
        source.read()
        for _ in source.read_segment(Segment(0, 0.08), 25.0).frames:
            pass


def memory() -> int:
    """The memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_files_threads_and_memory_stay_flat(tmp_path: Path) -> None:
    paths = inputs(tmp_path)
    for path in paths:
        read(path)
    gc.collect()
    files, threads, before = len(os.listdir("/proc/self/fd")), threading.active_count(), memory()
    for number in range(NUM_INPUTS):
        read(paths[number % len(paths)])
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files
    assert threading.active_count() <= threads
    assert memory() - before < _MEMORY_LIMIT
