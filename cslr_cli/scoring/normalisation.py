"""Scoring protocols: the normalisation of hypotheses before they are compared with references.

A published word error rate depends on the corpus, the decoding and the normalisation. A corpus names its protocol. Only
hypotheses are normalised, never references: if a reference has a gloss that no normalised hypothesis can have (as in
PHOENIX2014-T), the published results count an error, and so does this scorer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cslr_cli.errors import UsageError, did_you_mean

# Marks of place, classifier, question, possession and left hand: removed wherever they stand.
_REMOVED_MARKS = ("loc-", "cl-", "qu-", "poss-", "lh-")
_RESPELLED = (("S0NNE", "SONNE"), ("HABEN2", "HABEN"))
_REMOVED_EVENTS = ("__EMOTION__", "__PU__", "__LEFTHAND__")
_EPENTHESIS = "__EPENTHESIS__"  # the transition between two signs: a token with it is no gloss
_RAUM_AFTER_CAPITALS = re.compile("([A-Z]{2})RAUM")


@dataclass(frozen=True)
class ScoringProtocol:
    """A named normalisation of hypotheses.

    Attributes:
        name: name in corpora and on the command line.
        description: effect on a hypothesis, one sentence.
        comparable_when: conditions under which results can be compared with published ones.
        normalise: function from decoded glosses to scored glosses; some may disappear.
    """

    name: str
    description: str
    comparable_when: str
    normalise: Callable[[Sequence[str]], tuple[str, ...]]


@lru_cache(maxsize=65536)
def _normalise_gloss(gloss: str) -> str | None:
    """Apply the rules of the PHOENIX evaluation to one gloss; None if the gloss disappears."""
    for mark in _REMOVED_MARKS:
        gloss = gloss.replace(mark, "")
    for written, meant in _RESPELLED:
        gloss = gloss.replace(written, meant)
    for event in _REMOVED_EVENTS:
        gloss = gloss.replace(event, "")
    if not gloss or _EPENTHESIS in gloss:
        return None
    if gloss.endswith("ZEIGEN"):
        gloss += "-BILDSCHIRM"
    gloss = _RAUM_AFTER_CAPITALS.sub(r"\1", gloss)
    return gloss.replace("-PLUSPLUS", "") or None


def normalise_phoenix(glosses: Sequence[str]) -> tuple[str, ...]:
    """Apply the PHOENIX evaluation's rules to each gloss of a hypothesis.

    Repeats that arise here (`loc-REGEN REGEN`) stay: merging them belongs to decoding.
    """
    normalised = (_normalise_gloss(gloss) for gloss in glosses)
    return tuple(gloss for gloss in normalised if gloss is not None)


def keep_glosses(glosses: Sequence[str]) -> tuple[str, ...]:
    """Return the glosses unchanged."""
    return tuple(glosses)


_PHOENIX_RULES = (
    "removes loc-, cl-, qu-, poss-, lh-, -PLUSPLUS, __EMOTION__, __PU__ and __LEFTHAND__; drops "
    "__EPENTHESIS__; writes S0NNE as SONNE, HABEN2 as HABEN, NORDRAUM as NORD and ZEIGEN as ZEIGEN-BILDSCHIRM"
)
_MERGED = "adjacent repeats merged by the decoder (the default), and the complete split of the corpus"

PROTOCOLS: dict[str, ScoringProtocol] = {
    protocol.name: protocol
    for protocol in (
        ScoringProtocol(
            name="phoenix2014",
            description=_PHOENIX_RULES,
            comparable_when=(
                "PHOENIX2014 and its signer-independent part (SI5) against the official STM files of the "
                f"release, PHOENIX2014-T against the raw glosses of its annotation; {_MERGED}"
            ),
            normalise=normalise_phoenix,
        ),
        ScoringProtocol(
            name="csl",
            description=f"the rules of phoenix2014, which change no Chinese gloss: {_PHOENIX_RULES}",
            comparable_when=f"CSL's 5,000 dev clips against the glosses of the split files; {_MERGED}",
            normalise=normalise_phoenix,
        ),
        ScoringProtocol(
            name="csl-daily",
            description=f"the rules of phoenix2014, which change no Chinese gloss: {_PHOENIX_RULES}",
            comparable_when=f"CSL-Daily's dev and test split against the annotation's glosses; {_MERGED}",
            normalise=normalise_phoenix,
        ),
        ScoringProtocol(
            name="plain",
            description="changes nothing",
            comparable_when="only with systems that were scored on the same references in the same way",
            normalise=keep_glosses,
        ),
    )
}


def find_protocol(name: str) -> ScoringProtocol:
    """Return the scoring protocol of a name; raises a UsageError with the known names if it is unknown."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    hint = f"{did_you_mean(name, PROTOCOLS)} use one of: {', '.join(PROTOCOLS)}".lstrip()
    raise UsageError(f"unknown scoring protocol {name!r}", hint)
