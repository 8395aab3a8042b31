from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.scoring import PROTOCOLS, Reference, TimedGloss, read_stm, write_ctm, write_stm
from tests.cli.conftest import Command, environment
from tests.scoring.suites import SUITES, load_suite

STM = "a 1 s1 0.0 9.0 REGEN WIND\nb 1 s2 0.0 9.0 SCHNEE\n"
CTM = "a 1 0.0 0.5 REGEN\na 1 0.5 1.0 loc-WIND\nb 1 0.0 0.5 WIND\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a user who has references and hypotheses: refs.stm and ours.ctm."""
    monkeypatch.chdir(tmp_path)
    Path("refs.stm").write_text(STM)
    Path("ours.ctm").write_text(CTM)
    return tmp_path


def rows(stdout: str) -> list[list[str]]:
    return [line.split() for line in stdout.splitlines() if line.strip() and "─" not in line]


@pytest.mark.parametrize("suite", SUITES)
def test_score_prints_sclites_counts_of_the_suites(suite: str, cslr: Command, tmp_path: Path) -> None:
    _, _, expected = load_suite(suite, tmp_path)
    files = tmp_path / "references.stm", tmp_path / "hypotheses.ctm"
    outcome = cslr("score", *files, "--protocol", "phoenix2014", "--missing", "empty", "--json")
    assert outcome.status == 0
    figures = json.loads(outcome.stdout)
    names = {
        "correct": "correct",
        "substitutions": "sub",
        "deletions": "dele",
        "insertions": "ins",
        "references": "ref",
    }
    assert {name: figures[name] for name in names} == {name: expected[key][1] for name, key in names.items()}
    assert figures["wer"] == pytest.approx(expected["wer"][0], abs=0.05)
    assert figures["interval_by_clip"]["low"] < figures["wer"] < figures["interval_by_clip"]["high"]
    by_python = json.loads(
        cslr(
            "score", *files, "--protocol", "phoenix2014", "--missing", "empty", "--tool", "published-python", "--json"
        ).stdout
    )
    assert by_python["wer"] == pytest.approx(expected["reference_python_tool"][0])


@pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")
def test_sclite_prints_the_same_figures(files: Path, cslr: Command) -> None:
    by_sclite = json.loads(cslr("score", "refs.stm", "ours.ctm", "--tool", "sclite", "--json").stdout)
    builtin = json.loads(cslr("score", "refs.stm", "ours.ctm", "--json").stdout)
    assert by_sclite.pop("tool") == "sclite"
    assert builtin.pop("tool") == "builtin"
    assert by_sclite == builtin


def test_jiwer_prints_the_same_fields(files: Path, cslr: Command) -> None:
    Path("unlike.stm").write_text("a 1 s1 0.0 9.0 MORGEN REGEN WIND SONNE NORD\n")
    recognised = enumerate(["WIND", "NORD", "MORGEN", "WOLKE", "REGEN"])
    Path("unlike.ctm").write_text("".join(f"a 1 {place} {place + 1} {gloss}\n" for place, gloss in recognised))
    by_jiwer = json.loads(cslr("score", "unlike.stm", "unlike.ctm", "--tool", "jiwer", "--json").stdout)
    builtin = json.loads(cslr("score", "unlike.stm", "unlike.ctm", "--json").stdout)
    assert by_jiwer.keys() == builtin.keys()
    assert by_jiwer["tool"] == "jiwer"
    assert (by_jiwer["wer"], builtin["wer"]) == (100, 120)
    assert (by_jiwer["substitutions"], by_jiwer["deletions"], by_jiwer["insertions"]) == (5, 0, 0)


