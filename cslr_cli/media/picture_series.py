"""Which of the files in a folder or zip are the pictures of one clip, and in which order.

The names decide. Nothing is lost in silence: files that look like pictures and cannot be read, and several series in
one place, are errors; a single picture beside a series is left out with a warning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import shorten_list

PICTURE_SUFFIXES: Final = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".jp2", ".j2k", ".avif", ".heic", ".heif"),
    *(".ppm", ".pgm", ".apng", ".jfif"),
)
# Suffixes of pictures that can be animated; such a file is a clip of its own.
ANIMATION_SUFFIXES: Final = (".gif", ".webp", ".png", ".apng")
# Used to find videos in a folder; a file that the user names may have any suffix.
VIDEO_SUFFIXES: Final = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv"),
    *(".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".m2v", ".vob", ".mxf", ".dv", ".asf", ".divx", ".mjpeg"),
)
# Suffixes of pictures that are not read: raw data of cameras, and formats of other programs.
_UNREADABLE_SUFFIXES: Final = frozenset(
    {
        *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2"),
        *(".dpx", ".exr", ".hdr", ".jxl", ".psd", ".svg", ".tga", ".xcf"),
    }
)
# Most pictures beside a series of numbered ones that are left out with a warning, as a fraction of all.
_MAX_LEFT_OUT_FRACTION = 0.1
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
# What programs append to the name of a further file: ` (2)`, `_2`, `-2`, `.2`, `2`.
_APPENDED_NUMBER = re.compile(r"[ ._-]*\(?#\)?$")
# A name whose last number may be a decimal number.
_DECIMAL = re.compile(r"(.*?)([0-9]+)(?:\.([0-9]+))?([^0-9]*)")


@dataclass(frozen=True)
class PictureSeries:
    """The pictures of one clip.

    Attributes:
        names: names of the pictures, in order.
        left_out: names of pictures beside the series.
    """

    names: list[str]
    left_out: list[str]

    @property
    def warning(self) -> str | None:
        """Sentence about the pictures that are left out; None if there are none."""
        if not self.left_out:
            return None
        what = "1 picture is" if len(self.left_out) == 1 else f"{len(self.left_out)} pictures are"
        return f"{what} not part of the series and left out: {shorten_list(self.left_out)}"


def find_series(names: Sequence[str], place: str) -> PictureSeries:
    """Find the pictures of a clip among the files of a folder or zip.

    Args:
        names: names of all files, with `/` between folders.
        place: the folder or zip, for messages.

    Returns:
        The series; without pictures, an empty one.

    Raises:
        MediaError: there are several series, or pictures that cannot be read.
    """
    if _is_plainly_numbered(names):  # as in a prepared corpus
        return PictureSeries(sorted(names), [])
    visible = [name for name in names if not _is_hidden(name)]
    unreadable = sorted(name for name in visible if _suffix(name) in _UNREADABLE_SUFFIXES)
    if unreadable:
        raise MediaError(
            f"{place}: pictures of a kind that cannot be read: {shorten_list(unreadable)}",
            "convert them to PNG or JPEG",
        )
    pictures = [name for name in visible if _suffix(name) in PICTURE_SUFFIXES]
    folders = sorted({str(PurePosixPath(name).parent) for name in pictures})
    if len(folders) > 1:
        raise MediaError(
            f"{place}: pictures in {len(folders)} folders: {shorten_list(folders)}", "make one folder or zip per clip"
        )
    chosen = _choose(pictures, place)
    _check_numbers(chosen, place)
    left_out = sorted(set(pictures) - set(chosen))
    return PictureSeries(_sort(chosen), left_out)


def _is_plainly_numbered(names: Sequence[str]) -> bool:
    """Return whether all names are numbers of one length with one suffix, so that text order is their order."""
    if not names:
        return False
    stem, dot, suffix = names[0].partition(".")
    is_picture = f".{suffix}" in (".png", ".jpg") and stem.isascii() and stem.isdigit()
    length, ending = len(names[0]), dot + suffix
    return is_picture and all(
        len(name) == length and name.endswith(ending) and name[: -len(ending)].isdecimal() for name in names
    )


def _choose(pictures: Sequence[str], place: str) -> list[str]:
    """Return the pictures of the only series of numbered names; all pictures if the names show no series."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in pictures:
        groups[_base(name)].append(name)
    series = [group for group in groups.values() if len(group) > 1 and any(map(_NUMBER.search, group))]
    num_others = len(pictures) - sum(map(len, series))
    others_are_few = num_others <= max(1, _MAX_LEFT_OUT_FRACTION * len(pictures))
    if not series or not others_are_few:
        return list(pictures)
    if len(series) > 1:
        listed = ", ".join(f"{_pattern(group[0])} ({len(group)})" for group in sorted(series))
        raise MediaError(f"{place}: {len(series)} series of pictures: {listed}", "make one folder or zip per clip")
    return series[0]


