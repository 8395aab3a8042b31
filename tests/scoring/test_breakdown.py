from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.scoring import Counts, Reference, Score, break_down, find_protocol, score
from cslr_cli.scoring.breakdown import score_group
from cslr_cli.scoring.gloss_counts import GLOSS_ERRORS, GlossCounts, most_frequent

PLAIN = find_protocol("plain")
SENTENCES = st.lists(st.sampled_from(["A", "a", "B", "C", "Ä", "ä"]), max_size=6)


def scored(*clips: tuple[str, str, str | None]) -> Score:
    """Clips as reference, hypothesis and signer; glosses are words."""
    references = [Reference(f"clip{n}", tuple(clip[0].split()), clip[2]) for n, clip in enumerate(clips)]
    return score(references, {f"clip{n}": clip[1].split() for n, clip in enumerate(clips)}, PLAIN)


# A worked example:            REGEN     SCHNEE    WIND           one substitution
#                              REGEN     REGEN     WIND
WORKED = scored(
    ("REGEN SCHNEE WIND", "REGEN REGEN WIND", "s2"),
    ("WIND", "WIND regen", "s1"),  # one insertion
    ("SCHNEE REGEN", "REGEN", "s2"),  # one deletion
    ("SCHNEE", "REGEN", "s1"),  # one substitution
    ("WIND", "WIND", "s2"),
)


def test_a_worked_example_is_broken_down_by_hand() -> None:
    breakdown = break_down(WORKED)
    total = breakdown.total
    assert (total.clips, total.clips_with_errors) == (5, 4)
    assert total.counts == Counts(correct=5, substitutions=2, deletions=1, insertions=1)
    assert total.as_dict()["percent"] == pytest.approx(
        {"correct": 62.5, "substitutions": 25.0, "deletions": 12.5, "insertions": 12.5}
    )
    assert [(each.reference, each.hypothesis, each.count) for each in breakdown.confusions] == [("SCHNEE", "REGEN", 2)]
    assert breakdown.glosses == (
        GlossCounts("REGEN", correct=2, inserted=1, falsely_recognised=2),
        GlossCounts("SCHNEE", substituted=2, deleted=1),
        GlossCounts("WIND", correct=3),
    )
    rain, snow, wind = breakdown.glosses
    assert (rain.precision, rain.recall) == (40, 100)  # recognised five times, signed twice
    assert (snow.precision, snow.recall) == (None, 0)
    assert (wind.precision, wind.recall) == (100, 100)
    assert [[row.gloss for row in most_frequent(breakdown.glosses, fault)] for fault in GLOSS_ERRORS] == [
        *(["SCHNEE"], ["SCHNEE"], ["REGEN"], ["REGEN"])
    ]


def test_each_signer_has_a_row_and_unknown_signers_share_one() -> None:
    by_signer = break_down(WORKED).by_signer
    assert [(each.name, each.clips, each.clips_with_errors) for each in by_signer] == [("s1", 2, 2), ("s2", 3, 2)]
    assert by_signer[0].counts == Counts(correct=1, substitutions=1, insertions=1)
    assert break_down(scored(("A", "A", None))).by_signer == ()
    mixed = break_down(scored(("A", "A", None), ("B", "X", "s1")))
    assert [each.name for each in mixed.by_signer] == ["s1", "unknown"]
    assert mixed.total.by_signer is None  # with an unknown signer there is no telling who is drawn with whom
    assert mixed.total.by_clip is not None


def test_no_clips_at_all_have_no_rate_and_no_interval() -> None:
    nobody = score_group("nobody", [])
    assert (nobody.clips, nobody.counts.wer, nobody.by_clip, nobody.by_signer) == (0, None, None, None)


def test_the_worst_clips_have_the_most_errors_and_of_those_the_fewest_glosses() -> None:
    clips = break_down(scored(("A B C D", "A B C X", None), ("A B", "X Y", None), ("C", "D", None), ("A", "A", None)))
    assert [clip.sample_id for clip in clips.worst] == ["clip1", "clip2", "clip0"]


def test_reference_lengths_are_in_bins_that_no_clip_is_missing_from() -> None:
    lengths = [0, 1, 2, 3, 3, 5, 9, 12, 13, 17, 18, 19]
    clips = scored(*((" ".join(["A"] * length), "A", None) for length in lengths))
    by_length = break_down(clips).by_reference_length
    assert [(each.name, each.clips) for each in by_length] == [
        *(("0", 1), ("1–5", 5), ("6–10", 1), ("11–15", 2), ("16–20", 3)),
    ]
    assert by_length[0].counts == Counts(insertions=1)
    assert by_length[0].counts.wer is None


