"""A split recognised and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cslr_cli.config import DecodingConfig
from cslr_cli.recognition import Alternative
from cslr_cli.scoring import ClipScore, Protocol, Reference, Score, TimedGloss, score

HEADS = ("sequence", "conv")


@dataclass(frozen=True)
class SplitResult:
    """A split recognised and scored.

    Attributes:
        split: `train`, `dev` or `test`.
        scores: for each head, its score; `sequence` is the one that papers quote.
        hypotheses: for each head, the glosses of each clip with their times.
        unseen_signers: signers of this split who are not in training; empty if unknown.
        greedy: for each head, the score of greedy decoding of the same logits.
        nbest: for each head, the hypotheses of each clip that were asked for, the best first.
        oracle: for each head, the score of each clip's best alternative: what a perfect choice among
            the n-best would reach. Empty where only one hypothesis was asked for.
        decoding: how it was decoded.
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
        """Clips of the sequence head by signers who are in training, or of whom nobody knows who they are."""
        return tuple(clip for clip in self.scores["sequence"].clips if clip.signer not in self.unseen_signers)

    @property
    def clips_of_unseen_signers(self) -> tuple[ClipScore, ...]:
        """Clips of the sequence head by signers who are not in training."""
        return tuple(clip for clip in self.scores["sequence"].clips if clip.signer in self.unseen_signers)


def oracle_score(
    references: Sequence[Reference], nbest: Mapping[str, Sequence[Sequence[str]]], protocol: Protocol
) -> Score:
    """The score of each clip's best alternative: the one with the fewest errors, the likelier of two alike.

    Each alternative is normalised and aligned as a hypothesis is.

    Args:
        references: of the clips.
        nbest: for each clip its alternatives, the likeliest first; at least one.
        protocol: how hypotheses are normalised.
    """
    best: list[ClipScore] = []
    for rank in range(max(map(len, nbest.values()))):
        ranked = {clip: alternatives[min(rank, len(alternatives) - 1)] for clip, alternatives in nbest.items()}
        clips = score(references, ranked, protocol).clips
        pairs = zip(best or clips, clips, strict=True)
        best = [new if new.counts.errors < old.counts.errors else old for old, new in pairs]
    return Score(protocol, tuple(best))
