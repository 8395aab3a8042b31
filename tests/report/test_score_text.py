"""What the figures are told to say."""

from __future__ import annotations

from cslr_cli.report import Analysis, Section, System, analyse
from cslr_cli.report.score_text import describe_comparison, format_intervals
from cslr_cli.scoring import Reference
from tests.report.sections import of_many_clips, scored, two_systems

ROUGH = "with fewer than 50 segments, p is only approximate"


def matched_pairs_sentence(analysis: Analysis) -> str:
    assert analysis.comparison is not None
    (sentence,) = [
        line for line in describe_comparison(analysis.comparison, ["ours", "theirs"]) if "Matched-pairs" in line
    ]
    return sentence


def test_matched_pairs_test_of_few_segments_is_called_rough() -> None:
    assert f"3 segments with errors; {ROUGH}" in matched_pairs_sentence(two_systems())
    assert matched_pairs_sentence(of_many_clips(50)).endswith("138 segments with errors).")


def test_comparison_without_interval_or_errors_has_complete_sentences() -> None:
    def told(ours: str, theirs: str) -> list[str]:
        references = (Reference("clip", ("REGEN",)),)
        systems = [System(name, scored({"clip": [name]}, references)) for name in (ours, theirs)]
        comparison = analyse(Section("dev", systems)).comparison
        assert comparison is not None
        return describe_comparison(comparison, ["ours", "theirs"])[:2]

    assert told("REGEN", "SCHNEE") == [
        "WER of theirs minus that of ours: +100.0 points.",
        "Matched-pairs test: not possible; too few segments with errors, or too similar ones (1).",
    ]
    assert told("REGEN", "REGEN") == [
        "WER of theirs minus that of ours: +0.0 points.",
        "Matched-pairs test: neither system has an error.",
    ]


def test_missing_interval_has_a_reason() -> None:
    def told(*hypotheses: str) -> str:
        references = tuple(Reference(f"clip-{place}", ("REGEN",)) for place in range(len(hypotheses)))
        score = scored({f"clip-{place}": [gloss] for place, gloss in enumerate(hypotheses)}, references)
        return format_intervals(analyse(Section("dev", [System("ours", score)])).totals[0])

    assert told("SCHNEE") == "no interval with only one clip"
    assert told("REGEN", "REGEN") == "no interval without errors"
    assert told("REGEN", "SCHNEE").startswith("95 % interval 0.0–100.0 by clip")
