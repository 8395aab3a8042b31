"""Find the parts of a release on disk, however its folders were unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cslr_cli.corpora.clip_locations import DiskNames

_MAX_FOLDERS_PER_LEVEL = 50  # subfolders of one folder that the search for a release looks into
_MAX_FOLDERS = 3000  # that it looks into in total
SEARCHED_LEVELS = 4  # below the folder that the user named; archives often unpack into doubled folders


@dataclass(frozen=True)
class ReleasePaths:
    """The places of the parts of a release, as the user gives them.

    Attributes:
        source: folder of the release, or a folder above it.
        annotations: folder with annotation files that the release lacks, or None.
        references: folder with STM files, preferred to those of the release, or None.
        need_frames: whether the frames must exist; False if only the annotation is needed.
    """

    source: Path
    annotations: Path | None = None
    references: Path | None = None
    need_frames: bool = True


def find_root(source: Path, names: Sequence[str], marks: Sequence[str]) -> Path | None:
    """Find the root folder of a release: `source`, a folder of that name in it, or one `SEARCHED_LEVELS` below it.

    Args:
        source: folder that the user named.
        names: names of the release's nested folders, the outermost first.
        marks: files and folders, relative to the root; a folder that has any of them is the root.
    """
    for folder in _candidate_folders(source, names):
        found = DiskNames(folder).find
        if any(os.path.exists(folder / mark) or (not mark.isascii() and found(mark)) for mark in marks):
            return folder
    return None


def find_file(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """Find the first file with one of these names, or their last parts, in these folders; None if there is none."""
    tails = dict.fromkeys([*names, *(name.rpartition("/")[2] for name in names)])
    candidates = (folder / name for folder in folders for name in tails)
    return next((path for path in candidates if os.path.isfile(path)), None)


def _candidate_folders(source: Path, names: Sequence[str]) -> Iterator[Path]:
    yield source
    for first in reversed(range(len(names))):
        yield source.joinpath(*names[first:])
    below = (folder for level in range(1, SEARCHED_LEVELS + 1) for folder in folders_below(source, level))
    yield from islice(below, _MAX_FOLDERS)


def folders_below(folder: Path, level: int) -> Iterator[Path]:
    """List the folders exactly `level` levels below `folder`, at most `_MAX_FOLDERS_PER_LEVEL` of each folder."""
    if level == 0:
        yield folder
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return  # missing or unreadable
    for name in names[:_MAX_FOLDERS_PER_LEVEL]:
        yield from folders_below(folder / name, level - 1)
