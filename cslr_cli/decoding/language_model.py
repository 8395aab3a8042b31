"""An n-gram language model of glosses, read by KenLM: how probable a gloss is after those before it.

An ARPA file or one of KenLM's binary files, estimated on sentences of glosses (docs/decoding.md says
how to make one). To the model a gloss is a word, whatever its spelling.
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

from cslr_cli.errors import DataError, MissingPackageError

_LN_10 = math.log(10)  # KenLM gives logarithms to the base 10
_SENTENCE_END = "</s>"
NEWEST_PYTHON = (3, 12)  # on which pip can install kenlm (0.3) and pyctcdecode (0.5)
_HINT = "expected an ARPA file or a KenLM binary; docs/decoding.md says how to make one from references"


@dataclass(frozen=True)
class LanguageModel:
    """A file with a language model, and how much it counts beside the network.

    A labelling's score is the network's log-probability, plus `weight` times the model's of the whole
    sentence with its end, plus `gloss_bonus` for each gloss (shallow fusion; all natural logarithms).

    Attributes:
        path: an ARPA file, or a binary that KenLM made of one.
        weight: 0 leaves the language model out, 1 counts it as much as the network.
        gloss_bonus: what a gloss is given for being there: a language model alone prefers short
            sentences.
    """

    path: Path
    weight: float = 0.5
    gloss_bonus: float = 0.0

    def unknown(self, glosses: Iterable[str]) -> tuple[str, ...]:
        """Those of the glosses that the model has never seen.

        Raises:
            MissingPackageError: kenlm is not installed.
            DataError: the file cannot be read as a language model.
        """
        model = open_model(self.path)
        return tuple(gloss for gloss in glosses if gloss not in model)


class GlossScorer:
    """The language model as pyctcdecode asks for it: methods and names are pyctcdecode's interface.

    pyctcdecode has a class of its own for this, made for words spelt in letters: it guesses at the
    rest of a word from its first letters, and takes a sentence without words for one of an unknown
    word. Here a gloss is known as soon as it is there, and the empty sentence is a sentence.
    A gloss that the model has never seen has the probability that the model gives to `<unk>`.

    Args:
        settings: which model, and how much it counts.

    Raises:
        MissingPackageError: kenlm is not installed.
        DataError: the file cannot be read as a language model.
    """

    def __init__(self, settings: LanguageModel) -> None:
        self._settings = settings
        self._kenlm = _kenlm()
        self._model = open_model(settings.path)

    @property
    def order(self) -> int:
        """The n of the n-grams."""
        return int(self._model.order)

    def get_start_state(self) -> Any:
        """The state before the first gloss of a sentence."""
        state = self._kenlm.State()
        self._model.BeginSentenceWrite(state)
        return state

    def score_partial_token(self, partial_token: str) -> float:
        """What is known of a gloss before it counts: nothing."""
        return 0.0

    def score(self, prev_state: Any, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """What a gloss adds to the score of a labelling, and the state after it.

        Args:
            prev_state: the state before it.
            word: the gloss; empty at the end of a labelling without glosses.
            is_last_word: add the end of the sentence.
        """
        state, bonus, log10 = prev_state, 0.0, 0.0
        if word:
            state = self._kenlm.State()
            log10 = self._model.BaseScore(prev_state, word, state)
            bonus = self._settings.gloss_bonus
        if is_last_word:
            log10 += self._model.BaseScore(state, _SENTENCE_END, self._kenlm.State())
        return self._settings.weight * log10 * _LN_10 + bonus, state


def open_model(path: Path) -> Any:
    """KenLM's model of a file, read once as long as the file stays the same.

    Raises:
        MissingPackageError: kenlm is not installed.
        DataError: the file cannot be read as a language model.
    """
    kenlm = _kenlm()
    if path.is_dir():
        raise DataError(f"{path}: a folder, not a language model", _HINT)
    try:
        return _read(kenlm, path, path.stat().st_mtime_ns)
    except UnicodeDecodeError as error:  # KenLM's message quotes the file
        raise DataError(f"{path}: no language model", _HINT) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a language model ({_reason(error)})", _HINT) from error


@lru_cache(maxsize=2)
def _read(kenlm: Any, path: Path, changed: int) -> Any:
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE  # it would talk on standard error
    return kenlm.Model(str(path), config)


def how_to_install(command: str) -> str:
    """The hint for somebody without kenlm or pyctcdecode: the command, or that this Python is too new for both."""
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return command
    this, newest = (f"{major}.{minor}" for major, minor in (sys.version_info[:2], NEWEST_PYTHON))
    return (
        f"pip can install neither kenlm nor pyctcdecode on Python {this}: use Python 3.10 to {newest} for a language "
        "model; the decoders beam and greedy need nothing more"
    )


def _kenlm() -> Any:
    try:
        return importlib.import_module("kenlm")
    except ImportError as error:
        raise MissingPackageError(
            "a language model is read by kenlm, which is not installed", how_to_install("pip install 'cslr[lm]'")
        ) from error


def _reason(error: OSError) -> str:
    """What is wrong, without the place in KenLM's source where it was found."""
    if error.strerror:
        return error.strerror
    told = str(error).partition("' (")[2].removesuffix(")") or str(error)
    said = told.rpartition("threw ")[2]  # "FormatLoadException. first line was …", "ErrnoException because `…'. …"
    return said.partition(". ")[2].strip() if said != told else told
