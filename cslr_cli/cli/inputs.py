"""Which recordings a command line means, and what to call the files that are written for each."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

from cslr_cli.media.pictures import PICTURE_SUFFIXES
from cslr_cli.media.video import VIDEO_SUFFIXES

_CLIP_SUFFIXES = (*VIDEO_SUFFIXES, ".zip")

STANDARD_INPUT = "-"


def find_inputs(arguments: Iterable[str], listed: Callable[[], str] | None = None) -> list[Path]:
    """Find the recordings that the arguments of a command mean, in their order.

    An argument that is a file is that recording, and so is a folder of pictures. Any other folder
    stands for what is in it, in the order of names: video files, zips, and folders of pictures, but
    not what lies deeper. What is no file may be a pattern (`*.mp4`, `**/*.mp4`), also one that the
    shell left as it was. `-` stands for the lines of standard input, each of which is a file or folder.

    Args:
        arguments: as they were given.
        listed: gives the text of standard input.

    Returns:
        Their paths. An argument that stands for nothing comes back as it is, so that whoever opens
        it says what is wrong with it and goes on with the others.
    """
    paths: list[Path] = []
    for argument in arguments:
        if argument == STANDARD_INPUT and listed is not None:
            # A list that Windows has written may begin with a mark of its encoding.
            names = (line.strip() for line in listed().removeprefix("\ufeff").split("\n"))
            paths += [path for name in names if name for path in _within(Path(name))]
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            paths += [path for match in matches for path in _within(Path(match))] or [Path(argument)]
        else:
            paths += _within(Path(argument))
    return paths


def standard_input() -> str:
    """All of standard input; bytes in it that are no text stay what they are in names of files."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return sys.stdin.read()


def output_names(inputs: Sequence[Path]) -> list[str]:
    """A name for each input, for the file that is written for it, without a suffix.

    It is the input's own name, `talk` of `talk.mp4`. Where several inputs would share one, more of
    their paths is in it: `monday_talk` and `tuesday_talk`, or `talk.mp4` and `talk.mov`. Names differ
    in more than upper and lower case, which some file systems do not tell apart.
    """
    absolute = [Path(os.path.abspath(path)) for path in inputs]
    names: list[str | None] = [None] * len(inputs)
    level = 0
    while None in names and level < 2 * max(len(path.parts) for path in absolute):
        proposed = [_name(path, level) if name is None else name for path, name in zip(absolute, names, strict=True)]
        how_often = Counter(name.casefold() for name in proposed)
        names = [name if how_often[name.casefold()] == 1 else None for name in proposed]
        level += 1
    taken = {name.casefold() for name in names if name is not None}
    return [name or _numbered(path.stem, taken) for path, name in zip(absolute, names, strict=True)]


def is_video_file(path: Path) -> bool:
    """Whether an input is a video, and not a folder or a zip of pictures."""
    return path.suffix.lower() != ".zip" and not path.is_dir()


def _name(path: Path, level: int) -> str:
    """More of the path the higher the level: the stem, a folder and the stem, the name, and so on."""
    parents, with_suffix = (level % 2, level >= 2) if level < 4 else (level - 2, True)
    folders = [part for part in path.parts[:-1] if part != path.anchor]
    return "_".join([*folders[len(folders) - parents :], path.name if with_suffix else path.stem])


def _numbered(stem: str, taken: set[str]) -> str:
    """For an input that is there twice: `talk_2`."""
    name = next(name for number in count(1) if (name := f"{stem}_{number}").casefold() not in taken)
    taken.add(name.casefold())
    return name


def _within(path: Path) -> list[Path]:
    """A file or a folder of pictures itself; of any other folder the recordings in it."""
    try:
        if not path.is_dir():
            return [path]
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError:  # who opens it says why
        return [path]
    clips = [entry for entry in entries if entry.suffix.lower() in _CLIP_SUFFIXES and entry.is_file()]
    if not clips and any(map(_is_picture, entries)):
        return [path]
    clips += [entry for entry in entries if entry.is_dir() and _has_pictures(entry)]
    return sorted(clips) or [path]


def _has_pictures(folder: Path) -> bool:
    try:
        return any(map(_is_picture, folder.iterdir()))
    except OSError:
        return True  # it may have: who opens it says why not


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