def test_a_few_very_long_references_share_an_open_bin() -> None:
    lengths = [*range(1, 7)] * 20 + [40, 90]
    by_length = break_down(scored(*((" ".join(["A"] * length), "A", None) for length in lengths))).by_reference_length
    assert [each.name for each in by_length] == ["1", "2", "3", "4", "5", "6", "7 and more"]
    assert by_length[-1].clips == 2


def test_the_last_bin_is_called_open_only_where_something_lies_beyond_its_end() -> None:
    def last_bins(longest: int) -> list[str]:
        lengths = [*range(1, 7)] * 20 + [longest]
        clips = scored(*((" ".join(["A"] * length), "A", None) for length in lengths))
        seconds = {clip.sample_id: length - 0.5 for clip, length in zip(clips.clips, lengths, strict=True)}
        breakdown = break_down(clips, {**seconds, "clip120": longest - 1})
        return [breakdown.by_reference_length[-1].name, breakdown.by_clip_length[-1].name]

    assert last_bins(7) == ["7", "6–7 s"]
    assert last_bins(8) == ["7 and more", "6 s and more"]


def test_a_gloss_is_shown_as_the_references_write_it_wherever_it_came_first() -> None:
    glosses = break_down(scored(("X", "regen Neu", None), ("REGEN", "REGEN", None))).glosses
    assert {row.gloss for row in glosses} == {"X", "REGEN", "Neu"}


def test_clip_lengths_are_in_bins_of_round_seconds_and_clips_of_unknown_length_in_none() -> None:
    clips = scored(*(("A", "A", None) for _ in range(6)))
    seconds = {"clip0": 0.4, "clip1": 1.0, "clip2": 1.96, "clip3": 2.0, "clip4": 5.9}
    by_length = break_down(clips, seconds).by_clip_length
    assert [(each.name, each.clips) for each in by_length] == [("0–1 s", 1), ("1–2 s", 2), ("2–3 s", 1), ("5–6 s", 1)]
    assert break_down(clips).by_clip_length == ()


def test_glosses_that_are_not_in_training_stand_apart() -> None:
    references = [
        Reference("a", ("REGEN", "FÖHN", "WIND")),
        Reference("b", ("FÖHN", "HAGEL")),
        Reference("c", ("WIND",)),
    ]
    hypotheses = {"a": ["REGEN", "WIND"], "b": ["REGEN", "REGEN", "REGEN"], "c": ["REGEN"]}
    clips = score(references, hypotheses, find_protocol("phoenix2014"))
    unseen = break_down(clips, training_glosses=["loc-REGEN", "WIND"]).unseen
    assert unseen is not None
    assert unseen.glosses == (("FÖHN", 2), ("HAGEL", 1))
    assert unseen.clips == 2
    assert unseen.counts == Counts(substitutions=2, deletions=1)
    assert unseen.seen == Counts(correct=2, substitutions=1)
    rows = {row.gloss: row.seen for row in break_down(clips, training_glosses=["loc-REGEN", "WIND"]).glosses}
    assert rows == {"REGEN": True, "WIND": True, "FÖHN": False, "HAGEL": False}  # as annotated or as normalised
    assert break_down(clips).unseen is None


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_every_table_counts_each_error_once(clips: list[tuple[list[str], list[str]]]) -> None:
    references = [Reference(str(n), ("A", *clip[0]), f"s{n % 2}") for n, clip in enumerate(clips)]
    result = score(references, {str(n): clip[1] for n, clip in enumerate(clips)}, PLAIN)
    breakdown = break_down(result, {str(n): n / 2 for n in range(len(clips))}, ["A"])
    counts, glosses = result.counts, breakdown.glosses
    for parts in (breakdown.by_signer, breakdown.by_clip_length, breakdown.by_reference_length):
        assert sum((each.counts for each in parts), Counts()) == counts
        assert sum(each.clips for each in parts) == len(clips)
    assert sum(each.count for each in breakdown.confusions) == counts.substitutions
    assert sum(row.substituted for row in glosses) == counts.substitutions
    assert sum(row.falsely_recognised for row in glosses) == counts.substitutions
    assert sum(row.deleted for row in glosses) == counts.deletions
    assert sum(row.inserted for row in glosses) == counts.insertions
    assert sum(row.references for row in glosses) == counts.references
    assert sum(row.hypotheses for row in glosses) == counts.hypotheses
    assert breakdown.unseen is not None
    assert breakdown.unseen.counts + breakdown.unseen.seen == Counts(
        counts.correct, counts.substitutions, counts.deletions
    )
    signed = Counter(gloss for clip in result.clips for gloss in clip.reference if gloss not in ("A", "a"))
    assert dict(breakdown.unseen.glosses) == signed
