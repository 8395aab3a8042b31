"""Beam search by pyctcdecode, the room for language models; each gloss is a word to it."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs
from cslr_cli.decoding.prefix_beam import check_beam
from cslr_cli.decoding.timing import best_hypotheses
from cslr_cli.errors import MissingPackageError, UsageError
from cslr_cli.vocabulary import BLANK_ID

_WORD_START = "▁"  # what pyctcdecode takes for the beginning of a word, sentencepiece's habit


class PyctcdecodeDecoder:
    """pyctcdecode's beam search.

    It is no exact search: it leaves out classes whose probability is below e⁻⁵ and prefixes that are
    e¹⁰ times less probable than the best, and a prefix that ends in a blank takes another place in
    the beam than the same without. Its hypotheses can therefore differ from `PrefixBeamDecoder`'s.
    """

    def __init__(
        self,
        glosses: Sequence[str],
        *,
        beam_width: int = 10,
        num_best: int = 1,
        keep_repeats: bool = False,
    ) -> None:
        """Prepare the search.

        Args:
            glosses: the vocabulary without the blank: `glosses[i]` is class i + 1.
            beam_width: places in the beam.
            num_best: hypotheses returned at most.
            keep_repeats: leave neighbouring equal glosses as they are.

        Raises:
            MissingPackageError: pyctcdecode is not installed.
            UsageError: the widths make no sense, or a gloss cannot be a word.
        """
        check_beam(beam_width, num_best)
        self._id_of = _class_ids(glosses)
        self._beam_width = beam_width
        self._num_best = num_best
        self._keep_repeats = keep_repeats
        self._search = _build_search([_WORD_START + gloss for gloss in glosses])

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`.

        Raises:
            ValueError: the classes are not the vocabulary's and the blank.
        """
        check_log_probs(log_probs)
        num_classes = len(self._id_of) + 1
        if log_probs.shape[1] != num_classes:
            raise ValueError(f"log_probs has {log_probs.shape[1]} classes, the vocabulary {num_classes}")
        if not len(log_probs):
            return [Hypothesis((), 0.0, (), ())]
        beams = self._search.decode_beams(np.asarray(log_probs, np.float64), beam_width=self._beam_width)
        labellings = (
            (tuple(self._id_of[word] for word in text.split()), float(combined_score))
            for text, _state, _frames, _logit_score, combined_score in beams
        )
        return best_hypotheses(log_probs, labellings, num_best=self._num_best, keep_repeats=self._keep_repeats)


def _class_ids(glosses: Sequence[str]) -> dict[str, int]:
    """The class of each gloss, once it is sure that pyctcdecode gives back the words it is given."""
    ids = {gloss: class_id for class_id, gloss in enumerate(glosses, start=BLANK_ID + 1)}
    if len(ids) != len(glosses):
        raise UsageError("the vocabulary has a gloss twice", "pyctcdecode tells glosses apart by their spelling")
    for gloss in glosses:
        if gloss.split() != [gloss] or _WORD_START in gloss:
            raise UsageError(
                f"pyctcdecode cannot decode the gloss {gloss!r}",
                f"a gloss with white space or {_WORD_START} is no single word to it; "
                "the decoders beam and greedy take any gloss",
            )
    return ids


def _build_search(words: list[str]) -> Any:
    """A pyctcdecode decoder, which is not typed, over the blank and these words."""
    with _quiet("pyctcdecode"):
        try:
            pyctcdecode = importlib.import_module("pyctcdecode")
        except ImportError as error:
            raise MissingPackageError(
                f"the decoder pyctcdecode is not there ({error})",
                "pip install pyctcdecode, which needs Python < 3.13 and numpy < 2; "
                "the decoders beam and greedy need nothing more",
            ) from error
        # The alphabet is made directly: pyctcdecode's own builder would read meaning into spellings.
        alphabet = pyctcdecode.Alphabet(["", *words], True)
        return pyctcdecode.BeamSearchDecoderCTC(alphabet)


@contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    """Keep a package's warnings (here: no language model is installed) off the screen meanwhile."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