def test_the_table_has_wer_interval_kinds_of_errors_and_confusions(files: Path, cslr: Command) -> None:
    outcome = cslr("score", "refs.stm", "ours.ctm", "--protocol", "phoenix2014")
    assert outcome.status == 0
    assert ["ours.ctm", "33.3", "0.0–100.0", "33.3", "0.0", "0.0", "1/2", "3"] in rows(outcome.stdout)
    assert ["ours.ctm", "SCHNEE", "→", "WIND", "1"] in rows(outcome.stdout)
    assert "protocol: phoenix2014; tool: builtin" in outcome.stdout
    assert {path.name for path in files.iterdir()} == {"refs.stm", "ours.ctm"}  # no report that was not asked for


def test_without_a_protocol_nothing_is_normalised(files: Path, cslr: Command) -> None:
    figures = json.loads(cslr("score", "refs.stm", "ours.ctm", "--json").stdout)
    assert (figures["protocol"], figures["substitutions"]) == ("plain", 2)


def test_two_systems_are_compared(files: Path, cslr: Command) -> None:
    Path("theirs.ctm").write_text("a 1 0.0 0.5 REGEN\na 1 0.5 1.0 WIND\nb 1 0.0 0.5 SCHNEE\n")
    outcome = cslr("score", "refs.stm", "ours.ctm", "theirs.ctm")
    assert [row[:2] for row in rows(outcome.stdout.partition("─")[2])[:2]] == [
        ["ours.ctm", "66.7"],
        ["theirs.ctm", "0.0"],
    ]
    assert "WER of theirs.ctm minus that of ours.ctm: -66.7 points" in outcome.stdout
    assert "Matched-pairs test:" in outcome.stdout
    assert "ours.ctm has fewer errors in 0 clips, theirs.ctm in 2 clips" in outcome.stdout
    figures = json.loads(cslr("score", "refs.stm", "ours.ctm", "theirs.ctm", "--json").stdout)
    assert figures["comparison"]["second_wins"] == 2
    assert [each["wer"] for each in figures["systems"].values()] == [figures["wer"], 0]


def test_systems_with_equal_file_names_show_their_folders(files: Path, cslr: Command) -> None:
    Path("theirs").mkdir()
    Path("theirs/ours.ctm").write_text(CTM)
    outcome = cslr("score", "refs.stm", "ours.ctm", "theirs/ours.ctm")
    assert [row[0] for row in rows(outcome.stdout.partition("─")[2])[:2]] == ["ours.ctm", "theirs/ours.ctm"]


def test_the_names_of_systems_leave_out_the_folders_that_they_share(files: Path, cslr: Command) -> None:
    for name in ("first", "second"):
        folder = Path("runs", "mine", name)
        folder.mkdir(parents=True)
        (folder / "dev.ctm").write_text(CTM)
    outcome = cslr("score", "refs.stm", "runs/mine/first/dev.ctm", "runs/mine/second/dev.ctm")
    assert [row[0] for row in rows(outcome.stdout.partition("─")[2])[:2]] == ["first/dev.ctm", "second/dev.ctm"]


def test_the_report_is_written_to_the_given_folder(files: Path, cslr: Command) -> None:
    outcome = cslr("score", "refs.stm", "ours.ctm", "--output", "out/report")
    assert outcome.status == 0
    assert "out/report/report.html" in outcome.stderr
    names = {path.name for path in Path("out/report").iterdir()}
    assert names == {"report.html", "report.json", "ours.clips.csv", ".cslr-output.json"}
    assert json.loads(Path("out/report/report.json").read_text())["sections"]["ours"]["by_signer"].keys() == {
        "s1",
        "s2",
    }


