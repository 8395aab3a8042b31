"""Find the frames of a release's clips on disk: folders of pictures, zips or videos, wherever the copy has them.

An annotation names a folder of pictures per clip. Other copies of a release have a zip or a video of the same name, or
keep the clips in another folder (`videos/train/ID.mp4`).
"""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.media.picture_series import PICTURE_SUFFIXES, VIDEO_SUFFIXES

CLIP_SUFFIXES = (".zip", *VIDEO_SUFFIXES)
# Folders that the search for clips in other places looks into; a release has at most 25,000 clips.
_MAX_FOLDERS = 60_000
_MAX_LEVELS = 8
_INNER_FOLDER = "1"  # PHOENIX has the pictures of a clip in `ID/1`
# Crops of the signer's hands in PHOENIX2014, which have the names of the clips.
_OTHER_PICTURES = "tracked"


class DiskNames:
    """The names in folders as they are on disk, found by a name in any Unicode form; folders are listed once.

    macOS stores `ü` in file names as `u` and a separate accent (NFD), most other programs as one character (NFC).
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> str | None:
        """Find a file or folder by its path relative to the root; return the path as it is on disk, or None."""
        if os.path.exists(self._root / path):
            return path
        found = ""
        for part in path.split("/"):
            name = self._listed(found).get(_key(part))
            if name is None:
                return None
            found = f"{found}/{name}" if found else name
        return found

    def find_clip(self, path: str) -> str | None:
        """Find the frames of a clip: a folder of this path, or a zip or a video of the same name; None if missing."""
        whole = self.find(path)
        if whole is not None:
            return whole
        folder, _, name = path.rpartition("/")
        home = self.find(folder) if folder else ""
        if home is None:
            return None
        listed = self._listed(home)
        for suffix in CLIP_SUFFIXES:
            for spelling in (suffix, suffix.upper()):
                found = listed.get(_key(f"{name}{spelling}"))
                if found is not None:
                    return f"{home}/{found}" if home else found
        return None

    def _listed(self, folder: str) -> dict[str, str]:
        if folder not in self._names:
            try:
                with os.scandir(self._root / folder) as entries:
                    self._names[folder] = {_key(entry.name): entry.name for entry in entries}
            except OSError:
                self._names[folder] = {}
        return self._names[folder]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class LocatedClips:
    """The clips of a release with the paths of their frames on disk.

    Attributes:
        samples: all clips; those whose frames were not found keep the path of the annotation.
        missing_splits: splits of which no clip was found.
        folder: folder, other than that of the annotation, in which clips were found; None if there is no such folder.
    """

    samples: list[Sample]
    missing_splits: tuple[str, ...]
    folder: str | None = None


def locate_clips(root: Path, samples: Sequence[Sample]) -> LocatedClips:
    """Find the frames of clips: where the annotation says, or else, if a split has none there, below `root`.

    Clips of a split are searched below `root` only if none of them is in its place: a single missing clip must not be
    replaced by other pictures of that name.
    """
    names = DiskNames(root)
    located = [_find_in_place(root, sample, names) for sample in samples]
    found_splits = {sample.split for sample, path in zip(samples, located, strict=True) if path is not None}
    searched = {sample.split for sample in samples} - found_splits
    folder = None
    if searched:
        folder, elsewhere = _find_elsewhere(root, [sample for sample in samples if sample.split in searched])
        located = [path or elsewhere.get(sample.sample_id) for sample, path in zip(samples, located, strict=True)]
        found_splits |= {sample.split for sample in samples if sample.sample_id in elsewhere}
    return LocatedClips(
        [
            sample if path is None or path == sample.frames else dataclasses.replace(sample, frames=path)
            for sample, path in zip(samples, located, strict=True)
        ],
        tuple(split for split in SPLITS if split in searched - found_splits),
        folder,
    )


def _find_in_place(root: Path, sample: Sample, names: DiskNames) -> str | None:
    outer = sample.frames.removesuffix(f"/{_INNER_FOLDER}")
    found = names.find_clip(outer)
    inner = None if found is None else names.find(f"{found}/{_INNER_FOLDER}")
    if found is not None and inner is None and outer != sample.frames and not _is_clip(root / found):
        return None  # messages name the folder of the annotation
    return inner or found


def _is_clip(path: Path) -> bool:
    """Return whether a path is a file or a folder of pictures."""
    try:
        with os.scandir(path) as entries:
            return any(PurePosixPath(entry.name).suffix.lower() in PICTURE_SUFFIXES for entry in entries)
    except NotADirectoryError:
        return True
    except OSError:
        return False


def _find_elsewhere(root: Path, samples: Sequence[Sample]) -> tuple[str | None, dict[str, str]]:
    """Find clips by their names anywhere below `root`, all of them in one folder with or without folders of splits.

    Returns:
        The folder, relative to `root`, and the path of each found clip by its name.
    """
    wanted = {_key(PurePosixPath(sample.frames.removesuffix(f"/{_INNER_FOLDER}")).name): sample for sample in samples}
    found: dict[str, dict[str, str]] = {}
    for name, path in _walk_clips(root):
        sample = wanted.get(_key(name))
        if sample is not None:
            home = _home(path, sample.split)
            if home is not None:
                found.setdefault(home, {}).setdefault(sample.sample_id, path)
    if not found:
        return None, {}
    # The folder with most clips; of several, folders of pictures before zips and videos, which are compressed.
    best = min(found, key=lambda home: (-len(found[home]), _kind(found[home]), home))
    return best, found[best]


def _home(path: str, split: str) -> str | None:
    """Return the folder of a clip without the folders of its split; None if it is in the folder of another split."""
    parts = path.split("/")[:-1]
    others = set(SPLITS) - {split}
    if others & set(parts) and split not in parts:
        return None
    return "/".join(parts[: parts.index(split)] if split in parts else parts)


def _kind(clips: dict[str, str]) -> int:
    kinds = Counter(PurePosixPath(path).suffix.lower() in CLIP_SUFFIXES for path in clips.values())
    return int(kinds.most_common(1)[0][0])


def _walk_clips(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the path, relative to `root`, of each video, zip and folder of pictures below `root`."""
    folders = [("", 0)]
    visited: set[tuple[int, int]] = set()  # links can lead back
    num_folders = 0
    while folders and num_folders < _MAX_FOLDERS:
        folder, level = folders.pop()
        num_folders += 1
        try:
            status = os.stat(root / folder)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(root / folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError:
            continue  # unreadable
        if any(PurePosixPath(entry.name).suffix.lower() in PICTURE_SUFFIXES for entry in entries):
            clip = PurePosixPath(folder)
            yield (clip.parent.name if clip.name == _INNER_FOLDER else clip.name), folder
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith((".", _OTHER_PICTURES)):
                continue
            if entry.is_dir():
                if level < _MAX_LEVELS:
                    folders.append((path, level + 1))
            elif PurePosixPath(entry.name).suffix.lower() in CLIP_SUFFIXES:
                yield PurePosixPath(entry.name).stem, path
