"""Reading annotation files: their lines, their tables, and everything that is wrong with them.

Nothing here raises at the first fault. A `SampleCollector` gathers the clips of a release, those that
are left out and all faults, so that the user is told once.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, join_faults

# What the first line of an annotation says that the corpus is, when it is not the one asked for.
_KNOWN_HEADERS = {
    "id|folder|signer|annotation": "PHOENIX2014",
    "name|video|start|end|speaker|orth|translation": "PHOENIX2014-T",
    "index|name|length|gloss|char|word|postag": "CSL-Daily",
}


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a release and has to be mended before it can be prepared.

    Attributes:
        where: file and line, or the file or folder.
        what: is wrong, in words for the user.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class AnnotationError(DataError):
    """A release has faults; all of them are told at once.

    Args:
        faults: each with where it is.
        hint: what was expected.
    """

    def __init__(self, faults: Sequence[Fault], hint: str | None = None) -> None:
        super().__init__(join_faults([str(fault) for fault in faults]), hint)
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[tuple[Fault, ...], str | None]]:
        return type(self), (self.faults, self.hint)


@dataclass(frozen=True)
class LeftOut:
    """A clip that does not go into the prepared corpus.

    Attributes:
        sample_id: its name.
        split: the split it would have been in.
        reason: why, in words for the user.
        expected: the corpus is known to have this clip unusable, so that leaving it out is right;
            otherwise something is wrong with this copy of the release.
    """

    sample_id: str
    split: str
    reason: str
    expected: bool = False


@dataclass(frozen=True)
class AnnotationLine:
    """A line of an annotation file, with where it stands for messages (`file:line`)."""

    where: str
    text: str


def read_annotation_text(path: Path) -> str:
    """Read an annotation file: UTF-8, with or without a byte-order mark, or UTF-16 with one, as spreadsheets write it.

    Raises:
        AnnotationError: the file cannot be read, or is not such text; the line is named.
    """
    try:
        content = path.read_bytes()
        is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except OSError as error:
        raise AnnotationError([Fault(str(path), f"cannot be read ({error.strerror})")]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise AnnotationError(
            [Fault(f"{path}:{line}", f"not UTF-8 text (byte 0x{byte:02x})")],
            "expected UTF-8, which spreadsheets save as 'CSV UTF-8'; if the file is in Latin-1:\n"
            f"iconv -f LATIN1 -t UTF-8 {quote(str(path))} > {quote(f'{path.stem}-utf8{path.suffix}')}",
        ) from error


def read_annotation_lines(path: Path) -> list[AnnotationLine]:
    """Read the lines of an annotation file that are not blank.

    A byte-order mark and Windows line ends are tolerated.

    Raises:
        AnnotationError: the file cannot be read, or is not UTF-8 text; the line is named.
    """
    # Not splitlines: that parts lines at characters which may stand in a translation.
    lines = enumerate(read_annotation_text(path).split("\n"), start=1)
    return [AnnotationLine(f"{path}:{number}", line.rstrip("\r")) for number, line in lines if line.strip()]


class SampleCollector:
    """Gathers the clips of a release, those left out, and all that is wrong with the annotation.

    Attributes:
        samples: the clips that can be used.
        left_out: the clips of the annotation that cannot.
        faults: what is wrong and has to be mended.
        hints: how, where that is not the same for all faults.
        notes: what the user should know though nothing is wrong.
    """

    def __init__(self, unusable: Mapping[str, str]) -> None:
        self.samples: list[Sample] = []
        self.left_out: list[LeftOut] = []
        self.faults: list[Fault] = []
        self.hints: list[str] = []
        self.notes: list[str] = []
        self._unusable = unusable
        self._seen: dict[str, str] = {}

    def add_fault(self, where: str, what: str) -> None:
        """Note something that is wrong with the release."""
        self.faults.append(Fault(where, what))

    def add_hint(self, hint: str) -> None:
        """Note how a fault is mended, once however often it occurs."""
        if hint not in self.hints:
            self.hints.append(hint)

    def lines(self, path: Path) -> list[AnnotationLine]:
        """The lines of an annotation file that are not blank; none, and a fault, where it cannot be read."""
        try:
            lines = read_annotation_lines(path)
        except AnnotationError as error:
            self.faults += error.faults
            if error.hint is not None:
                self.add_hint(error.hint)
            return []
        if not lines:
            self.add_fault(str(path), "the file is empty")
        return lines

    def table(self, path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """The rows of a table: `|` between fields, no quotes, the names of the columns in the first line.

        Args:
            path: the annotation file.
            columns: as the first line must have them.

        Yields:
            Where a row stands, and its fields without the spaces around them. Rows with another
            number of fields, a wrong first line and a table without rows are noted as faults.
        """
        lines = self.lines(path)
        if not lines:
            return
        header, *rows = lines
        wanted = "|".join(columns)
        if header.text.strip() != wanted:
            other = _KNOWN_HEADERS.get(header.text.strip())
            looks_like = f" (this looks like {other})" if other else ""
            self.add_fault(header.where, f"the first line is {header.text!r} instead of {wanted!r}{looks_like}")
            return
        if not rows:
            self.add_fault(str(path), "there are no clips in it")
        yield from self.rows(rows, len(columns))

    def rows(self, lines: Sequence[AnnotationLine], num_fields: int) -> Iterator[tuple[str, list[str]]]:
        """The fields of each line that has `num_fields` of them; the others are noted as faults."""
        for line in lines:
            fields = [text.strip() for text in line.text.split("|")]
            if len(fields) == num_fields:
                yield line.where, fields
            else:
                count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                self.add_fault(line.where, f"{count} instead of {num_fields}: {line.text[:80]!r}")

    def add(self, sample: Sample, where: str) -> bool:
        """Take a clip in, or note why not: its name is no name, occurs twice, or nothing is signed in it.

        Returns:
            Whether it was taken in.
        """
        sample_id = sample.sample_id
        taken = False
        if not is_plain_name(sample_id):
            self.add_fault(where, f"{sample_id!r} cannot be the name of a clip (it becomes a file name)")
        elif sample.signer is not None and not is_plain_name(sample.signer):
            self.add_fault(where, f"{sample.signer!r} cannot be the name of a signer (it has spaces or slashes)")
        elif sample_id in self._seen:
            self.add_fault(where, f"clip {sample_id!r} was there already ({self._seen[sample_id]})")
        elif sample_id in self._unusable:
            self.left_out.append(LeftOut(sample_id, sample.split, self._unusable[sample_id], expected=True))
        elif not sample.glosses:
            self.left_out.append(LeftOut(sample_id, sample.split, f"{where}: no glosses in the annotation"))
        else:
            self.samples.append(sample)
            taken = True
        self._seen.setdefault(sample_id, where)
        return taken


def is_plain_name(text: str) -> bool:
    """Whether `text` can be a file name and a field of an STM line: no spaces, no slashes, not hidden."""
    return re.fullmatch(r"[^\s./\\\0;][^\s/\\\0]*", text) is not None


def is_inside(path: str) -> bool:
    """Whether a path of an annotation stays below the folder that it is relative to."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")
