"""Recordings with several segments, by hand and beside sclite itself."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from cslr_cli.errors import ScoringError
from cslr_cli.scoring import Counts, Score, TimedGloss, find_protocol, score, strip_times
from cslr_cli.scoring.breakdown import break_down
from cslr_cli.scoring.forms import read_transcripts
from cslr_cli.scoring.segments import ReferenceSet, split_at_segments

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")

GLOSSES = list("abcde")
ENTRY = re.compile(r'([CSDI]),("(?:[^"\\]|\\.)*")?,("(?:[^"\\]|\\.)*")?')


def scored(folder: Path, stm: str, ctm: str, **options: object) -> Score:
    (folder / "r.stm").write_text(stm)
    (folder / "h.ctm").write_text(ctm)
    return scored_files(folder, **options)


def scored_files(folder: Path, **options: object) -> Score:
    references = ReferenceSet(read_transcripts(folder / "r.stm", "references"))
    hypotheses = references.assign(read_transcripts(folder / "h.ctm", "hypotheses", **options))  # type: ignore[arg-type]
    return score(references.references, strip_times(hypotheses), find_protocol("plain"))


def test_a_gloss_belongs_to_the_first_segment_that_ends_after_its_middle(tmp_path: Path) -> None:
    stm = "talk 1 s 0.0 2.0 X Y\ntalk 1 s 3.0 4.0 Z\ntalk 1 s 5.0 6.0\n"
    ctm = "talk 1 0.1 0.2 X\ntalk 1 1.8 0.2 Y\ntalk 1 2.0 0.4 GAP\ntalk 1 3.5 0.9 Z\ntalk 1 9.0 0.1 LATE\n"
    result = scored(tmp_path, stm, ctm)
    assert [clip.sample_id for clip in result.clips] == ["talk@0.00-2.00", "talk@3.00-4.00", "talk@5.00-6.00"]
    assert [clip.hypothesis for clip in result.clips] == [("X", "Y"), ("GAP", "Z"), ("LATE",)]
    assert result.counts == Counts(correct=3, insertions=2)
    assert {clip.recording for clip in result.clips} == {"talk"}


def test_glosses_in_gaps_are_insertions_and_excluded_regions_do_not_count(tmp_path: Path) -> None:
    stm = (
        "t 1 s 0 1 X\nt 1 inter_segment_gap 1 2\nt 1 excluded_region 2 3 IGNORE_TIME_SEGMENT_IN_SCORING\n"
        "t 1 s 3 4 ignore_time_segment_in_scoring\nt 1 s 4 5 Y\n"
    )
    ctm = "".join(f"t 1 {start} 0.1 {gloss}\n" for start, gloss in zip((0.5, 1.5, 2.5, 3.5, 4.5), "XGIJY", strict=True))
    result = scored(tmp_path, stm, ctm)
    assert result.counts == Counts(correct=2, insertions=1)
    assert result.ignored == ("t@2.00-3.00", "t@3.00-4.00")


def test_a_segment_without_recognised_glosses_has_deletions_only(tmp_path: Path) -> None:
    result = scored(tmp_path, "t 1 s 0 1 X Y\nt 1 s 1 2 Z\n", "t 1 1.5 0.1 Z\n")
    assert result.counts == Counts(correct=1, deletions=2)


def test_the_fourth_field_is_an_end_if_it_never_is_before_the_start(tmp_path: Path) -> None:
    stm = "t 1 s 0 2 X\nt 1 s 2 4 Y\n"
    assert scored(tmp_path, stm, "t 1 0.5 1.0 X\nt 1 2.5 3.0 Y\n").counts == Counts(correct=2)
    assert scored(tmp_path, stm, "t 1 0.5 0.5 X\nt 1 2.5 0.5 Y\n").counts == Counts(correct=2)
    # 1.8 to 1.9, or 1.8 to 3.7
    assert scored(tmp_path, stm, "t 1 1.8 1.9 X\n").clips[0].hypothesis == ("X",)
    assert scored(tmp_path, stm, "t 1 1.8 1.9 X\n", ctm_times="duration").clips[1].hypothesis == ("X",)


def test_channels_are_scored_independently(tmp_path: Path) -> None:
    stm = "t A s 0 9 X\nt B s 0 9 Y\n"
    result = scored(tmp_path, stm, "t A 0 1 X\nt B 0 1 Z\n")
    assert {clip.sample_id: clip.counts for clip in result.clips} == {
        "t:A": Counts(correct=1),
        "t:B": Counts(substitutions=1),
    }
    with pytest.raises(ScoringError, match=r"h\.ctm, line 1: t has hypotheses of channel C, expected channel A, B"):
        scored(tmp_path, stm, "t A 0 1 X\nt C 0 1 Z\n")


def test_names_of_the_only_channels_need_not_be_equal(tmp_path: Path) -> None:
    assert scored(tmp_path, "t A s 0 9 X\n", "t 1 0 1 X\n").counts == Counts(correct=1)


def test_hypotheses_without_times_cannot_be_divided(tmp_path: Path) -> None:
    (tmp_path / "r.stm").write_text("t 1 s 0 1 X\nt 1 s 1 2 Y\n")
    (tmp_path / "h.txt").write_text("t X Y\n")
    references = ReferenceSet(read_transcripts(tmp_path / "r.stm", "references"))
    with pytest.raises(ScoringError, match=r"h\.txt, line 1: t has 2 segments, but its glosses have no times"):
        references.assign(read_transcripts(tmp_path / "h.txt", "hypotheses"))
    hypotheses = references.assign(read_transcripts(tmp_path / "r.stm", "hypotheses"))
    assert strip_times(hypotheses) == {"t@0.00-1.00": ("X",), "t@1.00-2.00": ("Y",)}


def test_a_word_in_the_middle_of_a_boundary_belongs_to_the_same_segment_as_for_sclite() -> None:
    """0.4 in 64 bits is less than 0.4 in 32 bits, and 1.0 is equal in both."""
    on_edge = TimedGloss("X", 0.25, 0.55)
    assert split_at_segments([on_edge], [0.4, 9]) == [(on_edge,), ()]
    on_edge = TimedGloss("X", 0.5, 1.5)
    assert split_at_segments([on_edge], [1.0, 9]) == [(), (on_edge,)]


def drawn_recordings(draw: random.Random, num_recordings: int) -> tuple[str, str]:
    """Draw an STM and a CTM file; many glosses have their middle exactly at the boundary of a segment."""
    stm, ctm = [], []
    for number in range(num_recordings):
        step, end = draw.choice([1.0, 0.5, 0.1]), 0.0
        segments = []
        for _ in range(draw.randint(1, 6)):
            start = end + draw.choice([0, 0, step])
            end = round(start + draw.randint(1, 8) * step, 3)
            chance = draw.random()
            if chance < 0.15:
                segments.append(("inter_segment_gap", start, end, ""))
            elif chance < 0.25:
                mark = draw.choice(["ignore_time_segment_in_scoring", "IGNORE_TIME_SEGMENT_IN_SCORING"])
                segments.append(("excluded_region", start, end, mark))
            else:
                label = draw.choice(["", "<o,f> ", "<o,m> ", "<o> "])
                words = " ".join(draw.choices(GLOSSES, k=draw.randint(0, 5)))
                segments.append((f"s{draw.randint(0, 2)}", start, end, label + words))
        segments.append(("s1", end, end + 1, "<o,m> a b"))
        stm += [f"rec{number:03} 1 {name} {start:.2f} {end:.2f} {text}\n" for name, start, end, text in segments]
        time = 0.0
        for _ in range(draw.randint(1, 14)):
            time = round(time + draw.choice([0, 1, 2, 3, 5]) * step / 2, 3)
            duration = draw.choice([0.1, 0.2, 0.3, 0.5, 1.0, 2.0])
            ctm.append(f"rec{number:03} 1 {time:.2f} {duration:.2f} {draw.choice(GLOSSES)}\n")
    titles = ';; LABEL "o" "Overall" "all"\n;; LABEL "F" "Female" "women"\n;; LABEL "m" "Male" "men"\n'
    return titles + "".join(stm), "".join(ctm)


def by_sclite(folder: Path, report: str) -> str:
    command = f"sctk sclite -h h.ctm ctm -r r.stm stm -f 0 -o {report} stdout"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=True).stdout


def check_recordings(seeds: range, folder: Path, num_recordings: int) -> None:
    for seed in seeds:
        result = scored(folder, *drawn_recordings(random.Random(seed), num_recordings), ctm_times="duration")
        paths = re.findall(r'<PATH .*?file="([^"]*)".*?sequence="(\d+)".*?>\n(.*)\n</PATH>', by_sclite(folder, "sgml"))
        theirs = [
            (name, [(letter, a.strip('"'), b.strip('"')) for letter, a, b in ENTRY.findall(line)])
            for name, _, line in sorted(paths, key=lambda path: int(path[1]))
        ]
        ours = [
            (
                clip.recording,
                [(pair.operation[0].upper(), pair.reference or "", pair.hypothesis or "") for pair in clip.pairs],
            )
            for clip in result.clips
        ]
        assert ours == theirs, f"suite {seed}"


@needs_sctk
def test_drawn_recordings_get_sclites_alignment_in_each_segment(tmp_path: Path) -> None:
    check_recordings(range(3), tmp_path, num_recordings=20)


@needs_sctk
@pytest.mark.slow
def test_three_hundred_suites_of_recordings_get_sclites_alignment_in_each_segment(tmp_path: Path) -> None:
    check_recordings(range(3, 303), tmp_path, num_recordings=10)


def check_labels(seeds: range, folder: Path, num_recordings: int) -> None:
    for seed in seeds:
        result = scored(folder, *drawn_recordings(random.Random(seed), num_recordings), ctm_times="duration")
        totals = {each.name: each.counts for each in break_down(result, label_titles={"F": "Female"}).by_label}
        assert totals.keys() == {"o", "F (Female)", "m"}
        (line,) = re.findall(r"Set Sum/Avg +\|(.*)\|$", by_sclite(folder, "lur"), re.MULTILINE)
        theirs = re.findall(r"\[(\d+)\] +([\d.]+)", line)
        ours = [totals[name] for name in ("o", "F (Female)", "m")]
        assert [counts.references for counts in ours] == [int(number) for number, _ in theirs], f"suite {seed}"
        rates = [float(rate) for _, rate in theirs]  # rounded to one decimal
        assert [counts.wer for counts in ours] == pytest.approx(rates, abs=0.0501), f"suite {seed}"


@needs_sctk
def test_categories_get_the_figures_of_sclites_report(tmp_path: Path) -> None:
    check_labels(range(2), tmp_path, num_recordings=30)


@needs_sctk
@pytest.mark.slow
def test_categories_of_three_hundred_suites_get_the_figures_of_sclites_report(tmp_path: Path) -> None:
    check_labels(range(2, 302), tmp_path, num_recordings=30)


def test_recordings_of_hours_are_divided_in_proportional_time() -> None:
    glosses = [TimedGloss("X", second, second + 1) for second in range(50_000)]
    parts = split_at_segments(glosses, [float(end) for end in range(10, 50_001, 10)])
    sizes: dict[int, int] = defaultdict(int)
    for part in parts:
        sizes[len(part)] += 1
    assert sizes == {10: 5000}


def test_paths_of_videos_stand_for_the_names_of_clips(tmp_path: Path) -> None:
    """On both sides, and only if the names are different."""

    def glosses(references: str, hypotheses: str) -> dict[str, tuple[str, ...]]:
        (tmp_path / "r.csv").write_text(references)
        (tmp_path / "h.csv").write_text(hypotheses)
        reference_set = ReferenceSet(read_transcripts(tmp_path / "r.csv", "references"))
        return strip_times(reference_set.assign(read_transcripts(tmp_path / "h.csv", "hypotheses")))

    assert glosses("id,ref\na,X\n", "video,hyp\nin/a.mp4,X\n") == {"a": ("X",)}
    assert glosses("video,ref\nin/a.mp4,X\n", "id,hyp\na,X\n") == {"a": ("X",)}
    assert glosses("id,ref\na.v2,X\n", "id,hyp\na.v2,X\n") == {"a.v2": ("X",)}
    both = "video,glosses\nanna/1.mp4,X\nben/1.mp4,Y\n"
    assert glosses(both, both) == {"anna/1.mp4": ("X",), "ben/1.mp4": ("Y",)}
