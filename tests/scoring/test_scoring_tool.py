from __future__ import annotations

import subprocess
import sys

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import MissingPackageError
from cslr_cli.scoring import Counts, Reference, Score, find_protocol, score
from cslr_cli.scoring.scoring_tool import require_tool, score_with_tool


def scored_by_jiwer(references: dict[str, str], hypotheses: dict[str, str], protocol: str = "plain") -> Score:
    """Score texts with glosses between spaces, by the names of their clips."""
    built_in = score(
        [Reference(name, tuple(text.split())) for name, text in references.items()],
        {name: text.split() for name, text in hypotheses.items()},
        find_protocol(protocol),
    )
    return score_with_tool("jiwer", built_in)


def counts_of_clip(reference: str, hypothesis: str) -> Counts:
    # The second clip gives the score a reference gloss.
    scored = scored_by_jiwer({"a": reference, "other": "X"}, {"a": hypothesis, "other": "X"})
    return scored.clips[0].counts


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("A B C", "A B C", Counts(correct=3)),
        ("A B C", "A X C", Counts(correct=2, substitutions=1)),
        ("A B C", "A C", Counts(correct=2, deletions=1)),
        ("A B C", "A B X C", Counts(correct=3, insertions=1)),
        ("A B", "X Y Z", Counts(substitutions=2, insertions=1)),
        ("REGEN", "regen", Counts(correct=1)),  # ASCII case is ignored, as by the other tools
        ("FÖHN", "FöHN", Counts(substitutions=1)),
    ],
)
def test_jiwer_counts_of_hand_worked_cases(reference: str, hypothesis: str, expected: Counts) -> None:
    assert counts_of_clip(reference, hypothesis) == expected


def test_jiwer_aligns_at_unit_costs_where_sclite_keeps_matches() -> None:
    references = {"a": "MORGEN REGEN WIND SONNE NORD"}
    hypotheses = {"a": "WIND NORD MORGEN WOLKE REGEN"}
    scored = scored_by_jiwer(references, hypotheses)
    assert scored.counts == Counts(substitutions=5)
    assert scored.wer == 100
    built_in = score(
        [Reference("a", tuple(references["a"].split()))], {"a": hypotheses["a"].split()}, find_protocol("plain")
    )
    assert built_in.counts == Counts(correct=2, deletions=3, insertions=3)
    assert built_in.wer == 120


def test_jiwer_takes_all_glosses_of_an_empty_hypothesis_for_deletions() -> None:
    assert counts_of_clip("A B", "") == Counts(deletions=2)


def test_jiwer_takes_all_glosses_of_an_empty_reference_for_insertions() -> None:
    counts = counts_of_clip("", "A B")
    assert counts == Counts(insertions=2)
    assert counts.wer is None
    assert counts_of_clip("", "") == Counts()


def test_jiwer_gets_normalised_hypotheses_and_pairs_keep_their_glosses() -> None:
    (clip,) = scored_by_jiwer({"a": "REGEN wind"}, {"a": "loc-regen WOLKE"}, "phoenix2014").clips
    assert [(pair.operation, pair.reference, pair.hypothesis) for pair in clip.pairs] == [
        ("correct", "REGEN", "regen"),
        ("substitution", "wind", "WOLKE"),
    ]


texts = st.lists(st.sampled_from("ABCD"), min_size=1, max_size=7).map(" ".join)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_total_wer_equals_the_one_that_jiwer_computes(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    names = [f"clip {number}" for number in range(len(pairs))]
    scored = scored_by_jiwer(dict(zip(names, references, strict=True)), dict(zip(names, hypotheses, strict=True)))
    assert scored.wer == pytest.approx(100 * jiwer.wer(references, hypotheses))
    for clip, reference, hypothesis in zip(scored.clips, references, hypotheses, strict=True):
        assert clip.reference == tuple(reference.split())
        assert clip.hypothesis == tuple(hypothesis.split())


def test_missing_jiwer_is_an_error_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(MissingPackageError, match="jiwer") as caught:
        require_tool("jiwer")
    assert caught.value.hint == "pip install jiwer"
    require_tool("builtin")


def test_jiwer_is_imported_only_when_used() -> None:
    program = "import sys, cslr_cli.scoring.scoring_tool; print('jiwer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
