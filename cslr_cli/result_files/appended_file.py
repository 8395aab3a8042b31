"""One file with the results of many inputs, which grows as `NAME.partial` and becomes `NAME` at the end.

`NAME.ledger.jsonl` lies next to it, and says which bytes belong to which input. So a command continues exactly, in any
format, also after it was killed in the middle of a line. Both files disappear at the end. The ledger stays if an input
has failed, so that a later call can add the missing results.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from cslr_cli.choices import ExistingFiles
from cslr_cli.errors import CslrError
from cslr_cli.files import atomic_file, encode_text, lengthen_name
from cslr_cli.result_files.faults import OutputFault, refusal_hint
from cslr_cli.result_files.ledger import InputFile, Ledger, LedgerEntry

# An input, and how often it was named before, from 1: the key of its result.
InputKey = tuple[str, int]


class AppendedFile:
    r"""A file to which the results of inputs are appended.

    Example:
        >>> file = AppendedFile(Path("all.csv"), "predict", header="gloss\n")
        >>> file.open()
        >>> file.append(InputFile("a.mp4"), "REGEN\n")  # all.csv.partial now has this line
        >>> file.finish([("a.mp4", 1)])  # all.csv

    Args:
        path: the file.
        command: command that writes it.
        header: text before the first result.
        separator: text between two results.
    """

    def __init__(self, path: Path, command: str, header: str = "", separator: str = "") -> None:
        self.path = path
        self.partial = path.with_name(lengthen_name(path.name, ".partial"))
        self.ledger = Ledger(path.with_name(lengthen_name(path.name, ".ledger.jsonl")), of_one_file=True)
        self._command = command
        self._header, self._separator = header.encode(), separator.encode()
        self._file: BinaryIO | None = None

    @property
    def is_started(self) -> bool:
        """Whether an interrupted call has left results in the unfinished file."""
        return bool(self._done_entries(self.partial))

    @property
    def is_finished(self) -> bool:
        """Whether the file exists, and no call has left a part of it or failed for an input."""
        return self.path.exists() and not self.is_started and not self._done_entries(self.path)

    def find_faults(self, option: str, existing: ExistingFiles) -> list[OutputFault]:
        """Return why the file cannot be started or continued."""
        hint = refusal_hint(existing)
        faults = []
        if existing == "refuse":
            if self.path.exists():
                faults.append(OutputFault(f"{option}: {self.path} exists", hint))
            if self.is_started:
                count = len(self._done_entries(self.partial))
                results = f"{count} result{'' if count == 1 else 's'} of an interrupted command"
                faults.append(OutputFault(f"{option}: {self.partial} exists, with {results}", hint))
        if existing != "overwrite":
            if not self.ledger.path.exists() and _has_content(self.partial):
                faults.append(OutputFault(f"{option}: {self.partial} exists, without {self.ledger.path.name}", hint))
            if self.ledger.is_foreign or any(entry.command != self._command for entry in self.ledger):
                what = f"{self.ledger.path} exists, and is not a ledger of cslr {self._command}"
                faults.append(OutputFault(f"{option}: {what}", hint))
        return faults

    def read_results(self) -> dict[InputKey, LedgerEntry]:
        """Return the entries of results that are in the unfinished file, otherwise in the finished one."""
        entries = self._done_entries(self.partial) or self._done_entries(self.path)
        return {_key(entry): entry for entry in entries}

    def open(self, existing: ExistingFiles = "refuse") -> None:
        """Start the file, or with `skip` continue it.

        Raises:
            CslrError: another process is writing the file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        results = self.read_results() if existing == "skip" else {}
        if results and not self.partial.is_file():  # a call that failed for some inputs
            with atomic_file(self.partial) as copy:
                shutil.copyfile(self.path, copy)
            self.ledger.rewrite(replace(entry, output=self.partial.name) for entry in self.ledger)
        file = open(self.partial, "ab+")  # noqa: SIM115  closed by `close`
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            hint = "wait for it, or choose another name"
            raise CslrError(f"{self.partial}: another command is writing this file", hint) from error
        except OSError:
            pass  # some network disks have no locks; then the user must avoid two calls at the same time
        self._file = file
        if not results:
            self.ledger.rewrite([])
        file.truncate(max((entry.end or 0 for entry in results.values()), default=0))

    def append(
        self,
        state: InputFile,
        text: str,
        *,
        occurrence: int = 1,
        seconds: float | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Append the result of an input; it is on the disk when the method returns."""
        assert self._file is not None
        body = encode_text(text)
        before = self._separator if self._file.seek(0, os.SEEK_END) else self._header
        start = self._file.tell() + len(before)
        self._file.write(before + body)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._record(state, occurrence, seconds, options, start=start, end=start + len(body))

    def append_failure(
        self,
        state: InputFile,
        reason: str,
        *,
        occurrence: int = 1,
        seconds: float | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Record that an input failed."""
        self._record(state, occurrence, seconds, options, reason=reason)

    def finish(self, order: Sequence[InputKey]) -> bool:
        """Make the file complete: give it its name; return whether it has a result.

        Args:
            order: inputs in the order of their results. Results of earlier calls for other inputs come first.
        """
        failed = [entry for entry in self.ledger if entry.status == "failed"]
        place = {key: index for index, key in enumerate(order)}
        done = sorted(self._done_entries(self.partial), key=lambda entry: place.get(_key(entry), -1))
        if not done:
            self._remove()
            return False
        kept = self._assemble(done)
        if failed:
            self.ledger.rewrite(replace(entry, output=self.path.name) for entry in (*kept, *failed))
        self._remove(keep_ledger=bool(failed))
        return True

    def close(self) -> None:
        """Close the file without finishing it; remove it if it has no result."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        if self.partial.is_file() and not self._done_entries(self.partial):
            self._remove()

    def _record(
        self,
        state: InputFile,
        occurrence: int,
        seconds: float | None,
        options: Mapping[str, str] | None,
        *,
        reason: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        self.ledger.append(
            LedgerEntry(
                command=self._command,
                input=state.path,
                size=state.size,
                modified=state.modified,
                status="done" if reason is None else "failed",
                output=self.partial.name,
                reason=reason,
                seconds=seconds,
                options=options or {},
                occurrence=occurrence,
                start=start,
                end=end,
            )
        )

    def _done_entries(self, file: Path) -> list[LedgerEntry]:
        """Return the entries of results whose bytes are in a file."""
        try:
            size = file.stat().st_size
        except OSError:
            return []
        done = [entry for entry in self.ledger if entry.status == "done" and entry.end is not None]
        if (
            file == self.path
            and not self.partial.exists()
            and size == max((entry.end or 0 for entry in done), default=0)
        ):
            return done  # perhaps the file was renamed, and the command was killed before it changed the ledger
        return [entry for entry in done if entry.output == file.name and (entry.end or 0) <= size]

    def _assemble(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """Write the results, in order, under the final name; return the entries with their new places."""
        assert self._file is not None
        placed: list[LedgerEntry] = []
        end = 0
        for entry in entries:
            start = end + len(self._separator if placed else self._header)
            end = start + (entry.end or 0) - (entry.start or 0)
            placed.append(replace(entry, start=start, end=end))
        if placed == list(entries) and end == self._file.seek(0, os.SEEK_END):
            os.replace(self.partial, self.path)
            return placed
        with atomic_file(self.path) as unfinished, open(unfinished, "wb") as target:
            for index, entry in enumerate(entries):
                target.write(self._separator if index else self._header)
                self._file.seek(entry.start or 0)
                target.write(self._file.read((entry.end or 0) - (entry.start or 0)))
        return placed

    def _remove(self, *, keep_ledger: bool = False) -> None:
        """Remove the unfinished file, and the ledger unless it is still needed."""
        self.partial.unlink(missing_ok=True)
        if not keep_ledger:
            self.ledger.path.unlink(missing_ok=True)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _key(entry: LedgerEntry) -> InputKey:
    return entry.input, entry.occurrence
