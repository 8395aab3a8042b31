"""The results of many inputs: which are to be made, where they go, and what may be replaced.

A command says where its results go (`add_folder`, `add_file`, `add_appended`), checks the whole plan before its work,
and records each result when it is complete. The ledgers then say exactly what is finished.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cslr_cli.choices import ExistingFiles
from cslr_cli.result_files.appended_file import AppendedFile
from cslr_cli.result_files.faults import OutputFault, find_file_faults, find_path_faults, raise_output_faults
from cslr_cli.result_files.ledger import InputFile, LedgerEntry
from cslr_cli.result_files.marked_folder import find_option_faults
from cslr_cli.result_files.result_folder import ResultFolder

# Option that is known only when the network is loaded.
CHECKPOINT = "checkpoint"


class ResultPlan:
    """The results of a command for its inputs.

    Example:
        >>> plan = ResultPlan("predict", [Path("a.mp4"), Path("b.mp4")], existing="skip")
        >>> plan.add_folder("--output", Path("out"), [Path("out/a.srt"), Path("out/b.srt")])
        >>> plan.check()  # raises a UsageError about all faults
        >>> with plan.open():
        ...     for index in plan.todo:
        ...         ...  # write the file
        ...         plan.record_done(index)

    Args:
        command: name of the command.
        inputs: inputs in order.
        existing: what happens to files that exist.
        options: options that the results depend on, by name.

    Attributes:
        todo: indices of the inputs whose results are to be made.
        num_done: number of results that were kept or recorded.
    """

    def __init__(
        self,
        command: str,
        inputs: Sequence[Path],
        existing: ExistingFiles = "refuse",
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.todo: tuple[int, ...] = tuple(range(len(inputs)))
        self.num_done = 0
        self._command, self._inputs, self._existing = command, tuple(inputs), existing
        self._options = dict(options or {})
        self._folders: list[ResultFolder] = []
        self._files: list[tuple[str, Path]] = []
        self._appended: _AppendedResults | None = None
        self._last_appended: int | None = None
        self._last_time = 0.0  # end of the work on the input before

    @property
    def has_outputs(self) -> bool:
        """Whether anything is written to a file."""
        return bool(self._folders or self._files or self._appended)

    @property
    def num_inputs(self) -> int:
        """The number of inputs."""
        return len(self._inputs)

    def add_folder(self, option: str, folder: Path, paths: Sequence[Path]) -> None:
        """Add one file per input in a folder, or in folders below it. The folder gets a ledger."""
        self._folders.append(ResultFolder(option, folder, paths, self._inputs, self._command, self._existing))

    def add_file(self, option: str, path: Path) -> None:
        """Add a file of the only input."""
        self._files.append((option, path))

    def add_appended(self, option: str, path: Path, header: str = "", separator: str = "") -> None:
        """Add one file with the results of all inputs."""
        file = AppendedFile(path, self._command, header, separator)
        self._appended = _AppendedResults(option, file, self._inputs, self._existing)

    def check(self) -> None:
        """Find out what is to be done; nothing is written.

        Raises:
            UsageError: outputs exist that may not be replaced, or cannot be written; all are named.
        """
        raise_output_faults(self.find_faults())
        self.todo = tuple(index for index in range(len(self._inputs)) if not self._is_done(index))
        self.num_done = len(self._inputs) - len(self.todo)

    def find_faults(self) -> list[OutputFault]:
        """Return why outputs cannot be written."""
        faults = [fault for folder in self._folders for fault in folder.find_faults()]
        for option, path in self._files:
            faults += find_file_faults(option, path, self._inputs, self._existing)
        if self._appended is not None:
            faults += self._appended.find_faults()
        faults += self._find_option_faults(ignored=[CHECKPOINT])
        return list(dict.fromkeys(faults))

    @contextmanager
    def open(self, checkpoint: str | None = None) -> Iterator[None]:
        """Start the work; at the end, complete the file of all inputs and the ledgers.

        Call it even if `todo` is empty: an interrupted command may have left a file that only needs its name.

        Args:
            checkpoint: description of the network that makes the results; None without one.

        Raises:
            UsageError: results that would be kept were made with another network.
        """
        if checkpoint is not None:
            self._options[CHECKPOINT] = checkpoint
            raise_output_faults(self._find_option_faults())
        self._last_time = time.monotonic()
        with ExitStack() as stack:
            for folder in self._folders:
                stack.enter_context(folder.open(self.todo, self._options))
            if self._appended is not None:
                stack.enter_context(self._appended.open())
            yield

    def append(self, index: int, text: str) -> None:
        """Append the result of an input to the file of all inputs."""
        assert self._appended is not None
        self._appended.append(index, text, self._elapsed(), self._options)
        self._last_appended = index

    def record_done(self, index: int) -> None:
        """Record that the files of an input are complete."""
        for folder in self._folders:
            folder.record(index, "done", self._options, seconds=self._elapsed())
        self.num_done += 1
        self._last_time = time.monotonic()

    def record_failed(self, index: int, reason: str) -> None:
        """Record that an input failed. What was already appended for it stays."""
        for folder in self._folders:
            folder.record(index, "failed", self._options, reason, self._elapsed())
        if self._appended is not None and self._last_appended != index:
            self._appended.append_failure(index, reason, self._elapsed(), self._options)
        self._last_time = time.monotonic()

    def _elapsed(self) -> float:
        """Return the seconds since the input before."""
        return round(time.monotonic() - self._last_time, 3)

    def _is_done(self, index: int) -> bool:
        """Return whether all results of an input are finished, and are to be kept."""
        if not self.has_outputs or (self._appended is not None and not self._appended.is_done(index)):
            return False
        files_exist = self._existing == "skip" and all(os.path.exists(path) for _, path in self._files)
        return files_exist and all(folder.is_done(index) for folder in self._folders)

    def _find_option_faults(self, ignored: Collection[str] = ()) -> list[OutputFault]:
        """Return a fault per output if results that are kept were made with other options."""
        kept: list[tuple[str, Path, list[LedgerEntry]]] = [
            (folder.option, folder.folder, folder.kept_entries()) for folder in self._folders
        ]
        if self._appended is not None:
            kept.append((self._appended.option, self._appended.file.path, self._appended.kept_entries()))
        faults = []
        for option, output, entries in kept:
            differing = (
                fault
                for before in (entry.options for entry in entries)
                for fault in find_option_faults(option, output, before, self._options, ignored)
            )
            faults += list(itertools.islice(differing, 1))
        return faults


class _AppendedResults:
    """The file of all inputs, and the inputs as seen from its folder."""

    def __init__(self, option: str, file: AppendedFile, inputs: Sequence[Path], existing: ExistingFiles) -> None:
        self.option, self.file = option, file
        self._existing = existing
        self._inputs = inputs
        self._keys = _count_occurrences([InputFile.describe(path, file.path.parent) for path in inputs])
        self._is_finished = existing == "skip" and file.is_finished
        self._results = file.read_results() if existing == "skip" else {}

    def append(self, index: int, text: str, seconds: float, options: Mapping[str, str]) -> None:
        """Append the result of an input."""
        state, occurrence = self._keys[index]
        self.file.append(state, text, occurrence=occurrence, seconds=seconds, options=options)

    def append_failure(self, index: int, reason: str, seconds: float, options: Mapping[str, str]) -> None:
        """Record that an input failed."""
        state, occurrence = self._keys[index]
        self.file.append_failure(state, reason, occurrence=occurrence, seconds=seconds, options=options)

    def find_faults(self) -> list[OutputFault]:
        """Return why the file cannot be written."""
        faults = find_path_faults(self.option, [self.file.path], self._inputs)
        return faults or self.file.find_faults(self.option, self._existing)

    def is_done(self, index: int) -> bool:
        """Return whether the result of an input is in the file, and is to be kept."""
        return self._is_finished or self._find(index) is not None

    def kept_entries(self) -> list[LedgerEntry]:
        """Return the entries of all results that are kept."""
        found = (self._find(index) for index in range(len(self._keys)))
        return [entry for entry in found if entry is not None]

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start or continue the file; complete it at the end."""
        if self._is_finished:
            yield
            return
        self.file.open(self._existing)
        try:
            yield
            self.file.finish([(state.path, occurrence) for state, occurrence in self._keys])
        finally:
            self.file.close()

    def _find(self, index: int) -> LedgerEntry | None:
        """Return the entry of an input whose result is in the file, unless the input has changed since."""
        state, occurrence = self._keys[index]
        entry = self._results.get((state.path, occurrence))
        return entry if entry is not None and entry.is_of(state) else None


def _count_occurrences(states: Sequence[InputFile]) -> list[tuple[InputFile, int]]:
    """Pair each input with the number of times that it was named so far."""
    counts: Counter[str] = Counter()
    keys = []
    for state in states:
        counts[state.path] += 1
        keys.append((state, counts[state.path]))
    return keys
