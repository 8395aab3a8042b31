"""Clips that are a folder or a zip of pictures."""

from __future__ import annotations

import os
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource, NoFramesError, list_folder, shorten_list
from cslr_cli.media.picture_series import PICTURE_SUFFIXES, VIDEO_SUFFIXES, PictureSeries, find_series
from cslr_cli.media.pictures import decode_picture
from cslr_cli.media.png import PNG_SIGNATURE, has_valid_checksums
from cslr_cli.untrusted import MAX_ZIP_ENTRY_BYTES, UntrustedDataError, open_zip, read_bytes, read_zip_entry

# Files and folders below a folder without pictures among which an error message looks for clips.
_MAX_ENTRIES_SEARCHED = 10_000
# Encodings of names in zips that do not say that they are UTF-8, beside the one of the standard.
_ZIP_ENCODINGS = ("utf-8", "cp932")
_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1


class _PictureFrames(FrameSource):
    """Pictures, which have no times; their names decide which of them are the clip, and their order."""

    @cached_property
    @abstractmethod
    def _series(self) -> PictureSeries:
        """The pictures of the clip, at least one."""

    @property
    def names(self) -> list[str]:
        """The names of the pictures, in order."""
        return self._series.names

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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about pictures that are left out."""
        warning = self._series.warning
        return () if warning is None else (warning,)


class FolderFrames(_PictureFrames):
    """The pictures of a folder."""

    @cached_property
    def _series(self) -> PictureSeries:
        try:
            with os.scandir(self.path) as entries:
                files = [entry.name for entry in entries if entry.is_file()]
        except OSError as error:
            raise MediaError(f"{self.path}: the folder cannot be read ({error.strerror})") from error
        series = find_series(files, str(self.path))
        if not series.names:
            raise NoFramesError(
                f"{self.path}: no pictures in this folder",
                _find_clips_below(self.path)
                or f"{_format_expected_suffixes()}; the folder holds {list_folder(self.path)}",
            )
        return series

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        for index in indices:
            path = self.path / self.names[index]
            try:
                data = read_bytes(path, max_bytes=MAX_ZIP_ENTRY_BYTES)  # the same limit as for a picture in a zip
            except OSError as error:
                raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
            except UntrustedDataError as error:
                raise MediaError(error.message, error.hint) from error
            if data.startswith(PNG_SIGNATURE) and not has_valid_checksums(data):
                raise MediaError(f"{path}: the picture is damaged or cut off")
            yield str(path), decode_picture(data, str(path))


class ZipFrames(_PictureFrames):
    """The pictures of a `.zip`; of several files with one name, the last one counts, as for other programs."""

    @cached_property
    def _series(self) -> PictureSeries:
        entries = self._entries
        series = find_series(list(entries), str(self.path))
        if not series.names:
            videos = [name for name in entries if Path(name).suffix.lower() in VIDEO_SUFFIXES]
            advice = "unpack it: it holds videos" if videos else _format_expected_suffixes()
            holds = f"{advice}; the zip holds {shorten_list(sorted(entries))}"
            raise NoFramesError(f"{self.path}: no pictures in this zip", holds)
        return series

    @cached_property
    def _entries(self) -> Mapping[str, str]:
        """The name of each file as `zipfile` has it, by its real name with `/` between folders."""
        with self._open_archive() as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
        encrypted = [entry.filename for entry in files if entry.flag_bits & _ENCRYPTED_FLAG]
        if encrypted:
            raise MediaError(f"{self.path}: the zip is encrypted", "unpack it with its password, and use the folder")
        return {_real_name(entry): entry.filename for entry in files}

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        names, entries = self.names, self._entries
        with self._open_archive() as archive:
            for index in indices:
                name = f"{self.path}/{names[index]}"
                try:
                    data = read_zip_entry(archive, entries[names[index]])
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


def _real_name(entry: zipfile.ZipInfo) -> str:
    r"""Return the name of a file in a zip as its author wrote it.

    Names that are not marked as UTF-8 are in the encoding of the system that wrote them, often Shift-JIS. Some programs
    for Windows write `\` between folders.
    """
    name = entry.filename
    if not name.isascii() and not entry.flag_bits & _UTF8_FLAG:
        encoded = name.encode("cp437", errors="replace")  # how `zipfile` has decoded it
        for encoding in _ZIP_ENCODINGS:
            with suppress(UnicodeDecodeError):
                name = encoded.decode(encoding)
                break
    return name.replace("\\", "/")


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
