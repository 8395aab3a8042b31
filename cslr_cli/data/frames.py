"""Reading the frames of a clip: a folder of pictures, a zip of pictures, or a video file.

Whatever the source, frames come out as uint8 (H, W, 3), RGB, 0 to 255, upright, in the order in which
they were taken. Only the frames that are asked for are decoded. A source holds no open file between
two calls, so that it may be sent to another process or live through a fork.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cslr_cli.errors import MediaError

# uint8 (H, W, 3), RGB.
Frame = NDArray[np.uint8]

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")

# What is wrong with a file is said by a MediaError; the libraries' own remarks would only stand
# between it and the reader. OpenCV's FFmpeg looks at the variable when it opens its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.setLogLevel(0)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PLAUSIBLE_FPS = 1000.0
_NAMES_SHOWN = 5


class FrameSource(ABC):
    """The frames of one clip, wherever they lie.

    Attributes:
        path: the folder or file they are read from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def __len__(self) -> int:
        """How many frames there are, at least 1.

        Raises:
            MediaError: there are none, or the source cannot be read.
        """

    @property
    @abstractmethod
    def timestamps(self) -> NDArray[np.float64] | None:
        """When each frame is shown, float64 (T,), seconds after the first; None for pictures."""

    @property
    @abstractmethod
    def fps(self) -> float | None:
        """Frames a second, on average; None where the source does not say."""

    @abstractmethod
    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        """Decode frames by strictly increasing indices, each with a name for messages."""

    def iterate(self, indices: Sequence[int] | NDArray[np.integer] | None = None) -> Iterator[Frame]:
        """Give frames one after the other, with one at a time in memory.

        Args:
            indices: which frames, from 0, never decreasing; all of them if None. A frame that is
                asked for twice is decoded once and given twice, as one array.

        Yields:
            uint8 (H, W, 3), RGB; all of one size.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the first one asked for.
            IndexError: an index is not from 0 to `len(self) - 1`.
            ValueError: the indices decrease somewhere.
        """
        chosen = np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(chosen) == 0:
            return
        if (np.diff(chosen) < 0).any():
            raise ValueError("the indices of frames decrease")
        if chosen[0] < 0 or chosen[-1] >= len(self):
            raise IndexError(f"{self.path} has {len(self)} frames, from 0; asked for {chosen[0]} to {chosen[-1]}")
        unique, repeats = np.unique(chosen, return_counts=True)
        shape: tuple[int, ...] | None = None
        for (name, frame), repeat in zip(self._decode(unique.tolist()), repeats.tolist(), strict=True):
            if shape is not None and frame.shape != shape:
                raise MediaError(
                    f"{name} is {frame.shape[1]}×{frame.shape[0]} pixels, "
                    f"but the frames before it are {shape[1]}×{shape[0]}",
                    "all frames of a clip must have one size",
                )
            shape = frame.shape
            for _ in range(repeat):
                yield frame

    def read(self, indices: Sequence[int] | NDArray[np.integer] | None = None) -> NDArray[np.uint8]:
        """Read frames into one array.

        Args:
            indices: which frames, from 0, in any order and as often as wished; all of them if None.

        Returns:
            uint8 (T, H, W, 3), RGB, in the order of `indices`.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the others.
            IndexError: an index is not from 0 to `len(self) - 1`.
            ValueError: no index is given.
        """
        chosen = np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(chosen) == 0:
            raise ValueError("no frame was asked for")
        order = np.argsort(chosen, kind="stable")
        frames: NDArray[np.uint8] | None = None
        for place, frame in zip(order.tolist(), self.iterate(chosen[order]), strict=True):
            if frames is None:
                frames = np.empty((len(chosen), *frame.shape), np.uint8)
            frames[place] = frame
        return cast("NDArray[np.uint8]", frames)


class FolderFrames(FrameSource):
    """The pictures of a folder, sorted by file name; numbers in names count as numbers."""

    @property
    def timestamps(self) -> None:
        """None: pictures have no times."""

    @property
    def fps(self) -> None:
        """None: pictures have no frame rate."""

    @cached_property
    def names(self) -> list[str]:
        """The names of the pictures, in order."""
        try:
            with os.scandir(self.path) as entries:
                files = [entry.name for entry in entries if entry.is_file()]
        except OSError as error:
            raise MediaError(f"{self.path}: the folder cannot be read ({error.strerror})") from error
        names = _sorted_pictures(files)
        if not names:
            raise MediaError(
                f"{self.path}: no pictures in this folder",
                f"{_expected_pictures()}; the folder holds {folder_contents(self.path)}",
            )
        return names

    def __len__(self) -> int:
        """How many pictures the folder holds."""
        return len(self.names)

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        for index in indices:
            path = self.path / self.names[index]
            try:
                data = path.read_bytes()
            except OSError as error:
                raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
            if data.startswith(_PNG_SIGNATURE) and not _is_whole_png(data):
                raise MediaError(f"{path}: the picture is damaged or cut off")
            yield str(path), decode_picture(data, str(path))


