"""What an output format is: a name, a suffix, and one function from a recognition to text. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cslr_cli.recognition import Recognition

# The choices of `--format`, each with one line in `formats.FORMATS`.
FormatName = Literal["text", "glosses", "json", "jsonl", "csv", "ctm", "srt", "vtt", "eaf", "textgrid"]


@dataclass(frozen=True)
class FormatOptions:
    """Options for the document of one recording.

    Attributes:
        show_confidence: whether text, subtitles and annotations state the confidence of each gloss; JSON, CSV and
            CTM always do.
        video: the video that a document can link to; None for a folder of pictures or a stream.
        output_dir: the folder of the document, for relative links; None if the document is only printed.
        recording_name: the name of the recording in CTM; None for the stem of its file name.
    """

    show_confidence: bool = False
    video: Path | None = None
    output_dir: Path | None = None
    recording_name: str | None = None


@dataclass(frozen=True)
class OutputFormat:
    """A format in which recognitions are written.

    Attributes:
        name: the value of `--format`.
        suffix: the suffix of its files, with the dot.
        description: a few words for users.
        to_text: formats one recognition; the text ends with a line break.
        header: text before the first recognition of a document.
        separator: text between two recognitions of a document.
        holds_several: whether a document can hold more than one recognition.
        check_packages: raises MissingPackageError if a package that `to_text` needs is not installed.
    """

    name: FormatName
    suffix: str
    description: str
    to_text: Callable[[Recognition, FormatOptions], str]
    header: str = ""
    separator: str = ""
    holds_several: bool = True
    check_packages: Callable[[], None] = lambda: None

    def document(self, recognition: Recognition, options: FormatOptions | None = None) -> str:
        """Format a whole document with one recognition.

        Raises:
            MissingPackageError: a package that the format needs is not installed.
            ScoringError: the format cannot hold the recording's name or one of its glosses.
        """
        return "".join(self.stream([(recognition, options or FormatOptions())]))

    def stream(self, recognitions: Iterable[tuple[Recognition, FormatOptions]]) -> Iterator[str]:
        """Format one document with several recognitions, piece by piece, as they arrive.

        Raises:
            ValueError: there are several recognitions, and the format holds only one.
        """
        yield from filter(None, [self.header])
        for index, (recognition, options) in enumerate(recognitions):
            if index and not self.holds_several:
                raise ValueError(f"a document of format {self.name} holds one recognition")
            yield (self.separator if index else "") + self.to_text(recognition, options)
