"""The recordings that a command line names, and the names of their output files."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

from cslr_cli.media.picture_series import ANIMATION_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES

_CLIP_SUFFIXES = (*VIDEO_SUFFIXES, ".zip")

STANDARD_INPUT = "-"


def find_inputs(arguments: Iterable[str], read_list: Callable[[], str] | None = None) -> list[Path]:
    """Return the recordings that the arguments of a command name, in order.

    A file or a folder of pictures is a recording. Any other folder stands for the video files, animated pictures,
    zip files and folders of pictures directly in it, sorted by name. An argument that does not exist may be a pattern
    (`*.mp4`, `**/*.mp4`). `-` stands for the paths on standard input, one per line.

    Args:
        arguments: arguments of the command.
        read_list: function that returns the text of standard input.

    Returns:
        Paths of the recordings. An argument that names nothing is returned unchanged, so that opening
        it reports the fault.
    """
    paths: list[Path] = []
    for argument in arguments:
        if argument == STANDARD_INPUT and read_list is not None:
            # A file from Windows may begin with a byte order mark.
            names = (line.strip() for line in read_list().removeprefix("\ufeff").split("\n"))
            paths += [path for name in names if name for path in _expand_folder(Path(name))]
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            paths += [path for match in matches for path in _expand_folder(Path(match))] or [Path(argument)]
        else:
            paths += _expand_folder(Path(argument))
    return paths


def read_standard_input() -> str:
    """Return the text of standard input; bytes that are not UTF-8 are kept for file names."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin.read()


def output_names(inputs: Sequence[Path]) -> list[str]:
    """Return a unique name, without suffix, for the output file of each input.

    It is the input's stem, `talk` of `talk.mp4`. If several inputs share it, the name includes more of
    their paths: `monday_talk` and `tuesday_talk`, or `talk.mp4` and `talk.mov`. Names are unique
    without regard to case, because some file systems ignore it.
    """
    absolute = [Path(os.path.abspath(path)) for path in inputs]
    names: list[str | None] = [None] * len(inputs)
    level = 0
    while None in names and level < 2 * max(len(path.parts) for path in absolute):
        proposed = [
            _candidate_name(path, level) if name is None else name for path, name in zip(absolute, names, strict=True)
        ]
        counts = Counter(name.casefold() for name in proposed)
        names = [name if counts[name.casefold()] == 1 else None for name in proposed]
        level += 1
    taken = {name.casefold() for name in names if name is not None}
    return [name or _numbered_name(path.stem, taken) for path, name in zip(absolute, names, strict=True)]


def is_video_file(path: Path) -> bool:
    """Return whether an input is a video and not a folder or a zip of pictures."""
    return path.suffix.lower() != ".zip" and not path.is_dir()


def _candidate_name(path: Path, level: int) -> str:
    """Return a name with more of the path at a higher level: the stem, a folder and the stem, the name, and so on."""
    parents, with_suffix = (level % 2, level >= 2) if level < 4 else (level - 2, True)
    folders = [part for part in path.parts[:-1] if part != path.anchor]
    return "_".join([*folders[len(folders) - parents :], path.name if with_suffix else path.stem])


def _numbered_name(stem: str, taken: set[str]) -> str:
    """Return a numbered name, such as `talk_2`, for an input that is named twice."""
    name = next(name for number in count(1) if (name := f"{stem}_{number}").casefold() not in taken)
    taken.add(name.casefold())
    return name


def _expand_folder(path: Path) -> list[Path]:
    """Return the recordings in a folder; a file or a folder of pictures is returned itself."""
    try:
        if not path.is_dir():
            return [path]
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError:  # opening it reports the fault
        return [path]
    clips = [entry for entry in entries if entry.suffix.lower() in _CLIP_SUFFIXES and entry.is_file()]
    animations = _find_animations(entries)
    if not clips and not animations and any(map(_is_picture, entries)):
        return [path]
    clips += animations
    clips += [entry for entry in entries if entry.is_dir() and _has_pictures(entry)]
    return sorted(clips) or [path]


def _find_animations(entries: Sequence[Path]) -> list[Path]:
    """Return the animated pictures of a folder, each of which is a clip; of PNG files only if the first one is."""
    from cslr_cli.media.animation import is_animated

    candidates = [entry for entry in entries if entry.suffix.lower() in ANIMATION_SUFFIXES]
    first_png = next((entry for entry in candidates if entry.suffix.lower() == ".png"), None)
    if first_png is not None and not is_animated(first_png):
        candidates = [entry for entry in candidates if entry.suffix.lower() != ".png"]
    return [entry for entry in candidates if is_animated(entry)]


def _has_pictures(folder: Path) -> bool:
    try:
        return any(map(_is_picture, folder.iterdir()))
    except OSError:
        return True  # opening it reports the fault


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
