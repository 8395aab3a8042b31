"""Read the annotation files of a release: their lines, tables and faults.

A `SampleCollector` gathers the clips of a release, the clips that are left out and all faults, so that the user
sees all faults at once instead of only the first. (`cslr_cli.output.elan_praat` writes annotations.)
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, join_faults
from cslr_cli.media.frame_source import shorten_list
from cslr_cli.untrusted import abbreviate, has_control_characters, is_unicode, normalize_label, read_text


@dataclass(frozen=True)
class Fault:
    """An error of a release that must be fixed before the release can be prepared.

    Attributes:
        where: file and line, file, or folder.
        what: message for the user.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class AnnotationError(DataError):
    """A release has faults; the message lists all of them."""

    def __init__(self, faults: Sequence[Fault], hint: str | None = None) -> None:
        super().__init__(join_faults([str(fault) for fault in faults]), hint)
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[tuple[Fault, ...], str | None]]:
        return type(self), (self.faults, self.hint)


@dataclass(frozen=True)
class LeftOutClip:
    """A clip of the annotation that is not in the prepared corpus.

    Attributes:
        sample_id: name of the clip.
        split: split of the clip.
        reason: message for the user.
        expected: whether the clip is known to be unusable in every copy of the release; otherwise this copy has
            a fault.
    """

    sample_id: str
    split: str
    reason: str
    expected: bool = False


@dataclass(frozen=True)
class AnnotationLine:
    """A line of an annotation file, and its position for messages (`file:line`)."""

    where: str
    text: str