def _check_numbers(names: Sequence[str], place: str) -> None:
    """Raise a MediaError if two pictures have the same name apart from their suffixes."""
    by_stem: dict[str, str] = {}
    for name in names:
        other = by_stem.setdefault(_stem(name).casefold(), name)
        if other != name:
            raise MediaError(
                f"{place}: {other} and {name} have the same number", "keep one kind of pictures in a folder or zip"
            )


def _sort(names: Sequence[str]) -> list[str]:
    return sorted(names, key=_decimal_key(names) or natural_sort_key)


def _decimal_key(names: Sequence[str]) -> Callable[[str], tuple[int, str]] | None:
    """Return a key that sorts names by decimal numbers, `t_0.05` before `t_0.1`; None if they hold whole numbers."""
    parts = {name: found.groups() for name in names if (found := _DECIMAL.fullmatch(_stem(name)))}
    if len(parts) < len(names) or len({(before, after) for before, _, _, after in parts.values()}) > 1:
        return None
    fractions: dict[int, list[str]] = defaultdict(list)
    for _, whole, fraction, _ in parts.values():
        fractions[int(whole)].append(fraction or "")
    if not any(fraction for of_whole in fractions.values() for fraction in of_whole):
        return None
    if not any(map(_are_decimals, fractions.values())):
        return None
    return lambda name: (int(parts[name][1]), parts[name][2] or "")


def _are_decimals(fractions: Sequence[str]) -> bool:
    """Return whether digits after a point are decimals, `05`, `1`, `15`, and not numbers that count up."""
    if "" in fractions:
        return len(fractions) > 1
    numbers = sorted(map(int, fractions))
    widths = {len(fraction) for fraction in fractions}
    has_zeros = len(widths) > 1 and any(len(fraction) > 1 and fraction[0] == "0" for fraction in fractions)
    return has_zeros or (len(widths) > 1 and numbers != list(range(numbers[0], numbers[0] + len(numbers))))


def natural_sort_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts numbers in names by their value and the rest by code points: `2.png` before `10.png`.

    The suffix counts last, so that `take.png` comes before `take (1).png`.
    """
    # The split alternates between text and numbers, so that only values of one type are compared. Numbers are compared
    # by their number of digits, then as text, because Python converts no numbers of more than 4300 digits.
    parts = re.split(r"0*([0-9]+)", _stem(name))
    return [(len(part), part) if place % 2 else part for place, part in enumerate(parts)], name


def _base(name: str) -> str:
    """Return what the names of one series have in common: the name without its suffix and its last number."""
    return _APPENDED_NUMBER.sub("", _NUMBER.sub("#", PurePosixPath(_stem(name)).name.casefold()))


def _pattern(name: str) -> str:
    """Return a name with `#` for its numbers, for messages."""
    return _NUMBER.sub("#", _stem(PurePosixPath(name).name)) + PurePosixPath(name).suffix


def _stem(name: str) -> str:
    """Return a name without its suffix; a name may have none."""
    suffix = PurePosixPath(name).suffix
    return name[: len(name) - len(suffix)] if suffix and not suffix[1:].isdigit() else name


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_hidden(name: str) -> bool:
    """Return whether a file belongs to the system: macOS adds `._0001.png`, and `__MACOSX/` in zips."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
