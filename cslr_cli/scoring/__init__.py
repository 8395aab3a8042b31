"""Scoring: hypotheses against references, equal to NIST's sclite count by count; no torch here.

`transcripts` reads and writes STM and CTM, `normalisation` names the protocols, `alignment` does
one clip, `scorer` does them all, `sclite` has sclite do it, `tools` chooses. Views of the
alignments: `breakdown` and `gloss_counts` say what goes wrong, `bootstrap` how sure a rate is,
`comparison` sets two systems side by side.
"""

from __future__ import annotations

from cslr_cli.scoring.alignment import AlignedPair, Counts, align
from cslr_cli.scoring.bootstrap import Interval
from cslr_cli.scoring.breakdown import Breakdown, Part, break_down
from cslr_cli.scoring.comparison import Comparison, MatchedPairs, compare
from cslr_cli.scoring.gloss_counts import Confusion, GlossCounts, UnseenGlosses
from cslr_cli.scoring.normalisation import PROTOCOLS, Protocol, protocol
from cslr_cli.scoring.sclite import sclite_score
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
    "Breakdown",
    "ClipScore",
    "Comparison",
    "Confusion",
    "Counts",
    "GlossCounts",
    "Interval",
    "MatchedPairs",
    "Missing",
    "Part",
    "Protocol",
    "Reference",
    "Score",
    "TimedGloss",
    "UnseenGlosses",
    "align",
    "break_down",
    "compare",
    "protocol",
    "published_python_score",
    "read_ctm",
    "read_stm",
    "sclite_score",
    "score",
    "untimed",
    "write_ctm",
    "write_stm",
]
