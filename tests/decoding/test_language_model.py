from __future__ import annotations

import itertools
import math
import pickle
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.decoding import LanguageModel, language_model, log_softmax, make_decoder
from cslr_cli.decoding.hypothesis import LogProbs
from cslr_cli.decoding.pyctcdecode_decoder import FusionTask, FusionWeightsDecoder, PyctcdecodeDecoder
from cslr_cli.errors import DataError, MissingPackageError, UsageError

needs_kenlm = pytest.mark.usefixtures("kenlm")

# A spelling that begins another, one of two characters and one that the model has never seen.
GLOSSES = ("REGEN", "REGENSCHAUER", "今天", "NEU")
UNIGRAMS = {
    # gloss: log10 of its probability, log10 of the weight of what follows it and was not seen there
    "<unk>": (-1.8, 0.0),
    "<s>": (-99.0, -0.3),
    "</s>": (-1.0, 0.0),
    "REGEN": (-0.5, -0.2),
    "REGENSCHAUER": (-0.7, -0.1),
    "今天": (-0.9, -0.4),
}
BIGRAMS = {
    ("<s>", "REGEN"): -0.2,
    ("REGEN", "REGENSCHAUER"): -1.5,
    ("REGEN", "今天"): -0.1,
    ("今天", "</s>"): -0.3,
    ("REGENSCHAUER", "</s>"): -0.4,
}


def arpa() -> str:
    unigrams = [f"{log10}\t{gloss}\t{backoff}" for gloss, (log10, backoff) in UNIGRAMS.items()]
    bigrams = [f"{log10}\t{first} {second}" for (first, second), log10 in BIGRAMS.items()]
    counts = [f"ngram 1={len(unigrams)}", f"ngram 2={len(bigrams)}"]
    return "\n".join(["\\data\\", *counts, "", "\\1-grams:", *unigrams, "", "\\2-grams:", *bigrams, "", "\\end\\", ""])


def by_hand(glosses: tuple[str, ...]) -> float:
    """The natural logarithm of a sentence's probability, with its end, by the table above."""
    known = [gloss if gloss in UNIGRAMS else "<unk>" for gloss in ("<s>", *glosses, "</s>")]
    log10 = 0.0
    for pair in itertools.pairwise(known):
        log10 += BIGRAMS[pair] if pair in BIGRAMS else UNIGRAMS[pair[0]][1] + UNIGRAMS[pair[1]][0]
    return log10 * math.log(10)


@pytest.fixture
def kenlm() -> None:
    pytest.importorskip("pyctcdecode")
    pytest.importorskip("kenlm")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "gloss.arpa"
    path.write_text(arpa(), encoding="utf-8")
    return path


def fused(model: Path, weight: float, bonus: float = 0.0, num_best: int = 1) -> PyctcdecodeDecoder:
    settings = LanguageModel(model, weight, bonus)
    return PyctcdecodeDecoder(GLOSSES, 3000, num_best, keep_repeats=True, language_model=settings)