class ZipFrames(FrameSource):
    """The pictures of a `.zip`, sorted by their names in it; numbers in names count as numbers."""

    @property
    def timestamps(self) -> None:
        """None: pictures have no times."""

    @property
    def fps(self) -> None:
        """None: pictures have no frame rate."""

    @cached_property
    def names(self) -> list[str]:
        """The names of the pictures, in order."""
        with self._opened() as archive:
            inside = archive.namelist()
        names = _sorted_pictures(inside)
        if not names:
            raise MediaError(
                f"{self.path}: no pictures in this zip",
                f"{_expected_pictures()}; the zip holds {_some_of(sorted(inside))}",
            )
        return names

    def __len__(self) -> int:
        """How many pictures the zip holds."""
        return len(self.names)

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        names = self.names
        with self._opened() as archive:
            for index in indices:
                name = f"{self.path}/{names[index]}"
                try:
                    data = archive.read(names[index])
                except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
                    # RuntimeError and its child NotImplementedError: encrypted, or an unknown packing.
                    raise MediaError(f"{name}: cannot be read from the zip ({error})") from error
                yield name, decode_picture(data, name)

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            archive = zipfile.ZipFile(self.path)
        except OSError as error:
            raise MediaError(f"{self.path}: cannot be opened ({error.strerror})") from error
        except zipfile.BadZipFile as error:
            why = "is empty" if self.path.stat().st_size == 0 else "is no zip, or is cut off"
            raise MediaError(f"{self.path}: the file {why}") from error
        with archive:
            yield archive


class VideoFrames(FrameSource):
    """The frames of a video file, upright, as OpenCV's FFmpeg decodes them.

    The number of frames is the number that decodes, whatever the container says; finding it takes
    one pass over the file, reading frames another.
    """

    def __len__(self) -> int:
        """How many frames decode."""
        return len(self._index[0])

    @property
    def timestamps(self) -> NDArray[np.float64] | None:
        """When each frame is shown, seconds after the first; None if the file does not say."""
        times, are_known = self._index
        return times if are_known else None

    @property
    def fps(self) -> float | None:
        """Frames a second, on average over the file; None if the file does not say."""
        times = self.timestamps
        if times is not None and len(times) > 1:
            return float((len(times) - 1) / times[-1])
        return self._declared[0]

    @cached_property
    def _declared(self) -> tuple[float | None, int]:
        """What the container says: frames a second, None if that is absurd, and the number of frames."""
        with self._opened() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return (fps if 0 < fps <= _MAX_PLAUSIBLE_FPS else None), int(max(count, 0))

    @cached_property
    def _index(self) -> tuple[NDArray[np.float64], bool]:
        """The times of all frames that decode, in seconds, and whether they are known."""
        milliseconds = []
        with self._opened() as capture:
            while capture.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        declared_fps, declared_count = self._declared
        if not milliseconds:
            raise MediaError(f"{self.path}: the video has no frames that can be decoded", self._fault())
        if len(milliseconds) < declared_count and _is_cut_off(self.path):
            raise MediaError(
                f"{self.path}: the video is cut off: {len(milliseconds)} of {declared_count} frames are there",
                "the file ends before its data does; copy or download it again",
            )
        times = (np.array(milliseconds) - milliseconds[0]) / 1000
        if len(times) == 1 or (np.diff(times) > 0).all():
            return times, True
        # Raw streams carry no times: all that is left is what the container says of the rate.
        return np.arange(len(times)) / (declared_fps or 1.0), declared_fps is not None

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        with self._opened() as capture:
            position = -1
            for index in indices:
                name = f"{self.path}, frame {index}"
                while position < index:
                    if not capture.grab():
                        raise MediaError(f"{name}: cannot be decoded")
                    position += 1
                found, picture = capture.retrieve()
                if not found:
                    raise MediaError(f"{name}: cannot be decoded")
                yield name, _rgb(picture)

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        # Without the choice of FFmpeg, OpenCV may take a name with digits for a series of pictures.
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise MediaError(f"{self.path}: the video cannot be opened", self._fault())
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            yield capture
        finally:
            capture.release()

    def _fault(self) -> str:
        """Say, as far as the bytes tell, why this is no video."""
        with open(self.path, "rb") as file:
            beginning = file.read(512)
        if not beginning:
            return "the file is empty (0 bytes)"
        if _is_cut_off(self.path):
            return "the file ends before its data does: it is cut off; copy or download it again"
        if all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning):
            return "the file holds text, not video, whatever its name says"
        return "it is not in a format that OpenCV can decode, or damaged; ffmpeg -i FILE new.mp4 may mend it"


