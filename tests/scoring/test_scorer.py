from __future__ import annotations

import random
import time
from pathlib import Path

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import ScoringError
from cslr_cli.scoring import Counts, Reference, find_protocol, published_python_score, score
from tests.scoring.suites import SUITES, load_suite

PLAIN = find_protocol("plain")
GLOSSES = st.lists(st.sampled_from(["A", "B", "loc-A", "__PU__"]), max_size=5)


@pytest.mark.parametrize("suite", SUITES)
def test_each_count_of_a_suite_equals_that_of_sclite(suite: str, tmp_path: Path) -> None:
    references, hypotheses, expected = load_suite(suite, tmp_path)
    scored = score(references, hypotheses, find_protocol("phoenix2014"), missing="empty")
    assert scored.counts == Counts(expected["correct"][1], expected["sub"][1], expected["dele"][1], expected["ins"][1])
    assert scored.counts.references == expected["ref"][1]
    assert scored.counts.errors == expected["wer"][1]
    assert scored.wer == pytest.approx(expected["wer"][0], abs=0.05)


@pytest.mark.parametrize("suite", SUITES)
def test_the_published_python_scorers_figure_is_reproduced(suite: str, tmp_path: Path) -> None:
    references, hypotheses, expected = load_suite(suite, tmp_path)
    scored = score(references, hypotheses, find_protocol("phoenix2014"), missing="empty")
    wer, errors, num_references = expected["reference_python_tool"]
    variant = published_python_score(scored)
    assert variant.missing == scored.missing
    assert variant.wer == pytest.approx(wer)
    assert (variant.counts.errors, variant.counts.references) == (errors, num_references)


@pytest.mark.parametrize("suite", SUITES)
def test_jiwer_agrees_clip_by_clip_wherever_its_unit_costs_find_as_many_matches(suite: str, tmp_path: Path) -> None:
    references, hypotheses, _ = load_suite(suite, tmp_path)
    clips = score(references, hypotheses, find_protocol("phoenix2014"), missing="empty").clips
    comparable = 0
    for clip in clips:
        reference, hypothesis = " ".join(clip.reference).lower(), " ".join(clip.hypothesis).lower()
        theirs = jiwer.process_words(reference, hypothesis)
        their_errors = theirs.substitutions + theirs.deletions + theirs.insertions
        assert clip.counts.errors >= their_errors
        if clip.counts.correct == theirs.hits:
            comparable += 1
            assert clip.counts.errors == their_errors
    assert comparable > 0.9 * len(clips)


def test_references_are_not_normalised() -> None:
    scored = score([Reference("a", ("HABEN2",))], {"a": ["HABEN2"]}, find_protocol("phoenix2014"))
    assert scored.counts == Counts(substitutions=1)
    assert scored.clips[0].hypothesis == ("HABEN",)


def test_scoring_does_not_merge_repeats() -> None:
    references = [Reference("a", ("REGEN", "REGEN"))]
    assert score(references, {"a": ["REGEN", "loc-REGEN"]}, find_protocol("phoenix2014")).wer == 0
    assert published_python_score(score(references, {"a": ["REGEN", "REGEN"]}, PLAIN)).wer == 50


@pytest.mark.parametrize("hypothesis", [[], ["__PU__"], ["[EMPTY]"]])
def test_a_hypothesis_without_glosses_is_given_the_gloss_empty(hypothesis: list[str]) -> None:
    scored = score([Reference("a", ("X", "Y", "Z"))], {"a": hypothesis}, find_protocol("phoenix2014"))
    assert scored.clips[0].hypothesis == ("[EMPTY]",)
    assert scored.counts == Counts(substitutions=1, deletions=2)
    assert scored.missing == ()


def test_clips_without_hypothesis_are_an_error_that_lists_them_unless_taken_for_empty() -> None:
    references = [Reference("a", ("X",)), Reference("b", ("Y", "Z")), Reference("c", ("Y",))]
    with pytest.raises(ScoringError, match=r"2 clips \(b, c\) have a reference but no hypothesis"):
        score(references, {"a": ["X"]}, PLAIN)
    scored = score(references, {"a": ["X"]}, PLAIN, missing="empty")
    assert scored.missing == ("b", "c")
    assert scored.counts == Counts(correct=1, substitutions=2, deletions=1)


