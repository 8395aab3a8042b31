"""What the page does with an upload: checks it, recognises it, and makes the files to take away."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from cslr_cli.demo.networks import Networks
from cslr_cli.errors import CslrError, MediaError
from cslr_cli.files import write_text
from cslr_cli.media.frames import open_frames
from cslr_cli.media.pictures import PICTURE_SUFFIXES
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.formats import FORMATS
from cslr_cli.recognition import Recognition
from cslr_cli.recognizer import ReadOptions
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS

# What browsers show without help: encodings, as FFmpeg calls them, and the files around them.
_BROWSERS_DECODE = ("avc1", "h264", "vp80", "vp90", "vp08", "vp09", "av01")
_BROWSERS_OPEN = (".mp4", ".m4v", ".webm", ".mov")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv")


@dataclass(frozen=True)
class Limits:
    """What a visitor may ask for.

    Attributes:
        megabytes: of an upload.
        seconds: of a video.
        jobs: recognitions at a time; others wait.
        waiting: jobs that may wait; more are turned away.
    """

    megabytes: int = 200
    seconds: float = 60.0
    jobs: int = 1
    waiting: int = 16


@dataclass(frozen=True)
class Answer:
    """A recognised upload.

    Attributes:
        name: of the upload, as its owner calls it.
        network: name of the checkpoint.
        recognition: of it.
        folder: holds everything that was made of it; goes with `discard`.
        source: what was recognised: a video, or a folder of pictures.
        reading: how it was read.
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
        """A video for the player, made where the browser cannot show the upload itself."""
        return self.folder / "player.mp4"

    def discard(self) -> None:
        """Remove its files."""
        shutil.rmtree(self.folder, ignore_errors=True)


