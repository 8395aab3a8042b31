"""Scoring: hypotheses against references, equal to NIST's sclite count by count; no torch here.

`transcripts` reads and writes STM and CTM, `normalisation` names the protocols, `alignment` does
one clip, `scorer` does them all.
"""

from __future__ import annotations

from cslr_cli.scoring.alignment import AlignedPair, Counts, align
from cslr_cli.scoring.normalisation import PROTOCOLS, Protocol, protocol
from cslr_cli.scoring.scorer import ClipScore, Missing, Score, published_python_score, score
from cslr_cli.scoring.transcripts import (
    Reference,
    TimedGloss,
    read_ctm,
    read_stm,
    untimed,
    write_ctm,
    write_stm,
)

__all__ = [
    "PROTOCOLS",
    "AlignedPair",
    "ClipScore",
    "Counts",
    "Missing",
    "Protocol",
    "Reference",
    "Score",
    "TimedGloss",
    "align",
    "protocol",
    "published_python_score",
    "read_ctm",
    "read_stm",
    "score",
    "untimed",
    "write_ctm",
    "write_stm",
]