def test_a_corpus_gives_protocol_lengths_and_training_glosses(
    files: Path, cslr: Command, tiny_corpus: PreparedCorpus
) -> None:
    references = read_stm(tiny_corpus.references("dev"))
    hypotheses = {each.sample_id: [TimedGloss(gloss, 0, 1) for gloss in each.glosses] for each in references}
    write_ctm(files / "dev.ctm", hypotheses)
    stm = tiny_corpus.references("dev")
    outcome = cslr("score", stm, "dev.ctm", "--corpus", tiny_corpus.path, "--output", "out", "--json")
    figures = json.loads(outcome.stdout)
    assert (figures["wer"], figures["protocol"]) == (0, tiny_corpus.protocol)
    seen = {gloss for sample in tiny_corpus.samples("train") for gloss in sample.glosses}
    unseen = {gloss for each in references for gloss in each.glosses} - seen
    assert figures["unseen_glosses"]["glosses"].keys() == unseen
    report = json.loads(Path("out/report.json").read_text())["sections"]["dev"]
    sample = tiny_corpus.samples("dev")[0]
    assert sample.num_frames is not None
    assert report["alignments"][0]["seconds"] == pytest.approx(sample.num_frames / tiny_corpus.fps)
    assert sum(each["clips"] for each in report["by_clip_length"].values()) == len(references)
    page = Path("out/report.html").read_text()
    assert f"{sample.sample_id}.zip" in page
    outcome = cslr("score", "refs.stm", "ours.ctm", "--corpus", tiny_corpus.path)
    assert outcome.status == 1
    assert "2 clips (a, b) have no line in the corpus" in outcome.stderr


BAD_INPUT = [
    ("few fields.ctm", "a 1 0.0 0.5\n", ["few fields.ctm, line 1: 4 fields", "ID 1 START END GLOSS"]),
    (
        "unknown.ctm",
        CTM + "q 1 0 1 X\n",
        ["unknown.ctm against refs.stm: 1 clip (q) has a hypothesis but no reference"],
    ),
    (
        "missing.ctm",
        "a 1 0 1 X\n",
        ["missing.ctm against refs.stm: 1 clip (b) has a reference but no hypothesis", "--missing empty"],
    ),
    ("twice.ctm", CTM + "a 1 0 1 X\n", ["twice.ctm, line 4: clip 'a' occurs twice"]),
    ("no hypothesis.ctm", ";; nothing here\n", ["no hypothesis.ctm", "nothing to score: there are no hypotheses"]),
    ("few fields.stm", "a 1 s1\n", ["few fields.stm, line 1: 3 fields", "ID 1 SIGNER START END GLOSS"]),
    ("nothing.stm", "", ["nothing.stm: nothing to score: there are no references"]),
    ("empty.stm", "a 1 s1 0 9\nb 1 s1 0 9\n", ["empty.stm: nothing to score: all references are empty"]),
    ("twice.stm", STM + "a 1 s1 0 9 X\n", ["twice.stm, line 3: clip 'a' occurs twice"]),
]


@pytest.mark.parametrize(("name", "text", "reported"), BAD_INPUT, ids=[name for name, _, _ in BAD_INPUT])
def test_bad_input_is_an_error_with_file_and_line(
    name: str, text: str, reported: Sequence[str], files: Path, cslr: Command
) -> None:
    Path(name).write_text(text)
    given = ("refs.stm", name) if name.endswith("ctm") else (name, "ours.ctm")
    outcome = cslr("score", *given)
    assert outcome.status == 1
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    for words in reported:
        assert words in outcome.stderr


def test_files_in_another_encoding_are_errors(files: Path, cslr: Command) -> None:
    Path("latin.ctm").write_bytes("a 1 0 1 FÖHN\n".encode("latin-1"))
    outcome = cslr("score", "refs.stm", "latin.ctm")
    assert outcome.status == 1
    assert "latin.ctm, line 1: not UTF-8" in outcome.stderr


def test_missing_hypotheses_count_as_empty_with_the_option(files: Path, cslr: Command) -> None:
    Path("missing.ctm").write_text("a 1 0 1 REGEN\na 1 1 2 WIND\n")
    outcome = cslr("score", "refs.stm", "missing.ctm", "--missing", "empty")
    assert outcome.status == 0
    assert "clips without hypothesis: 1" in outcome.stdout
    figures = json.loads(cslr("score", "refs.stm", "missing.ctm", "--missing", "empty", "--json").stdout)
    assert (figures["missing"], figures["substitutions"], figures["correct"]) == (["b"], 1, 2)


