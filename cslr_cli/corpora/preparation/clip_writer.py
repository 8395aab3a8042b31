"""Write the clips of a prepared corpus: frames resized, as pictures in a zip or a folder."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2

from cslr_cli.choices import ImageFormat, Layout
from cslr_cli.dataset.manifest import DEFAULT_FRAME_SIZE
from cslr_cli.errors import DataError, MediaError, UsageError
from cslr_cli.files import atomic_file
from cslr_cli.media.frame_source import Frame, NoFramesError
from cslr_cli.media.frames import open_frames, read_clip
from cslr_cli.media.options import FitMode, Interpolation, Segment
from cslr_cli.media.pictures import resize_frame

_SUFFIXES: dict[ImageFormat, str] = {"png": ".png", "jpeg": ".jpg"}
DEFAULT_JPEG_QUALITY = 95
_FRAME_SIZES = range(8, 4097)
_QUALITIES = range(1, 101)
# Date of every zip entry. With the time of writing, two preparations would write different bytes.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ClipFormat:
    """How the frames of a prepared clip are stored.

    Attributes:
        frame_size: height and width, pixels.
        interpolation: interpolation of pixels when frames are resized.
        fit: how frames become squares.
        layout: `zip`: one uncompressed file per clip; `folder`: one folder per clip.
        image_format: `png`, which is exact, or `jpeg`, which is smaller.
        image_quality: quality of JPEG pictures, 1 to 100; None means 95. None for PNG.
    """

    frame_size: int = DEFAULT_FRAME_SIZE
    interpolation: Interpolation = "lanczos"
    fit: FitMode = "stretch"
    layout: Layout = "zip"
    image_format: ImageFormat = "png"
    image_quality: int | None = None

    def __post_init__(self) -> None:
        if self.image_format == "jpeg" and self.image_quality is None:
            object.__setattr__(self, "image_quality", DEFAULT_JPEG_QUALITY)
        faults = [
            f"{name} is {value!r}; expected one of {', '.join(known)}"
            for name, value, known in (
                ("interpolation", self.interpolation, get_args(Interpolation)),
                ("fit", self.fit, get_args(FitMode)),
                ("layout", self.layout, get_args(Layout)),
                ("image_format", self.image_format, get_args(ImageFormat)),
            )
            if value not in known
        ]
        if self.frame_size not in _FRAME_SIZES:
            faults.append(f"frame_size is {self.frame_size}; expected {_FRAME_SIZES[0]} to {_FRAME_SIZES[-1]}")
        if self.image_format == "png" and self.image_quality is not None:
            faults.append(f"image_quality is {self.image_quality}; PNG is exact and has no quality")
        elif self.image_quality is not None and self.image_quality not in _QUALITIES:
            faults.append(f"image_quality is {self.image_quality}; expected {_QUALITIES[0]} to {_QUALITIES[-1]}")
        if faults:
            raise UsageError("\n".join(faults))

    def clip_name(self, sample_id: str) -> str:
        """Name of a clip's file or folder."""
        return f"{sample_id}.zip" if self.layout == "zip" else sample_id


def count_written_frames(target: Path) -> int | None:
    """Count the frames of a clip that an earlier call wrote; None if it does not exist or is damaged."""
    if not target.exists():
        return None
    try:
        return open_frames(target).num_frames
    except MediaError:
        return None


def write_clip(frames: Iterable[Frame], target: Path, clip_format: ClipFormat) -> int:
    """Resize frames, write them, and return their number; `target` appears only when it is complete.

    Args:
        frames: frames of the clip, uint8 (H, W, 3), RGB.
        target: zip file or folder to write; an existing one is replaced.
        clip_format: size and format of the result.

    Raises:
        MediaError: a frame cannot be read; nothing is written.
        DataError: `target` cannot be written, for example because the disk is full.
    """
    suffix = _SUFFIXES[clip_format.image_format]
    num_frames = 0
    try:
        with _open_store(target, clip_format.layout) as store:
            for frame in frames:
                resized = resize_frame(frame, clip_format.frame_size, clip_format.interpolation, clip_format.fit)
                store(f"{num_frames:06d}{suffix}", _encode(resized, clip_format))
                num_frames += 1
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror})", "fix this and repeat the command; it continues from here"
        ) from error
    return num_frames


def _encode(frame: Frame, clip_format: ClipFormat) -> bytes:
    quality = clip_format.image_quality
    settings = () if quality is None else (cv2.IMWRITE_JPEG_QUALITY, quality)
    suffix = _SUFFIXES[clip_format.image_format]
    _, data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)
    return data.tobytes()


def _open_store(target: Path, layout: Layout) -> AbstractContextManager[Callable[[str, bytes], None]]:
    """Open a clip for writing; return a function that stores a picture file, given its name and contents."""
    return _zip_store(target) if layout == "zip" else _folder_store(target)


@contextmanager
def _zip_store(target: Path) -> Iterator[Callable[[str, bytes], None]]:
    with atomic_file(target) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:

        def store(name: str, data: bytes) -> None:
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)

        yield store


@contextmanager
def _folder_store(target: Path) -> Iterator[Callable[[str, bytes], None]]:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")

    def store(name: str, data: bytes) -> None:
        (unfinished / name).write_bytes(data)

    unfinished.mkdir(parents=True, exist_ok=True)
    try:
        yield store
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@dataclass(frozen=True)
class ClipTask:
    """One clip to write.

    Attributes:
        sample_id: name of the clip.
        source: folder or zip of pictures, or video file.
        target: zip file or folder to write.
        clip_format: size and format of the result.
        fps: frame rate of the result, frames per second.
        segment: segment of the source; None for the whole source.
    """

    sample_id: str
    source: Path
    target: Path
    clip_format: ClipFormat
    fps: float
    segment: Segment | None = None


@dataclass(frozen=True)
class ClipOutcome:
    """The result of writing a clip.

    Attributes:
        sample_id: name of the clip.
        num_frames: number of its frames; 0 if it could not be read.
        fault: why it could not be read; None if it could.
        is_missing: whether it could not be read because its frames do not exist.
        was_finished: whether an earlier call had written it.
        warnings: what is unusual about it, a sentence each.
    """

    sample_id: str
    num_frames: int
    fault: str | None = None
    is_missing: bool = False
    was_finished: bool = False
    warnings: tuple[str, ...] = ()


def write_if_needed(task: ClipTask) -> ClipOutcome:
    """Write a clip unless it is finished."""
    finished = count_written_frames(task.target)
    if finished is not None:
        return ClipOutcome(task.sample_id, finished, was_finished=True)
    try:
        clip = read_clip(task.source, task.fps, task.segment)
        num_frames = write_clip(clip.frames, task.target, task.clip_format)
        return ClipOutcome(task.sample_id, num_frames, warnings=(*filter(None, [clip.missing]), *clip.warnings))
    except MediaError as error:
        fault = error.message if error.hint is None else f"{error.message} ({error.hint})"
        return ClipOutcome(task.sample_id, 0, fault, is_missing=isinstance(error, NoFramesError))
