from __future__ import annotations

import itertools

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.scoring import AlignedPair, Counts, align
from cslr_cli.scoring.alignment import count

SENTENCES = st.lists(st.sampled_from("abcABCäÄ"), max_size=9)


def shown(reference: str, hypothesis: str) -> list[tuple[str | None, str | None]]:
    pairs = align(reference.split(), hypothesis.split())
    return [(pair.reference, pair.hypothesis) for pair in pairs]


def cheapest_cost(reference: list[str], hypothesis: list[str]) -> int:
    """By trying every way to pair some reference glosses, in order, with some hypothesis glosses."""
    best = 10**9
    for size in range(min(len(reference), len(hypothesis)) + 1):
        unpaired = len(reference) + len(hypothesis) - 2 * size
        for left in itertools.combinations(reference, size):
            for right in itertools.combinations(hypothesis, size):
                wrong = sum(a != b for a, b in zip(left, right, strict=True))
                best = min(best, 4 * wrong + 3 * unpaired)
    return best


def test_a_worked_example_is_aligned_by_hand() -> None:
    pairs = align(["HEUTE", "NACHT", "REGEN"], ["HEUTE", "REGEN", "KOMMEN"])
    assert pairs == (
        AlignedPair("correct", "HEUTE", "HEUTE"),
        AlignedPair("deletion", "NACHT", None),
        AlignedPair("correct", "REGEN", "REGEN"),
        AlignedPair("insertion", None, "KOMMEN"),
    )


def test_two_substitutions_give_way_to_a_match_between_a_deletion_and_an_insertion() -> None:
    # 4 + 4 for two substitutions, 3 + 3 for a match between a deletion and an insertion; with equal
    # costs for all three operations the two would tie.
    assert shown("a b", "b c") == [("a", None), ("b", "b"), (None, "c")]


def test_among_equally_cheap_alignments_the_substitution_is_the_last() -> None:
    # sclite's: seen from the end, a substitution goes before an insertion.
    assert shown("x", "y z") == [(None, "y"), ("x", "z")]
    assert shown("x y", "z") == [("x", None), ("y", "z")]


def test_of_a_repeated_gloss_the_last_is_the_match() -> None:
    assert shown("a", "a a") == [(None, "a"), ("a", "a")]
    assert shown("a a", "a") == [("a", None), ("a", "a")]


def test_case_of_ascii_letters_is_ignored_and_of_no_others() -> None:
    assert count(align(["Regen"], ["rEGEN"])) == Counts(correct=1)
    assert count(align(["SCHNEEFÄLLE"], ["schneefälle"])) == Counts(substitutions=1)
    assert count(align(["SCHNEEFäLLE"], ["schneefäLLe"])) == Counts(correct=1)


def test_the_pairs_show_the_glosses_as_they_were_written() -> None:
    assert align(["Regen"], ["rEGEN"]) == (AlignedPair("correct", "Regen", "rEGEN"),)


def test_empty_sides_are_all_deletions_all_insertions_or_nothing() -> None:
    assert count(align(["a", "b"], [])) == Counts(deletions=2)
    assert count(align([], ["a", "b"])) == Counts(insertions=2)
    assert align([], []) == ()


@given(SENTENCES, SENTENCES)
def test_alignment_keeps_all_glosses_in_order(reference: list[str], hypothesis: list[str]) -> None:
    pairs = align(reference, hypothesis)
    assert [pair.reference for pair in pairs if pair.reference is not None] == reference
    assert [pair.hypothesis for pair in pairs if pair.hypothesis is not None] == hypothesis
    counts = count(pairs)
    assert (counts.references, counts.hypotheses) == (len(reference), len(hypothesis))


@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
def test_no_alignment_is_cheaper(reference: list[str], hypothesis: list[str]) -> None:
    counts = count(align(reference, hypothesis))
    cost = 4 * counts.substitutions + 3 * (counts.deletions + counts.insertions)
    assert cost == cheapest_cost(reference, hypothesis)


@given(SENTENCES)
def test_a_sentence_aligns_with_itself_without_error(sentence: list[str]) -> None:
    assert count(align(sentence, sentence)) == Counts(correct=len(sentence))


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=9),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=9),
)
def test_jiwer_counts_the_same_errors_wherever_its_unit_costs_find_as_many_matches(
    reference: list[str], hypothesis: list[str]
) -> None:
    ours = count(align(reference, hypothesis))
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    their_errors = theirs.substitutions + theirs.deletions + theirs.insertions
    assert ours.errors >= their_errors  # theirs is the least number of errors
    assert ours.correct >= theirs.hits  # ours pays for substitutions, so it prefers matches
    if ours.correct == theirs.hits:
        assert ours.errors == their_errors


def test_counts_add_up_and_give_percentages() -> None:
    counts = Counts(6, 1, 1, 1) + Counts(0, 2, 0, 0)
    assert counts == Counts(6, 3, 1, 1)
    assert counts.wer == pytest.approx(50.0)
    assert counts.as_dict() == {
        "wer": pytest.approx(50.0),
        "correct": 6,
        "substitutions": 3,
        "deletions": 1,
        "insertions": 1,
        "references": 10,
    }


def test_the_rate_may_exceed_a_hundred_and_is_undefined_for_no_references() -> None:
    assert Counts(insertions=3, correct=1).wer == pytest.approx(300.0)
    assert Counts(insertions=3).wer is None
    assert Counts().wer is None
