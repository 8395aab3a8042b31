"""Glosses that look alike but are different texts, which scoring counts as different glosses."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from cslr_cli.scoring.alignment import fold_case

_HYPHENS = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_QUOTES = re.compile("[\u2018\u2019\u201b\u02bc\u00b4`]")
# Characters that are not visible: format characters, other white space, variation selectors.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")


@dataclass(frozen=True)
class SimilarGlosses:
    """Two glosses that differ only in form.

    Attributes:
        first: a gloss.
        second: a gloss that looks like it or differs in upper and lower case only.
        reason: what differs.
    """

    first: str
    second: str
    reason: str

    def __str__(self) -> str:
        return f"{self.first!r} and {self.second!r} differ only in form ({self.reason})"


def find_similar_glosses(references: Iterable[str], hypotheses: Iterable[str]) -> list[SimilarGlosses]:
    """Return pairs of glosses that differ only in form, those between references and hypotheses first.

    Glosses that scoring counts as equal (ASCII letters in another case, other normal forms of Unicode) are no pairs.
    """
    signed, recognised = ({fold_case(gloss): gloss for gloss in glosses} for glosses in (references, hypotheses))
    groups: dict[str, dict[str, str]] = {}
    for folded, gloss in {**recognised, **signed}.items():
        if not folded.isascii():
            groups.setdefault(_skeleton(folded), {})[folded] = gloss
    for folded, gloss in {**recognised, **signed}.items():
        if folded.isascii() and folded in groups:
            groups[folded][folded] = gloss
    found = []
    for members in groups.values():
        first, *others = sorted(members, key=lambda folded: (folded not in signed, folded))
        found += [SimilarGlosses(members[first], members[other], _describe(first, other)) for other in others]
    return sorted(found, key=lambda pair: (fold_case(pair.second) in signed, pair.first, pair.second))


def _skeleton(folded: str) -> str:
    """Return what two glosses that differ only in form have in common."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", folded).casefold())
    return _QUOTES.sub("'", _HYPHENS.sub("-", unicodedata.normalize("NFKC", text))).replace(" ", "")


def _describe(first: str, second: str) -> str:
    if first.lower() == second.lower():
        return "upper and lower case"
    characters = sorted({character for gloss in (first, second) for character in gloss if not character.isascii()})
    special = [each for each in characters if _INVISIBLE.match(each)] or [
        each for each in characters if (each in first) != (each in second)
    ]
    codes = ", ".join(f"U+{ord(each):04X} {unicodedata.name(each, '')}".rstrip() for each in special[:3])
    return f"{'invisible ' if special and _INVISIBLE.match(special[0]) else ''}{codes or 'similar characters'}"
