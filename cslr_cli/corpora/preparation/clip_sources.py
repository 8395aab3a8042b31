"""Which part of which file each clip of your own corpus was made from: `sources.jsonl` in the prepared corpus.

With this file, a changed manifest prepares only the new clips. Clips of the same source keep their frames and their
split, also under another name. Frames of clips that are not in the manifest any more are removed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora import Release
from cslr_cli.corpora.own_corpus import KnownSplits, source_key
from cslr_cli.corpora.preparation.options import PreparationOptions
from cslr_cli.corpora.preparation.prepared_clips import prepared_frames_path
from cslr_cli.errors import DataError
from cslr_cli.files import write_text
from cslr_cli.untrusted import UntrustedDataError, parse_json, read_text

SOURCES_FILE = "sources.jsonl"


@dataclass(frozen=True)
class ClipSource:
    """The source of a prepared clip.

    Attributes:
        key: file and times, as `source_key` formats them.
        split: split of the clip.
        frames: path of its prepared frames, relative to the corpus.
    """

    key: str
    split: str
    frames: str


@dataclass(frozen=True)
class ClipChanges:
    """How the clips of a release differ from those of a corpus that was prepared earlier.

    Attributes:
        new: number of clips with another source.
        kept: number of clips with the same source.
        removed: number of clips that are not in the release any more.
    """

    new: int
    kept: int
    removed: int


def read_known_splits(output: Path) -> KnownSplits:
    """Read the splits of the clips that an earlier call prepared; empty if there is no such corpus."""
    drawing, clips = _read_sources(output)
    return KnownSplits(drawing, {clip.key: clip.split for clip in clips})


def has_sources(output: Path) -> bool:
    """Return whether a prepared corpus says what its clips were made from; version 0.1 did not."""
    return (output / SOURCES_FILE).is_file()


def update_sources(output: Path, release: Release, options: PreparationOptions) -> ClipChanges:
    """Make the frames in a prepared corpus those of a release: move or remove the others, and write `sources.jsonl`.

    An interruption at any moment leaves no frames under the name of another clip: first all frames that change their
    names get out of the way, then the file is written, then they get their new names.
    """
    _, known = _read_sources(output)
    wanted = []
    numbers: Counter[str] = Counter()
    for sample in release.samples:
        key = source_key(sample.frames, release.segments.get(sample.sample_id))
        numbers[key] += 1
        unique = key if numbers[key] == 1 else f"{key} #{numbers[key]}"  # the same part of a file under two names
        wanted.append(ClipSource(unique, sample.split, prepared_frames_path(sample, options)))
    new_paths = {clip.key: clip.frames for clip in wanted}
    moved: list[tuple[Path, Path]] = []
    for clip in known:
        path, target = output / clip.frames, new_paths.get(clip.key)
        if target == clip.frames or not path.exists():
            continue
        if target is None:
            _remove(path)
        else:
            aside = path.with_name(f".{path.name}.moved.unfinished")
            _remove(aside)
            path.rename(aside)
            moved.append((aside, output / target))
    lines = [
        {"drawing": release.drawing},
        *({"key": each.key, "split": each.split, "frames": each.frames} for each in wanted),
    ]
    write_text(output / SOURCES_FILE, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
    for aside, final in moved:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove(final)
        os.replace(aside, final)
    keys = {clip.key for clip in known}
    return ClipChanges(
        new=sum(clip.key not in keys for clip in wanted),
        kept=sum(clip.key in keys for clip in wanted),
        removed=len(keys - new_paths.keys()),
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_sources(output: Path) -> tuple[str | None, list[ClipSource]]:
    path = output / SOURCES_FILE
    if not path.is_file():
        return None, []
    try:
        header, *values = (parse_json(line) for line in read_text(path).split("\n") if line)
        return header["drawing"], list(_parse(values))
    except (OSError, UnicodeDecodeError, UntrustedDataError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read", f"remove {output} and prepare it again") from error


def _parse(values: Iterable[dict[str, str]]) -> Iterable[ClipSource]:
    for value in values:
        if ".." in str(value["frames"]).split("/") or str(value["frames"]).startswith("/"):
            raise ValueError("a path outside of the corpus")
        yield ClipSource(str(value["key"]), str(value["split"]), str(value["frames"]))
