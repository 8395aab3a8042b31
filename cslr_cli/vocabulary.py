"""The vocabulary: the glosses of a corpus and their ids.

Class 0 is the CTC blank; gloss ids start at 1. A vocabulary file has one gloss and its count per line; line n is
the gloss with id n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from cslr_cli.errors import DataError, join_faults
from cslr_cli.files import write_text
from cslr_cli.untrusted import UntrustedDataError, abbreviate, has_control_characters, parse_count, read_text

BLANK_ID: Final = 0  # class of the CTC blank


@dataclass(frozen=True)
class Vocabulary:
    """The glosses of a corpus in the order of their ids, with their counts.

    Attributes:
        glosses: glosses; the gloss with id n has index n - 1.
        counts: number of occurrences of each gloss in the annotations.

    Raises:
        ValueError: `glosses` and `counts` differ in length; or a gloss occurs twice or is not a gloss.

    Example:
        >>> vocabulary = Vocabulary.from_counts({"REGEN": 3, "MORGEN": 5})
        >>> vocabulary.encode(["MORGEN", "REGEN"]), vocabulary.decode([2])
        ([1, 2], ['REGEN'])
    """

    glosses: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.glosses) != len(self.counts):
            raise ValueError(f"{len(self.glosses)} glosses and {len(self.counts)} counts")
        if len(set(self.glosses)) != len(self.glosses):
            raise ValueError("a gloss occurs twice in the vocabulary")
        # Control characters in a gloss would reach the terminal and could change its state.
        wrong = [gloss for gloss in self.glosses if not gloss or has_control_characters(gloss)]
        if wrong:
            raise ValueError(f"{abbreviate(wrong[0])} is not a gloss: it is empty or has control characters")

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Vocabulary:
        """Build a vocabulary from counts by gloss; ids follow the order of code points."""
        glosses = tuple(sorted(counts))
        return cls(glosses, tuple(counts[gloss] for gloss in glosses))

    @property
    def blank_id(self) -> int:
        """Class of the CTC blank."""
        return BLANK_ID

    @property
    def num_classes(self) -> int:
        """V, the number of outputs of a classifier: the glosses plus the blank."""
        return len(self.glosses) + 1

    def __len__(self) -> int:
        """Return V, including the blank; the number of glosses is `len(vocabulary.glosses)`."""
        return self.num_classes

    def __contains__(self, gloss: object) -> bool:
        """Return whether `gloss` has an id."""
        return gloss in self._ids

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {gloss: gloss_id for gloss_id, gloss in enumerate(self.glosses, start=1)}

    def encode(self, glosses: Iterable[str], unknown: Literal["error", "skip"] = "error") -> list[int]:
        """Return the ids of the glosses of a sentence, each from 1 to `num_classes - 1`.

        Args:
            glosses: glosses in order.
            unknown: treatment of glosses without id: `error` raises, `skip` leaves them out.

        Raises:
            DataError: glosses have no id, and `unknown` is `error`; all such glosses are listed.
        """
        sentence = list(glosses)
        if unknown == "error":
            missing = sorted({gloss for gloss in sentence if gloss not in self._ids})
            if missing:
                raise DataError(
                    f"not in the vocabulary: {', '.join(missing)}",
                    f"prepare the corpus with the vocabulary of the network, which has {len(self.glosses)} glosses",
                )
        return [self._ids[gloss] for gloss in sentence if gloss in self._ids]

    def decode(self, gloss_ids: Iterable[int]) -> list[str]:
        """Return the glosses of ids.

        Raises:
            ValueError: an id is not from 1 to `num_classes - 1`.
        """
        sentence = []
        for gloss_id in gloss_ids:
            if not 1 <= gloss_id < self.num_classes:
                raise ValueError(f"{gloss_id} is not a gloss id; ids are 1 to {self.num_classes - 1}")
            sentence.append(self.glosses[gloss_id - 1])
        return sentence

    @cached_property
    def hash(self) -> str:
        """Hash of the glosses and their order, 12 hexadecimal digits; counts do not matter."""
        return hashlib.sha256("\n".join(self.glosses).encode()).hexdigest()[:12]

    def to_text(self) -> str:
        """Return the text of `vocabulary.txt`: `GLOSS<tab>COUNT`, line n for id n."""
        return "".join(f"{gloss}\t{count}\n" for gloss, count in zip(self.glosses, self.counts, strict=True))

    def write(self, path: Path) -> None:
        """Write `vocabulary.txt` atomically."""
        write_text(path, self.to_text())

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Read a `vocabulary.txt`.

        Raises:
            DataError: the file is missing, is not UTF-8, or has lines other than `GLOSS<tab>COUNT`; they are listed.
        """
        try:
            text = read_text(path)
        except OSError as error:
            raise DataError(f"{path}: cannot read the vocabulary ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text, byte {error.start} ({error.reason})") from error
        counts: dict[str, int] = {}
        faults = []
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            fault = _parse_line(line, counts)
            if fault is not None:
                faults.append(f"{path}:{number}: {fault}")
        if faults:
            raise DataError(
                join_faults(faults),
                "write one gloss, a tab and its count per line; line n is the gloss with id n",
            )
        return cls(tuple(counts), tuple(counts.values()))


def _parse_line(line: str, counts: dict[str, int]) -> str | None:
    """Put the gloss of a line into `counts`; return a message if the line is wrong."""
    fields = line.split("\t")
    if len(fields) != 2:
        return f"{len(fields)} field{'s' if len(fields) > 1 else ''} instead of 2: {abbreviate(line)}"
    gloss, count = fields
    if not gloss or gloss.split() != [gloss] or has_control_characters(gloss):
        return f"{abbreviate(gloss)} is not a gloss: it is empty or contains spaces or control characters"
    if gloss in counts:
        return f"{abbreviate(gloss)} occurs twice"
    try:
        counts[gloss] = parse_count(count)
    except UntrustedDataError as error:
        return error.message
    return None
