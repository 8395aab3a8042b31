"""Where `cslr predict` puts what it recognised: the screen, one file, or a file an input; and what it adds to it."""

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
from cslr_cli.files import whole_file, write_text

if TYPE_CHECKING:
    from cslr_cli.output.formats import FormatOptions, OutputFormat
    from cslr_cli.recognition import Recognition, Sentence

# Seconds from one remark on how far a long recording is to the next.
_REMARK_INTERVAL = 15.0


class Results(ABC):
    """Takes what is recognised, and says now and then how far a long recording is."""

    def __init__(self) -> None:
        self._last_remark = time.monotonic()

    def begin_sentence(self, place: int, path: Path, sentence: Sentence, options: FormatOptions) -> None:
        """Take a sentence of a recording that goes on; `add` gets it again, with all others."""
        if time.monotonic() - self._last_remark > _REMARK_INTERVAL:
            self._last_remark = time.monotonic()
            print_note(f"{path}: recognised up to {duration(sentence.end)}")

    @abstractmethod
    def add(self, place: int, recognition: Recognition, options: FormatOptions) -> None:
        """Take the recognition of an input, by its place among all."""


class _OneDocument(Results):
    """All results in one document, as they come.

    Args:
        chosen: the format.
        write: takes its text.
    """

    def __init__(self, chosen: OutputFormat, write: Callable[[str], object]) -> None:
        super().__init__()
        self._chosen = chosen
        self._write = write
        self._before = chosen.header

    def add(self, place: int, recognition: Recognition, options: FormatOptions) -> None:
        """Write it."""
        self._write(self._before + self._chosen.to_text(recognition, options))
        self._before = self._chosen.separator


class _PrintedText(_OneDocument):
    """Text on the screen, each sentence as soon as it is there."""

    def __init__(self, chosen: OutputFormat) -> None:
        super().__init__(chosen, _print)
        self._begun: int | None = None  # place of the input whose sentences are being printed

    def begin_sentence(self, place: int, path: Path, sentence: Sentence, options: FormatOptions) -> None:
        """Print it."""
        from cslr_cli.output.text import format_sentence

        # The input before may have broken off: what tells its sentences from these is its place alone.
        _print("\n" if place == self._begun else f"{self._before}{path}\n")
        _print(format_sentence(sentence, options))
        self._begun, self._before = place, self._chosen.separator

    def add(self, place: int, recognition: Recognition, options: FormatOptions) -> None:
        """Print what is not there yet."""
        if place != self._begun:
            super().add(place, recognition, options)


class _Files(Results):
    """A document an input.

    Args:
        chosen: the format.
        paths: in the order of the inputs.
    """

    def __init__(self, chosen: OutputFormat, paths: Sequence[Path]) -> None:
        super().__init__()
        self._chosen = chosen
        self._paths = paths

    def add(self, place: int, recognition: Recognition, options: FormatOptions) -> None:
        """Write its document, whole, and say where."""
        write_text(self._paths[place], self._chosen.document(recognition, options))
        print_note(f"{recognition.source}: {self._paths[place]}")


@dataclass(frozen=True)
class Output:
    """Where the results go.

    Attributes:
        chosen: how they are written down.
        paths: a file an input; one for all of them; or None for standard output.
    """

    chosen: OutputFormat
    paths: tuple[Path, ...] | Path | None

    def folder(self, place: int) -> Path | None:
        """Where the document of an input will lie; None if it is printed."""
        if isinstance(self.paths, Path):
            return self.paths.parent
        return None if self.paths is None else self.paths[place].parent

    @contextmanager
    def opened(self) -> Iterator[Results]:
        """Give what takes the results one by one."""
        if isinstance(self.paths, Path):
            with whole_file(self.paths) as unfinished, open(unfinished, "w", encoding="utf-8", newline="\n") as file:
                yield _OneDocument(self.chosen, file.write)
            print_note(f"written: {self.paths}")
        elif self.paths is not None:
            yield _Files(self.chosen, self.paths)
        elif self.chosen.name == "text":
            yield _PrintedText(self.chosen)
        else:
            yield _OneDocument(self.chosen, _print)


