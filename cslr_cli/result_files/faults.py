"""Why outputs cannot be written, found before the work and reported together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.choices import ExistingFiles
from cslr_cli.errors import CslrError, UsageError, join_faults


@dataclass(frozen=True)
class OutputFault:
    """A reason not to write an output.

    Attributes:
        message: what is wrong and where.
        hint: how to fix it.
        is_usage: whether the command line is wrong, and not the disk.
    """

    message: str
    hint: str
    is_usage: bool = True


def raise_output_faults(faults: Sequence[OutputFault]) -> None:
    """Raise one error about all faults; do nothing if there is none.

    Example:
        >>> raise_output_faults([OutputFault("--output: notes.txt exists", refusal_hint("refuse"))])
        Traceback (most recent call last):
        cslr_cli.errors.UsageError: --output: notes.txt exists
        hint: use --overwrite, --skip-existing, or another name
    """
    if not faults:
        return
    hints = dict.fromkeys(fault.hint for fault in faults)
    kind = UsageError if any(fault.is_usage for fault in faults) else CslrError
    raise kind(join_faults([fault.message for fault in faults]), "\n".join(hints))


def refusal_hint(existing: ExistingFiles) -> str:
    """Return the advice about an existing file that is not replaced."""
    return "use --overwrite, or another name" if existing == "skip" else REFUSAL_HINT


REFUSAL_HINT = "use --overwrite, --skip-existing, or another name"


def find_path_faults(option: str, paths: Iterable[Path], inputs: Iterable[Path]) -> list[OutputFault]:
    """Return the faults of files to write: one is an input or no regular file, or its folder cannot be written.

    Args:
        option: name of the option that names the files.
        paths: files to write.
        inputs: files that the command reads.
    """
    paths = list(paths)
    read = {os.path.realpath(path) for path in inputs}
    faults = []
    for path in paths:
        if os.path.realpath(path) in read:
            hint = "choose another name or folder"
            faults.append(OutputFault(f"{option}: {path} is an input and would be overwritten", hint))
        elif os.path.isdir(path):  # False if the name is too long
            faults.append(OutputFault(f"{option}: {path} is a folder", "choose another name, or move the folder"))
        elif os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device would be replaced by a file
            faults.append(OutputFault(f"{option}: {path} is a pipe or a device, not a file", "choose another name"))
    for folder in dict.fromkeys(path.parent for path in paths):
        if (reason := _find_reason_not_to_write(folder)) is not None:
            hint = "fix the permissions, or choose another folder"
            faults.append(OutputFault(f"{option}: cannot write to {folder}: {reason}", hint, is_usage=False))
    return faults


def find_file_faults(option: str, path: Path, inputs: Iterable[Path], existing: ExistingFiles) -> list[OutputFault]:
    """Return why a file of its own cannot be written: it exists, or one of `find_path_faults`."""
    faults = find_path_faults(option, [path], inputs)
    if existing == "refuse" and os.path.lexists(path) and not os.path.isdir(path):
        faults.append(OutputFault(f"{option}: {path} exists", REFUSAL_HINT))
    return faults


def _find_reason_not_to_write(folder: Path) -> str | None:
    """Return why nothing can be written to a folder, which may not exist yet; None if it can. Creates nothing."""
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        return f"{existing} is a file"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return error.strerror or str(error)
