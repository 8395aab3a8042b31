"""References with alternatives and optional glosses, by hand and beside sclite itself."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cslr_cli.scoring import AlignedPair, Counts, Reference, find_protocol, sclite_score, score
from cslr_cli.scoring.alignment import align, count
from cslr_cli.scoring.gloss_network import (
    MarkError,
    align_network,
    align_optional,
    build_gloss_network,
    first_reading,
    split_marks,
)

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")

GLOSSES = ["a", "b", "c", "d", "e"]
ENTRY = re.compile(r'([CSDI]),("(?:[^"\\]|\\.)*")?,("(?:[^"\\]|\\.)*")?')
# What the references of a suite contain, and whether glosses in parentheses are optional (sclite -D).
SUITES = {
    "alternatives": ("{", False),
    "parentheses": ("(", False),
    "optional": ("(", True),
    "both": ("{(", False),
    "both, optional": ("{(", True),
}


def counted(reference: str, hypothesis: str, *, optional: bool = False) -> Counts:
    return count(align_network(build_gloss_network(split_marks(reference)), hypothesis.split(), optional=optional))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("X { A / B } Y", "X B Y", Counts(correct=3)),
        ("X { A / B } Y", "X C Y", Counts(correct=2, substitutions=1)),
        ("{ A / @ } X", "X", Counts(correct=1)),
        ("{ A / @ } X", "A X", Counts(correct=2)),
        ("{ A B / C } X", "A B X", Counts(correct=3)),
        ("{ A B / C } X", "C X", Counts(correct=2)),
        ("{ { A / B } C / @ }", "B C", Counts(correct=2)),
        ("X @ Y", "X Y", Counts(correct=2)),
        ("{A/B}C", "a c", Counts(correct=2)),
        ("{ A }", "A", Counts(correct=1)),
        ("{ A / @ }", "", Counts()),
        ("@", "A", Counts(insertions=1)),
    ],
)
def test_the_nearest_reading_is_scored(reference: str, hypothesis: str, counts: Counts) -> None:
    assert counted(reference, hypothesis) == counts


def test_glosses_in_parentheses_are_optional_only_if_wanted() -> None:
    assert counted("(A) X", "X") == Counts(correct=1, deletions=1)
    assert counted("(A) X", "X", optional=True) == Counts(correct=2)
    assert counted("(A) X", "A X", optional=True) == Counts(correct=2)
    assert counted("(A) X", "A X") == Counts(correct=1, substitutions=1)
    assert align_optional(["X"], ["X", "(B)"]) == (
        AlignedPair("correct", "X", "X"),
        AlignedPair("correct", None, "(B)"),
    )


def test_a_network_without_alternatives_is_aligned_like_a_sentence() -> None:
    draw = random.Random(0)
    for _ in range(300):
        reference, hypothesis = (draw.choices(GLOSSES, k=draw.randint(0, 9)) for _ in range(2))
        assert align_network(build_gloss_network(reference), hypothesis) == align(reference, hypothesis)


def test_marks_are_split_at_white_space_and_alternatives_stay_together() -> None:
    assert split_marks("X {A/B C}D (Y) 我\u3000们") == ("X", "{ A / B C }", "D", "(Y)", "我\u3000们")
    assert first_reading(split_marks("X { { A / B } C / @ } @ Y")) == ("X", "A", "C", "Y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X { A / B", "have no end"),
        ("X{A", "brace inside a gloss"),
        ("{ }", "contain no gloss"),
        ("{ / }", "contain no gloss"),
        ("{" * 40 + "A" + "}" * 40, "nested more than 16"),
    ],
)
def test_wrong_marks_are_named(text: str, message: str) -> None:
    with pytest.raises(MarkError, match=message):
        split_marks(text)


def drawn_alternatives(draw: random.Random, depth: int = 0) -> str:
    parts = []
    for _ in range(draw.randint(1, 3)):
        chance = draw.random()
        if chance < 0.25:
            parts.append("@")
        elif chance < 0.35 and depth < 2:
            parts.append(
                f"{drawn_alternatives(draw, depth + 1)} {' '.join(draw.choices(GLOSSES, k=draw.randint(0, 1)))}"
            )
        else:
            parts.append(" ".join(draw.choices(GLOSSES, k=draw.randint(1, 3))))
    return "{ " + " / ".join(parts) + " }"


def drawn_suite(seed: int, marks: str, num_clips: int) -> list[tuple[str, list[str]]]:
    draw = random.Random(seed)
    suite = []
    for _ in range(num_clips):
        tokens = []
        for _ in range(draw.randint(0, 8)):
            chance = draw.random()
            if "{" in marks and chance < 0.3:
                tokens.append(drawn_alternatives(draw))
            elif "(" in marks and chance < 0.6:
                tokens.append(f"({draw.choice(GLOSSES)})")
            elif "{" in marks and chance < 0.65:
                tokens.append("@")
            else:
                tokens.append(draw.choice(GLOSSES))
        hypothesis = draw.choices(GLOSSES, k=draw.randint(1, 9))
        if "(" in marks:
            hypothesis = [f"({gloss})" if draw.random() < 0.15 else gloss for gloss in hypothesis]
        suite.append((" ".join(tokens), hypothesis))
    return suite


def pairs_by_sclite(suite: Sequence[tuple[str, list[str]]], folder: Path, *options: str) -> list[list[AlignedPair]]:
    names = {"C": "correct", "S": "substitution", "D": "deletion", "I": "insertion"}
    stm = [f"c{number:04} 1 s 0.0 100.0 {reference}\n" for number, (reference, _) in enumerate(suite)]
    ctm = [
        f"c{number:04} 1 {place} 0.5 {gloss}\n"
        for number, (_, hypothesis) in enumerate(suite)
        for place, gloss in enumerate(hypothesis)
    ]
    (folder / "r.stm").write_text("".join(stm))
    (folder / "h.ctm").write_text("".join(ctm))
    command = [*"sctk sclite -h h.ctm ctm -r r.stm stm -f 0 -o sgml stdout".split(), *options]  # noqa: SIM905
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    lines = dict(re.findall(r'<PATH .*?file="(c\d+)".*?>\n(.*)\n</PATH>', printed))
    return [
        [
            AlignedPair(names[letter], reference.strip('"') or None, hypothesis.strip('"') or None)  # type: ignore[arg-type]
            for letter, reference, hypothesis in ENTRY.findall(lines[f"c{number:04}"])
        ]
        for number in range(len(suite))
    ]


def check_suites(name: str, seeds: range, folder: Path, num_clips: int) -> None:
    marks, optional = SUITES[name]
    for seed in seeds:
        suite = drawn_suite(seed, marks, num_clips)
        theirs = pairs_by_sclite(suite, folder, *(["-D"] if optional else []))
        ours = [
            list(align_network(build_gloss_network(split_marks(reference)), hypothesis, optional=optional))
            for reference, hypothesis in suite
        ]
        assert ours == theirs, f"suite {seed}"


@needs_sctk
@pytest.mark.parametrize("name", SUITES)
def test_drawn_suites_get_sclites_alignments_pair_by_pair(name: str, tmp_path: Path) -> None:
    check_suites(name, range(5), tmp_path, num_clips=100)


@needs_sctk
@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_three_hundred_drawn_suites_get_sclites_alignments_pair_by_pair(name: str, tmp_path: Path) -> None:
    check_suites(name, range(5, 305), tmp_path, num_clips=30)


@needs_sctk
@pytest.mark.parametrize("optional", [False, True])
def test_sclite_as_the_tool_gives_the_built_in_alignments(optional: bool) -> None:
    suite = drawn_suite(1, "{(", 60)
    tokens = [split_marks(reference) for reference, _ in suite]
    references = [Reference(f"clip{number}", first_reading(each), tokens=each) for number, each in enumerate(tokens)]
    hypotheses = {f"clip{number}": hypothesis for number, (_, hypothesis) in enumerate(suite)}
    scored = score(references, hypotheses, find_protocol("plain"), optional_glosses=optional)
    assert sclite_score(scored) == scored
