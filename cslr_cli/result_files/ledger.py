"""The ledger of a folder of results, `ledger.jsonl`: one line per input and output file.

The ledger says which results are finished, of which state of which input, and made with which options. A line is
appended when a result is complete, so the ledger is right at any moment at which a command is killed. A line that was
cut off is ignored. A later line about the same result replaces an earlier one.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from cslr_cli.files import atomic_file, relative_path
from cslr_cli.untrusted import UntrustedDataError, is_unicode, parse_json

LEDGER_FILE = "ledger.jsonl"
_START_OF_LINE = b'{"schema_version": 1'

# failed: the input cannot be read or recognized; pending: an older result is to be replaced.
ResultStatus = Literal["done", "failed", "pending"]


@dataclass(frozen=True)
class InputFile:
    """What identifies one state of an input.

    Attributes:
        path: path relative to the folder of the results, with slashes; an address unchanged.
        size: size in bytes, of a folder that of all its files; None if it does not exist.
        modified: modification time in seconds since 1970, of a folder that of its newest file; None if it does not
            exist.
    """

    path: str
    size: int | None = None
    modified: float | None = None

    @classmethod
    def describe(cls, source: Path | str, folder: Path) -> InputFile:
        """Describe an input as it is now, as seen from the folder of its results.

        Example:
            >>> InputFile.describe(Path("videos/talk.mp4"), Path("out")).path
            '../videos/talk.mp4'
        """
        if isinstance(source, str) and "://" in source:
            return cls(source)
        path = path_in_ledger(Path(source), folder)
        try:
            return cls(path, *_size_and_time(Path(source)))
        except OSError:  # reading it reports the fault
            return cls(path)


def path_in_ledger(path: Path, folder: Path) -> str:
    """Return a path relative to the folder of a ledger. Links in the folders of both are resolved."""
    parent, name = os.path.split(os.path.abspath(path))
    return relative_path(os.path.join(os.path.realpath(parent), name), os.path.realpath(folder))


def path_for_user(path: str, folder: Path) -> str:
    """Return a path of a ledger or marker as the user types it: relative to the current folder."""
    if "://" in path or path.startswith("--"):
        return path
    return relative_path(os.path.join(os.path.realpath(folder), path))


def modification_time(path: Path) -> float | None:
    """Return a file's modification time in seconds since 1970; None if there is no such file."""
    try:
        return round(path.stat().st_mtime, 6)
    except OSError:
        return None


def _size_and_time(path: Path) -> tuple[int, float]:
    facts = path.stat()
    if not path.is_dir():
        return facts.st_size, round(facts.st_mtime, 6)
    with os.scandir(path) as entries:
        files = [entry.stat() for entry in entries if entry.is_file()]
    return sum(each.st_size for each in files), round(max(each.st_mtime for each in (facts, *files)), 6)


