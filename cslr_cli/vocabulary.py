"""Which glosses a network knows, and which number each of them has.

Class 0 is the CTC blank; the glosses are numbered from 1. On disk a vocabulary is a text file with
one gloss and its count a line, so that line n holds the gloss with id n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from cslr_cli import files as atomic
from cslr_cli.errors import DataError, join_faults

BLANK_ID: Final = 0  # class of the CTC blank


@dataclass(frozen=True)
class Vocabulary:
    """The glosses of a corpus in the order of their ids, each with how often it was signed.

    Attributes:
        glosses: the gloss with id n stands at place n - 1.
        counts: how often each gloss occurs in the annotations, in the same order.

    Raises:
        ValueError: `glosses` and `counts` differ in length, or a gloss occurs twice.
    """

    glosses: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.glosses) != len(self.counts):
            raise ValueError(f"{len(self.glosses)} glosses and {len(self.counts)} counts")
        if len(set(self.glosses)) != len(self.glosses):
            raise ValueError("a gloss occurs twice in the vocabulary")

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> Vocabulary:
        """Number the glosses of `counts` in the order of their code points, from 1."""
        glosses = tuple(sorted(counts))
        return cls(glosses, tuple(counts[gloss] for gloss in glosses))

    @property
    def blank_id(self) -> int:
        """The class of the CTC blank, which is no gloss."""
        return BLANK_ID

    @property
    def num_classes(self) -> int:
        """V, the number of outputs of a classifier: the glosses and the blank."""
        return len(self.glosses) + 1

    def __len__(self) -> int:
        """V, as `num_classes` has it; the number of glosses alone is `len(vocabulary.glosses)`."""
        return self.num_classes

    def __contains__(self, gloss: object) -> bool:
        """Whether `gloss` has an id."""
        return gloss in self._ids

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {gloss: gloss_id for gloss_id, gloss in enumerate(self.glosses, start=1)}

    def encode(self, glosses: Iterable[str], unknown: Literal["error", "skip"] = "error") -> list[int]:
        """Give the ids of `glosses`.

        Args:
            glosses: the glosses of a sentence, in order.
            unknown: what becomes of a gloss that has no id: `error` raises, `skip` leaves it out.

        Returns:
            The ids, each from 1 to `num_classes - 1`.

        Raises:
            DataError: some glosses have no id, and `unknown` is `error`; all of them are named.
        """
        sentence = list(glosses)
        if unknown == "error":
            missing = sorted({gloss for gloss in sentence if gloss not in self._ids})
            if missing:
                raise DataError(
                    f"not in the vocabulary: {', '.join(missing)}",
                    f"the vocabulary has {len(self.glosses)} glosses; "
                    "was the corpus prepared with another vocabulary than the network's?",
                )
        return [self._ids[gloss] for gloss in sentence if gloss in self._ids]

    def decode(self, gloss_ids: Iterable[int]) -> list[str]:
        """Give the glosses of `gloss_ids`.

        Raises:
            ValueError: an id is the blank's or no class of this vocabulary.
        """
        sentence = []
        for gloss_id in gloss_ids:
            if not 1 <= gloss_id < self.num_classes:
                raise ValueError(f"{gloss_id} is no gloss id; they go from 1 to {self.num_classes - 1}")
            sentence.append(self.glosses[gloss_id - 1])
        return sentence

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits that differ where the glosses or their order differ; counts do not matter."""
        return hashlib.sha256("\n".join(self.glosses).encode()).hexdigest()[:12]

    def to_text(self) -> str:
        """The vocabulary as `vocabulary.txt` has it: `GLOSS<tab>COUNT`, line n for id n."""
        return "".join(f"{gloss}\t{count}\n" for gloss, count in zip(self.glosses, self.counts, strict=True))

    def write(self, path: Path) -> None:
        """Write `vocabulary.txt`, whole or not at all."""
        atomic.write_text(path, self.to_text())

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Read what `write` has written.

        Raises:
            DataError: the file is not there, is not UTF-8, or has lines that are not
                `GLOSS<tab>COUNT`; the lines are named.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise DataError(f"{path}: the vocabulary cannot be read ({error.strerror})") from error
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
                "expected a gloss, a tab and its count on every line; line n is the gloss with id n",
            )
        return cls(tuple(counts), tuple(counts.values()))


def _parse_line(line: str, counts: dict[str, int]) -> str | None:
    """Put a line's gloss into `counts`, or say what is wrong with the line."""
    fields = line.split("\t")
    if len(fields) != 2:
        return f"{len(fields)} field{'s' if len(fields) > 1 else ''} instead of 2: {line!r}"
    gloss, count = fields
    if not gloss or gloss.split() != [gloss]:
        return f"{gloss!r} is no gloss: it is empty or has spaces in it"
    if not (count.isascii() and count.isdigit()):
        return f"{count!r} is no count"
    if gloss in counts:
        return f"{gloss!r} occurs twice"
    counts[gloss] = int(count)
    return None