def plan_output(chosen: OutputFormat, given: str | None, inputs: Sequence[Path]) -> Output:
    """Decide where the results go, and make sure that they can be written there.

    Args:
        chosen: how they are written down.
        given: the value of `--output`: a file or a folder, see `is_file_name`; None for standard output.
        inputs: what will be recognised.

    Raises:
        UsageError: there are several inputs, and no place for the file of each; or an input would be overwritten.
        CslrError: nothing can be written there.
        MissingPackageError: the format needs a package that is not installed.
    """
    chosen.check_packages()
    if given is not None and not is_file_name(given):
        return Output(chosen, places("--output", given, chosen.suffix, inputs))
    if len(inputs) > 1 and not chosen.holds_several:
        raise UsageError(
            f"--format {chosen.name} makes a file for each of the {len(inputs)} inputs", "say where: --output FOLDER/"
        )
    if given is None:
        return Output(chosen, None)
    check_free("--output", [Path(given)], inputs)
    return Output(chosen, Path(given))


def places(option: str, given: str, suffix: str, inputs: Sequence[Path]) -> tuple[Path, ...]:
    """Find the files, one an input, that an option writes, and make sure that they can be written.

    Args:
        option: its name.
        given: its value: a folder, or the file where there is one input.
        suffix: of the files in a folder.
        inputs: what will be recognised.

    Raises:
        UsageError: there are several inputs for one file, or an input would be overwritten.
        CslrError: nothing can be written there.
    """
    from cslr_cli.cli.inputs import output_names

    if not is_file_name(given):
        paths = [Path(given) / f"{name}{suffix}" for name in output_names(inputs)]
    elif len(inputs) == 1:
        paths = [Path(given)]
    else:
        raise UsageError(
            f"{option} {given}: one file for {len(inputs)} inputs", f"give a folder: {option} {Path(given).stem}/"
        )
    check_free(option, paths, inputs)
    return tuple(paths)


def is_file_name(given: str) -> bool:
    """Whether the value of an option means a file: it has a suffix, and is not a folder that is there already."""
    return not (given.endswith(("/", os.sep)) or Path(given).is_dir()) and Path(given).suffix != ""


def check_free(option: str, paths: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Make sure that files can be written, now and not after the work, and that none of them is an input.

    Raises:
        UsageError: an input would be overwritten, or a folder has the name of a file.
        CslrError: a folder cannot be made, or not be written to.
    """
    read = {os.path.realpath(path) for path in inputs}
    for path in paths:
        if os.path.realpath(path) in read:
            raise UsageError(f"{option}: {path} is an input and would be overwritten", "choose another name or folder")
        if path.is_dir():
            raise UsageError(f"{option}: {path} is a folder", "choose another name or folder, or move it away")
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise CslrError(
                f"{option}: {folder} cannot be written to ({error.strerror})", "choose another folder"
            ) from error


def chosen_format(name: str | None, as_json: bool, output: str | None) -> OutputFormat:
    """The format that the options ask for.

    Args:
        name: the value of `--format`.
        as_json: whether `--json` is given.
        output: the value of `--output`, whose suffix says the format if nothing else does.

    Raises:
        UsageError: `--format` and `--json` contradict each other, or the name of the output means no format.
    """
    from cslr_cli.output.formats import FORMATS, find_format, format_of_file

    if as_json and name not in (None, "json", "jsonl"):
        raise UsageError(f"--json and --format {name} contradict each other", "leave one of them out")
    if name is not None or as_json:
        return find_format(name or "jsonl")
    if output is None or not is_file_name(output):
        return FORMATS["text"]
    by_suffix = format_of_file(output)
    if by_suffix is None:
        suffixes = ", ".join(dict.fromkeys(other.suffix for other in FORMATS.values()))
        raise UsageError(
            f"--output {output}: the name does not say which format", f"say --format, or end it in one of {suffixes}"
        )
    return by_suffix


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # whoever reads it need not wait for the next
