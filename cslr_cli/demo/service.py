"""The work behind the page: check an upload, recognise it, and write the files for download."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cslr_cli.demo.checkpoint_menu import CheckpointMenu
from cslr_cli.errors import CslrError, MediaError
from cslr_cli.files import write_text
from cslr_cli.media.frame_times import duration_of
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import DEFAULT_FPS
from cslr_cli.media.picture_series import PICTURE_SUFFIXES, VIDEO_SUFFIXES, natural_sort_key
from cslr_cli.media.sound import find_sound
from cslr_cli.media.video_stream import open_video
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.formats import FORMATS
from cslr_cli.recognition import Recognition
from cslr_cli.recognizer import ReadOptions
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS

# What all browsers play, by FFmpeg's names: codecs in each container, and pixel formats.
_BROWSER_CODECS = {"mp4": ("h264", "vp9", "av1"), "webm": ("vp8", "vp9", "av1")}
_BROWSER_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
_BROWSER_SUFFIXES = (".mp4", ".m4v", ".webm", ".mov")


@dataclass(frozen=True)
class Limits:
    """Limits of the page.

    Attributes:
        megabytes: maximum size of an upload.
        seconds: maximum duration of a video.
        jobs: number of recognitions at a time; others wait.
        waiting: number of jobs that may wait; more are refused.
        uploads: number of uploads of the maximum size for which there is space on the server.
    """

    megabytes: int = 200
    seconds: float = 60.0
    jobs: int = 1
    waiting: int = 16
    uploads: int = 20


@dataclass(frozen=True)
class Answer:
    """A recognised upload.

    Attributes:
        name: the visitor's name of the upload.
        network: name of the checkpoint.
        recognition: the recognition of the upload.
        folder: the folder of all files of this answer; `discard` removes it.
        source: the copied upload: a video, or a folder of pictures.
        reading: how the source was read.
        subtitles: SRT file.
        document: JSON file.
    """

    name: str
    network: str
    recognition: Recognition
    folder: Path
    source: Path
    reading: ReadOptions
    subtitles: Path
    document: Path

    @property
    def video(self) -> Path:
        """A video for the page's player; exists only if browsers cannot play the upload."""
        return self.folder / "player.mp4"

    def discard(self) -> None:
        """Remove all files of the answer."""
        shutil.rmtree(self.folder, ignore_errors=True)


