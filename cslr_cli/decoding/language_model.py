"""An n-gram language model of glosses, read by KenLM: the probability of a gloss after the glosses before it.

The file is in ARPA or KenLM's binary format, estimated on gloss sentences (docs/decoding.md explains how). Each gloss
is one word of the model, whatever its spelling.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cslr_cli.errors import DataError, MissingPackageError, extra_hint
from cslr_cli.untrusted import refuse_special_file

_LN_10 = math.log(10)  # KenLM gives logarithms to the base 10
_SENTENCE_END = "</s>"
NEWEST_PYTHON = (3, 12)  # on which pip can install kenlm (0.3) and pyctcdecode (0.5)
_HINT = "use an ARPA file or a KenLM binary; docs/decoding.md explains how to make one from references"


@dataclass(frozen=True)
class LanguageModel:
    """A language model file and its weight in decoding.

    A labelling's score is the network's log-probability, plus `weight` times the model's of the whole
    sentence with its end, plus `gloss_bonus` for each gloss (shallow fusion; all natural logarithms).

    Attributes:
        path: ARPA file or KenLM binary.
        weight: factor of the model's log-probabilities: 0 ignores the model, 1 weighs it like the network.
        gloss_bonus: score added per gloss; offsets the language model's preference for short sentences.
    """

    path: Path
    weight: float = 0.5
    gloss_bonus: float = 0.0

    def unknown_glosses(self, glosses: Iterable[str]) -> tuple[str, ...]:
        """Return the glosses that do not occur in the model; exceptions are those of `load_model`."""
        model = load_model(self.path)
        return tuple(gloss for gloss in glosses if gloss not in model)


class GlossScorer:
    """The language model with the methods that pyctcdecode calls.

    pyctcdecode's own class for this is made for words spelt in letters: it predicts the rest of a word from its first
    letters, and scores an empty sentence as one unknown word. Here a gloss is complete at once, and an empty sentence
    is scored as such. A gloss that does not occur in the model gets the probability of `<unk>`.
    """

    def __init__(self, settings: LanguageModel) -> None:
        self._settings = settings
        self._kenlm = _kenlm()
        self._model = load_model(settings.path)

    @property
    def order(self) -> int:
        """The n of the n-grams."""
        return int(self._model.order)

    def get_start_state(self) -> Any:
        """Return the state before the first gloss of a sentence."""
        state = self._kenlm.State()
        self._model.BeginSentenceWrite(state)
        return state

    def score_partial_token(self, partial_token: str) -> float:
        """Return 0: a gloss is scored only when it is complete."""
        return 0.0

    def score(self, prev_state: Any, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """Return the score of a gloss in a labelling, and the state after it.

        Args:
            prev_state: state before the gloss.
            word: gloss; empty at the end of a labelling without glosses.
            is_last_word: whether to add the end of the sentence.
        """
        state, bonus, log10 = prev_state, 0.0, 0.0
        if word:
            state = self._kenlm.State()
            log10 = self._model.BaseScore(prev_state, word, state)
            bonus = self._settings.gloss_bonus
        if is_last_word:
            log10 += self._model.BaseScore(state, _SENTENCE_END, self._kenlm.State())
        return self._settings.weight * log10 * _LN_10 + bonus, state


def load_model(path: Path) -> Any:
    """Load the KenLM model of a file; it is cached until the file changes.

    Raises:
        MissingPackageError: kenlm is not installed.
        DataError: the file cannot be read as a language model.
    """
    kenlm = _kenlm()
    if path.is_dir():
        raise DataError(f"{path}: a folder, not a language model", _HINT)
    refuse_special_file(path)
    try:
        return _load_cached(kenlm, path, path.stat().st_mtime_ns)
    except UnicodeDecodeError as error:  # KenLM's message quotes the file
        raise DataError(f"{path}: not a language model", _HINT) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a language model ({_kenlm_reason(error)})", _HINT) from error


@lru_cache(maxsize=2)
def _load_cached(kenlm: Any, path: Path, modified_ns: int) -> Any:
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE  # keeps standard error clean
    return kenlm.Model(str(path), config)


def installation_hint(command: str) -> str:
    """Return the hint for a missing kenlm or pyctcdecode: the command, or the Python versions that support both."""
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return command
    this, newest = (f"{major}.{minor}" for major, minor in (sys.version_info[:2], NEWEST_PYTHON))
    return (
        f"use Python 3.10 to {newest} for language models and pyctcdecode (pip cannot install kenlm and pyctcdecode on "
        f"Python {this}), or use the decoder beam or greedy"
    )


def _kenlm() -> Any:
    try:
        return importlib.import_module("kenlm")
    except ImportError as error:
        raise MissingPackageError(
            "language models need kenlm, which is not installed", installation_hint(extra_hint("lm"))
        ) from error


def _kenlm_reason(error: OSError) -> str:
    """Extract what is wrong from KenLM's message, which also names the place in its source."""
    if error.strerror:
        return error.strerror
    message = str(error).partition("' (")[2].removesuffix(")") or str(error)
    reason = message.rpartition("threw ")[2]  # "FormatLoadException. first line was …", "ErrnoException because `…'. …"
    return reason.partition(". ")[2].strip() if reason != message else message
