from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import ScoringError
from cslr_cli.scoring import Reference, Score, compare, find_protocol, score
from cslr_cli.scoring.comparison import matched_pairs

PLAIN = find_protocol("plain")
# Each clip's reference ends with a gloss that both recognise, so that hypotheses differ before it.
SENTENCES = st.lists(st.sampled_from("ABCD"), max_size=8)
CLIPS = st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1)


def scored(references: dict[str, str], hypotheses: dict[str, str], signers: str = "") -> Score:
    """Glosses are letters; `signers` has one for each clip."""
    known = [
        Reference(name, tuple(glosses), signers[index] if signers else None)
        for index, (name, glosses) in enumerate(references.items())
    ]
    return score(known, {name: list(glosses) for name, glosses in hypotheses.items()}, PLAIN)


def test_a_worked_example_is_cut_into_segments_by_hand() -> None:
    # Reference  A B C D E F G H I J, of which the first system misses B and H, the second D.
    # B and D are one gloss apart: one segment. E F G lie between D and H: the next segment begins.
    references = {"a": "ABCDEFGHIJ"}
    test = matched_pairs(scored(references, {"a": "ACDEFGIJ"}), scored(references, {"a": "ABCEFGHIJ"}))
    assert test.segments == 2  # (1 error, 1 error) and (1 error, 0 errors)
    assert test.mean == pytest.approx(0.5)
    assert test.deviation == pytest.approx(math.sqrt(0.5))  # of 0 and 1, with n - 1
    assert test.z == pytest.approx(1.0)  # 0.5 / (sqrt(0.5) / sqrt(2))
    assert test.p == pytest.approx(0.3173, abs=1e-4)  # two-tailed, of the standard normal distribution


def test_one_gloss_that_both_have_right_does_not_end_a_segment_and_two_do() -> None:
    def segments(reference: str, hypothesis: str) -> int:
        return matched_pairs(
            scored({"a": reference}, {"a": hypothesis}), scored({"a": reference}, {"a": reference})
        ).segments

    assert segments("ABC", "XBY") == 1
    assert segments("ABCD", "XBCY") == 2


def test_an_insertion_between_two_right_glosses_keeps_the_segment_together() -> None:
    references = {"a": "ABCD"}
    assert matched_pairs(scored(references, {"a": "XBZCY"}), scored(references, {"a": "ABCD"})).segments == 1


def test_clips_end_segments() -> None:
    references = {"a": "AB", "b": "CD"}
    assert matched_pairs(scored(references, {"a": "AX", "b": "XD"}), scored(references, references)).segments == 2


def test_without_spread_there_is_no_test_unless_there_is_no_difference() -> None:
    references = {"a": "AB", "b": "CD"}
    always_worse = matched_pairs(scored(references, {"a": "AX", "b": "XD"}), scored(references, references))
    assert (always_worse.mean, always_worse.z, always_worse.p) == (1, None, None)
    alike = matched_pairs(scored(references, references), scored(references, references))
    assert (alike.segments, alike.z, alike.p) == (0, 0, 1)


@given(CLIPS)
def test_the_systems_change_places_and_signs(clips: dict[str, tuple[list[str], list[str], list[str]]]) -> None:
    references = [Reference(name, (*reference, "E")) for name, (reference, _, _) in clips.items()]
    first = score(references, {name: hypothesis for name, (_, hypothesis, _) in clips.items()}, PLAIN)
    second = score(references, {name: hypothesis for name, (_, _, hypothesis) in clips.items()}, PLAIN)
    there, back = compare(first, second), compare(second, first)
    assert there.difference == -back.difference
    assert (set(there.first_wins), set(there.second_wins)) == (set(back.second_wins), set(back.first_wins))
    assert there.matched_pairs.mean == -back.matched_pairs.mean
    assert there.matched_pairs.p == back.matched_pairs.p
    # The differences of the segments add up to that of the totals: no error is lost or counted twice.
    total = there.matched_pairs.mean * there.matched_pairs.segments
    assert total == pytest.approx(first.counts.errors - second.counts.errors)


def test_a_comparison_says_who_wins_where() -> None:
    references = {"a": "AB", "b": "CDE", "c": "F", "d": "GH"}
    ours = scored(references, {"a": "AB", "b": "XYZ", "c": "X", "d": "GH"})
    theirs = scored(references, {"a": "AX", "b": "CDE", "c": "Y", "d": "gh"})
    comparison = compare(ours, theirs)
    assert comparison.difference == pytest.approx(100 * (2 - 4) / 8)
    assert (comparison.first_wins, comparison.second_wins) == (("a",), ("b",))
    assert (comparison.same_errors, comparison.same_hypotheses) == (2, 1)
    assert comparison.better_of_both == pytest.approx(100 * 1 / 8)
    assert comparison.by_clip is not None
    assert comparison.by_clip.low <= 0 <= comparison.by_clip.high
    assert comparison.by_signer is None


def test_the_clips_with_the_largest_difference_come_first() -> None:
    references = {"a": "AB", "b": "CDE", "c": "FG"}
    perfect = scored(references, references)
    poor = scored(references, {"a": "AX", "b": "XYZ", "c": "XY"})
    assert compare(perfect, poor).first_wins == ("b", "c", "a")


def test_with_several_signers_there_is_an_interval_by_signer() -> None:
    references = {"a": "AB", "b": "CD", "c": "EF"}
    hypotheses = {"a": "AX", "b": "CD", "c": "EF"}
    perfect = scored(references, references, "sst")
    spoiled = scored(references, hypotheses, "sst")
    comparison = compare(perfect, spoiled)
    assert comparison.by_signer is not None
    assert (comparison.by_signer.unit, comparison.by_signer.units) == ("signer", 2)
    partly_known = replace(perfect, clips=(replace(perfect.clips[0], signer=None), *perfect.clips[1:]))
    assert compare(partly_known, spoiled).by_signer is None


def test_references_that_differ_only_in_case_are_equal() -> None:
    assert compare(scored({"a": "AB"}, {"a": "AB"}), scored({"a": "Ab"}, {"a": "Ab"})).difference == 0


def test_systems_that_were_scored_on_different_clips_or_references_are_not_compared() -> None:
    ours = scored({"a": "A", "b": "B"}, {"a": "A", "b": "B"})
    with pytest.raises(ScoringError, match=r"different clips: 1 clip \(b\) has a score only for the first"):
        compare(ours, scored({"a": "A"}, {"a": "A"}))
    with pytest.raises(ScoringError, match=r"different clips: 1 clip \(c\) has a score only for the second"):
        compare(ours, scored({"a": "A", "b": "B", "c": "C"}, {"a": "A", "b": "B", "c": "C"}))
    with pytest.raises(ScoringError, match=r"different references: 1 clip \(b\) has two"):
        compare(ours, scored({"a": "A", "b": "X"}, {"a": "A", "b": "B"}))
