"""The output formats of `cslr predict`: text, JSON, CSV, CTM, subtitles, ELAN and Praat.

To add a format, write one function `(Recognition, FormatOptions) -> str` in this folder and add one line to `FORMATS`.
The line names the function; it is imported when the format is used. `docs/predict.md` has one row per format, and
`tests/output/test_formats.py` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cslr_cli.choices import CueUnit
from cslr_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from cslr_cli.recognition import Recognition


@dataclass(frozen=True)
class FormatOptions:
    """Options for the document of one recording.

    Attributes:
        show_confidence: whether text, subtitles and annotations include the confidence of each gloss; JSON, CSV and
            CTM always do.
        cues: what one cue of a subtitle file shows.
        all_heads: whether annotations include the glosses of the convolution head; JSON always does.
        video: the video that a document can link to; None for a folder of pictures or a stream.
        output_dir: the folder of the document, for a relative link to the video; None for no relative link.
        recording_name: the name of the recording in CTM; None for the stem of its file name.
    """

    show_confidence: bool = False
    cues: CueUnit = "gloss"
    all_heads: bool = False
    video: Path | None = None
    output_dir: Path | None = None
    recording_name: str | None = None


@dataclass(frozen=True)
class OutputFormat:
    """One line of the registry.

    Example:
        >>> text = find_format("srt").document(recognition)

    Attributes:
        name: the value of `--format`.
        suffix: the suffix of its files, with the dot.
        function: `module:name` of the function that formats one recognition as text, which ends with a line break.
        header: text before the first recognition of a document.
        separator: text between two recognitions of a document.
        holds_several: whether a document can hold more than one recognition.
    """

    name: str
    suffix: str
    function: str
    header: str = ""
    separator: str = ""
    holds_several: bool = True

    def load_function(self) -> Callable[[Recognition, FormatOptions], str]:
        """Import the function of the format.

        Raises:
            MissingPackageError: a package that the format needs is not installed.
        """
        module, name = self.function.split(":")
        return cast("Callable[[Recognition, FormatOptions], str]", getattr(import_module(module), name))

    def to_text(self, recognition: Recognition, options: FormatOptions) -> str:
        """Format one recognition, without header."""
        return self.load_function()(recognition, options)

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


_TEXT, _SUBTITLES, _ANNOTATIONS = (f"cslr_cli.output.{module}" for module in ("text", "subtitles", "elan_praat"))
_CSV_HEADER = "source,hypothesis,start,end,gloss,confidence\n"
FORMATS = {
    line.name: line
    for line in (
        OutputFormat("text", ".txt", f"{_TEXT}:format_text", separator="\n"),
        OutputFormat("glosses", ".txt", f"{_TEXT}:format_glosses"),
        OutputFormat("json", ".json", f"{_TEXT}:format_pretty_json", holds_several=False),
        OutputFormat("jsonl", ".jsonl", f"{_TEXT}:format_jsonl"),
        OutputFormat("csv", ".csv", f"{_TEXT}:format_csv", header=_CSV_HEADER),
        OutputFormat("ctm", ".ctm", f"{_TEXT}:format_ctm"),
        OutputFormat("srt", ".srt", f"{_SUBTITLES}:format_srt", holds_several=False),
        OutputFormat("vtt", ".vtt", f"{_SUBTITLES}:format_vtt", header="WEBVTT\n", holds_several=False),
        OutputFormat("eaf", ".eaf", f"{_ANNOTATIONS}:format_eaf", holds_several=False),
        OutputFormat("textgrid", ".TextGrid", f"{_ANNOTATIONS}:format_textgrid", holds_several=False),
    )
}


def find_format(name: str) -> OutputFormat:
    """Return the format with this name; UsageError suggests a similar name."""
    if name not in FORMATS:
        question = did_you_mean(name, FORMATS)
        fault = f"--format {name}: unknown format"
        raise UsageError(f"{fault}; {question}" if question else fault, f"use one of {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of_file(file_name: str) -> OutputFormat | None:
    """Return the format whose suffix a file name has; None if there is none."""
    lower = file_name.lower()
    return next((known for known in FORMATS.values() if lower.endswith(known.suffix.lower())), None)
