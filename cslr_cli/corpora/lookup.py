"""Finding things in folders that people have arranged in their own way: releases, annotations, references."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from cslr_cli.dataset.manifest import NotPreparedError, PreparedCorpus
from cslr_cli.errors import DataError

# Releases that people have on their disks, and a file or folder by which each is recognised.
_MARKS = (
    ("PHOENIX2014-T", "annotations/manual/PHOENIX-2014-T.*.corpus.csv"),
    ("PHOENIX2014's signer-independent half (SI5)", "annotations/manual/*.SI5.corpus.csv"),
    ("PHOENIX2014", "annotations/manual/train.corpus.csv"),
    ("CSL-Daily", "frames_512x512"),
    ("CSL-Daily", "video_map.txt"),
    ("CSL", "CSL_Continuous"),
    ("a prepared corpus", "corpus.yaml"),
)
_FOLDERS_LOOKED_AT = 50  # below one folder, when guessing where a release is


@dataclass(frozen=True)
class ReleasePlaces:
    """Where the parts of a release lie.

    Attributes:
        source: the release's folder, or one above it.
        annotations: a folder with the annotation files that are not in the release.
        references: a folder with STM files, which go before those of the release.
        need_frames: False where only the annotation is wanted; then no frames have to be there.
    """

    source: Path
    annotations: Path | None = None
    references: Path | None = None
    need_frames: bool = True


def find_root(source: Path, names: Sequence[str], marks: Sequence[str]) -> Path | None:
    """Find the folder of a release in or below the one that the user has named.

    Args:
        source: what the user has named.
        names: what the release's folders are called, the outermost first.
        marks: files and folders, relative to the one sought; having any of them is being it.

    Returns:
        `source`, or the folder of that name below it, or else the first one or two levels below it.
    """
    for folder in _folders_near(source, names):
        if any(os.path.exists(folder / mark) for mark in marks):
            return folder
    return None


def find_file(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file of one of these names (or of their last parts) in one of these folders, None if there is none."""
    tails = dict.fromkeys([*names, *(name.rpartition("/")[2] for name in names)])
    candidates = (folder / name for folder in folders for name in tails)
    return next((path for path in candidates if os.path.isfile(path)), None)


def recognise_release(folder: Path) -> str | None:
    """Guess which release lies in `folder` or up to two levels below it; None if it looks like none."""
    for level in range(3):
        for below in _folders_below(folder, level):
            for title, mark in _MARKS:
                if next(below.glob(mark), None) is not None:
                    return title
    return None


def open_prepared_corpus(path: Path | str) -> PreparedCorpus:
    """Open a prepared corpus; if the folder holds a release instead, the error says how to prepare it.

    Raises:
        DataError: as `PreparedCorpus.open`.
    """
    try:
        return PreparedCorpus.open(path)
    except NotPreparedError as error:
        release = recognise_release(Path(path))
        if release is None:
            raise
        command = f"cslr prepare CORPUS --source {quote(str(path))}"
        raise DataError(
            f"{path}: this looks like a release of {release}, not a prepared corpus",
            f"prepare it, and name what comes out: {command}",
        ) from error


def _folders_near(source: Path, names: Sequence[str]) -> Iterator[Path]:
    yield source
    for first in reversed(range(len(names))):
        yield source.joinpath(*names[first:])
    yield from _folders_below(source, 1)
    yield from _folders_below(source, 2)


def _folders_below(folder: Path, level: int) -> Iterator[Path]:
    """The folders exactly `level` levels below `folder`, at most a handful on each."""
    if level == 0:
        yield folder
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return  # not there, or not ours to read: then nothing is found in it
    for name in names[:_FOLDERS_LOOKED_AT]:
        yield from _folders_below(folder / name, level - 1)
