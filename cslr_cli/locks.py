"""Locks on folders, so that two processes do not write the same files at the same time.

A lock belongs to the file `.lock` in the folder, and to the process that holds it: the system releases it when the
process ends, however it ends. The file contains a description of the process, and is removed with the lock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cslr_cli.errors import FileError

LOCK_FILE = ".lock"

_log = logging.getLogger(__name__)
# Seconds between two tries to get a lock that another process holds.
_WAIT_SECONDS = 0.2
# Most bytes that are read of the description of a process.
_MAX_DESCRIPTION = 200

# Descriptors of the locks of this process. A process that is forked closes its copies; otherwise it would hold the
# locks after the death of this one.
_held: set[int] = set()


class LockedError(FileError):
    """Another process holds the lock of a folder."""


@contextmanager
def lock_folder(
    folder: Path, command: str, hint: str, *, shared: bool = False, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock of an existing folder during the block.

    A file system without locks, such as some network disks, is a warning: the block then runs without a lock.

    Example:
        >>> with lock_folder(Path("runs/first"), "cslr train", "use another name with --name"):
        ...     ...  # write files in the folder

    Args:
        folder: the folder.
        command: command of this process, for the messages of others.
        hint: what to do if another process holds the lock, apart from waiting.
        shared: whether others may hold the lock at the same time, if they also share it.
        on_wait: called with a note before waiting for another process; None to raise an error instead.

    Raises:
        LockedError: another process holds the lock, and `on_wait` is None.
        OSError: the folder cannot be written.
    """
    path = folder / LOCK_FILE
    descriptor = _acquire(path, hint, shared, on_wait)
    _held.add(descriptor)
    try:
        with suppress(OSError):  # a full disk: the lock holds without a description
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _describe_process(command).encode(errors="replace"), 0)
        yield
    finally:
        with suppress(OSError):
            if shared:  # others may still hold it; then the last one removes the file
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        _held.discard(descriptor)
        os.close(descriptor)


def _acquire(path: Path, hint: str, shared: bool, on_wait: Callable[[str], None] | None) -> int:
    """Return the descriptor of the locked file."""
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            error.filename = str(path.parent)  # the user knows the folder
            raise
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError as error:
            holder = os.pread(descriptor, _MAX_DESCRIPTION, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            if on_wait is None:
                message = f"{path.parent}: {holder} is writing to this folder"
                raise LockedError(message, f"wait until it has ended, or {hint}") from error
            on_wait(f"{path.parent}: waiting for {holder}, which is writing to this folder")
            on_wait = _be_silent
            time.sleep(_WAIT_SECONDS)
            continue
        except OSError as error:
            reason = error.strerror or error
            _log.warning(
                "%s: no locks on this disk (%s); make sure that no other process writes here", path.parent, reason
            )
            return descriptor
        if _is_file_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # the file that was locked has been removed since


def _is_file_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _describe_process(command: str) -> str:
    since = time.strftime("%d %b, %H:%M")
    return f"{command} (process {os.getpid()} on {socket.gethostname()}, since {since})\n"


def _be_silent(note: str) -> None:
    pass


def _close_copies() -> None:
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_copies)
