"""Size and seed of a synthetic corpus, and the random numbers that follow from the seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from cslr_cli.corpora.synthetic.lexicon import LEXICON
from cslr_cli.errors import ConfigError

FEWEST_GLOSSES = 8  # with fewer, a part of speech of the grammar has no gloss


@dataclass(frozen=True)
class SyntheticOptions:
    """Size and seed of a synthetic corpus; the same options give the same pixels.

    Attributes:
        seed: seed of all random choices, 0 to 2³² - 1.
        num_train_clips: number of clips in train, by the known signers.
        num_dev_clips: number of clips in dev, by the known signers.
        num_test_clips: number of clips in test, half of them by the unseen signer.
        num_signers: number of signers; the last one is the unseen signer, who is only in test.
        num_glosses: size of the vocabulary; even, because glosses come in pairs of opposite direction.

    Raises:
        ConfigError: values are out of range; the message lists all of them.
    """

    seed: int = 0
    num_train_clips: int = 240
    num_dev_clips: int = 40
    num_test_clips: int = 60
    num_signers: int = 9
    num_glosses: int = 16

    def __post_init__(self) -> None:
        ranges = {
            "seed": (0, 2**32 - 1),
            "num_train_clips": (1, 99_999),
            "num_dev_clips": (1, 99_999),
            "num_test_clips": (2, 99_999),
            "num_signers": (2, 99),
            "num_glosses": (FEWEST_GLOSSES, len(LEXICON)),
        }
        faults = [
            f"{name} is {getattr(self, name)}; expected {lowest} to {highest}"
            for name, (lowest, highest) in ranges.items()
            if not lowest <= getattr(self, name) <= highest
        ]
        if self.num_glosses % 2:
            faults.append(f"num_glosses is {self.num_glosses}; expected an even number (glosses come in pairs)")
        if faults:
            raise ConfigError("the options of the synthetic corpus are out of range", "\n".join(faults))


def named_generator(seed: int, name: str) -> np.random.Generator:
    """Make the random generator of `name`; it is the same in every process and for any order of calls."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
