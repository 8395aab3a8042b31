"""The output folder: it belongs to one preparation, and only one call at a time completes it."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cslr_cli import files as atomic
from cslr_cli.corpora import CorpusReader, Release
from cslr_cli.corpora.preparation.options import PreparationOptions
from cslr_cli.corpora.preparation.report import REPORT_FILE
from cslr_cli.dataset.manifest import BEGUN_FILE, CORPUS_FILE, NO_FRAMES, CorpusInfo
from cslr_cli.errors import DataError

# What may be different when frames come to a corpus that was prepared without.
_OF_FRAMES = {"frame_size", "interpolation", "aspect", "layout", "image_format", "image_quality"}


def identity_of(corpus: CorpusReader, release: Release, options: PreparationOptions) -> dict[str, Any]:
    """What two preparations must have in common for one to go on where the other stopped: a part of `CorpusInfo`."""
    annotation = hashlib.sha256()
    for sample in release.samples:
        annotation.update(f"{sample.to_json()}\n".encode())
        if sample.sample_id in release.segments:
            segment = release.segments[sample.sample_id]
            annotation.update(f"{segment.start} {segment.end}\n".encode())
    return {
        "name": corpus.name,
        "fps": corpus.fps,
        **dataclasses.asdict(options.clip_format),
        "layout": options.layout if options.frames else NO_FRAMES,
        "vocabulary_splits": [split for split in corpus.splits if split in options.vocabulary_splits],
        "source": str(release.root.resolve()),
        "annotations": annotation.hexdigest()[:16],
    }


@contextmanager
def claimed(output: Path, identity: Mapping[str, Any], *, shared: bool = False) -> Iterator[None]:
    """Hold `output` for this preparation, having made sure that it goes on with the same one.

    Args:
        output: the folder; made if needed.
        identity: of the preparation.
        shared: others that do another part of the same preparation may hold it too.

    Raises:
        DataError: it is held by another call, something else is in it, or it cannot be written.
    """
    with disk_errors_told(output):
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output, os.O_RDONLY)
    try:
        _lock(output, descriptor, shared)
        with disk_errors_told(output):
            _check_same(output, identity)
            _begin(output, identity)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors_told(output: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says what becomes of the work."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or output}: cannot be read or written ({error.strerror})",
            "what is finished stays as it is; when this is mended, the same command goes on from there",
        ) from error


def remove_unfinished(output: Path) -> None:
    """Remove what calls that were killed had begun to write."""
    for folder in (output, output / "references", *(output / "frames").glob("*/")):
        for path in [*folder.glob(".*.unfinished*"), *folder.glob(".preparing.*.json")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def end_claim(output: Path) -> None:
    """Remove the note of what was being prepared: from here on `corpus.yaml` says it."""
    (output / BEGUN_FILE).unlink(missing_ok=True)


def is_for_preparation(output: Path) -> bool:
    """Whether a folder is not there yet, empty, or holds a preparation."""
    if not output.is_dir():
        return not output.exists()
    ours = {CORPUS_FILE, BEGUN_FILE, REPORT_FILE}
    names = [path.name for path in output.iterdir()]
    return any(name in ours for name in names) or all(name.startswith(".") for name in names)


def _lock(output: Path, descriptor: int, shared: bool) -> None:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(
            f"{output}: another cslr prepare is at work in this folder",
            "wait for it, or choose another --output",
        ) from error
    except OSError:
        return  # some network disks have no locks; then two calls at a time are the user's to avoid


def _begin(output: Path, identity: Mapping[str, Any]) -> None:
    """Note what is being prepared, unless that stands there already."""
    there = _begun(output)
    if there is not None and there.get("layout") == identity["layout"]:
        return
    # By a name of its own first: many machines may begin at the same moment.
    unfinished = output / f".preparing.{uuid.uuid4().hex}.json"
    atomic.write_text(unfinished, json.dumps(identity, indent=2) + "\n")
    os.replace(unfinished, output / BEGUN_FILE)
    (output / CORPUS_FILE).unlink(missing_ok=True)  # of the corpus without frames that was there


def _begun(output: Path) -> Mapping[str, Any] | None:
    """What is prepared, or being prepared, in a folder; None if nothing is."""
    if (output / CORPUS_FILE).exists():
        info = CorpusInfo.read(output / CORPUS_FILE)
        return {**dataclasses.asdict(info), "vocabulary_splits": list(info.vocabulary_splits)}
    path = output / BEGUN_FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error})", f"remove {output} and prepare it again") from error
    return values if isinstance(values, dict) else {}


def _check_same(output: Path, wanted: Mapping[str, Any]) -> None:
    """Have nothing in the folder but what the same preparation has put there."""
    there = _begun(output)
    if there is None:
        if not is_for_preparation(output):
            raise DataError(
                f"{output}: the folder is not empty and holds no prepared corpus",
                "choose another --output, or remove what is there",
            )
        return
    differing = [name for name, value in wanted.items() if there.get(name) != value]
    # A release that was moved is the same one; a second one beside the first is not.
    if "source" in differing and not Path(str(there.get("source"))).exists():
        differing.remove("source")
    if there.get("layout") == NO_FRAMES:
        differing = [name for name in differing if name not in _OF_FRAMES]
    if not differing:
        return
    faults = [f"{name} is {there.get(name)} there, {wanted[name]} now" for name in differing if name != "annotations"]
    if "annotations" in differing:
        faults.append("the annotations, or the splits that were drawn, are not the same as then")
    raise DataError(
        f"{output}: something else is prepared there: {'; '.join(faults)}",
        "choose another --output, or remove that folder to prepare it anew",
    )
