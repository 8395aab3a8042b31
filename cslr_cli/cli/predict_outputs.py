"""Write the results of `cslr predict`: to the screen, to one file, or to one file per input."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.cli.console import duration, print_note
from cslr_cli.errors import UsageError
from cslr_cli.files import write_text
from cslr_cli.untrusted import escape_control_characters

if TYPE_CHECKING:
    from cslr_cli.output.formats import FormatOptions, OutputFormat
    from cslr_cli.recognition import Recognition, Sentence
    from cslr_cli.result_files import ResultPlan

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


class _Printer(ResultWriter):
    """Prints all results as one document."""

    def __init__(self, output_format: OutputFormat) -> None:
        super().__init__()
        self._chosen = output_format
        self._prefix = output_format.header

    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Print the result."""
        _print(self._prefix + self._chosen.to_text(recognition, options))
        self._prefix = self._chosen.separator


class _TextPrinter(_Printer):
    """Prints text, each sentence as soon as it is recognized."""

    def __init__(self, output_format: OutputFormat) -> None:
        super().__init__(output_format)
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


class _AppendingWriter(ResultWriter):
    """Writes all results to one file."""

    def __init__(self, output_format: OutputFormat, plan: ResultPlan) -> None:
        super().__init__()
        self._chosen = output_format
        self._plan = plan

    def write(self, index: int, recognition: Recognition, options: FormatOptions) -> None:
        """Append the result to the file."""
        self._plan.append(index, self._chosen.to_text(recognition, options))


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

    def writer(self, plan: ResultPlan) -> ResultWriter:
        """Return the writer of the results."""
        if isinstance(self.paths, Path):
            return _AppendingWriter(self.output_format, plan)
        if self.paths is not None:
            return _FileWriter(self.output_format, self.paths)
        return _TextPrinter(self.output_format) if self.output_format.name == "text" else _Printer(self.output_format)


def plan_output(output_format: OutputFormat, given: str | None, inputs: Sequence[Path], plan: ResultPlan) -> Output:
    """Determine the destination of the results, and add it to the plan.

    Args:
        output_format: format of the results.
        given: value of `--output`, a file or a folder (see `is_file_name`); None for standard output.
        inputs: paths of the inputs.
        plan: plan of all results of the command.
    """
    output_format.load_function()
    if given is not None and not is_file_name(given):
        return Output(output_format, plan_files("--output", given, output_format.suffix, inputs, plan))
    if len(inputs) > 1 and not output_format.holds_several:
        raise UsageError(
            f"--format {output_format.name}: {len(inputs)} inputs need one file each",
            "add --output FOLDER/",
        )
    if given is None:
        return Output(output_format, None)
    plan.add_appended("--output", Path(given), output_format.header, output_format.separator)
    return Output(output_format, Path(given))


def plan_files(option: str, given: str, suffix: str, inputs: Sequence[Path], plan: ResultPlan) -> tuple[Path, ...]:
    """Return the files, one per input, that an option writes, and add them to the plan.

    Args:
        option: name of the option.
        given: value of the option: a folder, or a file if there is one input.
        suffix: suffix of the files in a folder.
        inputs: paths of the inputs.
        plan: plan of all results of the command.
    """
    from cslr_cli.cli.inputs import output_names

    if not is_file_name(given):
        paths = tuple(Path(given) / f"{name}{suffix}" for name in output_names(inputs))
        plan.add_folder(option, Path(given), paths)
        return paths
    if len(inputs) > 1:
        raise UsageError(
            f"{option} {given}: one file for {len(inputs)} inputs", f"use a folder: {option} {Path(given).stem}/"
        )
    plan.add_file(option, Path(given))
    return (Path(given),)


def is_file_name(given: str) -> bool:
    """Return whether the value of an option is a file: it has a suffix and is not an existing folder."""
    return not (given.endswith(("/", os.sep)) or Path(given).is_dir()) and Path(given).suffix != ""


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
