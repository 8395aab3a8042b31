"""The output folder of a preparation: locked while a call works in it, and used by one preparation only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cslr_cli.corpora import CorpusReader, Release
from cslr_cli.corpora.preparation.options import PreparationOptions
from cslr_cli.corpora.preparation.report import REPORT_FILE
from cslr_cli.dataset.manifest import CORPUS_FILE, NO_FRAMES, PROGRESS_FILE, CorpusInfo, with_new_keys
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError
from cslr_cli.files import real_path, relative_path, write_text
from cslr_cli.locks import lock_folder
from cslr_cli.untrusted import UntrustedDataError, read_json

# Values that may differ when frames are added to a corpus that was prepared without them.
_FRAME_VALUES = {"frame_size", "interpolation", "fit", "layout", "image_format", "image_quality"}


def preparation_identity(
    corpus: CorpusReader, release: Release, output: Path, options: PreparationOptions
) -> dict[str, Any]:
    """Return the values of `CorpusInfo` that must be equal for a call to continue an earlier one."""
    annotation = hashlib.sha256()
    for sample in release.samples:
        # Without further fields, which do not change training; version 0.1 did not keep them.
        annotation.update(f"{dataclasses.replace(sample, fields={}).to_json()}\n".encode())
        if sample.sample_id in release.segments:
            segment = release.segments[sample.sample_id]
            annotation.update(f"{segment.start} {segment.end}\n".encode())
    return {
        "name": corpus.name,
        "fps": corpus.fps,
        **dataclasses.asdict(options.clip_format),
        "layout": options.layout if options.frames else NO_FRAMES,
        "vocabulary_splits": [split for split in corpus.splits if split in options.vocabulary_splits],
        "source": relative_path(real_path(release.root), real_path(output)),
        "annotations": annotation.hexdigest()[:16],
    }


@contextmanager
def lock_output(
    output: Path, identity: Mapping[str, Any], *, shared: bool = False, may_differ: bool = False
) -> Iterator[None]:
    """Lock `output` for this preparation, after checking that the folder has no other contents.

    Args:
        output: folder of the prepared corpus.
        identity: values of `preparation_identity`.
        shared: whether several calls may work in the folder at the same time.
        may_differ: whether the annotations may differ: the folder has other clips of the same corpus, or the same
            clips without their frames.

    Raises:
        LockedError: another call holds the lock.
        DataError: the folder has other contents, or it cannot be written.
    """
    with ExitStack() as stack:
        with translate_disk_errors(output):
            output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_folder(output, "cslr prepare", "choose another --output", shared=shared))
            _check_identity(output, identity, may_differ=may_differ)
            _write_progress_file(output, identity)
        yield


@contextmanager
def translate_disk_errors(output: Path) -> Iterator[None]:
    """Translate an error of the file system into a `DataError` that says how to continue."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or output}: cannot be read or written ({error.strerror})",
            "fix this and repeat the command; it continues from here",
        ) from error


def remove_unfinished_files(output: Path, samples: Iterable[Sample]) -> None:
    """Remove the unfinished files of calls that were killed, beside the files of the corpus and of these clips."""
    homes = {(output / sample.frames).parent for sample in samples}  # names of clips can contain folders
    for folder in (output, output / "references", *(output / "frames").glob("*/"), *homes):
        for path in [*folder.glob(".*.unfinished*"), *folder.glob(".preparing.*.json")]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def is_preparation_folder(output: Path) -> bool:
    """Return whether a folder does not exist yet, is empty, or contains a preparation."""
    if not output.is_dir():
        return not output.exists()
    known = {CORPUS_FILE, PROGRESS_FILE, REPORT_FILE}
    names = [path.name for path in output.iterdir()]
    return any(name in known for name in names) or all(name.startswith(".") for name in names)


def _write_progress_file(output: Path, identity: Mapping[str, Any]) -> None:
    """Write the description of the preparation, unless the folder has it already."""
    found = _read_identity(output)
    if found is not None and all(found.get(key) == identity[key] for key in ("layout", "annotations")):
        return
    # Under a unique name first: many machines may start at the same moment.
    unfinished = output / f".preparing.{uuid.uuid4().hex}.json"
    write_text(unfinished, json.dumps(identity, indent=2) + "\n")
    os.replace(unfinished, output / PROGRESS_FILE)
    (output / CORPUS_FILE).unlink(missing_ok=True)  # of an earlier corpus without frames, or with other clips


def _read_identity(output: Path) -> Mapping[str, Any] | None:
    """Read the description of the finished or unfinished preparation in a folder; None if there is none."""
    if (output / CORPUS_FILE).exists():
        info = CorpusInfo.read(output / CORPUS_FILE)
        return {**dataclasses.asdict(info), "vocabulary_splits": list(info.vocabulary_splits)}
    path = output / PROGRESS_FILE
    if not path.exists():
        return None
    try:
        values = read_json(path)
    except UntrustedDataError as error:
        raise DataError(error.message, f"remove {output} and prepare it again") from error
    return with_new_keys(values) if isinstance(values, dict) else {}


def _check_identity(output: Path, identity: Mapping[str, Any], *, may_differ: bool) -> None:
    """Refuse a folder that holds anything but the same preparation; with `may_differ`, of any annotations."""
    found = _read_identity(output)
    if found is None:
        if not is_preparation_folder(output):
            raise DataError(
                f"{output}: the folder has files that do not belong to a prepared corpus",
                "choose another --output, or remove these files",
            )
        return
    found, identity = (
        {**values, "source": real_path(real_path(output) / str(values.get("source")))} for values in (found, identity)
    )
    differing = [name for name, value in identity.items() if found.get(name) != value]
    # A release that was moved is the same one; a second copy is not.
    if "source" in differing and not found["source"].exists():
        differing.remove("source")
    if found.get("layout") == NO_FRAMES:
        differing = [name for name in differing if name not in (_FRAME_VALUES | {"source"})]
    if may_differ:
        differing = [name for name in differing if name != "annotations"]
    if not differing:
        return
    faults = [f"{name} was {found.get(name)}, is {identity[name]} now" for name in differing if name != "annotations"]
    if "annotations" in differing:
        faults.append("the annotations or the drawn splits have changed")
    raise DataError(
        f"{output}: the folder has a corpus that was prepared differently: {'; '.join(faults)}",
        "choose another --output, or remove the folder to prepare it again",
    )
