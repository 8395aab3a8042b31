"""Exceptions for every error that a user can cause and fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# Faults of one input that a message shows one by one; the others are only counted.
FAULTS_SHOWN = 10


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """`did you mean X?`, or `… X or Y?`, of the known names that are spelt most alike; or nothing.

    Args:
        name: what was written; small and capital letters count as the same.
        known: the names that there are.
        most: how many to offer.
    """
    by_folded = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.5)
    return f"did you mean {' or '.join(by_folded[folded] for folded in near)}?" if near else ""


class CslrError(Exception):
    """An error that the user can fix.

    Args:
        message: what is wrong and where (file, line, key, value).
        hint: what was expected and how to fix it; may have several lines.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if self.hint is None:
            return self.message
        return f"{self.message}\nhint: " + "\n      ".join(self.hint.splitlines())


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


def join_faults(faults: Sequence[str]) -> str:
    """Join the faults of an input, one per line: the first few, and the number of the others."""
    more = len(faults) - FAULTS_SHOWN
    return "\n".join([*faults[:FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])])