def test_an_empty_reference_has_no_wer_and_only_insertions(files: Path, cslr: Command) -> None:
    Path("some.stm").write_text("a 1 s1 0.0 9.0 REGEN WIND\nb 1 s2 0.0 9.0\n")
    outcome = cslr("score", "some.stm", "ours.ctm", "--protocol", "phoenix2014", "--json")
    figures = json.loads(outcome.stdout)
    assert (figures["insertions"], figures["references"], figures["wer"]) == (1, 2, 50)
    assert figures["signers"]["s2"]["wer"] is None
    outcome = cslr("score", "some.stm", "ours.ctm", "--protocol", "phoenix2014")
    assert "clips with an empty reference: 1" in outcome.stdout


def test_systems_with_different_clips_are_not_compared(files: Path, cslr: Command) -> None:
    Path("theirs.ctm").write_text("a 1 0 1 REGEN\n")
    outcome = cslr("score", "refs.stm", "ours.ctm", "theirs.ctm")
    assert outcome.status == 1
    assert "different clips: 1 clip (b) has hypotheses in ours.ctm and none in theirs.ctm" in outcome.stderr
    assert cslr("score", "refs.stm", "ours.ctm", "theirs.ctm", "--missing", "empty").status == 0
    assert cslr("score", "refs.stm", "ours.ctm", "ours.ctm").status == 2


def test_an_unknown_protocol_is_an_error_with_a_suggestion(files: Path, cslr: Command) -> None:
    outcome = cslr("score", "refs.stm", "ours.ctm", "--protocol", "phoenix")
    assert outcome.status == 2
    assert "did you mean phoenix2014?" in outcome.stderr


def test_without_sclite_the_error_says_how_to_install_it(
    files: Path, cslr: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(files))
    outcome = cslr("score", "refs.stm", "ours.ctm", "--tool", "sclite")
    assert outcome.status == 1
    assert "apt install sctk" in outcome.stderr


def test_the_help_describes_each_protocol(cslr: Command) -> None:
    outcome = cslr("score", "--help")
    assert all(name in outcome.stdout for name in PROTOCOLS)


PROGRAM = """
import os, sys
from pathlib import Path
sys.argv = ["cslr", *sys.argv[1:]]
from cslr_cli.__main__ import main
try:
    main()
finally:
    used = os.times()
    status = Path("/proc/self/status")  # Linux; getrusage would count what this process was forked from
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    names = {name.split(".")[0] for name in sys.modules}
    print(used.user + used.system, peak, *names & {"torch", "torchvision", "cv2", "matplotlib"})
"""


def test_ten_thousand_clips_are_scored_without_torch_in_seconds_and_little_memory(tmp_path: Path) -> None:
    glosses = [f"GLOSS{number}" for number in range(1200)]
    references = [
        Reference(
            f"clip{clip:05}", tuple(glosses[(clip * 7 + place * 31) % 1200] for place in range(10)), f"s{clip % 9}"
        )
        for clip in range(10_000)
    ]
    write_stm(tmp_path / "refs.stm", references)
    hypotheses = {
        each.sample_id: [
            TimedGloss(gloss, place, place + 1) for place, gloss in enumerate(each.glosses) if (clip + place) % 4
        ]
        for clip, each in enumerate(references)
    }
    write_ctm(tmp_path / "hyps.ctm", hypotheses)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "score", "refs.stm", "hyps.ctm", "--protocol", "phoenix2014"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, kilobytes, *modules = done.stdout.splitlines()[-1].split()
    assert modules == []
    assert float(seconds) < 10
    assert int(kilobytes) < 500_000


