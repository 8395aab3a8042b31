"""Small scores to make reports of."""

from __future__ import annotations

from collections.abc import Mapping

from cslr_cli.report import Analysis, ClipFacts, Section, System, analyse
from cslr_cli.scoring import Reference, Score, find_protocol, score

REFERENCES = (
    Reference("clip-1", ("REGEN", "SCHNEE", "WIND"), "Signer01"),
    Reference("clip-2", ("WIND", "FÖHN"), "Signer02"),
    Reference("clip-3", ("今天", "REGEN"), "Signer02"),
)
OURS = {"clip-1": ["REGEN", "REGEN", "WIND"], "clip-2": ["WIND"], "clip-3": ["今天", "REGEN"]}
THEIRS = {"clip-1": ["REGEN", "SCHNEE", "WIND"], "clip-2": ["WIND"], "clip-3": ["REGEN", "REGEN", "REGEN"]}


def scored(hypotheses: Mapping[str, list[str]], references: tuple[Reference, ...] = REFERENCES) -> Score:
    return score(references, hypotheses, find_protocol("plain"))


def two_systems(clips: Mapping[str, ClipFacts] | None = None, name: str = "dev") -> Analysis:
    systems = (System("ours", scored(OURS)), System("theirs", scored(THEIRS)))
    return analyse(Section(name, systems, clips or {}, training_glosses=["REGEN", "SCHNEE", "WIND", "今天"]))


def with_hostile_names() -> Analysis:
    """Glosses, clips, signers and systems whose names are markup, or places of a template."""
    gloss, clip = "<script>alert('gloss')</script>", "</script><img/src=x/onerror=alert('clip')>"
    references = (
        Reference(clip, (gloss, "&amp;", "{{data}}", "\u2028"), "<b>signer</b>"),
        Reference("plain", ('"><svg/onload=alert(1)>', "<!--"), "s2"),
    )
    hypotheses = {clip: ["<script>alert('other')</script>", "{{script}}"], "plain": ["<!--", "]]>"]}
    systems = (
        System("<i>ours</i>", scored(hypotheses, references)),
        System("theirs & co", scored({name: [] for name in hypotheses}, references)),
    )
    return analyse(Section("<u>dev</u>", systems, training_glosses=["A"], facts={"<em>fact": "{{title}}<em>"}))


def of_many_clips(number: int) -> Analysis:
    """Clips of ten glosses, of which some are wrong."""
    names = [f"GLOSS{index}" for index in range(1000)]
    references = tuple(
        Reference(
            f"clip_{index:05}", tuple(names[(index * 7 + place * 31) % 1000] for place in range(10)), f"s{index % 9}"
        )
        for index in range(number)
    )
    hypotheses = {
        each.sample_id: [
            names[(index + place) % 1000] if (index + place) % 4 == 0 else gloss
            for place, gloss in enumerate(each.glosses)
        ]
        for index, each in enumerate(references)
    }
    others = {sample_id: glosses[1:] for sample_id, glosses in hypotheses.items()}
    return analyse(
        Section("many", (System("ours", scored(hypotheses, references)), System("theirs", scored(others, references))))
    )
