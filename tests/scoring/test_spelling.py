from __future__ import annotations

import pytest

from cslr_cli.scoring import Reference, find_protocol, score
from cslr_cli.scoring.spelling import find_similar_glosses


@pytest.mark.parametrize(
    ("signed", "recognised", "reason"),
    [
        ("ÜBER", "über", "upper and lower case"),
        ("ÜBER\u200b", "ÜBER", "invisible U+200B ZERO WIDTH SPACE"),
        ("A\uff22", "AB", "U+FF22 FULLWIDTH LATIN CAPITAL LETTER B"),
        ("WIND\u2010NORD", "WIND-NORD", "U+2010 HYPHEN"),
        ("D\u2019ACCORD", "D'ACCORD", "U+2019 RIGHT SINGLE QUOTATION MARK"),
        ("SCHNEE\u00a0FALL", "SCHNEEFALL", "U+00A0 NO-BREAK SPACE"),
    ],
)
def test_glosses_that_differ_only_in_form_are_found(signed: str, recognised: str, reason: str) -> None:
    (pair,) = find_similar_glosses([signed, "OTHER"], [recognised, "THIRD"])
    assert (pair.first, pair.second) == (signed, recognised)
    assert reason in str(pair)


def test_glosses_that_count_as_equal_or_differ_otherwise_are_no_pairs() -> None:
    assert find_similar_glosses(["REGEN", "U\u0308BER"], ["regen", "ÜBER"]) == []
    assert find_similar_glosses(["SCHÖN", "SCHON", "HABEN2"], ["HABEN", "HABEN-2", "MÜDE"]) == []


def test_normal_forms_count_as_equal_wherever_the_glosses_come_from() -> None:
    scored = score([Reference("a", ("ÜBER", "X"))], {"a": ["U\u0308BER", "x"]}, find_protocol("plain"))
    assert scored.wer == 0
