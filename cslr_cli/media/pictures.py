"""Decode and resize pictures; read clips that are a folder or a zip of pictures."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final, cast

import cv2
import numpy as np
from PIL import Image, ImageOps

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource, NoFramesError, bgr_to_rgb, list_folder, shorten_list
from cslr_cli.media.options import FitMode, Interpolation
from cslr_cli.media.png import PNG_SIGNATURE, decode_plain_png, has_valid_checksums
from cslr_cli.untrusted import UntrustedDataError, open_zip, read_zip_entry

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
# Suffixes of pictures that can be animated; such a file is a clip of its own.
ANIMATION_SUFFIXES: Final = (".gif", ".webp", ".png", ".apng")
# Used to find videos in a folder; a file that the user names may have any suffix.
VIDEO_SUFFIXES: Final = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv"),
    *(".3gp", ".3g2", ".ts", ".mts", ".m2ts", ".m2v", ".vob", ".mxf", ".dv", ".asf", ".divx", ".mjpeg"),
)
_OPENCV_INTERPOLATIONS: Final[Mapping[Interpolation, int]] = {
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "linear": cv2.INTER_LINEAR,
}

# Largest accepted frame, pixels: 8192×8192. A frame of 10,000×10,000 pixels takes 300 MB of memory.
MAX_PIXELS: Final = 2**26
_TOO_LARGE_HINT = "make the picture smaller: networks see a few hundred pixels per side"
# Files and folders below a folder without pictures among which an error message looks for clips.
_MAX_ENTRIES_SEARCHED = 10_000


class _PictureFrames(FrameSource):
    """Pictures, which have no times, sorted by file name; numbers in names count as numbers."""

    @cached_property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the pictures, in order."""

    @property
    def num_frames(self) -> int:
        """Number of pictures."""
        return len(self.names)

    @property
    def timestamps(self) -> None:
        """None: pictures have no times."""

    @property
    def fps(self) -> None:
        """None: pictures have no frame rate."""


class FolderFrames(_PictureFrames):
    """The pictures of a folder, sorted by file name; numbers in names count as numbers."""

    @cached_property
    def names(self) -> list[str]:
        """The names of the pictures, in order."""
        try:
            with os.scandir(self.path) as entries:
                files = [entry.name for entry in entries if entry.is_file()]
        except OSError as error:
            raise MediaError(f"{self.path}: the folder cannot be read ({error.strerror})") from error
        names = _sort_pictures(files)
        if not names:
            raise NoFramesError(
                f"{self.path}: no pictures in this folder",
                _find_clips_below(self.path)
                or f"{_format_expected_suffixes()}; the folder holds {list_folder(self.path)}",
            )
        return names

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        for index in indices:
            path = self.path / self.names[index]
            try:
                data = path.read_bytes()
            except OSError as error:
                raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
            if data.startswith(PNG_SIGNATURE) and not has_valid_checksums(data):
                raise MediaError(f"{path}: the picture is damaged or cut off")
            yield str(path), decode_picture(data, str(path))


class ZipFrames(_PictureFrames):
    """The pictures of a `.zip`, sorted by their names in it; numbers in names count as numbers."""

    @cached_property
    def names(self) -> list[str]:
        """The names of the pictures, in order."""
        with self._open_archive() as archive:
            inside = archive.namelist()
        names = _sort_pictures(inside)
        if not names:
            raise NoFramesError(
                f"{self.path}: no pictures in this zip",
                f"{_format_expected_suffixes()}; the zip holds {shorten_list(sorted(inside))}",
            )
        return names

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        names = self.names
        with self._open_archive() as archive:
            for index in indices:
                name = f"{self.path}/{names[index]}"
                try:
                    data = read_zip_entry(archive, names[index])
                except UntrustedDataError as error:
                    raise MediaError(f"{name}: {error.message}") from error
                yield name, decode_picture(data, name)

    @contextmanager
    def _open_archive(self) -> Iterator[zipfile.ZipFile]:
        with ExitStack() as stack:
            try:
                archive = stack.enter_context(open_zip(self.path))
            except OSError as error:
                raise MediaError(f"{self.path}: cannot be opened ({error.strerror})") from error
            except UntrustedDataError as error:
                raise MediaError(error.message) from error
            yield archive


def decode_picture(data: bytes, name: str) -> Frame:
    """Decode a picture file.

    Args:
        data: contents of the file.
        name: name of the picture in error messages.

    Returns:
        uint8 (H, W, 3), RGB, without transparency, rotated by the file's orientation tag.

    Raises:
        MediaError: the file is empty, truncated, damaged, or not a picture.
    """
    if not data:
        raise MediaError(f"{name}: the picture is empty (0 bytes)")
    _check_header(data, name)
    if data.startswith(b"GIF8") or (data.startswith(b"RIFF") and data[8:12] == b"WEBP"):
        return _decode_with_pillow(data, name)
    if data.startswith(PNG_SIGNATURE) and b"IEND" not in data[-64:]:
        raise MediaError(f"{name}: the picture is cut off")
    # Some versions of OpenCV silently fill the missing part of a JPEG with grey.
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise MediaError(f"{name}: the picture is cut off")
    plain = decode_plain_png(data)
    if plain is not None:
        return plain
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # larger than OpenCV is willing to decode
        raise MediaError(f"{name}: cannot be read as a picture ({error.err})") from error
    if picture is None:
        raise MediaError(f"{name}: cannot be read as a picture; the file is damaged, or not a picture")
    return bgr_to_rgb(picture)