FORMS_OF_HYPOTHESES = {
    "h.gls": "a|REGEN WIND\nb|WIND\n",
    "h.txt": "a REGEN WIND\nb WIND\n",
    "h.trn": "REGEN WIND (a)\nWIND (b)\n",
    "h.csv": "id,hypothesis\na,REGEN WIND\nb,WIND\n",
    "h.tsv": "id\thypothesis\na\tREGEN WIND\nb\tWIND\n",
    "h.jsonl": '{"source": "in/a.mp4", "hypothesis": "REGEN WIND"}\n{"source": "in/b.mp4", "hypothesis": "WIND"}\n',
    "h.json": '{"a": ["REGEN", "WIND"], "b": ["WIND"]}',
    "h.stm": "a 1 s 0 9 REGEN WIND\nb 1 s 0 9 WIND\n",
}


@pytest.mark.parametrize("name", FORMS_OF_HYPOTHESES)
def test_hypotheses_and_references_of_every_form_are_scored(name: str, files: Path, cslr: Command) -> None:
    Path(name).write_text(FORMS_OF_HYPOTHESES[name])
    figures = json.loads(cslr("score", "refs.stm", name, "--json").stdout)
    assert (figures["correct"], figures["substitutions"]) == (2, 1)
    Path(name).write_text(FORMS_OF_HYPOTHESES[name].replace("hypothesis", "reference"))
    figures = json.loads(cslr("score", name, "ours.ctm", "--protocol", "phoenix2014", "--json").stdout)
    assert figures["correct"] == 3


def test_the_csv_of_a_report_is_read_on_both_sides(files: Path, cslr: Command) -> None:
    cslr("score", "refs.stm", "ours.ctm", "--output", "out")
    figures = json.loads(cslr("score", "refs.stm", "ours.ctm", "--json").stdout)
    for name in ("out/ours.clips.csv", "out/report.json"):
        again = json.loads(cslr("score", name, name, "--json").stdout)
        assert again["wer"] == figures["wer"]
        assert again["signers"].keys() == {"s1", "s2"}


def test_the_form_can_be_named(files: Path, cslr: Command) -> None:
    Path("numbers.txt").write_text("a 1 2 3 4\nb 1 2 3 4\n")
    figures = json.loads(cslr("score", "numbers.txt", "numbers.txt", "--format", "text", "--json").stdout)
    assert figures["correct"] == 8
    outcome = cslr("score", "refs.stm", "ours.ctm", "--format", "stm,trn")
    assert outcome.status == 1
    assert "ours.ctm, line 1: no (ID) at the end of the line" in outcome.stderr
    assert "example: MORGEN REGEN (clip-1)" in outcome.stderr
    outcome = cslr("score", "refs.stm", "ours.ctm", "--format", "srt")
    assert outcome.status == 2
    assert "unknown form" in outcome.stderr


def test_a_file_is_converted(files: Path, cslr: Command) -> None:
    outcome = cslr("score", "ours.ctm", "--convert", "ours.csv")
    assert outcome.status == 0
    assert "2 clips or segments: ours.ctm (ctm) written as csv to ours.csv" in outcome.stderr
    assert Path("ours.csv").read_text().splitlines()[1] == "a,1,0.000,0.500,REGEN,"
    assert cslr("score", "ours.csv", "--convert", "again.ctm").status == 0
    assert Path("again.ctm").read_text() == ("a 1 0.000 0.500 REGEN\na 1 0.500 1.000 loc-WIND\nb 1 0.000 0.500 WIND\n")
    outcome = cslr("score", "refs.stm", "--convert", "refs.ctm")
    assert "placeholders" in outcome.stderr
    refused = cslr("score", "ours.ctm", "--convert", "ours.csv")
    assert refused.status == 2
    assert "--overwrite" in refused.stderr
    assert cslr("score", "ours.ctm", "--convert", "ours.data", "--format", "ctm,bar").status == 0
    assert Path("ours.data").read_text() == "a|REGEN loc-WIND\nb|WIND\n"
    assert cslr("score", "ours.ctm", "--convert", "ours.doc").status == 2
    for side in ("reference", "hypothesis"):  # whichever side a table has
        Path("table.csv").write_text(f"id,{side}\na,X Y\n")
        for name in ("table.stm", "table.trn"):
            assert cslr("score", "table.csv", "--convert", name, "--overwrite").status == 0
        assert Path("table.stm").read_text() == "a 1 unknown 0.0 1.79769e+308 X Y\n"
    Path("table.csv").write_text("id,reference,hypothesis\na,X,Y\n")
    cslr("score", "table.csv", "--convert", "table.trn", "--overwrite")
    assert Path("table.trn").read_text() == "Y (a)\n"
    Path("table.csv").write_text("a,b\n1,2\n")
    assert "a column hypothesis or glosses" in cslr("score", "table.csv", "--convert", "x.trn").stderr
    assert cslr("score", "ours.ctm", "ours.csv", "--convert", "x.csv").status == 2
    assert cslr("score", "refs.stm").status == 2


