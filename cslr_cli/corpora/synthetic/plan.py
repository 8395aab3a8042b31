"""Which clips a corpus has: split, signer and sentence of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cslr_cli.corpora.synthetic.grammar import (
    LARGEST_HELD_OUT_SHARE,
    Sentence,
    SentenceSource,
    sentence_lengths,
)
from cslr_cli.corpora.synthetic.lexicon import LEXICON
from cslr_cli.corpora.synthetic.options import SyntheticOptions, named_generator
from cslr_cli.corpora.synthetic.signer import Signer, make_signers


@dataclass(frozen=True)
class SyntheticClip:
    """What is signed in one clip, and by whom.

    Attributes:
        sample_id: the name of the clip.
        split: `train`, `dev` or `test`.
        signer: who signs.
        glosses: what is signed.
    """

    sample_id: str
    split: str
    signer: Signer
    glosses: Sentence


def plan_clips(options: SyntheticOptions) -> list[SyntheticClip]:
    """Every clip of a corpus, in the order of its annotation files.

    Sentences of dev and test are not in train; the last signer is in one half of test and nowhere else.
    """
    signs = LEXICON[: options.num_glosses]
    *known, unseen = make_signers(options.seed, options.num_signers)
    rng = named_generator(options.seed, "plan")
    held_out_source = SentenceSource(signs, rng, most_distinct=LARGEST_HELD_OUT_SHARE)

    dev = _sentences(held_out_source, options.num_dev_clips)
    num_unseen = (options.num_test_clips + 1) // 2
    test_unseen = _sentences(held_out_source, num_unseen)
    test_known = _sentences(held_out_source, options.num_test_clips - num_unseen)
    held_out = frozenset(dev + test_unseen + test_known)
    train = _sentences(SentenceSource(signs, rng, forbidden=held_out), options.num_train_clips)

    signed = {
        "train": _dealt(train, known, rng),
        "dev": _dealt(dev, known, rng),
        "test": _dealt(test_known, known, rng) + _dealt(test_unseen, [unseen], rng),
    }
    return [
        SyntheticClip(f"synthetic_{split}-{number:04d}", split, signer, sentence)
        for split, clips in signed.items()
        for number, (signer, sentence) in enumerate(clips, start=1)
    ]


def _sentences(source: SentenceSource, num_sentences: int) -> list[Sentence]:
    return [source.draw(length) for length in sentence_lengths(num_sentences, source.rng)]


def _dealt(sentences: list[Sentence], signers: list[Signer], rng: np.random.Generator) -> list[tuple[Signer, Sentence]]:
    """Give the sentences to the signers, as many to each as can be."""
    order = rng.permutation(len(signers))
    return [(signers[order[number % len(signers)]], sentence) for number, sentence in enumerate(sentences)]
