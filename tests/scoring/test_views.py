from __future__ import annotations

import random

import pytest

from cslr_cli.scoring import Counts, Reference, Score, find_protocol, score
from cslr_cli.scoring.views import compute_views, differ_by_suffix

PLAIN = find_protocol("plain")


def scored(*clips: tuple[str, str]) -> Score:
    references = [Reference(f"c{number}", tuple(signed.split())) for number, (signed, _) in enumerate(clips)]
    hypotheses = {f"c{number}": recognised.split() for number, (_, recognised) in enumerate(clips)}
    return score(references, hypotheses, PLAIN)


def drawn(num_clips: int) -> Score:
    draw = random.Random(0)
    glosses = [f"G{number}" for number in range(40)]
    return scored(
        *(
            (
                " ".join(draw.choices(glosses, k=draw.randint(1, 9))),
                " ".join(draw.choices(glosses, k=draw.randint(1, 9))),
            )
            for _ in range(num_clips)
        )
    )


def test_glosses_are_grouped_by_their_number_in_training() -> None:
    views = compute_views(scored(("A B C", "A X C"), ("C", "C B")), {"A": 1, "B": 4, "C": 700})
    groups = {each.name: each.counts for each in views.by_frequency}
    assert groups == {
        "1": Counts(correct=1),
        "2–4": Counts(substitutions=1, insertions=1),
        "500 and more": Counts(correct=2),
    }
    unseen = compute_views(scored(("A", "B")), {"B": 3}).by_frequency
    assert [(each.name, each.counts.substitutions) for each in unseen] == [("0", 1)]
    assert compute_views(scored(("A", "B"))).by_frequency == ()


def test_counts_in_training_are_those_of_the_normalised_gloss_too() -> None:
    result = score([Reference("a", ("REGEN",))], {"a": ["loc-REGEN"]}, find_protocol("phoenix2014"))
    (group,) = compute_views(result, {"loc-REGEN": 3, "REGEN": 4}).by_frequency
    assert (group.name, group.counts) == ("5–9", Counts(correct=1))


def test_errors_are_grouped_by_position() -> None:
    groups = {
        each.name: each.counts
        for each in compute_views(scored(("A B C D E", "X B D E F"), ("A", "B"), ("A B C", "Q A B C"))).by_position
    }
    assert groups["first"] == Counts(correct=1, substitutions=1, insertions=1)
    assert groups["second"] == Counts(correct=1)
    assert groups["last but one"] == Counts(correct=1)
    assert groups["last"] == Counts(correct=2, insertions=1)
    assert groups["only"] == Counts(substitutions=1)
    assert groups["middle"] == Counts(correct=1, deletions=1)


def test_groups_add_up_to_the_counts_of_all_clips() -> None:
    result = drawn(200)
    views = compute_views(result, {f"G{number}": number * number for number in range(30)})
    for groups in (views.by_frequency, views.by_position):
        assert sum((each.counts for each in groups), Counts()) == result.counts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("HABEN2", "HABEN"),
        ("HAUS-1A", "HAUS-2"),
        ("IX-1", "IX-2"),
        ("ZEIGEN-BILDSCHIRM", "ZEIGEN"),
        ("HAUS(2)", "haus"),
        ("WOLKE1", "WOLKE2"),
        ("NICHT*", "NICHT"),
        ("他们-2", "他们"),
    ],
)
def test_glosses_that_differ_only_by_a_suffix(first: str, second: str) -> None:
    assert differ_by_suffix(first, second)
    assert differ_by_suffix(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("HAUS", "haus"),
        ("HAUS", "HUT"),
        ("loc-NORD", "loc-SUED"),
        ("REGEN", "REGENSCHAUER"),
        ("A1", "B1"),
        ("天", "天气"),
        ("-1", "-2"),
    ],
)
def test_glosses_that_differ_otherwise(first: str, second: str) -> None:
    assert not differ_by_suffix(first, second)


def test_confusions_of_suffixes_are_counted() -> None:
    suffixes = compute_views(scored(("HABEN REGEN X", "HABEN2 SONNE X"), ("HABEN", "HABEN2"))).suffix_confusions
    assert [(each.reference, each.hypothesis, each.count) for each in suffixes.pairs] == [("HABEN", "HABEN2", 2)]
    assert suffixes.substitutions == 2
    assert suffixes.counts_without == Counts(correct=3, substitutions=1)
    assert suffixes.as_dict()["wer_without"] == 25


def test_the_curve_starts_with_the_most_confident_clips_and_ends_with_all() -> None:
    result = scored(*[("A B", "A B")] * 30, *[("A B", "A X")] * 30)
    confidences = {f"c{number}": 0.9 if number < 30 else 0.4 for number in range(60)}
    curve = compute_views(result, None, confidences).confidence_curve
    assert [point.wer for point in curve[:10]] == [0] * 10
    assert curve[9].confidence == 0.9
    assert (curve[-1].clips, curve[-1].confidence, curve[-1].wer) == (60, 0.4, result.wer)
    assert [point.clips for point in curve] == sorted(point.clips for point in curve)
    assert compute_views(result).confidence_curve == ()
    assert len(compute_views(result, None, {"c3": 0.5}).confidence_curve) == 1