def test_segments_categories_and_ignored_time_are_shown(files: Path, cslr: Command) -> None:
    Path("talk.stm").write_text(
        ';; LABEL "f" "Women" "-"\ntalk 1 s1 0 2 <o,f> X Y\ntalk 1 s2 2 4 <o,m> Z\ntalk 1 x 4 5 '
        "IGNORE_TIME_SEGMENT_IN_SCORING\n"
    )
    Path("talk.ctm").write_text("talk 1 0.2 0.3 X\ntalk 1 0.8 0.3 Y\ntalk 1 2.5 0.3 W\ntalk 1 4.5 0.3 Q\n")
    outcome = cslr("score", "talk.stm", "talk.ctm", "--output", "out")
    assert outcome.status == 0
    assert "f (Women)" in outcome.stdout
    assert "ignored clips or segments: 1" in outcome.stdout
    assert "segments: 2 of 1 recording; each counts as a clip" in outcome.stdout
    figures = json.loads(cslr("score", "talk.stm", "talk.ctm", "--json").stdout)
    assert {name: each["wer"] for name, each in figures["labels"].items()} == {"f (Women)": 0, "m": 100, "o": 100 / 3}
    assert figures["ignored"] == ["talk@4.00-5.00"]
    report = json.loads(Path("out/report.json").read_text())["sections"]["talk"]
    assert report["by_label"].keys() == figures["labels"].keys()
    assert [each["sample_id"] for each in report["alignments"]] == ["talk@0.00-2.00", "talk@2.00-4.00"]


@pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")
@pytest.mark.parametrize("given", [(), ("--optional-glosses",)])
def test_sclite_itself_scores_segments_with_marks(given: tuple[str, ...], files: Path, cslr: Command) -> None:
    Path("talk.stm").write_text(
        "talk 1 s1 0 2 X { Y / @ / Q W } (Z)\ntalk 1 inter_segment_gap 2 4\ntalk 1 s2 4 6 A B\n"
        "talk 1 x 6 7 IGNORE_TIME_SEGMENT_IN_SCORING\ntalk 1 s3 7 9 (X) Y\n"
    )
    Path("talk.ctm").write_text("talk 1 0.1 0.2 X\ntalk 1 0.5 0.2 Q\ntalk 1 2.5 0.2 GAP\ntalk 1 8.5 0.2 (Y)\n")
    builtin = json.loads(cslr("score", "talk.stm", "talk.ctm", "--json", *given).stdout)
    by_sclite = json.loads(cslr("score", "talk.stm", "talk.ctm", "--json", "--tool", "sclite", *given).stdout)
    assert (builtin.pop("tool"), by_sclite.pop("tool")) == ("builtin", "sclite")
    assert builtin == by_sclite


def test_optional_glosses_are_optional_with_the_option(files: Path, cslr: Command) -> None:
    Path("optional.stm").write_text("a 1 s1 0 9 REGEN (WIND) SEHR\nb 1 s2 0 9 { SCHNEE / WIND }\n")
    Path("h.ctm").write_text("a 1 0 1 REGEN\na 1 1 2 SEHR\nb 1 0 1 WIND\n")
    figures = json.loads(cslr("score", "optional.stm", "h.ctm", "--json").stdout)
    assert (figures["correct"], figures["deletions"]) == (3, 1)
    figures = json.loads(cslr("score", "optional.stm", "h.ctm", "--optional-glosses", "--json").stdout)
    assert (figures["correct"], figures["wer"]) == (4, 0)


