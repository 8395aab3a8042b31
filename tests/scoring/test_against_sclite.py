"""sclite itself beside the built-in scorer, clip by clip, where Debian's package sctk is installed."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cslr_cli.errors import MissingPackageError, ScoringError
from cslr_cli.scoring import (
    PROTOCOLS,
    Counts,
    Reference,
    Score,
    TimedGloss,
    find_protocol,
    sclite_score,
    score,
    write_ctm,
    write_stm,
)
from cslr_cli.scoring.alignment import fold_case
from cslr_cli.scoring.breakdown import break_down
from cslr_cli.scoring.comparison import matched_pairs
from cslr_cli.scoring.gloss_counts import GlossError, most_frequent
from tests.scoring.suites import SUITES, load_suite

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")

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


def drawn_score(name: str, num_clips: int = NUM_CLIPS, seed: str = "") -> Score:
    """Clips of which half are recognised nearly well and half not at all."""
    draw = random.Random(name)  # the clips; the hypotheses differ with the seed
    glosses = CHINESE if name.startswith("csl") else GERMAN
    sentences = [drawn_sentence(draw, glosses, longest=12) or (glosses[0],) for _ in range(num_clips)]
    references = [
        Reference(f"clip{number:03}", sentence, f"signer{number % 3}") for number, sentence in enumerate(sentences)
    ]
    draw = random.Random(name + seed)
    hypotheses = {
        reference.sample_id: spoiled(draw, reference.glosses, glosses)
        if draw.random() < 0.5
        else drawn_sentence(draw, glosses, longest=12)
        for reference in references
    }
    return score(references, hypotheses, find_protocol(name))


def sctk(command: str, folder: Path, given: str | None = None) -> str:
    done = subprocess.run(
        ["sctk", *command.split()], cwd=folder, input=given, capture_output=True, text=True, check=True
    )
    return done.stdout


def written(scored: Score, folder: Path, name: str) -> None:
    """The clips as scored, as `NAME.ctm` and `references.stm`."""
    write_stm(folder / "references.stm", [Reference(clip.sample_id, clip.reference) for clip in scored.clips])
    timed = {
        clip.sample_id: [
            TimedGloss(gloss, place / 100, (place + 1) / 100) for place, gloss in enumerate(clip.hypothesis)
        ]
        for clip in scored.clips
    }
    write_ctm(folder / f"{name}.ctm", timed)


@needs_sctk
@pytest.mark.parametrize("name", PROTOCOLS)
def test_drawn_hypotheses_get_sclites_counts_clip_by_clip(name: str, tmp_path: Path) -> None:
    scored = drawn_score(name)
    references = [Reference(clip.sample_id, clip.reference, clip.signer) for clip in scored.clips]
    as_scored = {clip.sample_id: clip.hypothesis for clip in scored.clips}
    by_sclite = counts_by_sclite(references, as_scored, tmp_path)
    assert {clip.sample_id: clip.counts for clip in scored.clips} == by_sclite


@needs_sctk
@pytest.mark.parametrize("suite", SUITES)
def test_the_suites_get_sclites_counts_clip_by_clip(suite: str, tmp_path: Path) -> None:
    references, hypotheses, _ = load_suite(suite, tmp_path)
    lowered = [Reference(each.sample_id.lower(), each.glosses, each.signer) for each in references]
    by_lowered = {name.lower(): glosses for name, glosses in hypotheses.items()}
    scored = score(lowered, by_lowered, find_protocol("phoenix2014"), missing="empty")
    as_scored = {clip.sample_id: clip.hypothesis for clip in scored.clips}
    by_sclite = counts_by_sclite(lowered, as_scored, tmp_path)
    assert {clip.sample_id: clip.counts for clip in scored.clips} == by_sclite


@needs_sctk
def test_a_gloss_in_angle_brackets_is_a_gloss_to_sclite_too(tmp_path: Path) -> None:
    references = [Reference("a", ("<unk>", "REGEN"), "s")]
    assert counts_by_sclite(references, {"a": ("<unk>",)}, tmp_path) == {"a": Counts(correct=1, deletions=1)}


@needs_sctk
@pytest.mark.parametrize("name", PROTOCOLS)
def test_sclite_as_the_tool_gives_the_built_in_alignments_place_by_place(name: str) -> None:
    scored = drawn_score(name)
    assert sclite_score(scored) == scored


@needs_sctk
@pytest.mark.parametrize("suite", SUITES)
def test_sclite_as_the_tool_gives_the_suites_alignments_whatever_their_names(suite: str, tmp_path: Path) -> None:
    references, hypotheses, _ = load_suite(suite, tmp_path)
    scored = score(references, hypotheses, find_protocol("phoenix2014"), missing="empty")
    assert sclite_score(scored) == scored


@needs_sctk
def test_sclite_as_the_tool_takes_empty_references_and_glosses_with_signs_of_its_output() -> None:
    references = [
        *(Reference("B", (), "s"), Reference("A", (), "s"), Reference("d", ("<unk>", "<X"), "s")),
        Reference("c", ("a:C", 'S,"x"', "X", ";;y", "D,", "(Z)"), "s"),
    ]
    hypotheses = {"B": ["X"], "A": [], "c": ['"a"', 'S,"x"', "x", ";;y", "(Z)"], "d": ["<unk>"]}
    scored = score(references, hypotheses, find_protocol("plain"))
    assert sclite_score(scored) == scored
    assert [clip.counts for clip in scored.clips[2:]] == [
        Counts(correct=1, deletions=1),
        Counts(correct=4, substitutions=1, deletions=1),
    ]


@needs_sctk
def test_a_gloss_that_sclite_takes_for_its_own_syntax_is_an_error_that_names_the_clip() -> None:
    scored = score([Reference("first", ("X", "@"))], {"first": ["X"]}, find_protocol("plain"))
    with pytest.raises(ScoringError, match="clip 'first': sclite read 1 reference") as raised:
        sclite_score(scored)
    assert "--tool builtin" in str(raised.value.hint)


def test_without_sclite_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="sclite is not installed") as raised:
        sclite_score(drawn_score("plain", num_clips=1))
    assert "apt install sctk" in str(raised.value.hint)


def test_failure_of_sclite_is_an_error_with_its_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sclite").write_text("#!/bin/sh\necho 'Error: no good' >&2\nexit 3\n")
    (tmp_path / "sclite").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ScoringError, match="sclite failed with status 3: Error: no good"):
        sclite_score(drawn_score("plain", num_clips=1))


# sclite's detailed report: the titles of its lists, and the faults of a gloss that they stand for.
LISTS: dict[str, GlossError] = {
    "INSERTIONS": "inserted",
    "DELETIONS": "deleted",
    "SUBSTITUTIONS": "substituted",
    "FALSELY RECOGNIZED": "falsely_recognised",
}


@needs_sctk
@pytest.mark.parametrize("name", ["phoenix2014", "csl-daily"])
def test_the_breakdown_is_that_of_sclites_detailed_report(name: str, tmp_path: Path) -> None:
    scored = drawn_score(name)
    written(scored, tmp_path, "ours")
    report = sctk("sclite -h ours.ctm ctm -r references.stm stm -f 0 -o dtl stdout", tmp_path)
    breakdown = break_down(scored)
    with_errors = re.search(r"with errors +[\d.]+% +\( *(\d+)\)", report)
    assert with_errors is not None
    assert int(with_errors[1]) == breakdown.total.clips_with_errors
    sections = dict(re.findall(r"^([A-Z ]+?) +Total +\(\d+\)$(.*?)(?=^[A-Z ]+ +Total|\Z)", report, re.M | re.S))
    assert set(sections) == {"CONFUSION PAIRS", *LISTS}
    pairs = re.findall(r"\d+: +(\d+) +-> +(\S+) ==> (\S+)$", sections["CONFUSION PAIRS"], re.M)
    ours = {(fold_case(each.reference), fold_case(each.hypothesis)): each.count for each in breakdown.confusions}
    assert {(signed, recognised): int(number) for number, signed, recognised in pairs} == ours
    for title, fault in LISTS.items():
        listed = re.findall(r"\d+: +(\d+) +-> +(\S+)$", sections[title], re.M)
        counted = {fold_case(row.gloss): getattr(row, fault) for row in most_frequent(breakdown.glosses, fault)}
        assert {gloss: int(number) for number, gloss in listed} == counted


@needs_sctk
@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_matched_pairs_test_is_that_of_sc_stats(name: str, tmp_path: Path) -> None:
    ours, theirs = drawn_score(name), drawn_score(name, seed=" of the others")
    for scored, file in ((ours, "ours"), (theirs, "theirs")):
        written(scored, tmp_path, file)
    alignments = "".join(
        sctk(f"sclite -h {file}.ctm ctm -r references.stm stm -f 0 -o sgml stdout", tmp_path)
        for file in ("ours", "theirs")
    )
    sctk("sc_stats -p -t mapsswe -v -n both", tmp_path, given=alignments)
    report = (tmp_path / "both.stats.mapsswe").read_text()
    numbers = re.search(r"# segs: (\d+)\).*\(mean: ([-\d.]+)\) \(std dev: ([\d.]+)\) \(Z Stat: ([-\d.]+)\)", report)
    assert numbers is not None
    test = matched_pairs(ours, theirs)
    assert test.z is not None
    assert (str(test.segments), f"{test.mean:.3f}", f"{test.deviation:.3f}", f"{test.z:.3f}") == numbers.groups()
