"""Beam search by pyctcdecode, with or without a language model; pyctcdecode sees each gloss as a word."""

from __future__ import annotations

import importlib
import logging
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from cslr_cli.decoding.gloss_timing import best_hypotheses
from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs
from cslr_cli.decoding.language_model import GlossScorer, LanguageModel, installation_hint
from cslr_cli.decoding.prefix_beam import check_beam
from cslr_cli.errors import DataError, MissingPackageError, UsageError
from cslr_cli.vocabulary import BLANK_ID

_WORD_START = "▁"  # marks the start of a word in pyctcdecode, as in sentencepiece


@dataclass(frozen=True)
class PyctcdecodeDecoder:
    """pyctcdecode's beam search.

    The search is not exact: it leaves out classes whose probability is below e⁻⁵ and prefixes that are e¹⁰ times less
    probable than the best. A prefix that ends in a blank and the same prefix without it take two places in the beam.
    Its hypotheses can therefore differ from those of `PrefixBeamDecoder`.

    With a language model, the score of a hypothesis combines the network and the language model (see `LanguageModel`).
    During the search, the language model's score of a gloss is added when the next gloss begins or the clip ends.

    Attributes:
        glosses: the vocabulary without the blank: `glosses[i]` is class i + 1.
        beam_width: number of places in the beam.
        num_best: maximum number of hypotheses returned.
        keep_repeats: whether adjacent equal glosses stay separate.
        language_model: its scores are added to the network's in the search.

    Raises:
        MissingPackageError: pyctcdecode, or for a language model kenlm, is not installed.
        DataError: the language model cannot be read, or has none of the glosses.
        UsageError: the beam is too narrow, or a gloss cannot be a word.
    """

    glosses: tuple[str, ...]
    beam_width: int = 10
    num_best: int = 1
    keep_repeats: bool = False
    language_model: LanguageModel | None = None

    def __post_init__(self) -> None:
        """Prepare the search, so that wrong settings raise an error now."""
        check_beam(self.beam_width, self.num_best)
        _check_words(self.glosses)
        _pyctcdecode()
        if self.language_model is not None:
            _check_language_model(self.glosses, self.language_model)
        _ = self._search

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings only: KenLM's model cannot be pickled, so another process builds the search itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _search(self) -> Any:
        """Pyctcdecode's decoder (untyped) for the blank and the glosses."""
        pyctcdecode = _pyctcdecode()
        scorer = None if self.language_model is None else GlossScorer(self.language_model)
        # The alphabet is made directly: pyctcdecode's own builder would read meaning into spellings.
        alphabet = pyctcdecode.Alphabet(["", *(_WORD_START + gloss for gloss in self.glosses)], True)
        search = pyctcdecode.BeamSearchDecoderCTC(alphabet, scorer)
        # pyctcdecode keeps each decoder's language model in a class attribute until `cleanup`.
        weakref.finalize(self, search.cleanup)
        return search

    @cached_property
    def _gloss_ids(self) -> dict[str, int]:
        return {gloss: class_id for class_id, gloss in enumerate(self.glosses, start=BLANK_ID + 1)}

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`."""
        check_log_probs(log_probs)
        num_classes = len(self.glosses) + 1
        if log_probs.shape[1] != num_classes:
            raise ValueError(f"log_probs has {log_probs.shape[1]} classes, the vocabulary {num_classes}")
        if not len(log_probs):
            return [Hypothesis((), 0.0, (), ())]
        beams = self._search.decode_beams(np.asarray(log_probs, np.float64), beam_width=self.beam_width)
        labellings = (
            (tuple(self._gloss_ids[word] for word in text.split()), float(combined_score))
            for text, _state, _frames, _logit_score, combined_score in beams
        )
        return best_hypotheses(log_probs, labellings, num_best=self.num_best, keep_repeats=self.keep_repeats)


@dataclass(frozen=True)
class FusionTask:
    """A clip, and the weights of the language model to decode it with.

    Attributes:
        lm_weight: see `LanguageModel.weight`.
        gloss_bonus: see `LanguageModel.gloss_bonus`.
        log_probs: float (T', V) of the clip.
    """

    lm_weight: float
    gloss_bonus: float
    log_probs: LogProbs


@dataclass(frozen=True)
class FusionWeightsDecoder:
    """Decodes each clip with the weights of its task, to find the best weights.

    Attributes:
        decoder: decoder with a language model, whose weights are not used.
    """

    decoder: PyctcdecodeDecoder

    def __call__(self, task: FusionTask) -> tuple[int, ...]:
        """Return the glosses of the best hypothesis."""
        return self._weighted_decoder(task.lm_weight, task.gloss_bonus).decode(task.log_probs)[0].gloss_ids

    def __getstate__(self) -> dict[str, PyctcdecodeDecoder]:
        return {"decoder": self.decoder}

    @cached_property
    def _weighted_decoders(self) -> dict[tuple[float, float], PyctcdecodeDecoder]:
        return {}

    def _weighted_decoder(self, lm_weight: float, gloss_bonus: float) -> PyctcdecodeDecoder:
        weights = (lm_weight, gloss_bonus)
        if weights not in self._weighted_decoders:
            if self.decoder.language_model is None:
                raise ValueError("the decoder has no language model")
            language_model = LanguageModel(self.decoder.language_model.path, *weights)
            self._weighted_decoders.clear()  # tasks are sorted by weights, so one decoder at a time is enough
            self._weighted_decoders[weights] = replace(self.decoder, language_model=language_model, num_best=1)
        return self._weighted_decoders[weights]


def _check_words(glosses: Sequence[str]) -> None:
    """Check that pyctcdecode can distinguish the glosses and does not split them."""
    if len(set(glosses)) != len(glosses):
        raise UsageError("the vocabulary has a gloss twice", "remove one, or use the decoder beam or greedy")
    for gloss in glosses:
        if gloss.split() != [gloss] or _WORD_START in gloss:
            raise UsageError(
                f"pyctcdecode cannot decode the gloss {gloss!r}",
                f"use the decoder beam or greedy: pyctcdecode splits glosses at white space and at {_WORD_START}",
            )


def _check_language_model(glosses: Sequence[str], language_model: LanguageModel) -> None:
    """Raise a DataError if the language model has none of the glosses."""
    unknown = language_model.unknown_glosses(glosses)
    if glosses and len(unknown) == len(glosses):
        raise DataError(
            f"{language_model.path}: the language model has none of the {len(glosses)} glosses of the vocabulary, "
            f"for example {', '.join(unknown[:3])}",
            "use a language model of sentences with these glosses, in the same spelling; see docs/decoding.md",
        )


def _pyctcdecode() -> Any:
    with _quiet("pyctcdecode"):
        try:
            return importlib.import_module("pyctcdecode")
        except ImportError as error:
            raise MissingPackageError(
                f"the decoder pyctcdecode is not installed ({error})",
                installation_hint("pip install pyctcdecode, or use the decoder beam or greedy"),
            ) from error


@contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    """Hide the warnings of a package (here: that kenlm is not installed) during a block."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