def read_annotation_text(path: Path) -> str:
    """Read an annotation file: UTF-8 with or without a byte-order mark, or UTF-16 with one, as spreadsheets write it.

    Raises:
        AnnotationError: the file cannot be read or has another encoding; the message names the line.
    """
    try:
        return read_text(path)
    except OSError as error:
        raise AnnotationError([Fault(str(path), f"cannot be read ({error.strerror})")]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise AnnotationError(
            [Fault(f"{path}:{line}", f"not UTF-8 text (byte 0x{byte:02x})")],
            "save the file as UTF-8 ('CSV UTF-8' in spreadsheets); if it is in Latin-1, convert it:\n"
            f"iconv -f LATIN1 -t UTF-8 {quote(str(path))} > {quote(f'{path.stem}-utf8{path.suffix}')}",
        ) from error


def read_annotation_lines(path: Path) -> list[AnnotationLine]:
    """Read the lines of an annotation file that are not blank, with Unix or Windows line ends."""
    # Not splitlines: it also splits at characters that may occur in a translation.
    lines = enumerate(read_annotation_text(path).split("\n"), start=1)
    return [AnnotationLine(f"{path}:{number}", line.rstrip("\r")) for number, line in lines if line.strip()]


class SampleCollector:
    """Gathers the clips of a release, the clips left out, and all faults of the annotation.

    Attributes:
        samples: usable clips.
        left_out: clips of the annotation that cannot be used.
        faults: errors that must be fixed.
        hints: how to fix them.
        notes: messages for the user about things that are not errors.
        unknown_headers: first line of each annotation file that does not have the expected first line, by path.

    Args:
        unusable: clips known to be unusable, each with the reason.
        nested_names: whether a clip's name may contain folders (`anna/001`).
    """

    def __init__(self, unusable: Mapping[str, str], *, nested_names: bool = False) -> None:
        self.samples: list[Sample] = []
        self.left_out: list[LeftOutClip] = []
        self.faults: list[Fault] = []
        self.hints: list[str] = []
        self.notes: list[str] = []
        self.unknown_headers: dict[str, str] = {}
        self._unusable = unusable
        self._nested_names = nested_names
        self._normalized: dict[str, None] = {}  # texts of the annotation that have another spelling now, in order
        self._positions: dict[str, str] = {}  # of the clips so far, by name

    def add_fault(self, where: str, what: str) -> None:
        """Add an error of the release."""
        self.faults.append(Fault(where, what))

    def add_hint(self, hint: str) -> None:
        """Add how to fix a fault; a hint that was added before is not repeated."""
        if hint not in self.hints:
            self.hints.append(hint)

    def read_lines(self, path: Path) -> list[AnnotationLine]:
        """Read the lines of an annotation file that are not blank; an unreadable file adds faults and has no lines."""
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

    def read_table(self, path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Read a table: `|` between fields, no quotes, the names of the columns in the first line.

        Yields:
            Position of a row, and its fields without surrounding spaces. Rows with another number of fields, a
            wrong first line and a table without rows are added as faults.
        """
        lines = self.read_lines(path)
        if not lines:
            return
        header, *rows = lines
        wanted = "|".join(columns)
        if header.text.strip() != wanted:
            self.unknown_headers[str(path)] = header.text.strip()
            self.add_fault(header.where, f"the first line is {header.text!r} instead of {wanted!r}")
            return
        if not rows:
            self.add_fault(str(path), "the file has no clips")
        yield from self.split_rows(rows, len(columns))

    def split_rows(self, lines: Sequence[AnnotationLine], num_fields: int) -> Iterator[tuple[str, list[str]]]:
        """Split lines into `num_fields` fields; lines with another number of fields are added as faults."""
        for line in lines:
            fields = [text.strip() for text in line.text.split("|")]
            if len(fields) == num_fields:
                yield line.where, fields
            else:
                count = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                self.add_fault(line.where, f"{count} instead of {num_fields}: {line.text[:80]!r}")

    def add(self, sample: Sample, where: str) -> bool:
        """Add a clip, or add why it cannot be used: its name is invalid or occurs twice, or it has no glosses.

        Glosses, the name and the signer are normalised (`normalize_label`).

        Returns:
            Whether the clip was added to `samples`.
        """
        texts = (sample.sample_id, sample.frames, sample.signer or "", sample.translation or "", *sample.glosses)
        invalid = next((text for text in texts if not is_unicode(text)), None)
        if invalid is not None:  # JSON and file names can contain it
            self.add_fault(where, f"{abbreviate(invalid)} is no valid Unicode text")
            return False
        sample = self._normalize(sample)
        sample_id = sample.sample_id
        first_position = self._positions.get(sample_id)
        self._positions.setdefault(sample_id, where)
        parts = sample_id.split("/") if self._nested_names else [sample_id]
        if not all(map(is_plain_name, parts)):
            self.add_fault(where, f"invalid name of a clip: {sample_id!r} (it must be usable as a file name)")
            return False
        if sample.signer is not None and not is_plain_name(sample.signer):
            self.add_fault(where, f"invalid name of a signer: {sample.signer!r} (it has spaces or slashes)")
            return False
        wrong = [gloss for gloss in sample.glosses if has_control_characters(gloss)]
        if wrong:
            self.add_fault(where, f"{abbreviate(wrong[0])} is not a gloss: it has control characters")
            return False
        if first_position is not None:
            self.add_fault(where, f"duplicate clip {sample_id!r}, first in {first_position}")
            return False
        if sample_id in self._unusable:
            self.left_out.append(LeftOutClip(sample_id, sample.split, self._unusable[sample_id], expected=True))
            return False
        if not sample.glosses:
            self.left_out.append(LeftOutClip(sample_id, sample.split, f"{where}: no glosses in the annotation"))
            return False
        self.samples.append(sample)
        return True

    def _normalize(self, sample: Sample) -> Sample:
        texts = (sample.sample_id, sample.signer or "", *sample.glosses)
        if all(text.isascii() for text in texts):
            return sample
        self._normalized |= dict.fromkeys(text for text in texts if normalize_label(text) != text)
        return dataclasses.replace(
            sample,
            sample_id=normalize_label(sample.sample_id),
            signer=None if sample.signer is None else normalize_label(sample.signer) or None,
            glosses=tuple(gloss for gloss in map(normalize_label, sample.glosses) if gloss),
        )

    def describe_normalized(self) -> list[str]:
        """Return a note about the texts of the annotation that were normalised; nothing if there are none."""
        if not self._normalized:
            return []
        shown = [f"{normalize_label(text)!r} ({_describe_spelling(text)})" for text in self._normalized]
        what = "glosses or names with invisible characters or another Unicode form than NFC, now normalised"
        return [f"{what}: {shorten_list(shown)}"]


def _describe_spelling(text: str) -> str:
    """Describe how a text differs from its normalised form."""
    invisible = sorted({character for character in text if not normalize_label(character)})
    names = [unicodedata.name(character, f"U+{ord(character):04X}").lower() for character in invisible]
    is_nfc = unicodedata.normalize("NFC", text) == text
    return " and ".join([*([f"with {', '.join(names)}"] if names else []), *([] if is_nfc else ["not in NFC"])])


def is_plain_name(text: str) -> bool:
    """Return whether `text` can be a file name and a field of an STM line: no spaces, no slashes, not hidden."""
    return re.fullmatch(r"[^\s./\\\0;][^\s/\\\0]*", text) is not None


def is_inside_release(path: str) -> bool:
    """Return whether a path of an annotation is relative and stays below the folder of the release."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")
