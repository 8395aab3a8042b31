"""Checks of the frames of a prepared corpus: missing, unreadable, equal and still pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.corpora.inspection.checks import Finding, Samples
from cslr_cli.dataset.manifest import NO_FRAMES, PreparedCorpus
from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.frames import open_frames
from cslr_cli.processes import run_tasks
from cslr_cli.progress import Progress, ProgressCallback

# Frames are compared as pictures of this many pixels per side, in which the noise of a camera disappears.
_SMALL_SIDE = 8
# Smallest difference of a pixel, of 255, that is visible movement.
_VISIBLE_DIFFERENCE = 6


@dataclass(frozen=True)
class _ClipTask:
    name: str
    path: Path
    num_frames: int | None
    frame_size: int
    decode_all: bool


@dataclass(frozen=True)
class _ClipResult:
    """What is known about a clip after reading it.

    Attributes:
        name: split and name of the clip.
        fault: fault of its frames; None without one.
        digest: hash of all frames; None if not all were read.
        is_still: whether no frame differs visibly from the first; False if not all were read.
    """

    name: str
    fault: str | None = None
    digest: str | None = None
    is_still: bool = False


def check_frames(
    corpus: PreparedCorpus, samples: Samples, *, decode_all: bool, workers: int, progress: ProgressCallback
) -> Iterator[Finding]:
    """Check that every clip has as many frames as the manifest says, and that they can be read.

    With `decode_all`, also find clips with the same frames, and clips in which nothing moves.
    """
    if corpus.info.layout == NO_FRAMES:
        yield Finding("missing_frames", True, "no frames: the corpus was prepared with --no-frames")
        return
    size = corpus.frame_size
    tasks = [
        _ClipTask(f"{split} clip {sample.sample_id}", corpus.frames_path(sample), sample.num_frames, size, decode_all)
        for split, clips in samples.items()
        for sample in clips
    ]
    results: dict[str, _ClipResult] = {}
    num_damaged = 0
    for done, result in enumerate(run_tasks(_check_clip, tasks, workers), start=1):
        num_damaged += result.fault is not None
        progress(Progress("read frames" if decode_all else "count frames", done, len(tasks), {"damaged": num_damaged}))
        results[result.name] = result
    ordered = [results[task.name] for task in tasks]
    yield from _describe_results(ordered)


def _describe_results(results: Sequence[_ClipResult]) -> Iterator[Finding]:
    damaged = tuple(f"{result.name}: {result.fault}" for result in results if result.fault is not None)
    if damaged:
        what = f"clips with missing or unreadable frames: {len(damaged)}"
        yield Finding("missing_frames", True, what, damaged)
    equal = [names for names in _group_by_digest(results).values() if len(names) > 1]
    if equal:
        num_mixed = sum(len({name.split(" ", 1)[0] for name in names}) > 1 for names in equal)
        mixed = f", {num_mixed} of them in several splits" if num_mixed else ""
        what = f"groups of clips with the same frames under different names: {len(equal)}{mixed}"
        yield Finding("equal_frames", False, what, tuple(" = ".join(names) for names in equal))
    still = tuple(result.name for result in results if result.is_still)
    if still:
        yield Finding("still_clips", False, f"clips without a visible change of the picture: {len(still)}", still)


def _group_by_digest(results: Sequence[_ClipResult]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for result in results:
        if result.digest is not None:
            groups.setdefault(result.digest, []).append(result.name)
    return groups


def _check_clip(task: _ClipTask) -> _ClipResult:
    try:
        source = open_frames(task.path)
        num_frames = source.num_frames
        if task.num_frames is not None and num_frames != task.num_frames:
            fault = f"{task.path}: {num_frames} frames, but {task.num_frames} in the manifest"
            return _ClipResult(task.name, fault)
        digest = hashlib.blake2b(digest_size=16)
        first: NDArray[np.int16] | None = None
        is_still = True
        # The first frame is always decoded: it shows a wrong size.
        for frame in source.iterate(None if task.decode_all else [0]):
            if frame.shape[:2] != (task.frame_size, task.frame_size):
                size = f"{frame.shape[1]}×{frame.shape[0]}"
                fault = f"{task.path}: frames of {size} pixels, not {task.frame_size}×{task.frame_size}"
                return _ClipResult(task.name, fault)
            if task.decode_all:
                digest.update(np.ascontiguousarray(frame).data)
                small = _shrink(frame)
                first = small if first is None else first
                is_still = is_still and int(np.abs(small - first).max()) < _VISIBLE_DIFFERENCE
    except MediaError as error:
        return _ClipResult(task.name, error.message if error.hint is None else f"{error.message} ({error.hint})")
    return _ClipResult(task.name, None, digest.hexdigest(), is_still) if task.decode_all else _ClipResult(task.name)


def _shrink(frame: Frame) -> NDArray[np.int16]:
    small = cv2.resize(frame, (_SMALL_SIDE, _SMALL_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.int16)