class DemoService:
    """Recognises uploads; knows nothing of the page.

    Messages of its errors name uploads as their owners call them: no path of this computer is in
    them, and no advice to whoever sits at its command line.

    Args:
        networks: the checkpoints to choose from.
        folder: an empty one, for what is made; the caller removes it at the end.
        limits: what a visitor may ask for.
    """

    def __init__(self, networks: Networks, folder: Path, limits: Limits | None = None) -> None:
        self.networks = networks
        self.limits = limits or Limits()
        self._folder = folder

    def recognise_video(self, video: Path, network: str) -> Answer:
        """Recognise an uploaded video.

        Args:
            video: the upload, under the name that its owner gave it.
            network: name of the checkpoint.

        Raises:
            CslrError: it is no video, too long, or cannot be read.
        """
        with self._job([video]) as folder:
            if video.suffix.lower() not in VIDEO_SUFFIXES:
                raise MediaError(
                    f"{video.name}: not a video", f"expected a file that ends in {_listed(VIDEO_SUFFIXES)}"
                )
            source = folder / f"clip{video.suffix.lower()}"
            shutil.copyfile(video, source)  # the upload may be gone before the heat maps are asked for
            with self._named({source: video.name}):
                answer = self._answer(video.name, network, folder, source, ReadOptions())
                if not _plays_in_browsers(source):
                    _write_player_video(source, answer.video, None)
            return answer

    def recognise_pictures(self, pictures: Sequence[Path], network: str, fps: float | None = None) -> Answer:
        """Recognise uploaded pictures, in the order of their names (2 before 10).

        Args:
            pictures: the uploads, under the names that their owner gave them.
            network: name of the checkpoint.
            fps: at which they were taken; None: at the rate that the network knows.

        Raises:
            CslrError: they are no pictures, or too many, or cannot be read.
        """
        with self._job(pictures) as folder:
            strange = [path.name for path in pictures if path.suffix.lower() not in PICTURE_SUFFIXES]
            if strange:
                raise MediaError(
                    f"{strange[0]}: not a picture", f"expected files that end in {_listed(PICTURE_SUFFIXES)}"
                )
            source = folder / "pictures"
            source.mkdir()
            name = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
            names = {source: name}
            for number, picture in enumerate(sorted(pictures, key=_natural_order)):
                copy = source / f"{number:06d}{picture.suffix.lower()}"
                shutil.copyfile(picture, copy)
                names[copy] = picture.name
            with self._named(names):
                rate = fps or self.networks.recognizer(network).fps
                answer = self._answer(name, network, folder, source, ReadOptions(fps=rate))
                _write_player_video(source, answer.video, rate)
            return answer

    def explain(self, answer: Answer) -> Path:
        """Where the network looked: a sheet of heat maps, PNG.

        Raises:
            CslrError: nothing was recognised, the video is too long for it or gone, or there is no memory for it.
        """
        from cslr_cli.cam import explain, write_sheet  # only here: drawing takes a while to import

        try:
            os.utime(answer.source)  # it is in use, which `tidy` should see
        except FileNotFoundError as error:
            raise CslrError(f"{answer.name}: removed in the meantime", "recognise it again") from error
        if answer.recognition.duration > MAX_UNDIVIDED_SECONDS:
            raise MediaError(
                f"{answer.name}: longer than {MAX_UNDIVIDED_SECONDS:g} s, the most that heat maps are made of",
                "cut it first",
            )
        sheet = answer.folder / "heat-maps.png"
        with self._named({answer.source: answer.name}):
            recognizer = self.networks.recognizer(answer.network)
            write_sheet(explain(recognizer, answer.source, reading=answer.reading), sheet)
        return sheet

    def tidy(self, seconds: float) -> None:
        """Remove what was made of uploads that nobody has used for so long."""
        for folder in self._folder.iterdir():
            with suppress(FileNotFoundError):  # a visitor's next answer takes its place at this moment
                # Not when the folder was changed: Gradio removes the files that were downloaded from it.
                last = max((path.stat().st_mtime for path in folder.rglob("*")), default=folder.stat().st_mtime)
                if time.time() - last > seconds:
                    shutil.rmtree(folder, ignore_errors=True)

    def _answer(self, name: str, network: str, folder: Path, source: Path, reading: ReadOptions) -> Answer:
        self._check_length(source, reading.fps)
        recognition = self.networks.recognizer(network).recognize(source, reading)
        stem = Path(name).stem if source.is_file() else "pictures"
        subtitles, document = folder / f"{stem}.srt", folder / f"{stem}.json"
        # What is taken away says the owner's name for the upload, not ours.
        shown = replace(recognition, source=name)
        write_text(subtitles, FORMATS["srt"].document(shown))
        write_text(document, FORMATS["json"].document(shown))
        return Answer(name, network, shown, folder, source, reading, subtitles, document)

    def _check_length(self, source: Path, fps: float | None) -> None:
        frames = open_frames(source, partial=True)  # one that is cut off, as far as it goes
        times = frames.timestamps
        seconds = frames.num_frames / fps if fps else float(times[-1]) if times is not None and len(times) else 0.0
        if seconds > self.limits.seconds:
            raise MediaError(
                f"{source}: {seconds:.0f} s long", f"the limit of this page is {self.limits.seconds:g} s: cut it first"
            )

    @contextmanager
    def _job(self, uploads: Sequence[Path]) -> Iterator[Path]:
        """A folder for one upload, which goes again if the work fails."""
        if not uploads:
            raise MediaError("nothing was uploaded", "choose a file first, or record one")
        if gone := [path.name for path in uploads if not path.is_file()]:
            raise MediaError(f"{gone[0]}: removed in the meantime", "upload it again")
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            with self._named({path: path.name for path in uploads}):
                total = sum(path.stat().st_size for path in uploads) / 1e6
                if total > self.limits.megabytes:
                    raise MediaError(
                        f"{uploads[0].name}: {total:.0f} MB", f"the limit of this page is {self.limits.megabytes} MB"
                    )
                yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @contextmanager
    def _named(self, names: Mapping[Path, str]) -> Iterator[None]:
        """Errors raised inside speak of uploads by their owners' names, and of no other path here."""
        try:
            yield
        except CslrError as error:
            hint = self._told(_for_visitors(error.hint or ""), names)
            raise type(error)(self._told(error.message, names), hint or None) from error
        except OSError as error:  # its text would hold a path
            raise MediaError(f"{next(iter(names.values()))}: {error.strerror or 'cannot be read'}") from error

    def _told(self, text: str, names: Mapping[Path, str]) -> str:
        for path in sorted(names, key=lambda path: len(str(path)), reverse=True):  # a picture before its folder
            text = text.replace(str(path), names[path])
        for network, path in self.networks.paths.items():
            text = text.replace(str(path), network)
        return re.sub(re.escape(str(self._folder)) + r"[^\s:,;]*", "the upload", text)


def _for_visitors(hint: str) -> str:
    """The advice of an error without that for the command line: a visitor of the page has no options to give."""
    return "\n".join(line for line in hint.splitlines() if not re.search(r"(^|[\s(])--[a-z]", line))


def _plays_in_browsers(video: Path) -> bool:
    capture = cv2.VideoCapture(str(video))
    code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("latin-1").lower()
    capture.release()
    return code in _BROWSERS_DECODE and video.suffix in _BROWSERS_OPEN


def _write_player_video(source: Path, video: Path, fps: float | None) -> None:
    """Make a video for the page's player of one that browsers do not show, or of pictures."""
    frames = open_frames(source, partial=True)  # one that is cut off, as far as it goes
    times = frames.timestamps
    if fps is None:
        fps = (len(times) - 1) / float(times[-1] - times[0]) if times is not None and len(times) > 1 else 25.0
    first = frames.read([0])[0]
    with video_writer(video, first.shape[1], first.shape[0], fps) as writer:
        for frame in frames.iterate(range(frames.num_frames)):
            writer.write(frame)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """2 before 10: runs of digits count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _listed(suffixes: Sequence[str]) -> str:
    return ", ".join(suffixes)