def words(gloss_ids: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(GLOSSES[gloss_id - 1] for gloss_id in gloss_ids)


def labellings(log_probs: LogProbs) -> dict[tuple[int, ...], float]:
    """The exact log-probability of every labelling: all paths, added up."""
    sums: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labelling = tuple(class_id for class_id, _ in itertools.groupby(path) if class_id)
        sums[labelling] += math.exp(sum(float(log_probs[step, class_id]) for step, class_id in enumerate(path)))
    return {labelling: math.log(probability) for labelling, probability in sums.items()}


# The search


@needs_kenlm
def test_the_language_model_turns_a_decision_as_worked_out_by_hand(model: Path) -> None:
    # After REGEN the network prefers REGENSCHAUER (0.5) to 今天 (0.4); the model says 10^-1.5 and 10^-0.1.
    posteriors = [[0.025, 0.9, 0.025, 0.025, 0.025], [0.92, 0.02, 0.02, 0.02, 0.02], [0.05, 0.025, 0.5, 0.4, 0.025]]
    log_probs = np.log(np.array(posteriors, dtype=np.float32))
    (without,) = fused(model, weight=0.0).decode(log_probs)
    (with_model,) = fused(model, weight=1.0).decode(log_probs)
    assert words(without.gloss_ids) == ("REGEN", "REGENSCHAUER")
    assert words(with_model.gloss_ids) == ("REGEN", "今天")
    # The path REGEN, blank, 今天, and all others of this labelling: (1, 1, 3), (1, 3, 3), (0, 1, 3), (1, 3, 0).
    network = 0.9 * 0.92 * 0.4 + 0.9 * 0.02 * 0.4 + 0.9 * 0.02 * 0.4 + 0.025 * 0.02 * 0.4 + 0.9 * 0.02 * 0.05
    # <s> REGEN: -0.2, REGEN 今天: -0.1, 今天 </s>: -0.3
    assert with_model.score == pytest.approx(math.log(network) - 0.6 * math.log(10), abs=1e-4)
    assert with_model.steps == ((0, 1), (2, 3))


@needs_kenlm
@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.4, 0.0), (1.0, 0.0), (0.7, 1.5), (2.0, -1.0)])
def test_the_fused_scores_are_those_of_all_paths_and_the_table(model: Path, weight: float, bonus: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(3):
        log_probs = log_softmax(random.normal(0, 0.5, (4, len(GLOSSES) + 1)))  # flat: nothing is left out
        expected = {
            labelling: network + weight * by_hand(words(labelling)) + bonus * len(labelling)
            for labelling, network in labellings(log_probs).items()
        }
        hypotheses = fused(model, weight, bonus, num_best=5).decode(log_probs)
        ranked = sorted(expected, key=lambda labelling: -expected[labelling])
        assert [hypothesis.gloss_ids for hypothesis in hypotheses] == ranked[:5]
        assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(
            [expected[labelling] for labelling in ranked[:5]], abs=1e-3
        )


@needs_kenlm
def test_a_clip_of_blanks_costs_an_empty_sentence_not_an_unknown_word(model: Path) -> None:
    log_probs = np.log(np.array([[0.8, 0.05, 0.05, 0.05, 0.05]], dtype=np.float32))
    (hypothesis,) = fused(model, weight=1.0).decode(log_probs)
    assert hypothesis.gloss_ids == ()
    assert hypothesis.score == pytest.approx(math.log(0.8) - 1.3 * math.log(10), abs=1e-4)  # <s> backs off to </s>


@needs_kenlm
def test_a_decoder_with_a_language_model_can_be_sent_to_another_process(model: Path) -> None:
    decoder = fused(model, weight=1.0)
    there = pickle.loads(pickle.dumps(decoder))
    log_probs = log_softmax(np.random.default_rng(1).normal(0, 1.0, (6, len(GLOSSES) + 1)))
    assert there == decoder
    assert there.decode(log_probs) == decoder.decode(log_probs)


@needs_kenlm
def test_a_trial_decodes_with_the_weights_that_come_with_the_clip(model: Path) -> None:
    log_probs = log_softmax(np.random.default_rng(2).normal(0, 1.0, (6, len(GLOSSES) + 1)))
    trial = FusionWeightsDecoder(fused(model, weight=0.0))
    for weight, bonus in [(0.0, 0.0), (3.0, 0.0), (0.5, 5.0), (0.0, 0.0)]:
        expected = fused(model, weight, bonus).decode(log_probs)[0].gloss_ids
        assert trial(FusionTask(weight, bonus, log_probs)) == expected
    assert len({trial(FusionTask(0.5, bonus, log_probs)) for bonus in (-9.0, 9.0)}) == 2


# What goes in


@needs_kenlm
def test_glosses_that_the_model_has_never_seen_are_named(model: Path) -> None:
    assert LanguageModel(model).unknown_glosses(GLOSSES) == ("NEU",)


@needs_kenlm
def test_a_model_that_knows_no_gloss_of_the_vocabulary_is_refused_with_their_number(model: Path) -> None:
    with pytest.raises(
        DataError, match=r"has none of the 3 glosses of the vocabulary, for example rain, wind, today"
    ) as caught:
        make_decoder("pyctcdecode", glosses=["rain", "wind", "today"], language_model=LanguageModel(model))
    assert str(model) in caught.value.message


@needs_kenlm
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello\n", 'first non-empty line was "hello"'),
        (b"", "End of file"),
        (arpa().encode()[:120], "cannot be read as a language model"),
        (arpa().replace("-0.5\tREGEN", "x\tREGEN").encode(), 'Could not parse "x" into a float'),
        (arpa().replace("-1.0\t</s>\t0.0\n", "").replace("1=6", "1=5").encode(), "missing </s>|not in the vocabulary"),
        (bytes(range(255, 127, -1)) * 9, "not a language model"),
    ],
)
def test_a_file_that_is_no_language_model_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.arpa"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        LanguageModel(path).unknown_glosses(GLOSSES)
    assert str(path) in caught.value.message
    assert "docs/decoding.md" in str(caught.value.hint)
    assert "lm/" not in str(caught.value)  # no places in KenLM's source
    assert capfd.readouterr().err == ""


@needs_kenlm
def test_missing_language_model_or_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.arpa: cannot be read .*No such file"):
        LanguageModel(tmp_path / "gone.arpa").unknown_glosses(GLOSSES)
    with pytest.raises(DataError, match="a folder, not a language model"):
        LanguageModel(tmp_path).unknown_glosses(GLOSSES)


@needs_kenlm
def test_a_file_that_has_changed_is_read_again(model: Path) -> None:
    assert LanguageModel(model).unknown_glosses(["NEU"]) == ("NEU",)
    model.write_text(arpa().replace("REGENSCHAUER", "NEU"), encoding="utf-8")
    assert LanguageModel(model).unknown_glosses(["NEU"]) == ()


def test_without_kenlm_the_message_names_the_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyctcdecode")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    monkeypatch.setattr(language_model, "NEWEST_PYTHON", sys.version_info[:2])
    with pytest.raises(MissingPackageError, match=re.escape("pip install '.[lm]'")):
        make_decoder("pyctcdecode", glosses=GLOSSES, language_model=LanguageModel(model))


@pytest.mark.parametrize("absent", ["kenlm", "pyctcdecode"])
def test_where_python_is_too_new_for_language_models_the_message_says_so(
    absent: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.setattr(language_model, "NEWEST_PYTHON", (3, 9))
    this = "{}.{}".format(*sys.version_info)
    with pytest.raises(
        MissingPackageError, match=f"pip cannot install kenlm and pyctcdecode on Python {this}"
    ) as caught:
        make_decoder("pyctcdecode", glosses=GLOSSES, language_model=LanguageModel(model))
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize("name", ["beam", "greedy"])
def test_a_decoder_that_takes_no_language_model_says_which_one_does(name: str) -> None:
    with pytest.raises(UsageError, match=f"the decoder {name} cannot use a language model") as caught:
        make_decoder(name, glosses=GLOSSES, language_model=LanguageModel(Path("gloss.arpa")))
    assert "pyctcdecode" in str(caught.value.hint)
