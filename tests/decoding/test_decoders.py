from __future__ import annotations

import itertools
import math
import pickle
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cslr_cli.decoding import (
    DECODERS,
    Decoder,
    GreedyDecoder,
    Hypothesis,
    PrefixBeamDecoder,
    language_model,
    log_softmax,
    make_decoder,
    merge_repeats,
)
from cslr_cli.errors import CslrError, MissingPackageError, UsageError

Array = npt.NDArray[np.float32]
Labelling = tuple[int, ...]

GLOSSES = ["REGEN", "WIND", "__ON__", "<pad>", "今天", "##WOLKE"]
EXACT = PrefixBeamDecoder(beam_width=100_000, max_classes=1000)


@st.composite
def small_problems(draw: st.DrawFn) -> Array:
    """Log-probabilities of up to 5 steps and 4 classes, flat, peaked or with impossible classes."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = random.normal(0, draw(st.sampled_from([0.01, 1.0, 5.0, 300.0])), shape)
    if draw(st.booleans()):
        logits[random.random(shape) < 0.3] = -np.inf
        logits[np.arange(shape[0]), random.integers(0, shape[1], shape[0])] = 0.0
    return log_softmax(logits)


def collapsed(path: tuple[int, ...]) -> Labelling:
    return tuple(class_id for class_id, _ in itertools.groupby(path) if class_id)


def all_paths(log_probs: Array) -> dict[Labelling, list[float]]:
    """The log-probabilities of every path, by the labelling that it stands for."""
    paths = defaultdict(list)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        paths[collapsed(path)].append(sum(float(log_probs[step, c]) for step, c in enumerate(path)))
    return paths


def log_of_sum(logs: list[float]) -> float:
    highest = max(logs)
    return highest + math.log(sum(math.exp(each - highest) for each in logs))


def peaked(path: list[int], num_classes: int, certainty: float = 8.0) -> Array:
    """Log-probabilities of a network that is sure of this path."""
    logits = np.zeros((len(path), num_classes))
    logits[np.arange(len(path)), path] = certainty
    return log_softmax(logits)


def glosses_of(decoder: Decoder, log_probs: Array) -> Labelling:
    return decoder.decode(log_probs)[0].gloss_ids


# The search


@settings(deadline=None)
@given(small_problems())
def test_a_beam_that_is_wide_enough_gives_every_labelling_its_exact_probability(log_probs: Array) -> None:
    paths = all_paths(log_probs)
    expected = {labelling: log_of_sum(logs) for labelling, logs in paths.items() if max(logs) > -math.inf}
    assert dict(EXACT.search(log_probs)) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(small_problems(), st.integers(1, 6))
def test_the_n_best_list_of_a_wide_beam_is_the_n_most_probable_labellings(log_probs: Array, num_best: int) -> None:
    possible = [log_of_sum(logs) for logs in all_paths(log_probs).values() if max(logs) > -math.inf]
    hypotheses = PrefixBeamDecoder(100_000, 1000, num_best, keep_repeats=True).decode(log_probs)
    scores = [hypothesis.score for hypothesis in hypotheses]
    assert scores == pytest.approx(sorted(possible, reverse=True)[:num_best], abs=1e-6)
    for hypothesis in hypotheses:
        assert log_of_sum(all_paths(log_probs)[hypothesis.gloss_ids]) == pytest.approx(hypothesis.score, abs=1e-6)


@settings(deadline=None)
@given(small_problems())
def test_of_labellings_that_merge_to_the_same_the_most_probable_gives_the_score(log_probs: Array) -> None:
    merged: dict[Labelling, float] = defaultdict(lambda: -math.inf)
    for labelling, logs in all_paths(log_probs).items():
        shown = tuple(gloss_id for gloss_id, _ in itertools.groupby(labelling))
        if max(logs) > -math.inf:
            merged[shown] = max(merged[shown], log_of_sum(logs))
    found = PrefixBeamDecoder(100_000, 1000, num_best=100_000).decode(log_probs)
    assert {hypothesis.gloss_ids: hypothesis.score for hypothesis in found} == pytest.approx(merged, abs=1e-6)


@settings(deadline=None)
@given(small_problems(), st.integers(1, 6))
def test_hypotheses_come_best_first_none_twice_and_at_most_as_many_as_asked_for(
    log_probs: Array, num_best: int
) -> None:
    hypotheses = PrefixBeamDecoder(beam_width=8, num_best=num_best, keep_repeats=True).decode(log_probs)
    assert 1 <= len(hypotheses) <= num_best
    scores = [hypothesis.score for hypothesis in hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len({hypothesis.gloss_ids for hypothesis in hypotheses}) == len(hypotheses)


def test_many_improbable_paths_of_one_labelling_beat_the_single_best_path() -> None:
    # Blank 0.6, gloss 0.4, twice: the best path is blank, blank (0.36); the gloss has three paths
    # (0.4·0.6 + 0.6·0.4 + 0.4·0.4 = 0.64).
    log_probs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], dtype=np.float32))
    assert glosses_of(GreedyDecoder(), log_probs) == ()
    best, second = PrefixBeamDecoder(num_best=2).decode(log_probs)
    assert best.gloss_ids == (1,)
    assert math.exp(best.score) == pytest.approx(0.64)
    assert math.exp(second.score) == pytest.approx(0.36)


def test_only_the_most_probable_classes_of_a_step_are_considered() -> None:
    log_probs = np.log(np.array([[0.5, 0.3, 0.2]], dtype=np.float32))
    found = [labelling for labelling, _ in PrefixBeamDecoder(max_classes=2).search(log_probs)]
    assert found == [(), (1,)]


def test_a_narrow_beam_keeps_the_most_probable_prefixes_of_each_step() -> None:
    # Plainly: all prefixes of the step before that were kept, each way to go on, the best two kept.
    log_probs = log_softmax(np.random.default_rng(3).normal(0, 1.0, (12, 7)))
    beam: dict[Labelling, tuple[float, float]] = {(): (1.0, 0.0)}
    for step in np.exp(log_probs.astype(np.float64)):
        grown: dict[Labelling, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (in_blank, in_gloss) in beam.items():
            grown[prefix][0] += (in_blank + in_gloss) * step[0]
            for gloss_id in range(1, 7):
                longer = (*prefix, gloss_id)
                if prefix and prefix[-1] == gloss_id:
                    grown[prefix][1] += in_gloss * step[gloss_id]
                    grown[longer][1] += in_blank * step[gloss_id]
                else:
                    grown[longer][1] += (in_blank + in_gloss) * step[gloss_id]
        best = sorted(grown, key=lambda prefix: -sum(grown[prefix]))[:2]
        beam = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in best}
    expected = {prefix: math.log(sum(parts)) for prefix, parts in beam.items()}
    assert dict(PrefixBeamDecoder(beam_width=2).search(log_probs)) == pytest.approx(expected, abs=1e-6)


def test_probabilities_too_small_for_floats_do_not_vanish() -> None:
    log_probs = log_softmax(np.random.default_rng(0).normal(0, 1.0, (600, 30)))
    (hypothesis,) = PrefixBeamDecoder().decode(log_probs)
    assert hypothesis.gloss_ids
    assert math.exp(hypothesis.score) == 0.0


def processor_time(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def test_a_clip_of_50_steps_and_1300_classes_is_decoded_within_a_third_of_a_piece_of_python() -> None:
    # The limit is 5 ms on a machine that compiles the piece in 15 ms. Both are measured in turn, because a machine is
    # slower at some times than at others; `benchmarks/decoding.py` measures milliseconds.
    log_probs = log_softmax(np.random.default_rng(0).normal(0, 1.0, (50, 1300)))  # the hardest: flat
    piece = "def f(a, b=1):\n    return [a * x for x in range(b) if x]\n" * 400
    decoder = PrefixBeamDecoder()
    decoding, compiling = [], []
    for _ in range(60):
        decoding.append(processor_time(lambda: decoder.decode(log_probs)))
        compiling.append(processor_time(lambda: compile(piece, "a piece", "exec")))
    assert min(decoding) < min(compiling) / 3


# Times and confidences


@settings(deadline=None)
@given(small_problems())
def test_the_times_of_a_hypothesis_are_those_of_its_most_probable_path(log_probs: Array) -> None:
    paths = all_paths(log_probs)
    decoder = PrefixBeamDecoder(beam_width=10, num_best=10, keep_repeats=True)
    for hypothesis in decoder.decode(log_probs):
        path = [0] * len(log_probs)
        for gloss_id, (start, end) in zip(hypothesis.gloss_ids, hypothesis.steps, strict=True):
            assert 0 <= start < end <= len(log_probs)
            path[start:end] = [gloss_id] * (end - start)
        assert collapsed(tuple(path)) == hypothesis.gloss_ids
        reached = sum(float(log_probs[step, class_id]) for step, class_id in enumerate(path))
        assert reached == pytest.approx(max(paths[hypothesis.gloss_ids]), abs=1e-3)


@pytest.mark.parametrize("name", DECODERS)
def test_times_and_confidences_of_a_sure_path_are_those_of_the_path(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    log_probs = peaked([0, 2, 2, 2, 0, 0, 1, 3], num_classes=len(GLOSSES) + 1)
    (hypothesis,) = make_decoder(name, glosses=GLOSSES).decode(log_probs)
    assert hypothesis.gloss_ids == (2, 1, 3)
    assert hypothesis.steps == ((1, 4), (6, 7), (7, 8))
    sure = math.exp(8) / (math.exp(8) + 6)
    assert hypothesis.confidences == pytest.approx((sure, sure, sure))


def test_the_confidence_is_the_mean_posterior_of_the_gloss_over_its_steps() -> None:
    log_probs = np.log(np.array([[0.1, 0.9], [0.3, 0.7], [0.8, 0.2]], dtype=np.float32))
    for decoder in (GreedyDecoder(), PrefixBeamDecoder()):
        (hypothesis,) = decoder.decode(log_probs)
        assert hypothesis.steps == ((0, 2),)
        assert hypothesis.confidences == pytest.approx((0.8,))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_greedy_decoding_reads_the_most_probable_path(path: list[int]) -> None:
    log_probs = peaked(path, num_classes=5)
    (hypothesis,) = GreedyDecoder(keep_repeats=True).decode(log_probs)
    assert hypothesis.gloss_ids == collapsed(tuple(path))
    for gloss_id, (start, end) in zip(hypothesis.gloss_ids, hypothesis.steps, strict=True):
        assert path[start:end] == [gloss_id] * (end - start)
        assert path[start - 1] != gloss_id or start == 0
    assert hypothesis.score == pytest.approx(float(log_probs.max(axis=1).sum()), rel=1e-5)


@pytest.mark.parametrize("name", DECODERS)
@given(path=st.lists(st.integers(0, len(GLOSSES)), max_size=12))
@settings(deadline=None)
def test_all_decoders_agree_where_the_network_is_sure(name: str, path: list[int]) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    decoder = make_decoder(name, glosses=GLOSSES, keep_repeats=True)
    log_probs = peaked(path, num_classes=len(GLOSSES) + 1, certainty=12.0)
    assert glosses_of(decoder, log_probs) == collapsed(tuple(path))


# Merging repeats


@pytest.mark.parametrize("name", DECODERS)
def test_neighbouring_repeats_are_merged_unless_they_are_to_be_kept(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    log_probs = peaked([1, 1, 0, 1, 2, 0, 0, 1], num_classes=len(GLOSSES) + 1)
    merged = make_decoder(name, glosses=GLOSSES).decode(log_probs)[0]
    kept = make_decoder(name, glosses=GLOSSES, keep_repeats=True).decode(log_probs)[0]
    assert (merged.gloss_ids, merged.steps) == ((1, 2, 1), ((0, 4), (4, 5), (7, 8)))
    assert (kept.gloss_ids, kept.steps) == ((1, 1, 2, 1), ((0, 2), (3, 4), (4, 5), (7, 8)))


def test_a_merged_gloss_lasts_from_the_first_to_the_last_and_weighs_its_steps() -> None:
    hypothesis = Hypothesis((5, 5, 5, 7), -1.0, ((0, 1), (2, 4), (6, 7), (7, 9)), (1.0, 0.5, 0.2, 0.9))
    merged = merge_repeats(hypothesis)
    assert merged.gloss_ids == (5, 7)
    assert merged.steps == ((0, 7), (7, 9))
    assert merged.confidences == pytest.approx(((1.0 + 0.5 * 2 + 0.2) / 4, 0.9))
    assert merged.score == -1.0
    assert merge_repeats(merged) == merged


def test_an_n_best_list_has_no_glosses_twice_after_merging() -> None:
    log_probs = peaked([1, 0, 1, 2], num_classes=4, certainty=2.0)
    kept = PrefixBeamDecoder(beam_width=50, num_best=50, keep_repeats=True).decode(log_probs)
    merged = PrefixBeamDecoder(beam_width=50, num_best=50).decode(log_probs)
    assert {(1, 1, 2), (1, 2)} <= {hypothesis.gloss_ids for hypothesis in kept}
    labellings = [hypothesis.gloss_ids for hypothesis in merged]
    assert len(set(labellings)) == len(labellings) < len(kept)
    best_score = max(hypothesis.score for hypothesis in kept if hypothesis.gloss_ids in {(1, 2), (1, 1, 2)})
    assert merged[labellings.index((1, 2))].score == best_score


# What goes in


@pytest.mark.parametrize("name", DECODERS)
def test_a_clip_of_no_steps_has_the_one_empty_hypothesis(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    log_probs = np.zeros((0, len(GLOSSES) + 1), dtype=np.float32)
    assert make_decoder(name, glosses=GLOSSES).decode(log_probs) == [Hypothesis((), 0.0, (), ())]


@pytest.mark.parametrize("name", DECODERS)
def test_a_clip_of_blanks_has_no_glosses(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    log_probs = peaked([0, 0, 0], num_classes=len(GLOSSES) + 1)
    (hypothesis,) = make_decoder(name, glosses=GLOSSES).decode(log_probs)
    assert (hypothesis.gloss_ids, hypothesis.steps, hypothesis.confidences) == ((), (), ())


@pytest.mark.parametrize("decoder", [GreedyDecoder(), PrefixBeamDecoder()])
def test_what_is_no_log_probabilities_is_refused(decoder: Decoder) -> None:
    with pytest.raises(CslrError, match="not finite"):
        decoder.decode(np.array([[-0.1, np.nan]], dtype=np.float32))
    with pytest.raises(CslrError, match="not finite"):
        decoder.decode(np.full((2, 3), -np.inf, dtype=np.float32))
    with pytest.raises(ValueError, match="use log_softmax to convert logits"):
        decoder.decode(np.array([[3.0, -1.0]], dtype=np.float32))
    with pytest.raises(ValueError, match=r"expected \(steps, classes\)"):
        decoder.decode(np.zeros((1, 2, 3), dtype=np.float32))


def test_log_softmax_gives_distributions_and_leaves_log_probabilities_as_they_are() -> None:
    logits = np.array([[1000.0, 1000.0], [-np.inf, 3.0], [0.0, math.log(3)]], dtype=np.float32)
    expected = [[0.5, 0.5], [0.0, 1.0], [0.25, 0.75]]
    log_probs = log_softmax(logits)
    assert log_probs.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_probs), expected, rtol=1e-6)
    np.testing.assert_allclose(log_softmax(log_probs), log_probs, rtol=1e-6)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="the beam width is 0"):
        make_decoder("beam", glosses=GLOSSES, beam_width=0)
    with pytest.raises(UsageError, match="num_best is 11, with a beam width of 10"):
        make_decoder("beam", glosses=GLOSSES, num_best=11)
    with pytest.raises(UsageError, match="max_classes is 0"):
        PrefixBeamDecoder(max_classes=0)
    with pytest.raises(UsageError, match="num_best is 2, but greedy decoding gives one hypothesis"):
        make_decoder("greedy", glosses=GLOSSES, num_best=2)
    with pytest.raises(UsageError, match="did you mean greedy"):
        make_decoder("gready", glosses=GLOSSES)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_can_be_sent_to_another_process(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    decoder = make_decoder(name, glosses=GLOSSES)
    there = pickle.loads(pickle.dumps(decoder))
    assert there == decoder
    log_probs = log_softmax(np.random.default_rng(0).normal(0, 1.0, (8, len(GLOSSES) + 1)))
    assert there.decode(log_probs) == decoder.decode(log_probs)


# pyctcdecode


def test_pyctcdecode_without_its_pruning_finds_the_same_glosses_as_the_exact_search() -> None:
    pytest.importorskip("pyctcdecode")
    random = np.random.default_rng(0)
    for _ in range(20):
        log_probs = log_softmax(random.normal(0, 0.7, (6, 4)))  # flat: no class below its threshold
        theirs = make_decoder("pyctcdecode", glosses=GLOSSES[:3], beam_width=5000, keep_repeats=True)
        gloss_ids, score = EXACT.search(log_probs)[0]
        (hypothesis,) = theirs.decode(log_probs)
        assert hypothesis.gloss_ids == gloss_ids
        assert hypothesis.score == pytest.approx(score, abs=1e-3)


def test_pyctcdecode_is_built_without_a_word_on_standard_error() -> None:
    pytest.importorskip("pyctcdecode")
    program = "from cslr_cli.decoding import make_decoder; make_decoder('pyctcdecode', glosses=['A', '<unk>', '_'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_without_pyctcdecode_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyctcdecode", None)
    monkeypatch.setattr(language_model, "NEWEST_PYTHON", sys.version_info[:2])
    with pytest.raises(MissingPackageError, match="pip install pyctcdecode, or use the decoder beam or greedy"):
        make_decoder("pyctcdecode", glosses=GLOSSES)


@pytest.mark.parametrize("gloss", ["ZWEI WORTE", "A▁B", "A\u3000B", ""])
def test_a_gloss_that_cannot_be_a_word_to_pyctcdecode_is_named(gloss: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"the gloss {gloss!r}")):
        make_decoder("pyctcdecode", glosses=["REGEN", gloss])


def test_pyctcdecode_refuses_classes_that_are_not_the_vocabularys() -> None:
    pytest.importorskip("pyctcdecode")
    with pytest.raises(ValueError, match="4 classes, the vocabulary 7"):
        make_decoder("pyctcdecode", glosses=GLOSSES).decode(np.zeros((1, 4), dtype=np.float32))
