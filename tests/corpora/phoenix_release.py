"""Draws small releases in PHOENIX2014's layout for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEADER = "id|folder|signer|annotation"
FRAMES = "features/fullFrame-210x260px"

Clip = tuple[str, str, str]  # name, signer, annotation

CLIPS: Mapping[str, Sequence[Clip]] = {
    "train": [
        ("01April_2010_heute-1", "Signer04", "ICH OSTERN WETTER  WARM"),
        ("01April_2010_heute-2", "Signer01", "WETTER MORGEN WARM"),
    ],
    "dev": [("11May_2010_heute-6", "Signer04", "MORGEN S+H WARM")],
    "test": [("12July_2010_heute-3", "Signer01", "ICH UEBER WARM UEBER")],
}


def picture(seed: int, height: int = 26, width: int = 21) -> NDArray[np.uint8]:
    """A picture with smooth colours, uint8 (height, width, 3), RGB."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def write_picture(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write an RGB picture in the format that the name's suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


def clip_dir(root: Path, split: str, sample_id: str) -> Path:
    """Where the pictures of a clip are in the release."""
    return root / FRAMES / split / sample_id / "1"


def write_release(root: Path, clips: Mapping[str, Sequence[Clip]] = CLIPS, num_frames: int = 3) -> Path:
    """Write annotations and frames below `root`, without references; give `root` back."""
    for number, split in enumerate(clips):
        lines = [HEADER]
        (root / FRAMES / split).mkdir(parents=True)
        for place, (sample_id, signer, annotation) in enumerate(clips[split]):
            lines.append(f"{sample_id}|{sample_id}/1/*.png|{signer}|{annotation}")
            for frame in range(num_frames + place):
                name = f"{sample_id}.avi_pid0_fn{frame:06d}-0.png"
                write_picture(clip_dir(root, split, sample_id) / name, picture(100 * number + 10 * place + frame))
        write_annotation(root, split, "\n".join(lines) + "\n")
    return root


def write_annotation(root: Path, split: str, text: str) -> Path:
    """Write an annotation file as it stands."""
    path = root / "annotations" / "manual" / f"{split}.corpus.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path