def test_two_systems_with_different_alternatives_are_compared(files: Path, cslr: Command) -> None:
    Path("alternatives.stm").write_text("a 1 s1 0 9 { REGEN / WIND NORD } X\nb 1 s2 0 9 Y\n")
    Path("first.txt").write_text("a REGEN X\nb Y\n")
    Path("second.txt").write_text("a WIND NORD\nb Y\n")
    figures = json.loads(cslr("score", "alternatives.stm", "first.txt", "second.txt", "--json").stdout)
    assert [each["references"] for each in figures["systems"].values()] == [3, 4]
    assert figures["comparison"]["first_wins"] == 1
    assert figures["comparison"]["matched_pairs"]["segments"] == 1


def test_glosses_that_differ_only_in_form_give_a_warning(files: Path, cslr: Command) -> None:
    Path("refs.stm").write_text("a 1 s1 0.0 9.0 ÜBER\n")
    Path("nfd.txt").write_text("a U\u0308BER\n")
    outcome = cslr("score", "refs.stm", "nfd.txt", "--json")
    assert (json.loads(outcome.stdout)["wer"], outcome.stderr) == (0, "")
    Path("lower.txt").write_text("a über\n")
    outcome = cslr("score", "refs.stm", "lower.txt", "--json")
    assert json.loads(outcome.stdout)["wer"] == 100
    assert "lower.txt: 'ÜBER' and 'über' differ only in form (upper and lower case)" in outcome.stderr


@pytest.fixture
def seeds(files: Path) -> list[str]:
    """Hypotheses of two systems, three seeds each: a1 to a3 have fewer errors than b1 to b3."""
    glosses = [f"G{number % 7}" for number in range(200)]
    Path("many.stm").write_text("".join(f"c{number} 1 s 0 9 {gloss} Z\n" for number, gloss in enumerate(glosses)))
    names = []
    for system, period in (("a", 9), ("b", 4)):
        for seed in range(3):
            names.append(f"{system}{seed + 1}.txt")
            Path(names[-1]).write_text(
                "".join(
                    f"c{number} {'X' if number % (period + seed) == 0 else gloss} Z\n"
                    for number, gloss in enumerate(glosses)
                )
            )
    return names


def test_two_systems_are_compared_over_their_seeds(seeds: list[str], cslr: Command) -> None:
    outcome = cslr("score", "many.stm", *seeds[:3], "--", *seeds[3:])
    assert outcome.status == 0
    shown = rows(outcome.stdout)
    assert ["first", "system", "5.17", "0.52", "3"] in shown
    assert any(row[:2] == ["second", "system"] for row in shown)
    assert "Mean WER of the second system minus that of the first: +" in outcome.stdout
    assert "Welch's t-test on the seeds: the first system is better" in outcome.stdout
    document = json.loads(cslr("score", "many.stm", "--json", *seeds[:3], "--", *seeds[3:]).stdout)
    assert [list(each["seeds"]) for each in document["systems"]] == [seeds[:3], seeds[3:]]
    rates = [json.loads(cslr("score", "many.stm", name, "--json").stdout)["wer"] for name in seeds]
    assert [each["wer"] for system in document["systems"] for each in system["seeds"].values()] == rates
    assert document["systems"][0]["mean"] == pytest.approx(sum(rates[:3]) / 3)
    assert document["comparison"]["interval"]["low"] > 0


def test_more_than_two_files_are_seeds_of_one_system(seeds: list[str], cslr: Command) -> None:
    outcome = cslr("score", "many.stm", *seeds[:3])
    assert ["all", "seeds", "5.17", "0.52", "3"] in rows(outcome.stdout)
    assert "Welch" not in outcome.stdout
    document = json.loads(cslr("score", "many.stm", *seeds[:3], "--json").stdout)
    assert document.keys() == {"schema_version", "protocol", "tool", "systems"}


