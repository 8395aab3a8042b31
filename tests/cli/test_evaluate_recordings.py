"""`cslr evaluate --recordings`: whole recordings against timed references."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import pytest

from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.recognizer import Recognizer
from tests.cli.conftest import Command


@pytest.fixture
def talks(trained: Path, tiny_release: Path, tiny_corpus: PreparedCorpus, cslr: Command) -> Path:
    """Two recordings, of which the first has what `predict` recognises as its references, in two segments."""
    folder = Path("talks")
    folder.mkdir()
    for name, sample in zip(("one.mp4", "two.mp4"), tiny_corpus.samples("test"), strict=False):
        write_clip_video(tiny_release, sample.sample_id, folder / name)
    recognised = json.loads(cslr("predict", folder / "one.mp4", "--precision", "fp32", "--json").stdout)["glosses"]
    other = json.loads(cslr("predict", folder / "two.mp4", "--precision", "fp32", "--json").stdout)["glosses"]
    assert len(recognised) > 1
    assert other
    first, *rest = recognised
    cut = (first["end"] + rest[0]["start"]) / 2 + 1e-3
    lines = [
        f"one 1 s1 0 {cut} <o,a> {first['gloss']}",
        f"one 1 s1 {cut} 99 <o,b> {' '.join(each['gloss'] for each in rest)}",
        f"two 1 s2 0 99 <o,b> {tiny_corpus.vocabulary.glosses[0]} {' '.join(each['gloss'] for each in other)}",
    ]
    (folder / "refs.stm").write_text("\n".join(lines) + "\n")
    return folder


def test_recordings_are_scored_segment_by_segment(cslr: Command, trained: Path, talks: Path) -> None:
    outcome = cslr("evaluate", trained, "--recordings", talks, "--precision", "fp32", "--json")
    assert outcome.status == 0
    figures = json.loads(outcome.stdout)
    assert (figures["clips"], figures["clips_with_errors"], figures["substitutions"]) == (3, 1, 0)
    assert figures["deletions"] + figures["insertions"] <= 2
    assert figures["labels"].keys() == {"o", "a", "b"}
    assert figures["labels"]["a"]["wer"] == 0
    assert figures["segmentation"]["one"]["method"] == "none"
    assert (figures["recordings"], figures["references_file"]) == ("talks", "talks/refs.stm")
    folder = trained.parent / "evaluation" / "best-talks"
    names = {path.name for path in folder.iterdir()} - {".cslr-output.json"}
    assert names == {
        *("report.html", "report.json", "recordings.clips.csv", "recordings.ctm", "recordings.conv.ctm"),
        "recordings.stm",
    }
    again = json.loads(
        cslr(
            "score", folder / "recordings.stm", folder / "recordings.ctm", "--protocol", "phoenix2014", "--json"
        ).stdout
    )
    counts = ("correct", "substitutions", "deletions", "insertions", "clips")
    assert {name: again[name] for name in counts} == {name: figures[name] for name in counts}
    report = json.loads((folder / "report.json").read_text())["sections"]["recordings"]
    assert [re.sub("@.*", "", each["sample_id"]) for each in report["alignments"]] == ["one", "one", "two"]


@pytest.mark.skipif(shutil.which("sctk") is None, reason="sctk is not installed")
def test_sclite_counts_the_same_in_the_written_files(cslr: Command, trained: Path, talks: Path) -> None:
    outcome = cslr("evaluate", trained, "--recordings", talks, "--output", "out", "--json")
    figures = json.loads(outcome.stdout)
    command = "sctk sclite -r recordings.stm stm -h recordings.ctm ctm -f 0 -o sgml stdout"
    printed = subprocess.run(command.split(), cwd="out", capture_output=True, text=True, check=True).stdout
    letters = re.findall(r'(?:^|:)([CSDI]),(?=[",])', printed, re.MULTILINE)
    assert figures["correct"] == letters.count("C")
    assert figures["wer"] == pytest.approx(100 * (len(letters) - letters.count("C")) / figures["references"])


def test_the_table_has_both_heads_and_the_categories(cslr: Command, trained: Path, talks: Path) -> None:
    outcome = cslr("evaluate", trained, "--recordings", talks, "--segment", "windows", "--window", 1, "--overlap", 0.2)
    assert outcome.status == 0
    assert "sequence head" in outcome.stdout
    assert "convolution head" in outcome.stdout
    assert "category" in outcome.stdout
    assert "protocol: phoenix2014; decoder: beam" in outcome.stdout
    assert "report, hypotheses and references: runs/tiny/evaluation/best-talks/report.html" in outcome.stderr
    refused = cslr("evaluate", trained, "--recordings", talks)
    assert refused.status == 0  # the same command may replace its folder


def test_faults_of_the_folder_are_named_before_the_work(cslr: Command, trained: Path, talks: Path) -> None:
    references = talks / "refs.stm"

    def refused(*arguments: object, status: int = 1) -> str:
        outcome = cslr("evaluate", trained, "--recordings", talks, *arguments)
        assert (outcome.status, outcome.stdout) == (status, "")
        return outcome.stderr

    assert "--split with --recordings" in refused("--split", "dev", status=2)
    assert "--nbest with --recordings" in refused("--nbest", 3, status=2)
    (talks / "more.stm").write_text("")
    assert "2 STM files (more.stm, refs.stm), expected one" in refused()
    (talks / "more.stm").unlink()
    good = references.read_text()
    references.write_text(good + "three 1 s 0 1 X\n")
    assert "1 clip (three) has no recording in talks" in refused()
    references.write_text("one 1 s 0 1 NOBODY-KNOWS\n")
    assert "can recognise none of the 1 glosses" in refused()
    references.write_text(good + "two 2 s 0 9 X\n")
    assert "1 clip (two) has several channels" in refused()
    references.write_text(good)
    shutil.copy(talks / "two.mp4", talks / "two.avi")
    assert "'two' can be two.avi, two.mp4" in refused()
    (talks / "two.avi").rename(talks / "other.avi")
    outcome = cslr("evaluate", trained, "--recordings", talks, "--references", references)
    assert "without references, not recognised: other.avi" in outcome.stderr
    assert "--references without --recordings" in cslr("evaluate", trained, "--references", references).stderr
    assert "--window without --recordings" in cslr("evaluate", trained, "--window", 3).stderr


def test_a_recording_that_cannot_be_read_gives_no_score_and_keeps_the_others(
    cslr: Command, trained: Path, talks: Path
) -> None:
    video = (talks / "two.mp4").read_bytes()
    (talks / "two.mp4").write_bytes(b"no video")
    outcome = cslr("evaluate", trained, "--recordings", talks, "--output", "out")
    assert outcome.status == 1
    assert "two.mp4" in outcome.stderr
    assert "cslr score talks/refs.stm out/recordings.partial.ctm --missing empty" in outcome.stderr
    scored = cslr("score", talks / "refs.stm", "out/recordings.partial.ctm", "--missing", "empty", "--json")
    assert json.loads(scored.stdout)["missing"] == ["two"]
    assert not Path("out/report.html").exists()
    (talks / "two.mp4").write_bytes(video)
    assert cslr("evaluate", trained, "--recordings", talks, "--output", "out").status == 0
    assert Path("out/report.html").exists()
    assert not Path("out/recordings.partial.ctm").exists()


def test_an_interruption_keeps_the_finished_recordings(
    cslr: Command, trained: Path, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognize = Recognizer.recognize

    def interrupted(self: Recognizer, *arguments: Any, **options: Any) -> Any:
        if Path(str(arguments[0].name)).name == "two.mp4":
            raise KeyboardInterrupt
        return recognize(self, *arguments, **options)

    monkeypatch.setattr(Recognizer, "recognize", interrupted)
    outcome = cslr("evaluate", trained, "--recordings", talks, "--output", "out")
    assert outcome.status == 130
    assert "1 finished recordings are in out/recordings.partial.ctm" in outcome.stderr


def test_a_folder_of_pictures_is_a_recording_too(cslr: Command, trained: Path, talks: Path) -> None:
    capture = cv2.VideoCapture(str(talks / "one.mp4"))
    (talks / "one").mkdir()
    for number in range(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
        _, frame = capture.read()
        cv2.imwrite(str(talks / "one" / f"{number:04}.png"), frame)
    (talks / "one.mp4").unlink()
    outcome = cslr("evaluate", trained, "--recordings", talks, "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["clips"] == 3
