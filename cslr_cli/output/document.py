"""What a format is: a name, a suffix, and one function from a recognition to text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.recognition import Recognition


@dataclass(frozen=True)
class Shown:
    """What a document is to show, and where it will lie.

    Attributes:
        confidence: whether formats for people and annotators say how sure each gloss is; those for
            programs always do.
        media: the video, for formats that link to it; None where there is none to link to, as for
            a folder of pictures.
        folder: where the document will lie, so that a link can be relative; None if it is only printed.
        name: what to call the recording in formats that name each; None for its file's name.
    """

    confidence: bool = False
    media: Path | None = None
    folder: Path | None = None
    name: str | None = None


@dataclass(frozen=True)
class Format:
    """A way to write down recognitions.

    Attributes:
        name: on the command line.
        suffix: of its files, with the dot.
        says: what it is, in a few words, for people.
        write: the text of one recognition, which ends with a line break.
        opening: what stands before the first recognition of a document.
        between: what stands between two.
        joins: whether a document can hold more than one recognition.
        check: raises MissingPackageError if a package that `write` needs is not installed.
    """

    name: str
    suffix: str
    says: str
    write: Callable[[Recognition, Shown], str]
    opening: str = ""
    between: str = ""
    joins: bool = True
    check: Callable[[], None] = lambda: None

    def document(self, recognition: Recognition, shown: Shown | None = None) -> str:
        """A whole document with one recognition in it.

        Raises:
            MissingPackageError: the format needs a package that is not installed.
            ScoringError: the format cannot hold a name or a gloss of it.
        """
        return "".join(self.stream([(recognition, shown or Shown())]))

    def stream(self, recognitions: Iterable[tuple[Recognition, Shown]]) -> Iterator[str]:
        """One document with several recognitions, piece by piece, as they come.

        Raises:
            ValueError: there are several, and the format holds only one.
        """
        yield from filter(None, [self.opening])
        for number, (recognition, shown) in enumerate(recognitions):
            if number and not self.joins:
                raise ValueError(f"a document of format {self.name} holds one recognition")
            yield (self.between if number else "") + self.write(recognition, shown)
