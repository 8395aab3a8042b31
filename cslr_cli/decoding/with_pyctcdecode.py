"""Beam search by pyctcdecode, with a language model where there is one; each gloss is a word to it."""

from __future__ import annotations

import importlib
import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs
from cslr_cli.decoding.language_model import GlossScorer, LanguageModel, how_to_install
from cslr_cli.decoding.prefix_beam import check_beam
from cslr_cli.decoding.timing import best_hypotheses
from cslr_cli.errors import DataError, MissingPackageError, UsageError
from cslr_cli.vocabulary import BLANK_ID

_WORD_START = "▁"  # what pyctcdecode takes for the beginning of a word, sentencepiece's habit


@dataclass(frozen=True)
class PyctcdecodeDecoder:
    """pyctcdecode's beam search.

    It is no exact search: it leaves out classes whose probability is below e⁻⁵ and prefixes that are
    e¹⁰ times less probable than the best, and a prefix that ends in a blank takes another place in
    the beam than the same without. Its hypotheses can therefore differ from `PrefixBeamDecoder`'s.

    With a language model a hypothesis' score is the network's and the model's together, see
    `LanguageModel`. In the search the model's opinion on a gloss counts from the moment that the next
    gloss begins, or the clip ends.

    Attributes:
        glosses: the vocabulary without the blank: `glosses[i]` is class i + 1.
        beam_width: places in the beam.
        num_best: hypotheses returned at most.
        keep_repeats: leave neighbouring equal glosses as they are.
        language_model: has a say in the search.

    Raises:
        MissingPackageError: pyctcdecode, or for a language model kenlm, is not installed.
        DataError: the language model cannot be read, or knows none of the glosses.
        UsageError: the widths make no sense, or a gloss cannot be a word.
    """

    glosses: tuple[str, ...]
    beam_width: int = 10
    num_best: int = 1
    keep_repeats: bool = False
    language_model: LanguageModel | None = None

    def __post_init__(self) -> None:
        """Prepare the search, so that what is wrong is told now."""
        check_beam(self.beam_width, self.num_best)
        _check_words(self.glosses)
        _pyctcdecode()
        if self.language_model is not None:
            _check_known(self.glosses, self.language_model)
        _ = self._search

    def __getstate__(self) -> dict[str, Any]:
        """The settings: another process builds the search anew, for KenLM's model cannot be sent."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _search(self) -> Any:
        """The decoder of pyctcdecode, which is not typed, over the blank and the glosses."""
        pyctcdecode = _pyctcdecode()
        scorer = None if self.language_model is None else GlossScorer(self.language_model)
        # The alphabet is made directly: pyctcdecode's own builder would read meaning into spellings.
        alphabet = pyctcdecode.Alphabet(["", *(_WORD_START + gloss for gloss in self.glosses)], True)
        search = pyctcdecode.BeamSearchDecoderCTC(alphabet, scorer)
        # A table of its class keeps each search's language model until it is told.
        weakref.finalize(self, search.cleanup)
        return search

    @cached_property
    def _id_of(self) -> dict[str, int]:
        return {gloss: class_id for class_id, gloss in enumerate(self.glosses, start=BLANK_ID + 1)}

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`.

        Raises:
            ValueError: the classes are not the vocabulary's and the blank.
        """
        check_log_probs(log_probs)
        num_classes = len(self.glosses) + 1
        if log_probs.shape[1] != num_classes:
            raise ValueError(f"log_probs has {log_probs.shape[1]} classes, the vocabulary {num_classes}")
        if not len(log_probs):
            return [Hypothesis((), 0.0, (), ())]
        beams = self._search.decode_beams(np.asarray(log_probs, np.float64), beam_width=self.beam_width)
        labellings = (
            (tuple(self._id_of[word] for word in text.split()), float(combined_score))
            for text, _state, _frames, _logit_score, combined_score in beams
        )
        return best_hypotheses(log_probs, labellings, num_best=self.num_best, keep_repeats=self.keep_repeats)


def _check_words(glosses: Sequence[str]) -> None:
    """Make sure that pyctcdecode gives back the words that it is given."""
    if len(set(glosses)) != len(glosses):
        raise UsageError("the vocabulary has a gloss twice", "pyctcdecode tells glosses apart by their spelling")
    for gloss in glosses:
        if gloss.split() != [gloss] or _WORD_START in gloss:
            raise UsageError(
                f"pyctcdecode cannot decode the gloss {gloss!r}",
                f"a gloss with white space or {_WORD_START} is no single word to it; "
                "the decoders beam and greedy take any gloss",
            )


def _check_known(glosses: Sequence[str], language_model: LanguageModel) -> None:
    """Refuse a language model of something else."""
    unknown = language_model.unknown(glosses)
    if glosses and len(unknown) == len(glosses):
        raise DataError(
            f"{language_model.path}: the language model knows none of the {len(glosses)} glosses, "
            f"for example not {', '.join(unknown[:3])}",
            "it must be made of sentences of the vocabulary's own glosses, spelt alike; see docs/decoding.md",
        )


def _pyctcdecode() -> Any:
    with _quiet("pyctcdecode"):
        try:
            return importlib.import_module("pyctcdecode")
        except ImportError as error:
            raise MissingPackageError(
                f"the decoder pyctcdecode is not there ({error})",
                how_to_install("pip install pyctcdecode; the decoders beam and greedy need nothing more"),
            ) from error


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
