"""A clip's log-probabilities from both heads of a network, and what is decoded from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cslr_cli.decoding.greedy import GreedyDecoder
from cslr_cli.decoding.hypothesis import Decoder, Hypothesis, LogProbs
from cslr_cli.decoding.timing import retimed


@dataclass(frozen=True)
class ClipLogProbs:
    """What a network says of one clip.

    Attributes:
        sample_id: the clip.
        num_frames: frames that the network saw, without padding.
        heads: for `sequence` and `conv`, float (T', V), natural logarithms; real steps only.
    """

    sample_id: str
    num_frames: int
    heads: Mapping[str, LogProbs]


@dataclass(frozen=True)
class ClipHypotheses:
    """What was recognised in one clip.

    Attributes:
        sample_id: the clip.
        num_frames: frames that the network saw, without padding.
        heads: for `sequence` and `conv`, the n-best hypotheses, best first.
        greedy: for each head, what greedy decoding of the same logits gives.
    """

    sample_id: str
    num_frames: int
    heads: Mapping[str, list[Hypothesis]]
    greedy: Mapping[str, Hypothesis]


@dataclass(frozen=True)
class ClipDecoder:
    """Decodes a clip's heads, by one decoder and greedily beside it.

    Attributes:
        decoder: makes the n-best hypotheses.
        keep_repeats: of that decoder: greedy decoding does as it does.
        timed_by_conv: the glosses of the sequence head are timed by the convolution's (see `retimed`),
            which is right where that was trained to know glosses.
    """

    decoder: Decoder
    keep_repeats: bool = False
    timed_by_conv: bool = True

    def __call__(self, clip: ClipLogProbs) -> ClipHypotheses:
        """The clip's hypotheses.

        Raises:
            CslrError: the network's output is not finite.
        """
        greedy = GreedyDecoder(keep_repeats=self.keep_repeats)
        nbest = {head: self.decoder.decode(log_probs) for head, log_probs in clip.heads.items()}
        if self.timed_by_conv and "conv" in clip.heads:
            nbest["sequence"] = retimed(nbest["sequence"], clip.heads["conv"])
        return ClipHypotheses(
            clip.sample_id,
            clip.num_frames,
            nbest,
            {head: greedy.decode(log_probs)[0] for head, log_probs in clip.heads.items()},
        )
