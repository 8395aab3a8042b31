"""A small grammar of glosses, and sentences drawn evenly from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from cslr_cli.corpora.synthetic.lexicon import Role, Sign

Sentence = tuple[str, ...]

_ROLE_OF_LETTER: dict[str, Role] = {"T": "time", "P": "place", "S": "subject", "V": "verb"}

# Patterns by number of glosses. A sentence may start with a time; then come clauses of a place, a subject and a verb,
# usually in this order, and some without one of them; a second verb may follow the first.
PATTERNS: dict[int, tuple[str, ...]] = {
    2: ("SV", "PV", "TV", "PS"),
    3: ("TSV", "PSV", "SPV", "PVV", "TPV"),
    4: ("TPSV", "PSVV", "SVPV", "TSVV", "SVSV"),
    5: ("TPSVV", "PSVSV", "TSVPV", "SVPSV", "PSPVV"),
    6: ("TPSVSV", "TSVPVV", "PSVPSV", "TPVPSV", "SVVPSV"),
    7: ("TPSVPSV", "PSVVPSV", "TPSVSVV", "TSVVPSV"),
}

# Fraction of the sentences with each number of glosses. Many are short, because CTC learns to align those first.
SHARE_OF_LENGTH: dict[int, float] = {2: 0.28, 3: 0.27, 4: 0.21, 5: 0.13, 6: 0.07, 7: 0.04}

LARGEST_HELD_OUT_SHARE = 0.25  # fraction of all sentences of a length that dev and test may use; the rest is for train
_CANDIDATES = 48  # number of candidates for each sentence


def sentence_lengths(num_sentences: int, rng: np.random.Generator) -> list[int]:
    """Draw the number of glosses of each sentence, with the fractions of `SHARE_OF_LENGTH`, in random order."""
    lengths = np.array(list(SHARE_OF_LENGTH))
    bounds = np.cumsum(list(SHARE_OF_LENGTH.values()))
    # The middle of each of `num_sentences` equal parts of the distribution: no length is missing by chance.
    quantiles = (np.arange(num_sentences) + 0.5) / num_sentences
    chosen = lengths[np.searchsorted(bounds, quantiles * bounds[-1])]
    return [int(length) for length in rng.permutation(chosen)]


@dataclass
class SentenceSource:
    """Draws sentences so that all glosses, and all pairs of neighbours, are about equally frequent.

    Attributes:
        signs: signs of the vocabulary.
        rng: source of all random choices.
        forbidden: sentences that are never drawn.
        most_distinct: largest fraction of all sentences of one length that may be drawn; after that, drawn sentences
            are drawn again.
    """

    signs: Sequence[Sign]
    rng: np.random.Generator
    forbidden: frozenset[Sentence] = frozenset()
    most_distinct: float = 1.0
    _glosses: Counter[str] = field(default_factory=Counter)
    _neighbours: Counter[tuple[str, str]] = field(default_factory=Counter)
    _drawn: dict[int, Counter[Sentence]] = field(default_factory=dict)

    def draw(self, length: int) -> Sentence:
        """Draw a sentence of 2 to 7 glosses, in which no gloss is repeated at once."""
        drawn = self._drawn.setdefault(length, Counter())
        if len(drawn) >= max(1, int(self.most_distinct * self.num_possible(length))):
            candidates = sorted(drawn)
        else:
            candidates = self._candidates(length)
        costs = [self._cost(sentence, drawn[sentence]) for sentence in candidates]
        sentence = candidates[int(np.argmin(costs))]
        drawn[sentence] += 1
        self._glosses.update(sentence)
        self._neighbours.update(pairwise(sentence))
        return sentence

    def num_possible(self, length: int) -> int:
        """Count the different sentences of the grammar with this number of glosses."""
        total = 0
        for pattern in PATTERNS[length]:
            counts = [len(self._with_letter(letter)) for letter in pattern]
            for place in range(1, length):
                counts[place] -= pattern[place] == pattern[place - 1]
            total += int(np.prod(counts))
        return total

    def _with_letter(self, letter: str) -> list[str]:
        return [sign.gloss for sign in self.signs if sign.role == _ROLE_OF_LETTER[letter]]

    def _candidates(self, length: int) -> list[Sentence]:
        found: list[Sentence] = []
        while len(found) < _CANDIDATES:
            sentence: list[str] = []
            for letter in PATTERNS[length][int(self.rng.integers(len(PATTERNS[length])))]:
                choices = [gloss for gloss in self._with_letter(letter) if gloss not in sentence[-1:]]
                sentence.append(choices[int(self.rng.integers(len(choices)))])
            if tuple(sentence) not in self.forbidden:
                found.append(tuple(sentence))
        return found

    def _cost(self, sentence: Sentence, times_drawn: int) -> float:
        """Return a cost, lower for sentences whose glosses and neighbours are rare so far, and for new sentences."""
        glosses = np.mean([self._glosses[gloss] for gloss in sentence])
        neighbours = np.mean([self._neighbours[pair] for pair in pairwise(sentence)])
        return float(glosses + 2.0 * neighbours + 4.0 * times_drawn)
