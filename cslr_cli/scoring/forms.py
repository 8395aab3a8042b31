"""Reading and writing of transcripts in all forms; the form of a file is recognised by its content.

To add a form, write a function that parses it and a function that formats it, and add one line to `FORMS` and the name
to `TranscriptForm` in `choices`. `docs/scoring.md` has one row per form.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import get_args

from cslr_cli.choices import CtmTimes, TranscriptForm
from cslr_cli.errors import ScoringError, UsageError, did_you_mean
from cslr_cli.files import write_text
from cslr_cli.scoring.json_forms import (
    format_json_document,
    format_json_lines,
    parse_json_document,
    parse_json_lines,
)
from cslr_cli.scoring.table_forms import ID_NAMES, Side, find_columns, format_table, parse_table, table_header
from cslr_cli.scoring.text_forms import format_bar, format_id_lines, format_trn, parse_bar, parse_text, parse_trn
from cslr_cli.scoring.transcripts import (
    CTM_LAYOUT,
    STM_LAYOUT,
    TimedGloss,
    Transcript,
    ctm_lines,
    parse_ctm,
    parse_label_titles,
    parse_number,
    parse_stm,
    raise_faults,
    read_transcript_text,
    split_fields,
    stm_line,
)
from cslr_cli.untrusted import UntrustedDataError, parse_json

_log = logging.getLogger(__name__)

FORM_NAMES: tuple[TranscriptForm, ...] = get_args(TranscriptForm)

_SAMPLE_LINES = 60  # of a file that are looked at to recognise its form
_PLACEHOLDER_SECONDS = 0.1  # length of a gloss in a CTM file, if its times are unknown
_JSON_START = re.compile(r"\s*(\{\s*[\"}]|\[\s*[\[{\"\]])")
_TRN_END = re.compile(r"\([^()\s]+\)\s*$")


@dataclass(frozen=True)
class Form:
    """One line of the registry.

    Attributes:
        suffix: suffix of files of this form, with the dot.
        layout: layout of a line, for messages.
        example: example of a line or a file.
        parse: function from a text, the list of faults and the side to transcripts.
        format: function from transcripts to the text of a file.
    """

    suffix: str
    layout: str
    example: str
    parse: Callable[[str, list[str], Side], list[Transcript]]
    format: Callable[[Sequence[Transcript]], str]


@dataclass(frozen=True)
class TranscriptFile:
    """The content of a file of transcripts.

    Attributes:
        path: path of the file.
        form: form that was recognised or given.
        transcripts: clips or segments in the order of the file.
        label_titles: titles of the categories that the file defines, by name.
    """

    path: Path
    form: TranscriptForm
    transcripts: tuple[Transcript, ...]
    label_titles: dict[str, str] = field(default_factory=dict)


def read_transcripts(
    path: Path,
    side: Side,
    form: TranscriptForm | None = None,
    *,
    channel: str | None = None,
    ctm_times: CtmTimes = "auto",
) -> TranscriptFile:
    """Read a file of references or hypotheses.

    Text is UTF-8, or UTF-16 with a byte-order mark, with the line ends of any system, and becomes NFC.

    Args:
        path: path of the file.
        side: whether the file contains references or hypotheses; a table can contain both.
        form: form of the file; None to recognise it.
        channel: channel to read; None for all. Clips without a channel are always read.
        ctm_times: meaning of the fourth field of a CTM line.

    Raises:
        ScoringError: the file cannot be read, or lines are wrong; the message names all of them.
    """
    text = unicodedata.normalize("NFC", read_transcript_text(path))
    form = form or recognise_form(path, text, side)
    _log.debug("%s: read as %s", path, form)
    faults: list[str] = []
    transcripts = parse_ctm(text, faults, ctm_times) if form == "ctm" else FORMS[form].parse(text, faults, side)
    known = FORMS[form]
    raise_faults(path, faults, f"read as {form} ({known.layout}), example: {known.example}\nfor another form: --format")
    if channel is not None:
        chosen = [each for each in transcripts if each.channel in (None, channel)]
        if transcripts and not chosen:
            channels = sorted({str(each.channel) for each in transcripts})
            raise ScoringError(f"{path}: no channel {channel!r}", f"use --channel with one of: {', '.join(channels)}")
        transcripts = chosen
    return TranscriptFile(path, form, tuple(transcripts), parse_label_titles(text) if form == "stm" else {})


def write_transcripts(path: Path, form: TranscriptForm, transcripts: Sequence[Transcript]) -> None:
    """Write transcripts; a ScoringError if the form cannot hold one of them."""
    write_text(path, FORMS[form].format(transcripts))


def find_form(name: str) -> TranscriptForm:
    """Return the form with a name; a UsageError suggests a similar name."""
    for known in FORM_NAMES:
        if name == known:
            return known
    suggestion = did_you_mean(name, FORM_NAMES)
    raise UsageError(
        f"--format {name}: unknown form{f'; {suggestion}' if suggestion else ''}", f"use one of {', '.join(FORM_NAMES)}"
    )


def form_of_suffix(path: Path) -> TranscriptForm | None:
    """Return the form that the suffix of a file name stands for; None if it stands for no form."""
    suffix = path.suffix.lower()
    return next((name for name in FORM_NAMES if FORMS[name].suffix == suffix), None)


def recognise_form(path: Path, text: str, side: Side) -> TranscriptForm:
    """Return the form of a text; the name of the file decides only what the content leaves open."""
    if _JSON_START.match(text):
        lines = [line for line in text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]
        whole_lines = [line for line in lines if line.lstrip().startswith("{") and line.rstrip().endswith("}")]
        return "jsonl" if len(whole_lines) == len(lines) and not _is_document(lines) else "json"
    lines = _content_lines(text)
    by_name = form_of_suffix(path)
    if not lines:
        return by_name or ("stm" if side == "references" else "ctm")
    header = table_header("\n".join(lines))
    if header is not None and find_columns(header[1], side) is not None:
        return "tsv" if header[0] == "\t" else "csv"
    fields = [split_fields(line) for line in lines]
    is_stm = _mostly([_is_stm(each) for each in fields])
    is_ctm = _mostly([_is_ctm(each) for each in fields])
    if is_stm and is_ctm:
        return by_name if by_name in ("stm", "ctm") else ("stm" if side == "references" else "ctm")
    if is_stm or is_ctm:
        return "stm" if is_stm else "ctm"
    if _mostly([_TRN_END.search(line) is not None for line in lines]):
        return "trn"
    if _mostly(["|" in line for line in lines]):
        return "bar"
    return by_name or "text"


def _format_stm(transcripts: Sequence[Transcript]) -> str:
    return "".join(stm_line(each.to_reference(), each.channel or "1") for each in transcripts)


def _format_ctm(transcripts: Sequence[Transcript]) -> str:
    lines: list[str] = []
    for each in transcripts:
        if each.text is not None or each.is_ignored or not (each.start == 0 or each.has_times):
            raise ScoringError(
                f"clip {each.sample_id!r}: CTM cannot hold alternatives, ignored segments or segments without times "
                "of the glosses",
                "write STM, which has them",
            )
        glosses = each.glosses
        if not each.has_times:
            glosses = tuple(
                TimedGloss(timed.gloss, place * _PLACEHOLDER_SECONDS, (place + 1) * _PLACEHOLDER_SECONDS)
                for place, timed in enumerate(glosses)
            )
        lines += ctm_lines(each.sample_id, glosses, each.channel or "1")
    return "".join(lines)


def clip_names(transcripts: Sequence[Transcript]) -> list[Transcript]:
    """Return transcripts whose names are those of clips: the stem of a path of a video, as `predict` names clips.

    Paths with equal stems (`anna/001.mp4`, `ben/001.mp4`) stay as they are.
    """
    paths: dict[str, set[str]] = {}
    for each in transcripts:
        paths.setdefault(Path(each.sample_id).stem if each.is_path else each.sample_id, set()).add(each.sample_id)

    def name(each: Transcript) -> str:
        stem = Path(each.sample_id).stem
        return stem if each.is_path and len(paths[stem]) == 1 else each.sample_id

    return [replace(each, sample_id=name(each)) if each.is_path else each for each in transcripts]


def _without_side(
    parse: Callable[[str, list[str]], list[Transcript]],
) -> Callable[[str, list[str], Side], list[Transcript]]:
    return lambda text, faults, side: parse(text, faults)


FORMS: dict[TranscriptForm, Form] = {
    "stm": Form(
        ".stm",
        f"one line per clip or segment: {STM_LAYOUT}",
        "clip-1 1 Signer01 0.0 4.2 MORGEN REGEN",
        _without_side(parse_stm),
        _format_stm,
    ),
    "ctm": Form(
        ".ctm",
        f"one line per gloss: {CTM_LAYOUT} [CONFIDENCE [TYPE [SPEAKER]]]",
        "clip-1 1 0.16 0.44 MORGEN 0.93",
        _without_side(parse_ctm),
        _format_ctm,
    ),
    "trn": Form(
        ".trn", "one line per clip: GLOSS GLOSS … (ID)", "MORGEN REGEN (clip-1)", _without_side(parse_trn), format_trn
    ),
    "text": Form(
        ".txt", "one line per clip: ID GLOSS GLOSS …", "clip-1 MORGEN REGEN", _without_side(parse_text), format_id_lines
    ),
    "bar": Form(
        ".gls", "one line per clip: ID|GLOSS GLOSS …", "clip-1|MORGEN REGEN", _without_side(parse_bar), format_bar
    ),
    "csv": Form(
        ".csv",
        "a header and one row per clip, or one row per gloss with start and end",
        "id,hypothesis (line 1), clip-1,MORGEN REGEN (line 2)",
        parse_table,
        partial(format_table, delimiter=","),
    ),
    "tsv": Form(
        ".tsv",
        "a header and one row per clip, or one row per gloss with start and end, separated by tabs",
        "id<tab>hypothesis (line 1), clip-1<tab>MORGEN REGEN (line 2)",
        parse_table,
        partial(format_table, delimiter="\t"),
    ),
    "jsonl": Form(
        ".jsonl",
        "one JSON object per line, with id and glosses",
        '{"id": "clip-1", "glosses": ["MORGEN", "REGEN"]}',
        parse_json_lines,
        format_json_lines,
    ),
    "json": Form(
        ".json",
        "a document of predict or evaluate, a list of objects, or an object of glosses by clip",
        '{"clip-1": ["MORGEN", "REGEN"]}',
        parse_json_document,
        format_json_document,
    ),
}


def _content_lines(text: str) -> list[str]:
    """Return the first lines that are neither blank nor a comment."""
    lines: list[str] = []
    start = 0
    while start < len(text) and len(lines) < _SAMPLE_LINES:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line and not line.startswith(";;"):
            lines.append(line)
        start = end + 1
    return lines


def _is_document(lines: Sequence[str]) -> bool:
    """Return whether the only line is a JSON document that does not describe one clip."""
    if len(lines) != 1:
        return False
    try:
        value = parse_json(lines[0])
    except UntrustedDataError:
        return False
    return isinstance(value, dict) and not any(str(key).lower() in (*ID_NAMES, "error") for key in value)


def _is_stm(fields: Sequence[str]) -> bool:
    if len(fields) < 5:
        return False
    start, end = parse_number(fields[3]), parse_number(fields[4])
    return start is not None and end is not None and start <= end


def _is_ctm(fields: Sequence[str]) -> bool:
    if not 5 <= len(fields) <= 8:
        return False
    if fields[4].lower().startswith("<alt"):
        return True
    has_numbers = all(parse_number(each) is not None for each in fields[2:4])
    return has_numbers and (len(fields) == 5 or fields[5] == "NA" or parse_number(fields[5]) is not None)


def _mostly(answers: Sequence[bool]) -> bool:
    return 2 * sum(answers) > len(answers)