def test_one_file_on_each_side_of_the_dashes_is_the_comparison_of_two_systems(seeds: list[str], cslr: Command) -> None:
    outcome = cslr("score", "many.stm", seeds[0], "--", seeds[3])
    assert "Matched-pairs test" in outcome.stdout
    uneven = cslr("score", "many.stm", seeds[0], "--", *seeds[3:5])
    assert uneven.status == 0
    assert "Welch's t-test: not possible" in uneven.stdout
    refused = cslr("score", "many.stm", *seeds, "--output", "out")
    assert refused.status == 2
    assert "--output with several seeds" in refused.stderr
    assert cslr("score", "many.stm", seeds[0], "--", seeds[0]).status == 2


def test_the_report_has_the_further_views(files: Path, cslr: Command) -> None:
    lines = [
        f"c{number} 1 {0.1 * place:.1f} {0.1 * place + 0.05:.2f} {gloss} {confidence}"
        for number in range(30)
        for place, (gloss, confidence) in enumerate(
            [("HABEN2" if number % 3 else "HABEN", 0.2 + number / 50), ("X", 0.9)]
        )
    ]
    Path("h.ctm").write_text("\n".join(lines) + "\n")
    Path("r.stm").write_text("".join(f"c{number} 1 s 0 9 HABEN X\n" for number in range(30)))
    assert cslr("score", "r.stm", "h.ctm", "--output", "out").status == 0
    section = json.loads(Path("out/report.json").read_text())["sections"]["h"]
    assert section["by_position"].keys() == {"first", "last"}
    assert section["suffix_confusions"]["substitutions"] == 20
    assert section["suffix_confusions"]["wer_without"] == 0
    assert section["confidence_curve"][-1]["clips"] == 30
    assert section["by_frequency"] == {}
    page = Path("out/report.html").read_text()
    assert "Confusions of suffixes" in page
    assert "Word error rate against confidence" in page
    assert "Word error rate by position in the sentence" in page


def test_what_predict_and_evaluate_write_is_read(trained: Path, tiny_corpus: PreparedCorpus, cslr: Command) -> None:
    printed = cslr("evaluate", trained, "--split", "dev", "--precision", "fp32", "--nbest", 2, "--json")
    Path("evaluate.json").write_text(printed.stdout)
    folder = trained.parent / "evaluation" / "best"
    stm, protocol = folder / "dev.stm", ("--protocol", "phoenix2014", "--json")
    expected = json.loads(cslr("score", stm, folder / "dev.ctm", *protocol).stdout)
    assert expected["wer"] == json.loads(printed.stdout)["splits"]["dev"]["wer"]
    for name in (folder / "dev.hypotheses.json", folder / "report.json", "evaluate.json"):
        figures = json.loads(cslr("score", stm, name, *protocol).stdout)
        assert (figures["wer"], figures["correct"]) == (expected["wer"], expected["correct"])
    for name in ("report.json", "dev.clips.csv"):  # references, and there normalised hypotheses too
        assert json.loads(cslr("score", folder / name, folder / name, "--json").stdout)["wer"] == expected["wer"]
    clips = [tiny_corpus.frames_path(sample) for sample in tiny_corpus.samples("dev")]
    for form in ("json", "jsonl", "csv", "ctm"):
        if form == "json":
            cslr("predict", clips[0], "--precision", "fp32", "--format", form, "--output", f"p.{form}", "--overwrite")
        else:
            cslr("predict", *clips, "--precision", "fp32", "--format", form, "--output", f"p.{form}")
        outcome = cslr("score", stm, f"p.{form}", "--missing", "empty", *protocol)
        assert outcome.status == 0
        figures = json.loads(outcome.stdout)
        if form != "json":
            assert figures["correct"] == expected["correct"]
        if form in ("jsonl", "ctm"):  # a table has no row for a clip without glosses
            assert figures["missing"] == []
