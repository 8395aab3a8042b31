"""sclite itself beside the built-in scorer, clip by clip, where Debian's package sctk is installed."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cslr_cli.scoring import PROTOCOLS, Counts, Reference, TimedGloss, protocol, score, write_ctm, write_stm
from tests.scoring.suites import SUITES, load_suite

pytestmark = pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")

NUM_CLIPS = 400
# Few glosses, so that equally cheap alignments abound; among them what normalisation changes.
GERMAN = ["REGEN", "regen", "loc-REGEN", "HABEN2", "NORDRAUM", "NORD", "__PU__", "__ON__", "ZEIGEN", "SÜD"]
CHINESE = ["他", "今天", "年龄", "4", "什么", "时间", "去"]
CLIP = re.compile(r"^File: (\S+)$.*?^Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE | re.DOTALL)


def counts_by_sclite(
    references: list[Reference], hypotheses: dict[str, tuple[str, ...]], folder: Path
) -> dict[str, Counts]:
    """Run sclite on hypotheses as scored; the counts by clip, whose names must be in lower case."""
    write_stm(folder / "references.stm", references)
    timed = {
        reference.sample_id: [
            TimedGloss(gloss, place / 100, (place + 1) / 100)
            for place, gloss in enumerate(hypotheses[reference.sample_id])
        ]
        for reference in references  # sclite wants both files in one order
    }
    write_ctm(folder / "hypotheses.ctm", timed)
    command = "sctk sclite -h hypotheses.ctm ctm -r references.stm stm -f 0 -o pralign stdout"
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True)
    return {name: Counts(*map(int, numbers)) for name, *numbers in CLIP.findall(done.stdout)}


def drawn_sentence(draw: random.Random, glosses: list[str], longest: int) -> tuple[str, ...]:
    return tuple(draw.choices(glosses, k=draw.randint(0, longest)))


def spoiled(draw: random.Random, sentence: tuple[str, ...], glosses: list[str]) -> list[str]:
    """A hypothesis near a sentence: some glosses are lost, exchanged, or followed by another."""
    hypothesis = []
    for gloss in sentence:
        chance = draw.random()
        if chance > 0.15:
            hypothesis.append(gloss if chance > 0.3 else draw.choice(glosses))
        if draw.random() < 0.15:
            hypothesis.append(draw.choice(glosses))
    return hypothesis


@pytest.mark.parametrize("name", PROTOCOLS)
def test_drawn_hypotheses_get_sclites_counts_clip_by_clip(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    glosses = CHINESE if name.startswith("csl") else GERMAN
    references, hypotheses = [], {}
    for number in range(NUM_CLIPS):
        sentence = drawn_sentence(draw, glosses, longest=12) or (glosses[0],)
        references.append(Reference(f"clip{number:03}", sentence, f"signer{number % 3}"))
        near = draw.random() < 0.5
        hypotheses[f"clip{number:03}"] = (
            spoiled(draw, sentence, glosses) if near else list(drawn_sentence(draw, glosses, longest=12))
        )
    scored = score(references, hypotheses, protocol(name))
    as_scored = {clip.sample_id: clip.hypothesis for clip in scored.clips}
    by_sclite = counts_by_sclite(references, as_scored, tmp_path)
    assert {clip.sample_id: clip.counts for clip in scored.clips} == by_sclite


@pytest.mark.parametrize("suite", SUITES)
def test_the_suites_get_sclites_counts_clip_by_clip(suite: str, tmp_path: Path) -> None:
    references, hypotheses, _ = load_suite(suite, tmp_path)
    lowered = [Reference(each.sample_id.lower(), each.glosses, each.signer) for each in references]
    by_lowered = {name.lower(): glosses for name, glosses in hypotheses.items()}
    scored = score(lowered, by_lowered, protocol("phoenix2014"), missing="empty")
    as_scored = {clip.sample_id: clip.hypothesis for clip in scored.clips}
    by_sclite = counts_by_sclite(lowered, as_scored, tmp_path)
    assert {clip.sample_id: clip.counts for clip in scored.clips} == by_sclite


def test_a_gloss_in_angle_brackets_is_a_gloss_to_sclite_too(tmp_path: Path) -> None:
    references = [Reference("a", ("<unk>", "REGEN"), "s")]
    assert counts_by_sclite(references, {"a": ("<unk>",)}, tmp_path) == {"a": Counts(correct=1, deletions=1)}