def check_frame_size_limit(width: int, height: int, name: str) -> None:
    """Raise a MediaError if a frame has more than `MAX_PIXELS` pixels, which take too much memory."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"{name}: {width}×{height} pixels are too large to be read", _TOO_LARGE_HINT)


def _check_header(data: bytes, name: str) -> None:
    """Raise a MediaError if a picture is too large according to its header, before it is decoded."""
    size = _png_size(data) or _jpeg_size(data) or _header_size(data, name)
    if size is not None:
        check_frame_size_limit(*size, name)


# PNG and JPEG are the formats of prepared corpora. Pillow takes 50 µs for a header, a fifth of decoding the picture.


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG; None for anything else."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG with plain segments up to the frame header; None for anything else."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:  # without a length, or padding
            return None
        if marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header: SOF0 to SOF15
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _header_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height as Pillow reads them from a header; None for a header that is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(f"{name}: the picture is too large to be read", _TOO_LARGE_HINT) from error
    except Exception:  # Pillow's readers raise what Python's functions raise (struct.error, OverflowError, …)
        return None  # decoding reports the fault


def resize_frame(frame: Frame, size: int, interpolation: Interpolation = "lanczos", fit: FitMode = "stretch") -> Frame:
    """Resize a frame to a square.

    Args:
        frame: uint8 (H, W, 3).
        size: height and width of the result, pixels.
        interpolation: interpolation of pixels; the published systems use `lanczos`.
        fit: way in which the frame becomes a square; the published systems use `stretch`.

    Returns:
        uint8 (size, size, 3).
    """
    method = _OPENCV_INTERPOLATIONS[interpolation]
    height, width = frame.shape[:2]
    if fit == "stretch" or height == width:
        return cast("Frame", cv2.resize(frame, (size, size), interpolation=method))
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = frame[top : top + side, left : left + side]
        return cast("Frame", cv2.resize(middle, (size, size), interpolation=method))
    longer = max(height, width)
    new_height, new_width = max(1, round(size * height / longer)), max(1, round(size * width / longer))
    padded = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    padded[top : top + new_height, left : left + new_width] = cv2.resize(
        frame, (new_width, new_height), interpolation=method
    )
    return padded


def _format_expected_suffixes() -> str:
    return f"expected files that end in {', '.join(PICTURE_SUFFIXES)}"


def _find_clips_below(folder: Path) -> str | None:
    """Return a hint where the videos, or else the pictures, below a folder are; None if there are none."""
    by_level: dict[tuple[bool, int], list[Path]] = {}
    files = (path for path in islice(folder.rglob("*"), _MAX_ENTRIES_SEARCHED) if not path.name.startswith("."))
    for path in files:
        suffix = path.suffix.lower()
        is_clip = suffix in VIDEO_SUFFIXES or suffix == ".zip"
        if is_clip or suffix in PICTURE_SUFFIXES:
            level = len(path.relative_to(folder).parts) - (1 if is_clip else 2)
            by_level.setdefault((not is_clip, level), []).append(path)
    if not by_level:
        return None
    (are_pictures, level), paths = min(by_level.items())
    first = min(paths)
    if level == 0 and not are_pictures:
        return f"use the path of one of its videos, such as {first}"
    pattern = folder / "/".join(["*"] * level + ["*" if are_pictures else f"*{first.suffix}"])
    what = "pictures" if are_pictures else "videos"
    return f"it has {what} in folders below it, such as {first}; use the pattern '{pattern}'"


def _sort_pictures(names: Sequence[str]) -> list[str]:
    """Select the names of pictures and sort them naturally."""

    def is_picture(name: str) -> bool:
        # macOS adds files whose names begin with a dot and have the suffix of the real ones.
        path = PurePosixPath(name)
        return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")

    return sorted(filter(is_picture, names), key=natural_sort_key)


def natural_sort_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a key that sorts numbers in names by their value and the rest by code points: `2.png` before `10.png`."""
    # The split alternates between text and numbers, so that only values of one type are compared. Numbers are compared
    # by their number of digits, then as text, because Python converts no numbers of more than 4300 digits.
    parts = re.split(r"0*([0-9]+)", name)
    return [(len(part), part) if place % 2 else part for place, part in enumerate(parts)], name


def _decode_with_pillow(data: bytes, name: str) -> Frame:
    # OpenCV reads GIF pictures only from version 4.12 on, and only if built to; it turns WebP pictures from 4.13 on.
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except Exception as error:  # Pillow's readers raise what Python's functions raise
        raise MediaError(f"{name}: the picture is damaged or cut off") from error
