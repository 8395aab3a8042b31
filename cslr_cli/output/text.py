"""Recognitions as plain text, JSON, CSV and CTM."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from cslr_cli import documents
from cslr_cli.output.formats import FormatOptions
from cslr_cli.recognition import (
    Alternative,
    AlternativeDocument,
    DivisionFacts,
    Recognition,
    Sentence,
    alternative_document,
)
from cslr_cli.scoring import TimedGloss
from cslr_cli.scoring.transcripts import ctm_lines

_NO_GLOSS = "  no gloss recognised\n"


def sentences_of(recognition: Recognition) -> tuple[Sentence, ...]:
    """Return the sentences of a recording; a recording that was not split is one sentence."""
    if recognition.sentences or not recognition.glosses:
        return recognition.sentences
    nbest = recognition.nbest or (Alternative(recognition.glosses, recognition.score),)
    return (Sentence(recognition.start, recognition.start + recognition.duration, nbest),)


def ranked_hypotheses(recognition: Recognition) -> list[tuple[TimedGloss, ...]]:
    """Return the glosses of each rank, the best first: at least one entry, which may be empty.

    In a long recording each sentence has its own n-best list; rank 2 holds the second best hypothesis of every
    sentence that has one.
    """
    lists = [[alternative.glosses for alternative in sentence.nbest] for sentence in sentences_of(recognition)]
    num_ranks = max(map(len, lists), default=0)
    lower_ranks = [
        tuple(timed for nbest in lists if rank < len(nbest) for timed in nbest[rank]) for rank in range(1, num_ranks)
    ]
    return [recognition.glosses, *lower_ranks]


# Plain text


def format_text(recognition: Recognition, options: FormatOptions) -> str:
    """Format the source, then one line per gloss: start, end, gloss, and its confidence if wanted.

    An empty line separates the sentences of a long recording. The alternatives of a sentence follow it, each with
    its score and without times.
    """
    parts = [format_sentence(sentence, options) for sentence in sentences_of(recognition)] or [_NO_GLOSS]
    return f"{recognition.source}\n" + "\n".join(parts)


def format_sentence(sentence: Sentence, options: FormatOptions) -> str:
    """Format the lines of one sentence."""
    lines = "".join(f"{_format_line(timed, options)}\n" for timed in sentence.glosses) or _NO_GLOSS
    alternatives = (_format_alternative(rank, other) for rank, other in enumerate(sentence.nbest[1:], start=2))
    return lines + "".join(f"{line}\n" for line in alternatives)


def format_glosses(recognition: Recognition, options: FormatOptions) -> str:
    """Format the glosses of the best hypothesis on one line, without the source."""
    return f"{recognition.text}\n"


def _format_line(timed: TimedGloss, options: FormatOptions) -> str:
    line = f"{timed.start:8.2f} {timed.end:8.2f}  {timed.gloss}"
    return f"{line}  ({timed.confidence:.0%})" if options.show_confidence and timed.confidence is not None else line


def _format_alternative(rank: int, alternative: Alternative) -> str:
    glosses = " ".join(timed.gloss for timed in alternative.glosses)
    return f"  {rank}. ({alternative.score:.2f}) {glosses}".rstrip()


# JSON


class SentenceDocument(AlternativeDocument):
    """A sentence of a recording; the glosses and the score are those of its best hypothesis.

    Attributes:
        start: start of the segment, seconds in the source.
        end: end of the segment, seconds in the source.
        nbest: requested hypotheses, best first.
    """

    start: float
    end: float
    nbest: list[AlternativeDocument]


class RecognitionDocument(AlternativeDocument):
    """The recognition of one recording: the formats `json` and `jsonl`. Times are seconds in the source.

    The glosses and the score are those of the best hypothesis.

    Attributes:
        schema_version: version of this document.
        source: path or name of the recording.
        checkpoint: path or name of the checkpoint; null if it is unknown.
        network_fps: frame rate that the network was trained for, frames per second.
        source_fps: frame rate that the recording states; null for pictures.
        source_num_frames: number of frames of the recording; null if they have not been counted, because only a part
            was read.
        segmentation: how the recording was divided into sentences; null if it is unknown.
        num_frames: number of frames that the network saw.
        fps: rate of these frames, frames per second; differs from `network_fps` only with `--max-frames`.
        start: start of the part that was read.
        duration: length of the part that was read, seconds.
        nbest: requested hypotheses, best first; for a divided recording only the concatenation of the best hypotheses
            of its sentences.
        conv_glosses: best hypothesis of the convolution head.
        sentences: recognition of each segment, in order; none if nothing moves.
        warnings: faults of the recording that did not prevent reading it.
    """

    schema_version: Literal[1]
    source: str
    checkpoint: str | None
    network_fps: float | None
    source_fps: float | None
    source_num_frames: int | None
    segmentation: DivisionFacts | None
    num_frames: int
    fps: float
    start: float
    duration: float
    nbest: list[AlternativeDocument]
    conv_glosses: Sequence[TimedGloss]
    sentences: list[SentenceDocument]
    warnings: Sequence[str]


def format_pretty_json(recognition: Recognition, options: FormatOptions) -> str:
    """Format one JSON object over several lines."""
    return documents.format_json(recognition_document(recognition), indent=2) + "\n"


def format_jsonl(recognition: Recognition, options: FormatOptions) -> str:
    """Format one JSON object on one line."""
    return documents.format_json(recognition_document(recognition)) + "\n"


def recognition_document(recognition: Recognition) -> RecognitionDocument:
    """Make the document of a recognition."""
    return {
        "schema_version": 1,
        "source": recognition.source,
        "checkpoint": recognition.checkpoint,
        "glosses": recognition.glosses,
        "score": recognition.score,
        "num_frames": recognition.num_frames,
        "fps": recognition.fps,
        "network_fps": recognition.network_fps,
        "source_fps": recognition.source_fps,
        "source_num_frames": recognition.source_num_frames,
        "segmentation": recognition.segmentation,
        "start": recognition.start,
        "duration": recognition.duration,
        "nbest": _nbest_documents(recognition.nbest),
        "conv_glosses": recognition.conv_glosses,
        "sentences": [
            {
                "start": sentence.start,
                "end": sentence.end,
                "glosses": sentence.glosses,
                "score": sentence.score,
                "nbest": _nbest_documents(sentence.nbest),
            }
            for sentence in sentences_of(recognition)
        ],
        "warnings": recognition.warnings,
    }


def _nbest_documents(nbest: Iterable[Alternative]) -> list[AlternativeDocument]:
    return [alternative_document(alternative) for alternative in nbest]


# Tables: one row or line per gloss


def format_csv(recognition: Recognition, options: FormatOptions) -> str:
    """Format one row per gloss of every hypothesis, times in seconds; `hypothesis` 1 is the best."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for rank, glosses in enumerate(ranked_hypotheses(recognition), start=1):
        for timed in glosses:
            confidence = "" if timed.confidence is None else f"{timed.confidence:.4f}"
            writer.writerow(
                (recognition.source, rank, f"{timed.start:.3f}", f"{timed.end:.3f}", timed.gloss, confidence)
            )
    return text.getvalue()


def format_ctm(recognition: Recognition, options: FormatOptions) -> str:
    """Format one line per gloss, `ID 1 START END GLOSS CONFIDENCE`, which `cslr score` reads.

    The ID is `options.recording_name`, or the stem of the source's file name. White space in the ID becomes `_`.

    Raises:
        ScoringError: a gloss has white space, which the format cannot hold.
    """
    name = options.recording_name or Path(recognition.source).stem or recognition.source
    return "".join(ctm_lines(re.sub(r"\s", "_", name), recognition.glosses))
