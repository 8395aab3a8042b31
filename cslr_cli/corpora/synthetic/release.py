"""Write the files of a synthetic corpus: a release in PHOENIX2014's layout, and the truth."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cslr_cli.corpora.phoenix2014 import FRAMES_DIR, Phoenix2014
from cslr_cli.corpora.synthetic.body import FRAME_HEIGHT, FRAME_WIDTH, find_joints
from cslr_cli.corpora.synthetic.drawing import draw_clip
from cslr_cli.corpora.synthetic.lexicon import SIGN_OF_GLOSS, Array
from cslr_cli.corpora.synthetic.motion import DOMINANT, OTHER, Performance, perform
from cslr_cli.corpora.synthetic.options import SyntheticOptions, named_generator
from cslr_cli.corpora.synthetic.plan import SyntheticClip, plan_clips
from cslr_cli.corpora.synthetic.scene import make_scene
from cslr_cli.dataset.sample import SPLITS
from cslr_cli.errors import ConfigError, DataError, MediaError
from cslr_cli.files import write_text
from cslr_cli.locks import lock_folder
from cslr_cli.media.png import encode_png
from cslr_cli.media.video_writer import video_writer
from cslr_cli.processes import run_tasks
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.untrusted import UntrustedDataError, read_json

FPS = Phoenix2014.fps
DRAWING_VERSION = 1  # increase it if the same options give other pictures than before

RELEASE_FOLDER = Path("phoenix2014-release") / "phoenix-2014-multisigner"
_FRAMES_FOLDER = RELEASE_FOLDER / FRAMES_DIR
_OPTIONS_FILE = "synthetic.json"
_TRUTH_FILE = "truth.jsonl"


@dataclass(frozen=True)
class SyntheticSummary:
    """The size and the signers of a synthetic corpus.

    Attributes:
        num_clips: number of clips of each split.
        num_frames: number of frames of each split.
        glosses: the vocabulary, in the order of the lexicon.
        signers: names of all signers.
        unseen_signer: name of the signer who is in one half of test and nowhere else.
    """

    num_clips: dict[str, int]
    num_frames: dict[str, int]
    glosses: tuple[str, ...]
    signers: tuple[str, ...]
    unseen_signer: str


def make_release(
    output: Path,
    options: SyntheticOptions,
    *,
    workers: int,
    progress: ProgressCallback = no_progress,
    on_wait: Callable[[str], None] | None = None,
) -> SyntheticSummary:
    """Make a synthetic corpus, or continue an unfinished one.

    The files in `output` are a release folder like that of PHOENIX2014 (annotations, PNG frames, STM references),
    `truth.jsonl` (one line per clip: start and end of each gloss in seconds, and the centres of both hands in every
    frame) and `synthetic.json` (the options). A clip's pixels follow from the seed and its name, so that they do not
    depend on the number of workers or an interruption.

    Args:
        output: folder to write; created if needed.
        options: size and seed of the corpus.
        workers: number of processes; 1 draws in this process.
        progress: called after every clip.
        on_wait: called with a note before waiting for another process that draws in `output`; None to raise an error.

    Raises:
        DataError: `output` has another release, or cannot be written.
        LockedError: another process draws in `output`, and `on_wait` is None.
    """
    if workers < 1:
        raise ConfigError(f"workers is {workers}", "use 1 or more")
    clips = plan_clips(options)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with lock_folder(output, "cslr prepare", "choose another folder", on_wait=on_wait):
            _check_options(output, options)
            num_frames, truth = _make_clips(output, options.seed, clips, workers, progress)
            # These come last: a release that has annotations is complete.
            _write_annotations(output / RELEASE_FOLDER, clips)
            write_text(output / _TRUTH_FILE, "".join(f"{line}\n" for line in truth))
    except OSError as error:
        hint = "choose a folder that can be written, on a disk with enough space"
        raise DataError(f"{error.filename or output}: cannot be written ({error.strerror or error})", hint) from error
    signers = sorted({clip.signer.name for clip in clips})
    return SyntheticSummary(
        num_clips={split: sum(clip.split == split for clip in clips) for split in SPLITS},
        num_frames={split: num_frames[split] for split in SPLITS},
        glosses=tuple(SIGN_OF_GLOSS)[: options.num_glosses],
        signers=tuple(signers),
        unseen_signer=signers[-1],
    )


def clip_folder(output: Path, split: str, sample_id: str) -> Path:
    """Return the folder of one clip's pictures; `output` as in `make_release`."""
    return output / _FRAMES_FOLDER / split / sample_id / "1"


def write_clip_video(release: Path, sample_id: str, output: Path) -> None:
    """Write an .mp4 of one clip.

    Args:
        release: folder of the synthetic corpus, `output` of `make_release`.
        sample_id: name of the clip.
        output: video file to write; its name ends in `.mp4`.
    """
    folders = [clip_folder(release, split, sample_id) for split in SPLITS]
    pictures = [path for folder in folders for path in sorted(folder.glob("*.png"))]
    if not pictures:
        raise DataError(
            f"{release / _FRAMES_FOLDER}: no clip {sample_id!r}", "give the folder of a synthetic corpus and its clip"
        )
    with video_writer(output, FRAME_WIDTH, FRAME_HEIGHT, FPS) as writer:
        for path in pictures:
            picture = cv2.imread(str(path))
            if picture is None:
                raise MediaError(f"{path}: not a picture", "remove it and draw the corpus again")
            writer.write(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))


