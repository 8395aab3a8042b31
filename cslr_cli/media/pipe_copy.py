"""Copy what comes through a pipe into a temporary file, because a video is read several times.

A shell makes pipes of `<(command)`, and `mkfifo` makes named ones.
"""

from __future__ import annotations

import atexit
import os
import selectors
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from cslr_cli.errors import MediaError

# Largest accepted video from a pipe, bytes: some hours of a broadcast.
MAX_BYTES: Final = 16 * 2**30
# Longest time to wait for the program that writes into a pipe, at its beginning and between two parts, seconds.
_MAX_WAIT_SECONDS = 8
_CHUNK_BYTES = 2**20

# A pipe can be read only once; its copy, by device and number of the pipe.
_copies: dict[tuple[int, int], Path] = {}


def copy_pipe(path: Path) -> Path:
    """Return a file with the contents of a pipe; the same one for every call with this pipe.

    The file is removed when the program ends.

    Raises:
        MediaError: nothing comes through the pipe, or more than `MAX_BYTES`, or the disk is full.
    """
    status = path.stat()
    key = (status.st_dev, status.st_ino)
    if key not in _copies:
        copy = _temporary_folder() / f"{len(_copies)}{path.suffix}"
        try:
            with open(copy, "wb") as file:
                for chunk in _chunks(path):
                    file.write(chunk)
                    if file.tell() > MAX_BYTES:
                        raise MediaError(
                            f"{path}: more than {MAX_BYTES // 2**30} GiB come through this pipe",
                            "write the video into a file first",
                        )
        except OSError as error:
            raise MediaError(f"{path}: cannot be copied to {copy.parent} ({error.strerror})") from error
        _copies[key] = copy
    return _copies[key]


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the contents of a pipe; end when its writer has closed it."""
    # Without blocking: opening a pipe into which nobody writes would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    has_begun = False
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                if not selector.select(_MAX_WAIT_SECONDS):
                    raise MediaError(
                        f"{path}: nothing comes through this pipe", "start the program that writes into it"
                    )
                chunk = os.read(descriptor, _CHUNK_BYTES)
                if not chunk:
                    if has_begun:
                        return
                    raise MediaError(f"{path}: nothing comes through this pipe", "its program has ended without output")
                has_begun = True
                yield chunk
    finally:
        os.close(descriptor)


@cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="cslr-pipe-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
