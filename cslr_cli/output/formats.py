"""How a recognition is written down: text, JSON, CSV, CTM, subtitles, ELAN and Praat; no torch here.

Each format is one function from a recognition to the text of it, and a row of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.output.annotation import check_pympi, eaf, textgrid
from cslr_cli.output.document import Format, Shown
from cslr_cli.output.json_objects import as_json, indented, line
from cslr_cli.output.plain import glosses, text
from cslr_cli.output.subtitles import VTT_OPENING, subrip, webvtt
from cslr_cli.output.tables import CSV_COLUMNS, comma_separated, ctm

__all__ = ["FORMATS", "Format", "Shown", "as_json", "find_format", "format_of_file"]

FORMATS: Mapping[str, Format] = {
    made.name: made
    for made in (
        Format("text", ".txt", "a line a gloss, with its times", text, between="\n"),
        Format("glosses", ".txt", "the glosses alone, a line an input", glosses),
        Format("json", ".json", "one JSON document an input", indented, joins=False),
        Format("jsonl", ".jsonl", "a JSON object a line, one an input", line),
        Format("csv", ".csv", "a table with a row a gloss", comma_separated, opening=",".join(CSV_COLUMNS) + "\n"),
        Format("ctm", ".ctm", "ID 1 START END GLOSS, for scoring", ctm),
        Format("srt", ".srt", "SubRip subtitles", subrip, joins=False),
        Format("vtt", ".vtt", "WebVTT subtitles", webvtt, opening=VTT_OPENING, joins=False),
        Format("eaf", ".eaf", "an ELAN document, linked to the video", eaf, joins=False, check=check_pympi),
        Format("textgrid", ".TextGrid", "a Praat TextGrid", textgrid, joins=False, check=check_pympi),
    )
}


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        told = [f"--format {name}: there is no such format", did_you_mean(name, FORMATS)]
        raise UsageError("; ".join(filter(None, told)), f"expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of_file(file_name: str) -> Format | None:
    """The format that the suffix of a file name stands for; None if it stands for none."""
    lower = file_name.lower()
    return next((made for made in FORMATS.values() if lower.endswith(made.suffix.lower())), None)
