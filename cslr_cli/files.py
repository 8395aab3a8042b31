"""Atomic writing: a file appears under its name only when it is complete. Relative paths, for what files contain."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Longest name of a file that common file systems accept, bytes.
_MAX_NAME_BYTES = 255


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block succeeds.

    The temporary name has the same suffix, because some writers choose a format by it. If the block raises, the
    temporary file is removed and an older file at `path` stays unchanged. An OSError about the temporary file
    names `path` instead, which the user knows.

    Example:
        >>> with atomic_file(Path("results.txt")) as unfinished:
        ...     unfinished.write_text("WER 19.4")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(lengthen_name(f".{path.stem}", f".{os.getpid()}.unfinished{path.suffix}"))
    try:
        yield unfinished
        with open(unfinished, "rb") as written:
            os.fsync(written.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(unfinished):  # None: a full disk, while writing
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # the disk is not writable, which is already reported
            unfinished.unlink(missing_ok=True)


def lengthen_name(name: str, ending: str) -> str:
    """Return a file name with an ending; if file systems do not take its length, a shortened and still unique one."""
    whole = f"{name}{ending}"
    if len(os.fsencode(whole)) <= _MAX_NAME_BYTES:
        return whole
    unique = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}{ending}"
    kept = os.fsencode(name)[: _MAX_NAME_BYTES - len(os.fsencode(unique))]
    return f"{kept.decode(errors='ignore')}{unique}"


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_file(path) as unfinished:
        unfinished.write_bytes(encode_text(text))


def encode_text(text: str) -> bytes:
    """Encode text as UTF-8; a byte of a file name that is not UTF-8 is written as its escape, which JSON reads."""
    return text.encode(errors="backslashreplace")


def real_path(path: Path) -> Path:
    """Return the absolute path behind symbolic links; unlike `Path.resolve`, it accepts links that form a loop."""
    return Path(os.path.realpath(path))


def relative_path(path: Path | str, folder: Path | str = ".") -> str:
    """Return a path relative to a folder, with `/` between parts; files contain no absolute paths of a machine.

    On Windows, a path on another drive than the folder has no relative path; then only its last part is returned.
    """
    absolute = os.path.abspath(path)
    try:
        return Path(os.path.relpath(absolute, os.path.abspath(folder))).as_posix()
    except ValueError:
        return os.path.basename(absolute)
