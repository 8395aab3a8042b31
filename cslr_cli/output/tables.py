"""Formats with a line a gloss, for spreadsheets (CSV) and scorers (CTM)."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from cslr_cli.output.document import Shown
from cslr_cli.output.hypotheses import ranked_hypotheses
from cslr_cli.recognition import Recognition
from cslr_cli.scoring.transcripts import ctm_lines

CSV_COLUMNS = ("source", "hypothesis", "start", "end", "gloss", "confidence")


def comma_separated(recognition: Recognition, shown: Shown) -> str:
    """A row a gloss of every hypothesis, times in seconds to the millisecond; `hypothesis` 1 is the best."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rank, timed_glosses in enumerate(ranked_hypotheses(recognition), start=1):
        for timed in timed_glosses:
            confidence = "" if timed.confidence is None else f"{timed.confidence:.4f}"
            writer.writerow(
                (recognition.source, rank, f"{timed.start:.3f}", f"{timed.end:.3f}", timed.gloss, confidence)
            )
    return text.getvalue()


def ctm(recognition: Recognition, shown: Shown) -> str:
    """`ID 1 START END GLOSS CONFIDENCE`, a line a gloss, as `cslr evaluate` writes it and `cslr score` reads it.

    The ID is the name of the source without its suffix (a sample's id, where the source is a corpus'
    clip), or `shown.name`. White space in it becomes `_`, since it would make two fields.

    Raises:
        ScoringError: a gloss has white space, which the format cannot hold.
    """
    name = shown.name or Path(recognition.source).stem or recognition.source
    return "".join(ctm_lines(re.sub(r"\s", "_", name), recognition.glosses))
