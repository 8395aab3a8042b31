"""Fingerprint of a corpus: hashes of its vocabulary and splits, equal for equal contents on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cslr_cli.dataset.sample import Sample
from cslr_cli.vocabulary import Vocabulary

# Length of a hash, hexadecimal digits: 64 bits, so that two corpora never have the same one by chance.
_DIGITS = 16


@dataclass(frozen=True)
class CorpusFingerprint:
    """Hashes of the contents of a corpus. Frames, signers, translations and the order of lines do not matter.

    Attributes:
        vocabulary: hash of the glosses in the order of their ids.
        splits: hash of each split: ids of its samples with their glosses; empty if the splits are not known.

    Example:
        >>> CorpusFingerprint.of(Vocabulary(("REGEN", "WIND"), (2, 1)))
        CorpusFingerprint(vocabulary='d07563a98c1f2b5e', splits={})
    """

    vocabulary: str
    splits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, vocabulary: Vocabulary, splits: Mapping[str, Iterable[Sample]] | None = None) -> CorpusFingerprint:
        """Compute the fingerprint of a vocabulary and of the samples of each split."""
        return cls(
            _hash_lines(vocabulary.glosses),
            {split: _hash_lines(sorted(map(_sample_line, samples))) for split, samples in (splits or {}).items()},
        )

    def differences(self, other: CorpusFingerprint) -> list[str]:
        """Return what differs in another corpus: `vocabulary`, `split dev`. Splits that only it has do not count."""
        parts = ["vocabulary"] if self.vocabulary != other.vocabulary else []
        return parts + [f"split {split}" for split, value in self.splits.items() if other.splits.get(split) != value]

    def __str__(self) -> str:
        """Return the hashes in one line."""
        return ", ".join(f"{part} {value}" for part, value in {"vocabulary": self.vocabulary, **self.splits}.items())


def _sample_line(sample: Sample) -> str:
    return f"{sample.sample_id}\t{' '.join(sample.glosses)}"


def _hash_lines(lines: Iterable[str]) -> str:
    """Hash lines, each with a line feed at its end: the first digits of SHA-256 over their UTF-8 text."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:_DIGITS]
