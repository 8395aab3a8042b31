"""A folder with one file per input, and the ledger that says which of them are finished."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cslr_cli.choices import ExistingFiles
from cslr_cli.result_files.faults import OutputFault, find_path_faults, refusal_hint
from cslr_cli.result_files.ledger import (
    LEDGER_FILE,
    InputFile,
    Ledger,
    LedgerEntry,
    ResultStatus,
    modification_time,
    path_for_user,
    path_in_ledger,
)
from cslr_cli.result_files.marked_folder import MARKER_FILE, OutputMarker
from cslr_cli.version import __version__

_UNFINISHED = re.compile(r"\..+\.\d+\.unfinished(\.[^.]*)?")  # of `files.atomic_file`


class ResultFolder:
    """The files that an option names, one per input.

    Args:
        option: name of the option, for messages.
        folder: folder of the ledger.
        paths: files in the order of the inputs, in the folder or below it.
        inputs: inputs in order.
        command: name of the command.
        existing: what happens to files that exist.
    """

    def __init__(
        self,
        option: str,
        folder: Path,
        paths: Sequence[Path],
        inputs: Sequence[Path],
        command: str,
        existing: ExistingFiles,
    ) -> None:
        self.option, self.folder, self.paths = option, folder, tuple(paths)
        self.ledger = Ledger(folder / LEDGER_FILE)
        self._command, self._existing = command, existing
        self._inputs = tuple(inputs)
        self._states = tuple(InputFile.describe(path, folder) for path in inputs)
        self._names = [path_in_ledger(path, folder) for path in paths]

    def find_faults(self) -> list[OutputFault]:
        """Return why the files cannot be written."""
        faults = find_path_faults(self.option, self.paths, self._inputs)
        if self._existing == "overwrite":
            return faults
        hint = refusal_hint(self._existing)
        if self.ledger.is_foreign:
            faults.append(OutputFault(f"{self.option}: {self.ledger.path} exists, and is not a ledger", hint))
        for index, path in enumerate(self.paths):
            if _is_file(path) and (reason := self._reason_to_keep(index)) is not None:
                faults.append(OutputFault(f"{self.option}: {path} {reason}", hint))
        return faults

    def is_done(self, index: int) -> bool:
        """Return whether the file of an input is finished, and is to be kept."""
        if self._existing != "skip" or not _is_file(self.paths[index]):
            return False
        entry = self.ledger.find(self._names[index])
        return entry is None or self._is_done(entry, index)

    def kept_entries(self) -> list[LedgerEntry]:
        """Return the entries of all results that are kept."""
        entries = [self.ledger.find(name) for index, name in enumerate(self._names) if self.is_done(index)]
        return [entry for entry in entries if entry is not None]

    @contextmanager
    def open(self, todo: Sequence[int], options: Mapping[str, str]) -> Iterator[None]:
        """Mark the folder, and invalidate the results to be made; at the end, bring the ledger to one line per file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _lock_folder(self.folder):
            if self.ledger.is_foreign:  # and may be overwritten
                self.ledger.rewrite([])
            self._write_marker(options, complete=False)
            for index in todo:
                if _is_file(self.paths[index]):
                    self.record(index, "pending", options)
            yield
            self._write_marker(options, complete=True)

    def record(
        self,
        index: int,
        status: ResultStatus,
        options: Mapping[str, str],
        reason: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Append the line of an input to the ledger."""
        state = self._states[index]
        self.ledger.append(
            LedgerEntry(
                command=self._command,
                input=state.path,
                size=state.size,
                modified=state.modified,
                status=status,
                output=self._names[index],
                reason=reason,
                seconds=seconds,
                output_modified=modification_time(self.paths[index]) if status == "done" else None,
                options=options,
            )
        )

    def _reason_to_keep(self, index: int) -> str | None:
        """Return why an existing file may not be replaced; None if it may, or is kept as a finished result."""
        entry = self.ledger.find(self._names[index])
        if entry is None:
            return "exists" if self._existing == "refuse" else None
        if (entry.command, entry.input) != (self._command, self._states[index].path):
            return f"is a result of cslr {entry.command} for {path_for_user(entry.input, self.folder)}"
        if self._existing == "skip" and self._is_done(entry, index):
            return None
        was_edited = entry.status == "done" and entry.output_modified != modification_time(self.paths[index])
        return "was edited after cslr had written it" if was_edited else None

    def _is_done(self, entry: LedgerEntry, index: int) -> bool:
        return entry.status == "done" and entry.is_of(self._states[index])

    def _write_marker(self, options: Mapping[str, str], *, complete: bool) -> None:
        """Mark the folder, unless another command has marked it: the files are in the ledger in any case."""
        found = OutputMarker.read(self.folder)
        if found is None and (self.folder / MARKER_FILE).exists():
            return
        if found is None or found.command == self._command:
            marker = OutputMarker(self._command, __version__, self._states, options, complete=complete)
            marker.write(self.folder)


def _is_file(path: Path) -> bool:
    return os.path.lexists(path) and not os.path.isdir(path)


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Share a folder with other commands; tidy it at both ends if there is no other."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _clean_unless_in_use(folder, descriptor)
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            _clean_unless_in_use(folder, descriptor)
    finally:
        os.close(descriptor)


def _clean_unless_in_use(folder: Path, descriptor: int) -> None:
    """Remove replaced lines of the ledger, and unfinished files of commands that were killed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another command works in the folder
        return
    ledger = Ledger(folder / LEDGER_FILE)
    if ledger.has_replaced_lines and not ledger.is_foreign:
        ledger.rewrite()
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
