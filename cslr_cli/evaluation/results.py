"""The result of recognising and scoring a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from cslr_cli.choices import Head
from cslr_cli.config import DecodingConfig
from cslr_cli.recognition import Alternative
from cslr_cli.scoring import ClipScore, Reference, Score, ScoringProtocol, TimedGloss, score

HEADS: tuple[str, ...] = get_args(Head)


@dataclass(frozen=True)
class SplitResult:
    """The scores and hypotheses of a split.

    Attributes:
        split: `train`, `dev` or `test`.
        scores: score of each head; papers quote `sequence`.
        hypotheses: glosses of each clip with times, for each head.
        unseen_signers: signers of this split who are not in train; empty if unknown.
        greedy: score of greedy decoding, for each head.
        nbest: hypotheses of each clip, best first, for each head.
        oracle: score of the best alternative of each clip, for each head: what a perfect choice among the n-best would
            reach. Empty if there is only one hypothesis per clip.
        decoding: decoding settings.
    """

    split: str
    scores: Mapping[str, Score]
    hypotheses: Mapping[str, Mapping[str, Sequence[TimedGloss]]]
    unseen_signers: frozenset[str]
    greedy: Mapping[str, Score] = field(default_factory=dict)
    nbest: Mapping[str, Mapping[str, Sequence[Alternative]]] = field(default_factory=dict)
    oracle: Mapping[str, Score] = field(default_factory=dict)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    @property
    def wer(self) -> float:
        """Word error rate of the sequence head, percent."""
        return self.scores["sequence"].wer

    @property
    def clips_of_known_signers(self) -> tuple[ClipScore, ...]:
        """Clips of the sequence head by signers who are in training or unknown."""
        return tuple(clip for clip in self.scores["sequence"].clips if clip.signer not in self.unseen_signers)

    @property
    def clips_of_unseen_signers(self) -> tuple[ClipScore, ...]:
        """Clips of the sequence head by signers who are not in train."""
        return tuple(clip for clip in self.scores["sequence"].clips if clip.signer in self.unseen_signers)


def oracle_score(
    references: Sequence[Reference], nbest: Mapping[str, Sequence[Sequence[str]]], protocol: ScoringProtocol
) -> Score:
    """Score the alternative of each clip with the fewest errors; among equal ones, the most probable.

    Args:
        references: references of the clips.
        nbest: alternatives of each clip, most probable first; at least one.
        protocol: scoring protocol that normalises each alternative.
    """
    best: list[ClipScore] = []
    for rank in range(max(map(len, nbest.values()))):
        ranked = {clip: alternatives[min(rank, len(alternatives) - 1)] for clip, alternatives in nbest.items()}
        clips = score(references, ranked, protocol).clips
        pairs = zip(best or clips, clips, strict=True)
        best = [new if new.counts.errors < old.counts.errors else old for old, new in pairs]
    return Score(protocol, tuple(best))