@dataclass(frozen=True)
class LedgerEntry:
    """One line of a ledger: a result of an input.

    Attributes:
        schema_version: version of this record.
        command: command that made the result, such as `predict`.
        input: path of the input; see `InputFile`.
        size: size of the input in bytes when it was read.
        modified: modification time of the input when it was read, seconds since 1970.
        status: whether the result is complete.
        reason: why the input failed; None if it did not.
        seconds: duration of the work, seconds.
        output: file of the result, relative to the folder of the ledger.
        output_modified: modification time of that file when it was complete; a file of another time was edited.
        options: options that the result depends on, by name.
        occurrence: 2 for the second time that a command names the same input, and so on.
        start: first byte of the result in a file of many results; None if it has its own file.
        end: byte after the last one.
    """

    command: str
    input: str
    size: int | None
    modified: float | None
    status: ResultStatus
    output: str
    reason: str | None = None
    seconds: float | None = None
    output_modified: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    occurrence: int = 1
    start: int | None = None
    end: int | None = None
    schema_version: Literal[1] = 1

    # Fields that a line omits if they have their default.
    OMITTED: ClassVar[tuple[str, ...]] = ("occurrence", "start", "end")

    def is_of(self, state: InputFile) -> bool:
        """Return whether the input has not changed since."""
        return (self.input, self.size, self.modified) == (state.path, state.size, state.modified)

    def to_json(self) -> str:
        """Return the line, without its end. It is ASCII if the name of a file is not valid Unicode."""
        values = {"schema_version": self.schema_version, **dataclasses.asdict(self)}
        defaults = {each.name: each.default for each in dataclasses.fields(self) if each.name in self.OMITTED}
        values = {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
        line = json.dumps(values, ensure_ascii=False)
        return line if is_unicode(line) else json.dumps(values)

    @classmethod
    def from_json(cls, line: str) -> LedgerEntry | None:
        """Read a line; None if it is cut off, or is no line of a ledger of this version."""
        try:
            values = parse_json(line)
        except UntrustedDataError:
            return None
        if not isinstance(values, dict) or values.get("schema_version") != cls.schema_version:
            return None
        known = {each.name for each in dataclasses.fields(cls)}
        try:
            entry = cls(**{name: value for name, value in values.items() if name in known})
        except TypeError:  # a field is missing
            return None
        return entry if _has_valid_types(entry) else None


def _has_valid_types(entry: LedgerEntry) -> bool:
    texts = all(isinstance(value, str) for value in (entry.command, entry.input, entry.output))
    numbers = all(value is None or isinstance(value, int) for value in (entry.start, entry.end))
    return (
        texts
        and numbers
        and isinstance(entry.occurrence, int)
        and entry.status in get_args(ResultStatus)
        and isinstance(entry.options, dict)
    )


class Ledger:
    """A ledger file.

    Example:
        >>> ledger = Ledger(Path("out/ledger.jsonl"))
        >>> [entry.input for entry in ledger if entry.status == "failed"]
        ['../videos/broken.mp4']

    Args:
        path: the file; it need not exist.
        of_one_file: whether the results of all inputs are in one file. Otherwise each file has one input, the last
            that wrote it.
    """

    def __init__(self, path: Path, *, of_one_file: bool = False) -> None:
        self.path = path
        self.is_foreign = False  # the file exists, and is no ledger
        self._of_one_file = of_one_file
        self._entries: dict[tuple[str, int], LedgerEntry] = {}
        self._num_lines = 0
        self._read()

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self._entries.values())

    def find(self, output: str) -> LedgerEntry | None:
        """Return the entry of an output file that has one input."""
        return self._entries.get((output, 1))

    def find_input(self, path: str, occurrence: int = 1) -> LedgerEntry | None:
        """Return the entry of an input whose result is in a file of many."""
        return self._entries.get((path, occurrence))

    def append(self, entry: LedgerEntry) -> None:
        """Append a line; it is in the file when the method returns."""
        line = f"{entry.to_json()}\n".encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if size and _last_byte(file) != b"\n":  # of a command that was killed
                line = b"\n" + line
            file.write(line)
        self._add(entry)

    def rewrite(self, entries: Iterable[LedgerEntry] | None = None) -> None:
        """Replace the file by one line per entry: those given, or the current ones."""
        kept = list(self if entries is None else entries)
        with atomic_file(self.path) as unfinished:
            unfinished.write_bytes(b"".join(f"{entry.to_json()}\n".encode() for entry in kept))
        self._entries, self._num_lines = {}, 0
        for entry in kept:
            self._add(entry)

    @property
    def has_replaced_lines(self) -> bool:
        """Whether the file has lines that count no longer."""
        return self._num_lines > len(self._entries)

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            if (entry := LedgerEntry.from_json(line.decode(errors="replace"))) is not None:
                self._add(entry)
        self._num_lines = len(lines)
        # The first line may be cut off.
        self.is_foreign = bool(lines) and not self._entries and not lines[0].startswith(_START_OF_LINE[: len(lines[0])])

    def _add(self, entry: LedgerEntry) -> None:
        key = (entry.input, entry.occurrence) if self._of_one_file else (entry.output, 1)
        self._entries.pop(key, None)  # the order is that of the lines
        self._entries[key] = entry
        self._num_lines += 1


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    byte: bytes = file.read(1)
    return byte
