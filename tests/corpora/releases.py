"""Writes small releases of every corpus for tests: real lines of their annotations, drawn frames."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.corpora.synthetic.body import find_joints
from cslr_cli.corpora.synthetic.drawing import draw_clip
from cslr_cli.corpora.synthetic.lexicon import SIGN_OF_GLOSS
from cslr_cli.corpora.synthetic.motion import perform
from cslr_cli.corpora.synthetic.options import SyntheticOptions, named_generator
from cslr_cli.corpora.synthetic.plan import plan_clips
from cslr_cli.corpora.synthetic.scene import make_scene

ANNOTATIONS = Path(__file__).parents[1] / "data" / "annotations"
NUM_FRAMES = 3
PHOENIX_FRAMES = "features/fullFrame-210x260px"


@lru_cache(maxsize=1)
def drawn_frames() -> tuple[NDArray[np.uint8], ...]:
    """Some frames of a drawn signer, uint8 (260, 210, 3), RGB."""
    clip = plan_clips(SyntheticOptions(num_train_clips=1, num_dev_clips=1, num_test_clips=2, num_signers=2))[0]
    performance = perform([SIGN_OF_GLOSS[gloss] for gloss in clip.glosses], clip.signer, named_generator(0, "motion"))
    scene = make_scene(clip.signer, performance.num_frames, named_generator(0, "scene"))
    joints = find_joints(performance, clip.signer, scene.sway)
    frames = draw_clip(performance, joints, clip.signer, scene)
    return tuple(np.array(frame) for frame in itertools.islice(frames, 8))


def write_frames(folder: Path, seed: int = 0, suffix: str = ".png", size: tuple[int, int] | None = None) -> None:
    """Write a clip: a few of the drawn frames, from the `seed`-th on."""
    folder.mkdir(parents=True)
    frames = drawn_frames()
    for number in range(NUM_FRAMES):
        frame = cv2.cvtColor(frames[(seed + number) % len(frames)], cv2.COLOR_RGB2BGR)
        if size is not None:
            frame = cv2.resize(frame, size)
        assert cv2.imwrite(str(folder / f"images{number + 1:04d}{suffix}"), frame)


def annotation_lines(name: str) -> list[str]:
    """The lines of a file of real annotation lines."""
    return (ANNOTATIONS / name).read_text(encoding="utf-8").splitlines()


def write_text(path: Path, lines: Sequence[str]) -> Path:
    """Write lines, and make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _dealt(rows: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The last row for test, the one before for dev, the others for train."""
    return {"train": rows[:-2], "dev": rows[-2:-1], "test": rows[-1:]}


def write_phoenix2014(release: Path) -> Path:
    """Write the multi-signer half, with the official references of dev; give its folder."""
    half = release / "phoenix2014-release" / "phoenix-2014-multisigner"
    header, *rows = annotation_lines("phoenix2014.corpus.csv")
    for split, lines in _dealt(rows).items():
        write_text(half / f"annotations/manual/{split}.corpus.csv", [header, *lines])
        for seed, line in enumerate(lines):
            write_frames(half / PHOENIX_FRAMES / split / line.split("|")[0] / "1", seed)
    sample_id, _, signer, glosses = rows[-2].split("|")
    stm = f"{sample_id} 1 {signer.lower()} 0.0 1.79769e+308 {' '.join(reversed(glosses.split()))}"
    write_text(half / "evaluation" / "phoenix2014-groundtruth-dev.stm", [stm])
    return half


def write_si5(release: Path) -> Path:
    """Write both halves: SI5 trains on all but the first clip of the other one's train split; give SI5's folder."""
    multisigner = write_phoenix2014(release)
    half = multisigner.with_name("phoenix-2014-signerindependent-SI5")
    for split in ("train", "dev", "test"):
        header, *rows = (multisigner / f"annotations/manual/{split}.corpus.csv").read_text().splitlines()
        kept = rows[1:] if split == "train" else rows
        write_text(half / f"annotations/manual/{split}.SI5.corpus.csv", [header, *kept])
    return half


def write_phoenix2014_t(release: Path, *, says_inner: bool = False, is_inner: bool = False) -> Path:
    """Write PHOENIX2014-T; frames lie in `ID/1` or in `ID`, whatever the annotation says; give its folder."""
    root = release / "PHOENIX-2014-T"
    header, *rows = annotation_lines("phoenix2014-T.corpus.csv")
    for split, lines in _dealt(rows).items():
        said = [line.replace("/*.png", "/1/*.png") if says_inner else line for line in lines]
        write_text(root / f"annotations/manual/PHOENIX-2014-T.{split}.corpus.csv", [header, *said])
        for seed, line in enumerate(lines):
            folder = root / PHOENIX_FRAMES / split / line.split("|")[0]
            write_frames(folder / "1" if is_inner else folder, seed)
    return root


def write_csl(release: Path, annotations: Path | None = None) -> Path:
    """Write CSL, its split files beside the frames or in another folder; give its folder."""
    root = release / "CSL"
    lines = annotation_lines("csl.txt")
    write_text((annotations or root) / "train.txt", lines[:-2])
    write_text((annotations or root) / "dev.txt", lines[-2:])
    for seed, line in enumerate(lines):
        write_frames(root / line.split("|")[0], seed, ".jpg", (320, 180))
    return root


def write_csl_daily(release: Path, annotations: Path | None = None) -> Path:
    """Write CSL-Daily; its last clip is in no split; give the folder `sentence`."""
    root = release / "CSL-Daily" / "sentence"
    header, *rows = annotation_lines("csl-daily.video_map.txt")
    places = annotations or release / "CSL-Daily" / "sentence_label"
    write_text(places / "video_map.txt", [header, *rows])
    names = [row.split("|")[1] for row in rows]
    splits = ["dev", "train", "test", *["train"] * len(names)]
    lines = [f"{name}|{split}" for name, split in zip(names[:-1], splits, strict=False)]
    write_text(places / "split_1.txt", ["name|split", *lines])
    for seed, name in enumerate(names):
        write_frames(root / "frames_512x512" / name, seed, ".jpg", (128, 128))
    return root