def open_frames(path: Path | str) -> FrameSource:
    """Give access to the frames of a clip.

    Args:
        path: a folder of pictures, a `.zip` of pictures, or a video file.

    Raises:
        MediaError: there is nothing under this path, or the file has not a single byte. Whether
            the contents can be read shows when they are asked for.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        hint = f"{path.parent} holds {folder_contents(path.parent)}" if path.parent.is_dir() else None
        raise MediaError(f"{path}: there is no such file or folder", hint)
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes)")
    return ZipFrames(path) if path.suffix.lower() == ".zip" else VideoFrames(path)


def resample_indices(timestamps: ArrayLike, fps: float) -> NDArray[np.int64]:
    """Choose the frames that show a video at another, even frame rate.

    The k-th frame chosen is the one whose time is nearest to k/fps, so that signing keeps its speed.
    A video that has this rate already, but for the rounding of its times, comes out frame by frame.

    Args:
        timestamps: when each frame is shown, seconds, increasing, (T,).
        fps: the rate wanted, frames a second.

    Returns:
        int64, indices into `timestamps` that never decrease; as many as the video's length times
        `fps`, rounded, and at least one. The last frame is taken to stay as long as a usual one.

    Raises:
        ValueError: there are no times, they do not increase, or `fps` is not positive.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if len(times) == 0 or (np.diff(times) <= 0).any() or not fps > 0:
        raise ValueError("expected increasing times and a positive frame rate")
    times = times - times[0]
    last_stays = float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps
    wanted = np.arange(max(1, round((times[-1] + last_stays) * fps))) / fps
    # A wanted time past the middle between two frames belongs to the later one.
    middles = (times[1:] + times[:-1]) / 2
    return np.searchsorted(middles, wanted, side="left").astype(np.int64)


def decode_picture(data: bytes, name: str) -> Frame:
    """Decode a picture file.

    Args:
        data: the whole file.
        name: what to call it in an error message.

    Returns:
        uint8 (H, W, 3), RGB, upright where the file says how it was held; no transparency.

    Raises:
        MediaError: it is empty, cut off, damaged, or no picture.
    """
    if not data:
        raise MediaError(f"{name}: the picture is empty (0 bytes)")
    if data.startswith(b"GIF8"):
        return _decode_gif(data, name)
    if data.startswith(_PNG_SIGNATURE) and b"IEND" not in data[-64:]:
        raise MediaError(f"{name}: the picture is cut off")
    # Some versions of OpenCV fill the missing part of a JPEG with grey and say nothing.
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise MediaError(f"{name}: the picture is cut off")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise MediaError(f"{name}: cannot be read as a picture; it is damaged or none")
    return _rgb(picture)


def folder_contents(folder: Path) -> str:
    """Name the first few things that lie in a folder, for an error message."""
    return _some_of(sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir()))


def _some_of(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def _expected_pictures() -> str:
    return f"expected files that end in {', '.join(PICTURE_SUFFIXES)}"


def _sorted_pictures(names: Sequence[str]) -> list[str]:
    """Keep the names of pictures, and sort them: by code points, but numbers by their value."""

    def is_picture(name: str) -> bool:
        # macOS puts files beside the real ones that have their suffix but begin with a dot.
        path = PurePosixPath(name)
        return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")

    def key(name: str) -> tuple[list[str | int], str]:
        # Text and numbers take turns in the split, so that like is compared with like.
        parts = re.split(r"([0-9]+)", name)
        return [int(part) if place % 2 else part for place, part in enumerate(parts)], name

    return sorted(filter(is_picture, names), key=key)


def _rgb(picture: cv2.typing.MatLike) -> Frame:
    return cast("Frame", cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _decode_gif(data: bytes, name: str) -> Frame:
    # OpenCV reads GIF pictures only from version 4.12 on, and only if built to.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(f"{name}: the picture is damaged or cut off") from error


def _is_whole_png(data: bytes) -> bool:
    """Check the sums of all parts of a PNG; libpng would tell the terminal of a wrong one."""
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return False
        kind = data[position + 4 : position + 8]
        if zlib.crc32(memoryview(data)[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False


def _is_cut_off(path: Path) -> bool:
    """Whether an MP4, MOV or AVI file says that it is longer than it is; False for other formats."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(16)
        if header[:4] == b"RIFF":
            return int.from_bytes(header[4:8], "little") + 8 > size
        if header[4:8] != b"ftyp":
            return False
        position = 0
        while position < size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the length stands behind the name, in 8 bytes
                length = int.from_bytes(header[8:16], "big")
            if length < 8:  # the box reaches to the end of the file, or this is padding
                return False
            position += length
        return position > size