class DemoService:
    """Recognises uploads, independent of the page.

    Its error messages use the visitors' names of uploads, and hold neither paths of this computer nor hints for the
    command line.

    Args:
        checkpoints: the checkpoints to choose from.
        folder: an empty folder for files; the caller removes it at the end.
        limits: limits of the page.
    """

    def __init__(self, checkpoints: CheckpointMenu, folder: Path, limits: Limits | None = None) -> None:
        self.checkpoints = checkpoints
        self.limits = limits or Limits()
        self._folder = folder

    def recognize_video(self, video: Path, network: str) -> Answer:
        """Recognise an uploaded video.

        Args:
            video: the upload, with the visitor's file name.
            network: name of the checkpoint.
        """
        with self._upload_folder([video]) as folder:
            if video.suffix.lower() not in VIDEO_SUFFIXES:
                raise MediaError(f"{video.name}: not a video", f"use a file that ends in {', '.join(VIDEO_SUFFIXES)}")
            source = folder / f"clip{video.suffix.lower()}"
            shutil.copyfile(video, source)  # the upload may be removed before the visitor asks for heat maps
            with self._rename_paths_in_errors({source: video.name}):
                answer = self._answer(video.name, network, folder, source, ReadOptions())
                if not _plays_in_browsers(source):
                    _write_player_video(source, answer.video, None)
            return answer

    def recognize_pictures(self, pictures: Sequence[Path], network: str, fps: float | None = None) -> Answer:
        """Recognise uploaded pictures, in the order of their names (2 before 10).

        Args:
            pictures: the uploads, with the visitor's file names.
            network: name of the checkpoint.
            fps: pictures per second; None for the rate of the network's training.
        """
        with self._upload_folder(pictures) as folder:
            refused = [path.name for path in pictures if path.suffix.lower() not in PICTURE_SUFFIXES]
            if refused:
                raise MediaError(f"{refused[0]}: not a picture", f"use files that end in {', '.join(PICTURE_SUFFIXES)}")
            source = folder / "pictures"
            source.mkdir()
            name = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
            names = {source: name}
            for number, picture in enumerate(sorted(pictures, key=lambda path: natural_sort_key(path.name))):
                copy = source / f"{number:06d}{picture.suffix.lower()}"
                shutil.copyfile(picture, copy)
                names[copy] = picture.name
            with self._rename_paths_in_errors(names):
                rate = fps or self.checkpoints.recognizer(network).fps
                answer = self._answer(name, network, folder, source, ReadOptions(source_fps=rate))
                _write_player_video(source, answer.video, rate)
            return answer

    def explain(self, answer: Answer) -> Path:
        """Write a sheet of heat maps, PNG, and return its path."""
        from cslr_cli.cam import explain, write_sheet  # imported here because the import is slow

        try:
            os.utime(answer.source)  # so that `remove_unused` keeps it
        except FileNotFoundError as error:
            raise CslrError(f"{answer.name}: no longer on the server", "recognise it again") from error
        if answer.recognition.duration > MAX_UNDIVIDED_SECONDS:
            raise MediaError(
                f"{answer.name}: longer than {MAX_UNDIVIDED_SECONDS:g} s, the limit for heat maps",
                "shorten it with the scissors above the player",
            )
        sheet = answer.folder / "heat-maps.png"
        with self._rename_paths_in_errors({answer.source: answer.name}):
            recognizer = self.checkpoints.recognizer(answer.network)
            write_sheet(explain(recognizer, answer.source, reading=answer.reading), sheet)
        return sheet

    def remove_unused(self, seconds: float) -> None:
        """Remove the files of uploads that were not used for so many seconds."""
        for folder in self._folder.iterdir():
            with suppress(FileNotFoundError):  # `discard` may remove it at the same time
                # The folder's own time does not count: it changes when Gradio removes downloaded files.
                last_use = max((path.stat().st_mtime for path in folder.rglob("*")), default=folder.stat().st_mtime)
                if time.time() - last_use > seconds:
                    shutil.rmtree(folder, ignore_errors=True)

    def _answer(self, name: str, network: str, folder: Path, source: Path, reading: ReadOptions) -> Answer:
        self._check_length(source, reading.source_fps)
        recognition = self.checkpoints.recognizer(network).recognize(source, reading)
        stem = Path(name).stem if source.is_file() else "pictures"
        subtitles, document = folder / f"{stem}.srt", folder / f"{stem}.json"
        # The downloaded files hold the visitor's name of the upload.
        renamed = replace(recognition, source=name)
        write_text(subtitles, FORMATS["srt"].document(renamed))
        write_text(document, FORMATS["json"].document(renamed))
        return Answer(name, network, renamed, folder, source, reading, subtitles, document)

    def _check_length(self, source: Path, fps: float | None) -> None:
        frames = open_frames(source, partial=True)  # reads truncated files as far as possible
        times = frames.timestamps
        seconds = frames.num_frames / fps if fps else float(times[-1]) if times is not None and len(times) else 0.0
        if seconds > self.limits.seconds:
            raise MediaError(
                f"{source}: {seconds:.0f} s long, the limit is {self.limits.seconds:g} s", "upload a shorter one"
            )

    @contextmanager
    def _upload_folder(self, uploads: Sequence[Path]) -> Iterator[Path]:
        """Check an upload and make a folder for it, which is removed if the work fails."""
        if not uploads:
            raise MediaError("nothing was uploaded", "choose a file first")
        if removed := [path.name for path in uploads if not path.is_file()]:
            raise MediaError(f"{removed[0]}: no longer on the server", "upload it again")
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            with self._rename_paths_in_errors({path: path.name for path in uploads}):
                megabytes = sum(path.stat().st_size for path in uploads) / 1e6
                if megabytes > self.limits.megabytes:
                    raise MediaError(
                        f"{uploads[0].name}: {megabytes:.0f} MB, the limit is {self.limits.megabytes} MB",
                        "upload a smaller file",
                    )
                yield folder
            cleanup.pop_all()  # the work has succeeded: keep the folder

    @contextmanager
    def _rename_paths_in_errors(self, names: Mapping[Path, str]) -> Iterator[None]:
        """Replace the paths in errors from the block by the visitors' names of uploads."""
        try:
            yield
        except CslrError as error:
            hint = self._rename_paths(_drop_command_line_hints(error.hint or ""), names)
            raise type(error)(self._rename_paths(error.message, names), hint or None) from error
        except OSError as error:  # its text may hold a path
            raise MediaError(f"{next(iter(names.values()))}: {error.strerror or 'cannot be read'}") from error

    def _rename_paths(self, text: str, names: Mapping[Path, str]) -> str:
        for path in sorted(names, key=lambda path: len(str(path)), reverse=True):  # pictures before their folder
            text = text.replace(str(path), names[path])
        for network, path in self.checkpoints.paths.items():
            text = text.replace(str(path), network)
        return re.sub(re.escape(str(self._folder)) + r"[^\s:,;]*", "the upload", text)


def _drop_command_line_hints(hint: str) -> str:
    """Remove the lines of a hint that name command-line options."""
    return "\n".join(line for line in hint.splitlines() if not re.search(r"(^|[\s(])--[a-z]", line))


def _plays_in_browsers(video: Path) -> bool:
    """Return whether all browsers play a video: its container, codec and pixel format."""
    if video.suffix not in _BROWSER_SUFFIXES:
        return False
    with open_video(video) as decoder:
        names = decoder.container.format.name.split(",")
        codecs = [codec for name in names for codec in _BROWSER_CODECS.get(name, ())]
        context = decoder.stream.codec_context
        return context.codec.canonical_name in codecs and context.pix_fmt in _BROWSER_PIXEL_FORMATS


def _write_player_video(source: Path, video: Path, fps: float | None) -> None:
    """Write a video that browsers play, from another video or from pictures."""
    frames = open_frames(source, partial=True)  # reads truncated files as far as possible
    rate = fps or frames.fps or DEFAULT_FPS
    times = np.arange(frames.num_frames) / rate if fps or frames.timestamps is None else frames.timestamps
    sound, _ = find_sound(frames, 0.0, duration_of(times, rate))
    first = frames.read([0])[0]
    with video_writer(video, first.shape[1], first.shape[0], rate, sound) as writer:
        for frame, time in zip(frames.iterate(), times.tolist(), strict=True):
            writer.write(frame, time)
