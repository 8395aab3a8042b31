"""Formats for people: the glosses with their times, and the glosses alone."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.output.document import Shown
from cslr_cli.output.hypotheses import sentences
from cslr_cli.recognition import Alternative, Recognition, Sentence
from cslr_cli.scoring import TimedGloss

NOTHING = "  no gloss recognised\n"


def text(recognition: Recognition, shown: Shown) -> str:
    """The source, then a line a gloss: start, end, gloss, and how sure it is if that is wanted.

    The sentences of a long recording stand apart. A sentence's alternatives follow it, each with its
    score and without times.
    """
    parts = [sentence_text(sentence, shown) for sentence in sentences(recognition)] or [NOTHING]
    return f"{recognition.source}\n" + "\n".join(parts)


def glosses(recognition: Recognition, shown: Shown) -> str:
    """The glosses of the best hypothesis on one line, without the source: what a translator or a script reads."""
    return f"{recognition.text}\n"


def sentence_text(sentence: Sentence, shown: Shown) -> str:
    """The lines of one sentence."""
    lines = "".join(f"{_line(timed, shown)}\n" for timed in sentence.glosses) or NOTHING
    others = (_alternative(rank, other) for rank, other in enumerate(sentence.nbest[1:], start=2))
    return lines + "".join(f"{line}\n" for line in others)


def _line(timed: TimedGloss, shown: Shown) -> str:
    line = f"{timed.start:8.2f} {timed.end:8.2f}  {timed.gloss}"
    return f"{line}  ({timed.confidence:.0%})" if shown.confidence and timed.confidence is not None else line


def _alternative(rank: int, other: Alternative) -> str:
    return f"  {rank}. ({other.score:.2f}) {_joined(other.glosses)}".rstrip()


def _joined(timed_glosses: Sequence[TimedGloss]) -> str:
    return " ".join(timed.gloss for timed in timed_glosses)
