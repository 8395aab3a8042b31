"""The small language models that the benchmark makes are proper ones, as KenLM reads them; so are its forecasts."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.language_model import bigram_arpa, forecast, uniform_arpa
from cslr_cli.corpora.synthetic.lexicon import SIGN_OF_GLOSS

kenlm = pytest.importorskip("kenlm")

SENTENCES = [["MORGEN", "REGEN"], ["MORGEN", "SONNE", "KOMMEN"], ["REGEN", "KOMMEN"]]
GLOSSES = ["KOMMEN", "MORGEN", "REGEN", "SONNE"]


def probability(model: Any, history: str, gloss: str) -> float:
    """What KenLM says of a gloss behind another one."""
    before, behind = kenlm.State(), kenlm.State()
    if history == "<s>":
        model.BeginSentenceWrite(before)
    else:
        empty = kenlm.State()
        model.NullContextWrite(empty)
        model.BaseScore(empty, history, before)
    return float(10 ** model.BaseScore(before, gloss, behind))


def read(arpa: str, tmp_path: Path) -> Any:
    """The model as KenLM reads it."""
    path = tmp_path / "model.arpa"
    path.write_text(arpa, encoding="utf-8")
    return kenlm.Model(str(path))


@pytest.mark.parametrize("history", ["<s>", *GLOSSES])
def test_what_may_follow_a_gloss_adds_up_to_one(history: str, tmp_path: Path) -> None:
    for arpa in (bigram_arpa(SENTENCES), uniform_arpa(GLOSSES)):
        model = read(arpa, tmp_path)
        total = sum(probability(model, history, gloss) for gloss in [*GLOSSES, "</s>", "<unk>"])
        assert total == pytest.approx(1, abs=1e-4)


def test_bigrams_have_the_probabilities_that_witten_and_bell_give_them(tmp_path: Path) -> None:
    model = read(bigram_arpa(SENTENCES), tmp_path)

    # MORGEN was followed by REGEN once and by SONNE once. There are 10 unigrams with the ends, of 5 kinds.
    regen_alone = 2 / (10 + 5)
    assert probability(model, "MORGEN", "REGEN") == pytest.approx((1 + 2 * regen_alone) / (2 + 2), rel=1e-4)
    # What never followed MORGEN: 2 kinds of followers out of 2 + 2, times how frequent it is by itself.
    assert probability(model, "MORGEN", "KOMMEN") == pytest.approx(2 / 4 * 2 / 15, rel=1e-4)
    assert probability(model, "<s>", "MORGEN") == pytest.approx((2 + 2 * 2 / 15) / (3 + 2), rel=1e-4)
    assert probability(model, "<s>", "NIE") == pytest.approx(2 / 5 * 5 / 15, rel=1e-4)


def test_to_the_model_that_knows_nothing_all_glosses_are_alike(tmp_path: Path) -> None:
    model = read(uniform_arpa(GLOSSES), tmp_path)

    expected = math.log10(1 / 6) * 3
    assert model.score("REGEN SONNE") == pytest.approx(expected, rel=1e-4)
    assert model.score("SONNE SONNE") == pytest.approx(expected, rel=1e-4)


def test_in_forecasts_one_gloss_mostly_follows_another() -> None:
    rng = np.random.default_rng(0)
    glosses = list(SIGN_OF_GLOSS)[:16]
    followers: dict[tuple[str, str], Counter[str]] = {}
    for _ in range(2000):
        sentence = forecast(rng, glosses)
        assert 2 <= len(sentence) <= 7
        for gloss, follower in pairwise(sentence):
            assert gloss != follower
            followers.setdefault((gloss, SIGN_OF_GLOSS[follower].role), Counter())[follower] += 1
    # 0.8, and a fourth of the rest by chance, where four glosses have the role
    shares = [each.most_common(1)[0][1] / each.total() for each in followers.values() if each.total() > 100]
    assert len(shares) > 10
    assert min(shares) > 0.75
