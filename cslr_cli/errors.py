"""The one family of exceptions for everything that a user can cause and mend."""

from __future__ import annotations

from collections.abc import Sequence

# Faults of one input that a message shows one by one; the others are only counted.
FAULTS_SHOWN = 10


class CslrError(Exception):
    """Something went wrong that the person at the keyboard can mend.

    Args:
        message: what is wrong and where: the file, the line, the key, the value.
        hint: what was expected and how to mend it; may have several lines.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if self.hint is None:
            return self.message
        return "\n".join([self.message, *(f"  {line}" for line in self.hint.splitlines())])


class UsageError(CslrError):
    """The command line or a setting is wrong; nothing was started."""

    exit_status = 2


class ConfigError(UsageError):
    """A configuration file or a `--set` has unknown keys or wrong values."""


class DataError(CslrError):
    """A release, a prepared corpus, a manifest or an annotation is not as it should be."""


class MediaError(CslrError):
    """A video or a picture cannot be read, or is not what the network needs."""


class CheckpointError(CslrError):
    """A file is no checkpoint, or not one that this version and this network can load."""


class TrainingError(CslrError):
    """A training could not go on: its losses, its processes, or the system that ended it."""


class DeviceError(CslrError):
    """The device asked for is not there, or ran out of memory."""


class ScoringError(CslrError):
    """References and hypotheses cannot be scored against each other."""


class MissingPackageError(CslrError):
    """An optional package is needed for what was asked and is not installed."""


def gathered(faults: Sequence[str]) -> str:
    """Tell the faults of an input, one a line: the first few, and how many more there are."""
    more = len(faults) - FAULTS_SHOWN
    return "\n".join([*faults[:FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])])