def test_no_hypothesis_at_all_is_an_error_even_if_missing_ones_are_taken_for_empty() -> None:
    with pytest.raises(ScoringError, match="there are no hypotheses"):
        score([Reference("a", ("X",))], {}, PLAIN, missing="empty")


def test_hypotheses_for_unknown_clips_are_an_error_that_lists_them() -> None:
    hypotheses = {f"clip{number}": ["X"] for number in range(30)}
    with pytest.raises(ScoringError) as raised:
        score([Reference("clip0", ("X",))], hypotheses, PLAIN, missing="empty")
    assert raised.value.message.startswith("29 clips (clip1, clip2, ")
    assert raised.value.message.endswith("clip20 and 9 more) have a hypothesis but no reference")
    assert str(raised.value.hint).endswith("check that both are of the same split")
    with pytest.raises(ScoringError) as raised:
        score([Reference("Clip-A", ("X",)), Reference("b", ("X",))], {"b": ["X"], "clip-a": ["X"]}, PLAIN)
    assert str(raised.value.hint).endswith("clip-a and Clip-A differ in case")


def test_nothing_to_score_is_an_error_and_not_a_rate() -> None:
    with pytest.raises(ScoringError, match="there are no references"):
        score([], {}, PLAIN)
    with pytest.raises(ScoringError, match="all references are empty"):
        score([Reference("a", ())], {"a": ["X"]}, PLAIN)


def test_two_references_for_a_clip_are_an_error() -> None:
    with pytest.raises(ScoringError, match=r"1 clip \(a\) has more than one reference"):
        score([Reference("a", ("X",)), Reference("a", ("Y",))], {"a": ["X"]}, PLAIN)


def test_what_is_recognised_where_nothing_is_signed_is_inserted_and_has_no_rate_of_its_own() -> None:
    references = [Reference("empty", ()), Reference("silent", ()), Reference("full", ("X", "Y"))]
    hypotheses = {"empty": ["X"], "silent": [], "full": ["X", "Y"]}
    scored = score(references, hypotheses, PLAIN)
    empty, silent, _ = scored.clips
    assert (empty.counts, empty.counts.wer) == (Counts(insertions=1), None)
    assert (silent.counts, silent.counts.wer) == (Counts(), None)
    assert scored.wer == 50


def test_clips_are_in_the_references_order_with_their_signers() -> None:
    references = [
        Reference("c", ("X",), "s2"),
        Reference("a", ("X", "Y"), "s1"),
        Reference("b", ("Z",), "s2"),
        Reference("d", ("Z",)),
    ]
    scored = score(references, {"a": ["X"], "b": ["Z"], "c": ["Q"], "d": ["Z"]}, PLAIN)
    assert [clip.sample_id for clip in scored.clips] == ["c", "a", "b", "d"]
    assert [clip.signer for clip in scored.clips] == ["s2", "s1", "s2", None]
    assert scored.clips[1].counts == Counts(correct=1, deletions=1)


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(GLOSSES, GLOSSES), min_size=1))
def test_totals_are_the_sums_of_the_clips_and_do_not_depend_on_their_order(
    clips: dict[str, tuple[list[str], list[str]]],
) -> None:
    references = [Reference(name, ("A", *reference)) for name, (reference, _) in clips.items()]
    hypotheses = {name: hypothesis for name, (_, hypothesis) in clips.items()}
    scored = score(references, hypotheses, find_protocol("phoenix2014"))
    assert sum((clip.counts for clip in scored.clips), Counts()) == scored.counts
    assert scored.counts.references == sum(len(reference.glosses) for reference in references)
    backwards = dict(reversed(hypotheses.items()))
    assert score(references[::-1], backwards, find_protocol("phoenix2014")).counts == scored.counts


def test_ten_thousand_clips_of_ten_glosses_are_scored_in_under_ten_seconds() -> None:
    draw = random.Random(0)
    vocabulary = [f"GLOSS{number}" for number in range(1200)]
    references = [Reference(str(number), tuple(draw.choices(vocabulary, k=10))) for number in range(10_000)]
    hypotheses = {
        reference.sample_id: [gloss if draw.random() > 0.3 else "OTHER" for gloss in reference.glosses]
        for reference in references
    }
    start = time.process_time()
    score(references, hypotheses, find_protocol("phoenix2014"))
    assert time.process_time() - start < 10
