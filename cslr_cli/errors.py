"""Exceptions for errors that the user can fix. The command line prints `message` and `hint`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

# Exit statuses of all commands. Success is 0.
EXIT_FAILED = 1
EXIT_USAGE = 2  # the command line or a setting is wrong
EXIT_STOPPED = 75  # stopped by a signal, everything saved; `EX_TEMPFAIL` ("try again later") of BSD's sysexits.h
EXIT_KEYBOARD_INTERRUPT = 130  # Ctrl-C, as shells report it

# Kind of an error in JSON (docs/json.md). Programs branch on it, so that a name never changes its meaning.
ErrorKind = Literal[
    "usage",
    "config",
    "data",
    "media",
    "checkpoint",
    "training",
    "lost_process",
    "device",
    "scoring",
    "missing_package",
    "file",
    "stopped",
    "other",
]

# Maximum number of faults of one input that a message lists; the others are only counted.
FAULTS_SHOWN = 10


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return `did you mean X?` or `did you mean X or Y?` with the most similar known names; empty if none is similar.

    Args:
        name: unknown name; upper and lower case are equal.
        known: known names.
        most: maximum number of names to suggest.
    """
    by_folded = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.5)
    return f"did you mean {' or '.join(by_folded[folded] for folded in near)}?" if near else ""


class CslrError(Exception):
    """An error that the user can fix.

    Args:
        message: what is wrong and where (file, line, key, value).
        hint: how to fix it, in the imperative; may have several lines.

    >>> print(CslrError("talk.mp4: empty file", "copy the video again"))
    talk.mp4: empty file
    hint: copy the video again
    """

    exit_status = EXIT_FAILED
    kind: ClassVar[ErrorKind] = "other"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if self.hint is None:
            return self.message
        return f"{self.message}\nhint: " + "\n      ".join(self.hint.splitlines())


class UsageError(CslrError):
    """An option, an argument or a setting is wrong."""

    exit_status = EXIT_USAGE
    kind: ClassVar[ErrorKind] = "usage"


class ConfigError(UsageError):
    """A configuration has unknown keys or wrong values."""

    kind = "config"


class DataError(CslrError):
    """A release, a prepared corpus, a manifest or an annotation is invalid."""

    kind = "data"


class MediaError(CslrError):
    """A video or a picture cannot be read or used."""

    kind = "media"


class CheckpointError(CslrError):
    """A checkpoint cannot be read, written or used."""

    kind = "checkpoint"


class TrainingError(CslrError):
    """A training failed: infinite losses, a failed process, or a signal of the system."""

    kind: ClassVar[ErrorKind] = "training"


class LostProcessError(CslrError):
    """The system ended a process that worked for this one, usually because memory was full."""

    kind = "lost_process"


class DeviceError(CslrError):
    """The device does not exist or is out of memory."""

    kind = "device"


class ScoringError(CslrError):
    """References and hypotheses cannot be scored."""

    kind = "scoring"


class MissingPackageError(CslrError):
    """A required optional package is not installed; for one of an extra, the hint is that of `extra_hint`."""

    kind = "missing_package"


def extra_hint(extra: str) -> str:
    """Return how to install an extra of cslr: the one place that decides how such hints read.

    >>> extra_hint("demo")
    "in the source folder of cslr, run: pip install '.[demo]'"
    """
    return f"in the source folder of cslr, run: pip install '.[{extra}]'"


class FileError(CslrError):
    """The operating system refused to read or write a file."""

    kind = "file"


class InterruptedByUserError(CslrError):
    """The user pressed Ctrl-C."""

    exit_status = EXIT_KEYBOARD_INTERRUPT
    kind = "stopped"


def join_faults(faults: Sequence[str]) -> str:
    """Join the faults of an input, one per line: the first `FAULTS_SHOWN`, then the number of the others."""
    more = len(faults) - FAULTS_SHOWN
    return "\n".join([*faults[:FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])])
