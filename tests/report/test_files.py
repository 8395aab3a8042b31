from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from cslr_cli.report import ClipFacts, Section, System, analyse, write_report
from cslr_cli.scoring import Counts, Reference, TimedGloss
from tests.report.sections import OURS, THEIRS, scored, two_systems

TIMED = [TimedGloss("WIND", 0.12, 0.4, 0.9)]


def test_a_report_is_a_page_its_figures_and_a_csv_for_each_section(tmp_path: Path) -> None:
    page = write_report(tmp_path / "new", [two_systems(), two_systems(name="SI 5/test")], title="Title")
    assert page == tmp_path / "new" / "report.html"
    assert {path.name for path in page.parent.iterdir()} == {
        *("report.html", "report.json", "dev.clips.csv", "SI_5_test.clips.csv"),
    }


def test_the_figures_have_the_totals_at_the_top_and_everything_below(tmp_path: Path) -> None:
    facts = {"clip-2": ClipFacts(seconds=1.5, recognised=TIMED)}
    write_report(tmp_path, [two_systems(facts)], title="Title", facts={"checkpoint": "best.pt"})
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["title"], report["facts"]) == ("Title", {"checkpoint": "best.pt"})
    dev = report["sections"]["dev"]
    ours, theirs = scored(OURS), scored(THEIRS)
    assert {name: dev[name] for name in asdict(Counts())} == asdict(ours.counts)
    assert (dev["wer"], dev["references"]) == (ours.wer, 7)
    assert (dev["clips"], dev["clips_with_errors"], dev["protocol"]) == (3, 2, "plain")
    assert dev["systems"]["theirs"]["wer"] == theirs.wer
    assert dev["comparison"]["difference"] == pytest.approx(theirs.wer - ours.wer)
    assert dev["interval_by_signer"]["units"] == 2
    assert {name: each["wer"] for name, each in dev["by_signer"].items()} == {
        "Signer01": pytest.approx(100 / 3),
        "Signer02": pytest.approx(100 / 4),
    }
    assert dev["confusions"] == [{"reference": "SCHNEE", "hypothesis": "REGEN", "count": 1}]
    assert {row["gloss"]: row["recall"] for row in dev["glosses"]} == {
        "FÖHN": 0,
        "REGEN": 100,
        "SCHNEE": 0,
        "WIND": 100,
        "今天": 100,
    }
    assert dev["unseen_glosses"]["glosses"] == {"FÖHN": 1}
    assert dev["worst"] == ["clip-2", "clip-1"]


def test_every_clip_is_in_the_figures_with_its_alignments_and_the_times_of_its_glosses(tmp_path: Path) -> None:
    facts = {"clip-2": ClipFacts(seconds=1.5, recognised=TIMED)}
    write_report(tmp_path, [two_systems(facts)], title="Title")
    first, second, _ = json.loads((tmp_path / "report.json").read_text())["sections"]["dev"]["alignments"]
    assert (second["sample_id"], second["signer"], second["seconds"]) == ("clip-2", "Signer02", 1.5)
    assert second["recognised"] == [{"gloss": "WIND", "start": 0.12, "end": 0.4, "confidence": 0.9}]
    assert second["systems"]["ours"]["pairs"] == [["correct", "WIND", "WIND"], ["deletion", "FÖHN", None]]
    assert (first["seconds"], first["recognised"]) == (None, None)
    assert first["systems"]["ours"]["wer"] == pytest.approx(100 / 3)
    assert first["systems"]["theirs"]["wer"] == 0


def test_the_csv_has_a_line_a_clip_and_both_systems(tmp_path: Path) -> None:
    write_report(tmp_path, [two_systems({"clip-2": ClipFacts(seconds=1.5)})], title="Title")
    with (tmp_path / "dev.clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample_id"] for row in rows] == ["clip-1", "clip-2", "clip-3"]
    row = rows[1]
    assert (row["signer"], row["seconds"], row["reference"], row["hypothesis"]) == (
        "Signer02",
        "1.5",
        "WIND FÖHN",
        "WIND",
    )
    assert [row[name] for name in ("wer", "correct", "substitutions", "deletions", "insertions", "references")] == [
        *("50.0", "1", "0", "1", "0", "2"),
    ]
    assert (rows[2]["second_wer"], rows[2]["second_errors"], rows[2]["second_hypothesis"]) == (
        "100.0",
        "2",
        "REGEN REGEN REGEN",
    )


def test_a_clip_with_an_empty_reference_has_no_rate_in_any_file(tmp_path: Path) -> None:
    references = (Reference("full", ("A",)), Reference("empty", ()))
    analysis = analyse(Section("dev", [System("ours", scored({"full": ["A"], "empty": ["B"]}, references))]))
    page = write_report(tmp_path, [analysis], title="Title").read_text()
    _, empty = json.loads((tmp_path / "report.json").read_text())["sections"]["dev"]["alignments"]
    assert empty["systems"]["ours"]["wer"] is None
    assert "empty,,,,0,0,0,1,0,,B" in (tmp_path / "dev.clips.csv").read_text()
    assert "clips with an empty reference" in page
