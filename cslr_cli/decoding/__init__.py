"""Decoding: from a network's log-probabilities to glosses with times; numpy only, no torch here.

`hypothesis` says what a decoder gives and `timing` times the glosses; `prefix_beam`, `greedy` and
`with_pyctcdecode` are the searches, the last with a `language_model` where there is one; `choice`
builds one by its name, and `beside` decodes in processes beside this one.
"""

from __future__ import annotations

from cslr_cli.decoding.choice import DECODERS, make_decoder
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
