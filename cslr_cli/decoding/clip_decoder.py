"""Decoding both heads of a network for one clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cslr_cli.decoding.gloss_timing import retime_glosses
from cslr_cli.decoding.greedy import GreedyDecoder
from cslr_cli.decoding.hypothesis import Decoder, Hypothesis, LogProbs


@dataclass(frozen=True)
class ClipLogProbs:
    """The network's output for one clip.

    Attributes:
        sample_id: name of the clip.
        num_frames: number of frames that the network saw, without padding.
        heads: log-probabilities of the heads `sequence` and `conv`, float (T', V), without padding.
    """

    sample_id: str
    num_frames: int
    heads: Mapping[str, LogProbs]


@dataclass(frozen=True)
class ClipHypotheses:
    """The hypotheses of one clip.

    Attributes:
        sample_id: name of the clip.
        num_frames: number of frames that the network saw, without padding.
        heads: n-best hypotheses of the heads `sequence` and `conv`, best first.
        greedy: hypothesis of greedy decoding, for each head.
    """

    sample_id: str
    num_frames: int
    heads: Mapping[str, list[Hypothesis]]
    greedy: Mapping[str, Hypothesis]


@dataclass(frozen=True)
class ClipDecoder:
    """Decodes each head of a clip twice: with a decoder, and greedily.

    Attributes:
        decoder: decoder of the n-best hypotheses.
        keep_repeats: whether greedy decoding keeps adjacent equal glosses separate; the same as in `decoder`.
        time_by_conv: whether the convolution head gives the steps of the sequence head's glosses (`retime_glosses`):
            true if the convolution head was trained on glosses.
    """

    decoder: Decoder
    keep_repeats: bool = False
    time_by_conv: bool = True

    def __call__(self, clip: ClipLogProbs) -> ClipHypotheses:
        """Decode one clip.

        Raises:
            CslrError: the network's output is not finite.
        """
        greedy = GreedyDecoder(keep_repeats=self.keep_repeats)
        nbest = {head: self.decoder.decode(log_probs) for head, log_probs in clip.heads.items()}
        if self.time_by_conv and "conv" in clip.heads:
            nbest["sequence"] = retime_glosses(nbest["sequence"], clip.heads["conv"])
        return ClipHypotheses(
            clip.sample_id,
            clip.num_frames,
            nbest,
            {head: greedy.decode(log_probs)[0] for head, log_probs in clip.heads.items()},
        )
