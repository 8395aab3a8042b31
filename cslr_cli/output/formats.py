"""The output formats of `cslr predict`: text, JSON, CSV, CTM, subtitles, ELAN and Praat.

To add a format, write one function from a recognition to its text, and add its name to `FormatName` and one line to
`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.output.annotation import check_pympi, format_eaf, format_textgrid
from cslr_cli.output.output_format import FormatOptions, OutputFormat
from cslr_cli.output.subtitles import VTT_HEADER, format_srt, format_vtt
from cslr_cli.output.text import (
    CSV_COLUMNS,
    format_csv,
    format_ctm,
    format_glosses,
    format_json,
    format_jsonl,
    format_text,
)

__all__ = ["FORMATS", "FormatOptions", "OutputFormat", "find_format", "format_of_file"]

_ALL_FORMATS = (
    OutputFormat("text", ".txt", "a line a gloss, with its times", format_text, separator="\n"),
    OutputFormat("glosses", ".txt", "the glosses alone, a line an input", format_glosses),
    OutputFormat("json", ".json", "one JSON document an input", format_json, holds_several=False),
    OutputFormat("jsonl", ".jsonl", "a JSON object a line, one an input", format_jsonl),
    OutputFormat("csv", ".csv", "a table with a row a gloss", format_csv, header=",".join(CSV_COLUMNS) + "\n"),
    OutputFormat("ctm", ".ctm", "ID 1 START END GLOSS, for scoring", format_ctm),
    OutputFormat("srt", ".srt", "SubRip subtitles", format_srt, holds_several=False),
    OutputFormat("vtt", ".vtt", "WebVTT subtitles", format_vtt, header=VTT_HEADER, holds_several=False),
    OutputFormat(
        "eaf", ".eaf", "an ELAN document, linked to the video", format_eaf,
        holds_several=False, check_packages=check_pympi,
    ),
    OutputFormat(
        "textgrid", ".TextGrid", "a Praat TextGrid", format_textgrid, holds_several=False, check_packages=check_pympi
    ),
)  # fmt: skip
FORMATS: Mapping[str, OutputFormat] = {output_format.name: output_format for output_format in _ALL_FORMATS}


def find_format(name: str) -> OutputFormat:
    """Return the format of this name.

    Raises:
        UsageError: there is no such format.
    """
    if name not in FORMATS:
        parts = [f"--format {name}: there is no such format", did_you_mean(name, FORMATS)]
        raise UsageError("; ".join(filter(None, parts)), f"expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of_file(file_name: str) -> OutputFormat | None:
    """Return the format whose suffix a file name has; None if there is none."""
    lower = file_name.lower()
    return next((known for known in FORMATS.values() if lower.endswith(known.suffix.lower())), None)