def _check_options(output: Path, options: SyntheticOptions) -> None:
    """Write the options to `output`, or check that they are equal to those of an earlier call."""
    wanted = {"drawing_version": DRAWING_VERSION, **dataclasses.asdict(options)}
    options_file = output / _OPTIONS_FILE
    if not options_file.exists():
        if (output / RELEASE_FOLDER).exists():
            raise DataError(
                f"{output / RELEASE_FOLDER}: this release is not synthetic; it has no {output / _OPTIONS_FILE}",
                "choose another folder",
            )
        write_text(options_file, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = read_json(options_file)
        differing = [name for name in wanted if found.get(name) != wanted[name]]
    except (UntrustedDataError, AttributeError) as error:
        hint = "remove the folder, or choose another one"
        raise DataError(f"{options_file}: not the options of a synthetic corpus", hint) from error
    if differing:
        differences = (f"{name} was {found.get(name)}, is {wanted[name]} now" for name in differing)
        raise DataError(
            f"{output}: the folder has a synthetic corpus with other options: {'; '.join(differences)}",
            "use the same options, choose another folder, or remove this one",
        )


def _make_clips(
    output: Path, seed: int, clips: list[SyntheticClip], workers: int, progress: ProgressCallback
) -> tuple[Counter[str], list[str]]:
    """Draw the missing clips; return the number of frames of each split, and the lines of the truth."""
    num_frames: Counter[str] = Counter()
    truth: list[str] = []
    results = run_tasks(partial(_make_clip, output, seed), clips, min(workers, len(clips)), ordered=True)
    for clip, (length, line) in zip(clips, results, strict=True):
        num_frames[clip.split] += length
        truth.append(line)
        progress(Progress("draw clips", len(truth), len(clips)))
    return num_frames, truth


def _make_clip(output: Path, seed: int, clip: SyntheticClip) -> tuple[int, str]:
    """Draw one clip if it is missing; return its number of frames, and its line of the truth."""
    signs = [SIGN_OF_GLOSS[gloss] for gloss in clip.glosses]
    performance = perform(signs, clip.signer, named_generator(seed, f"{clip.sample_id} motion"))
    scene = make_scene(clip.signer, performance.num_frames, named_generator(seed, f"{clip.sample_id} scene"))
    joints = find_joints(performance, clip.signer, scene.sway)
    pictures = clip_folder(output, clip.split, clip.sample_id)
    names = [f"{clip.sample_id}.avi_pid0_fn{number:06d}-0.png" for number in range(performance.num_frames)]
    if not all((pictures / name).is_file() for name in names):
        with _write_folder(pictures.parent) as unfinished:
            (unfinished / pictures.name).mkdir()
            for name, frame in zip(names, draw_clip(performance, joints, clip.signer, scene), strict=True):
                (unfinished / pictures.name / name).write_bytes(encode_png(frame))
    hands = scene.projection.pixels(joints.hands) / (FRAME_WIDTH, FRAME_HEIGHT)
    return performance.num_frames, _truth_line(clip, performance, hands)


@contextmanager
def _write_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, and rename it to `folder` when the block ends without an error.

    Unfinished folders of earlier calls are removed first.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    for leftover in (unfinished, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    unfinished.mkdir(parents=True)
    yield unfinished
    unfinished.rename(folder)


def _truth_line(clip: SyntheticClip, performance: Performance, hands: Array) -> str:
    """Format one line of `truth.jsonl`; hands (T, 2, 2) in fractions of the frame's width and height."""
    places = hands.round(4)
    return json.dumps(
        {
            "sample_id": clip.sample_id,
            "split": clip.split,
            "signer": clip.signer.name,
            "fps": FPS,
            "num_frames": performance.num_frames,
            "glosses": [
                {"gloss": signed.gloss, "start": signed.first_frame / FPS, "end": signed.end_frame / FPS}
                for signed in performance.glosses
            ],
            "dominant_hand": "left" if clip.signer.left_handed else "right",
            "hands": {"dominant": places[:, DOMINANT].tolist(), "other": places[:, OTHER].tolist()},
        }
    )


def _write_annotations(release: Path, clips: list[SyntheticClip]) -> None:
    for split in SPLITS:
        chosen = [clip for clip in clips if clip.split == split]
        rows = ["id|folder|signer|annotation"]
        rows += [f"{c.sample_id}|{c.sample_id}/1/*.png|{c.signer.name}|{' '.join(c.glosses)}" for c in chosen]
        write_text(release / "annotations" / "manual" / f"{split}.corpus.csv", "\n".join(rows) + "\n")
        if split == "train":
            continue  # the official release has references for dev and test only
        # The official references have signers in small letters, and these times for a whole clip.
        whole = "0.0 1.79769e+308"
        rows = [f"{c.sample_id} 1 {c.signer.name.lower()} {whole} {' '.join(c.glosses)}" for c in chosen]
        write_text(release / "evaluation" / f"phoenix2014-groundtruth-{split}.stm", "\n".join(rows) + "\n")
