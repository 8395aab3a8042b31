from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.errors import UsageError
from cslr_cli.scoring import PROTOCOLS, find_protocol
from tests.scoring.suites import DATA_DIR

EXAMPLES: dict[str, str] = json.loads((DATA_DIR / "gloss_normalisation_examples.json").read_text())


@pytest.mark.parametrize(("decoded", "scored"), EXAMPLES.items())
def test_a_gloss_is_normalised_as_the_published_pipeline_does(decoded: str, scored: str) -> None:
    assert find_protocol("phoenix2014").normalise([decoded]) == (scored,)


@pytest.mark.parametrize(
    ("decoded", "scored"),
    [
        ("S0NNE", ("SONNE",)),
        ("qu-WAS", ("WAS",)),
        ("IX-loc-HIER", ("IX-HIER",)),  # a mark is removed wherever it stands
        ("loc-poss-MEIN", ("MEIN",)),
        ("__EMOTION__", ()),
        ("__PU__", ()),
        ("__LEFTHAND__", ()),
        ("__LEFTHAND__HOCH", ("HOCH",)),
        ("__EPENTHESIS__", ()),
        ("A__EPENTHESIS__B", ()),
        ("loc-", ()),
        ("-PLUSPLUS", ()),
        ("__ON__", ("__ON__",)),
        ("__OFF__", ("__OFF__",)),
        ("ZEIGEN", ("ZEIGEN-BILDSCHIRM",)),
        ("AN-ZEIGEN", ("AN-ZEIGEN-BILDSCHIRM",)),
        ("ZEIGEN-BILDSCHIRM", ("ZEIGEN-BILDSCHIRM",)),
        ("ZEIGEN-PLUSPLUS", ("ZEIGEN",)),  # the rule for ZEIGEN comes before that for PLUSPLUS
        ("NORDRAUM", ("NORD",)),
        ("RAUM", ("RAUM",)),
        ("XRAUM", ("XRAUM",)),  # one capital before it is not enough
        ("nordRAUM", ("nordRAUM",)),
        ("NORDRAUMSUEDRAUM", ("NORDSUED",)),
        ("WIE", ("WIE",)),
    ],
)
def test_each_rule_applies_where_it_should_and_nowhere_else(decoded: str, scored: tuple[str, ...]) -> None:
    assert find_protocol("phoenix2014").normalise([decoded]) == scored


def test_rules_apply_gloss_by_gloss_and_leave_order_and_repeats() -> None:
    decoded = ["loc-REGEN", "REGEN", "__PU__", "WIE", "AUSSEHEN", "REGEN"]
    scored = ("REGEN", "REGEN", "WIE", "AUSSEHEN", "REGEN")
    assert find_protocol("phoenix2014").normalise(decoded) == scored


@pytest.mark.parametrize("name", ["csl", "csl-daily"])
def test_chinese_glosses_stay_as_they_are(name: str) -> None:
    glosses = ("他", "今天", "年龄", "4", "小张", "什么")
    assert find_protocol(name).normalise(glosses) == glosses


@given(st.lists(st.text(min_size=1)))
def test_plain_changes_nothing(glosses: list[str]) -> None:
    assert find_protocol("plain").normalise(glosses) == tuple(glosses)


@given(st.lists(st.sampled_from([*EXAMPLES, "__PU__", "ZEIGEN", "__EPENTHESIS__", "雨"])))
def test_a_normalised_hypothesis_holds_no_empty_gloss_and_is_not_longer(glosses: list[str]) -> None:
    for each in PROTOCOLS.values():
        scored = each.normalise(glosses)
        assert len(scored) <= len(glosses)
        assert all(scored)


def test_every_protocol_says_what_it_does_and_when_its_figures_compare() -> None:
    assert list(PROTOCOLS) == ["phoenix2014", "csl", "csl-daily", "plain"]
    assert all(each.description and each.comparable_when for each in PROTOCOLS.values())


def test_an_unknown_protocol_is_refused_with_the_nearest_named() -> None:
    with pytest.raises(UsageError) as raised:
        find_protocol("Phoenix-2014")
    assert "'Phoenix-2014'" in raised.value.message
    assert "did you mean phoenix2014?" in str(raised.value.hint)
    with pytest.raises(UsageError, match="use one of: phoenix2014, csl, csl-daily, plain"):
        find_protocol("?")
