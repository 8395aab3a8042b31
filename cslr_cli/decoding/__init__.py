"""Decoding: from log-probabilities to glosses with their steps, without torch.

`decoders` builds a decoder by name. `prefix_beam`, `greedy` and `pyctcdecode_decoder` are the decoders, the last one
with or without a `language_model`. `hypothesis` is what they return, and `gloss_timing` finds the steps of the glosses.
`clip_decoder` decodes the heads of a network for one clip, and `decoder_pool` many clips in worker processes.
"""

from __future__ import annotations

from cslr_cli.decoding.decoders import DECODERS, make_decoder
from cslr_cli.decoding.greedy import GreedyDecoder
from cslr_cli.decoding.hypothesis import Decoder, Hypothesis, log_softmax, merge_repeats
from cslr_cli.decoding.language_model import LanguageModel
from cslr_cli.decoding.prefix_beam import PrefixBeamDecoder

__all__ = [
    "DECODERS",
    "Decoder",
    "GreedyDecoder",
    "Hypothesis",
    "LanguageModel",
    "PrefixBeamDecoder",
    "log_softmax",
    "make_decoder",
    "merge_repeats",
]
