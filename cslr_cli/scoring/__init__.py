"""Scoring of hypotheses against references, with the counts of NIST's sclite, without torch.

`forms` reads and writes files of any form: STM and CTM (`transcripts`), other lines (`text_forms`), tables
(`table_forms`) and JSON (`json_forms`). `segments` divides recordings, and `spelling` finds glosses that look alike.
`normalisation` has the scoring protocols, `alignment` aligns one clip, `gloss_network` one with alternatives, and
`scorer` all clips. `scoring_tool` aligns with other tools; `sclite` is one of them. Computed from the
alignments: tables of errors (`breakdown`, `gloss_counts`, `views`),
intervals (`bootstrap`), and the comparison of systems (`comparison`) and of several seeds of them (`seeds`).
"""

from __future__ import annotations

from cslr_cli.scoring.alignment import AlignedPair, Counts, align
from cslr_cli.scoring.bootstrap import Interval
from cslr_cli.scoring.breakdown import Breakdown, GroupScore, break_down
from cslr_cli.scoring.comparison import Comparison, MatchedPairs, compare
from cslr_cli.scoring.gloss_counts import Confusion, GlossCounts, UnseenGlosses
from cslr_cli.scoring.normalisation import PROTOCOLS, ScoringProtocol, find_protocol
from cslr_cli.scoring.sclite import sclite_score
from cslr_cli.scoring.scorer import ClipScore, Score, score
from cslr_cli.scoring.scoring_tool import published_python_score
from cslr_cli.scoring.transcripts import (
    Reference,
    TimedGloss,
    read_ctm,
    read_stm,
    strip_times,
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
    "GroupScore",
    "Interval",
    "MatchedPairs",
    "Reference",
    "Score",
    "ScoringProtocol",
    "TimedGloss",
    "UnseenGlosses",
    "align",
    "break_down",
    "compare",
    "find_protocol",
    "published_python_score",
    "read_ctm",
    "read_stm",
    "sclite_score",
    "score",
    "strip_times",
    "write_ctm",
    "write_stm",
]
