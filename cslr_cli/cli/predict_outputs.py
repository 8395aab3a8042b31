"""Write the results of `cslr predict`: to the screen, to one file, or to one file per input."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.cli.console import duration, print_note
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.files import atomic_file, write_text
from cslr_cli.untrusted import escape_control_characters

if TYPE_CHECKING:
    from cslr_cli.output.formats import FormatOptions, OutputFormat
    from cslr_cli.recognition import Recognition, Sentence

# Time between two notes about the progress of a long recording, seconds.
_NOTE_INTERVAL = 15.0


class ResultWriter(ABC):
    """Writes results, and prints notes about the progress of a long recording."""

    def __init__(self) -> None:
        self._last_note = time.monotonic()

    def write_sentence(self, index: int, path: Path, sentence: Sentence, options: FormatOptions) -> None:
        """Write a sentence of a recording in progress; `write` gets it again, with all others."""
        if time.monotonic() - self._last_note > _NOTE_INTERVAL:
            self._last_note = time.monotonic()
            print_note(f"{path}: recognised up to {duration(sentence.end)}")

    @abstractmethod
    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Write the recognition of an input, given its index."""


class _DocumentWriter(ResultWriter):
    """Writes all results to one document, by a function that writes text."""

    def __init__(self, output_format: OutputFormat, write_text: Callable[[str], object]) -> None:
        super().__init__()
        self._chosen = output_format
        self._write_text = write_text
        self._prefix = output_format.header

    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Append the result to the document."""
        self._write_text(self._prefix + self._chosen.to_text(recognition, options))
        self._prefix = self._chosen.separator


class _TextPrinter(_DocumentWriter):
    """Prints text, each sentence as soon as it is recognized."""

    def __init__(self, output_format: OutputFormat) -> None:
        super().__init__(output_format, _print)
        self._current_index: int | None = None  # index of the input whose sentences are being printed

    def write_sentence(self, index: int, path: Path, sentence: Sentence, options: FormatOptions) -> None:
        """Print the sentence."""
        from cslr_cli.output.text import format_sentence

        # The index distinguishes the sentences of this input from those of an input that failed before.
        _print("\n" if index == self._current_index else f"{self._prefix}{path}\n")
        _print(format_sentence(sentence, options))
        self._current_index, self._prefix = index, self._chosen.separator

    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Print the result, unless its sentences were printed."""
        if index != self._current_index:
            super().write(index, recognition, options)


class _FileWriter(ResultWriter):
    """Writes one document per input, to paths in the order of the inputs."""

    def __init__(self, output_format: OutputFormat, paths: Sequence[Path]) -> None:
        super().__init__()
        self._chosen = output_format
        self._paths = paths

    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Write the document of an input and print its path."""
        write_text(self._paths[index], self._chosen.document(recognition, options))
        print_note(f"{recognition.source}: {self._paths[index]}")


@dataclass(frozen=True)
class Output:
    """The destination of the results.

    Attributes:
        output_format: format of the results.
        paths: one file per input; one file for all inputs; or None for standard output.
    """

    output_format: OutputFormat
    paths: tuple[Path, ...] | Path | None

    def folder(self, index: int) -> Path:
        """Return the folder of an input's document; the current folder if it is printed."""
        if isinstance(self.paths, Path):
            return self.paths.parent
        return Path() if self.paths is None else self.paths[index].parent

    @contextmanager
    def open(self) -> Iterator[ResultWriter]:
        """Return the writer of the results."""
        if isinstance(self.paths, Path):
            with atomic_file(self.paths) as unfinished, open(unfinished, "w", encoding="utf-8", newline="\n") as file:
                yield _DocumentWriter(self.output_format, file.write)
            print_note(f"written: {self.paths}")
        elif self.paths is not None:
            yield _FileWriter(self.output_format, self.paths)
        elif self.output_format.name == "text":
            yield _TextPrinter(self.output_format)
        else:
            yield _DocumentWriter(self.output_format, _print)


def plan_output(output_format: OutputFormat, given: str | None, inputs: Sequence[Path]) -> Output:
    """Determine the destination of the results and check that it can be written.

    Args:
        output_format: format of the results.
        given: value of `--output`, a file or a folder (see `is_file_name`); None for standard output.
        inputs: paths of the inputs.
    """
    output_format.load_function()
    if given is not None and not is_file_name(given):
        return Output(output_format, output_paths("--output", given, output_format.suffix, inputs))
    if len(inputs) > 1 and not output_format.holds_several:
        raise UsageError(
            f"--format {output_format.name}: {len(inputs)} inputs need one file each",
            "add --output FOLDER/",
        )
    if given is None:
        return Output(output_format, None)
    check_writable("--output", [Path(given)], inputs)
    return Output(output_format, Path(given))


def output_paths(option: str, given: str, suffix: str, inputs: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files, one per input, that an option writes; check that they can be written.

    Args:
        option: name of the option.
        given: value of the option: a folder, or a file if there is one input.
        suffix: suffix of the files in a folder.
        inputs: paths of the inputs.
    """
    from cslr_cli.cli.inputs import output_names

    if not is_file_name(given):
        paths = [Path(given) / f"{name}{suffix}" for name in output_names(inputs)]
    elif len(inputs) == 1:
        paths = [Path(given)]
    else:
        raise UsageError(
            f"{option} {given}: one file for {len(inputs)} inputs", f"use a folder: {option} {Path(given).stem}/"
        )
    check_writable(option, paths, inputs)
    return tuple(paths)


def is_file_name(given: str) -> bool:
    """Return whether the value of an option is a file: it has a suffix and is not an existing folder."""
    return not (given.endswith(("/", os.sep)) or Path(given).is_dir()) and Path(given).suffix != ""


def check_writable(option: str, paths: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check before the work that files can be written and that none of them is an input or a folder."""
    read = {os.path.realpath(path) for path in inputs}
    for path in paths:
        if os.path.realpath(path) in read:
            raise UsageError(f"{option}: {path} is an input and would be overwritten", "choose another name or folder")
        if path.is_dir():
            raise UsageError(f"{option}: {path} is a folder", "choose another name, or move the folder")
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise CslrError(
                f"{option}: cannot write to {folder}: {error.strerror}", "fix the permissions, or choose another folder"
            ) from error


def choose_format(name: str | None, as_json: bool, output: str | None) -> OutputFormat:
    """Return the format by `--format`, by `--json`, or by the suffix of `--output`."""
    from cslr_cli.output.formats import FORMATS, find_format, format_of_file

    if as_json and name not in (None, "json", "jsonl"):
        raise UsageError(f"--json with --format {name}", "remove one of the two options")
    if name is not None or as_json:
        return find_format(name or "jsonl")
    if output is None or not is_file_name(output):
        return FORMATS["text"]
    by_suffix = format_of_file(output)
    if by_suffix is None:
        suffixes = ", ".join(dict.fromkeys(other.suffix for other in FORMATS.values()))
        raise UsageError(
            f"--output {output}: unknown suffix", f"add --format NAME, or use one of the suffixes {suffixes}"
        )
    return by_suffix


def _print(text: str) -> None:
    # A file keeps the names of its inputs as they are; on a terminal, they must not control it.
    sys.stdout.write(escape_control_characters(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()  # readers get each result at once
