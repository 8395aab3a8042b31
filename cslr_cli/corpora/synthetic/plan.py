"""The clips of a synthetic corpus: split, signer and sentence of each."""

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
    """One clip of a synthetic corpus.

    Attributes:
        sample_id: name of the clip.
        split: `train`, `dev` or `test`.
        signer: signer of the clip.
        glosses: signed glosses, in order.
    """

    sample_id: str
    split: str
    signer: Signer
    glosses: Sentence


def plan_clips(options: SyntheticOptions) -> list[SyntheticClip]:
    """Plan every clip of a corpus, in the order of its annotation files.

    Sentences of dev and test are not in train; the last signer is in one half of test and nowhere else.
    """
    signs = LEXICON[: options.num_glosses]
    *known, unseen = make_signers(options.seed, options.num_signers)
    rng = named_generator(options.seed, "plan")
    held_out_source = SentenceSource(signs, rng, most_distinct=LARGEST_HELD_OUT_SHARE)

    dev = _draw_sentences(held_out_source, options.num_dev_clips)
    num_unseen = (options.num_test_clips + 1) // 2
    test_unseen = _draw_sentences(held_out_source, num_unseen)
    test_known = _draw_sentences(held_out_source, options.num_test_clips - num_unseen)
    held_out = frozenset(dev + test_unseen + test_known)
    train = _draw_sentences(SentenceSource(signs, rng, forbidden=held_out), options.num_train_clips)

    signed = {
        "train": _assign_signers(train, known, rng),
        "dev": _assign_signers(dev, known, rng),
        "test": _assign_signers(test_known, known, rng) + _assign_signers(test_unseen, [unseen], rng),
    }
    return [
        SyntheticClip(f"synthetic_{split}-{number:04d}", split, signer, sentence)
        for split, clips in signed.items()
        for number, (signer, sentence) in enumerate(clips, start=1)
    ]


def _draw_sentences(source: SentenceSource, num_sentences: int) -> list[Sentence]:
    return [source.draw(length) for length in sentence_lengths(num_sentences, source.rng)]


def _assign_signers(
    sentences: list[Sentence], signers: list[Signer], rng: np.random.Generator
) -> list[tuple[Signer, Sentence]]:
    """Assign the sentences to the signers, about equally many to each."""
    order = rng.permutation(len(signers))
    return [(signers[order[number % len(signers)]], sentence) for number, sentence in enumerate(sentences)]
