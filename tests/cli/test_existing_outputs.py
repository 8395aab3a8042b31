"""What happens to files that exist, for every command that writes some; and what stays of a command that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.result_files import LEDGER_FILE, MARKER_FILE
from tests.cli.conftest import Command, environment

HINT = "hint: use --overwrite, --skip-existing, or another name"

# Command lines that write files, and one of these files.
FILES: dict[str, tuple[str, str]] = {
    "predict, a file": ("predict a.mp4 --output out/notes.txt", "out/notes.txt"),
    "predict, a document": ("predict a.mp4 --output out/notes.srt", "out/notes.srt"),
    "predict, several": ("predict a.mp4 b.mp4 --output out/all.csv", "out/all.csv"),
    "predict, a folder": ("predict a.mp4 b.mp4 --output out/", "out/b.txt"),
    "predict --save-logits": ("predict a.mp4 --save-logits out/a.npz", "out/a.npz"),
    "predict --preview": ("predict a.mp4 --preview out/a.png", "out/a.png"),
    "predict --strip": ("predict a.mp4 --strip out/a.png", "out/a.png"),
    "predict --render": ("predict a.mp4 --render out/", "out/a.glosses.mp4"),
    "features": ("features a.mp4 b.mp4 --output out", "out/b.npz"),
    "features, one file": ("features a.mp4 b.mp4 --single-file --output out", "out/videos.npz"),
    "features, a corpus": (
        "features --corpus prepared/synthetic --split dev --single-file",
        "features/synthetic/dev.npz",
    ),
    "cam": ("cam a.mp4 --reference {gloss} --output out", "out/cam.png"),
    "cam, by default": ("cam a.mp4 --reference {gloss}", "cam/a/cam.npz"),
    "evaluate": ("evaluate runs/tiny/best.pt --split dev --output out", "out/report.html"),
    "evaluate, by default": ("evaluate runs/tiny/best.pt --split dev", "runs/tiny/evaluation/best/dev.ctm"),
    "score": ("score refs.stm hyps.ctm --output out", "out/report.json"),
    "convert": ("convert runs/tiny/best.pt --to published --output out/theirs.pt", "out/theirs.pt"),
    "convert --average": ("convert --average runs/tiny --best 2 --output out/mean.pt", "out/mean.pt"),
    "inspect --plot": ("inspect prepared/synthetic --quick --config tiny.yaml --plot out/plot.png", "out/plot.png"),
}
# Those whose folder is marked: the same command for the same inputs may replace it.
MARKED = [
    "predict, a folder",
    "predict --render",
    "cam",
    "cam, by default",
    "evaluate",
    "evaluate, by default",
    "score",
]


@pytest.fixture
def project(trained: Path, tiny_release: Path, tiny_corpus: PreparedCorpus) -> Path:
    """A user's folder with a finished run, three videos, and hypotheses."""
    for name, sample in zip("abc", tiny_corpus.samples("test"), strict=False):
        write_clip_video(tiny_release, sample.sample_id, Path(f"{name}.mp4"))
    Path("refs.stm").write_text("one 1 s 0.0 1.0 A B\n")
    Path("hyps.ctm").write_text("one 1 0.0 0.5 A\none 1 0.5 0.5 C\n")
    return Path.cwd()


@pytest.fixture
def line(tiny_corpus: PreparedCorpus) -> Callable[[str], list[str]]:
    return lambda text: text.format(gloss=tiny_corpus.vocabulary.glosses[0]).split()


@pytest.mark.parametrize("case", FILES)
def test_an_existing_file_is_refused_unless_an_option_says_what_to_do(
    case: str, cslr: Command, project: Path, line: Callable[[str], list[str]]
) -> None:
    command, name = FILES[case]
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("my notes")
    before = sorted(path.parent.iterdir())
    refused = cslr(*line(command))
    assert refused.status == 2, refused
    assert f"{name} exists" in refused.stderr
    assert HINT in refused.stderr
    assert path.read_text() == "my notes"
    assert sorted(path.parent.iterdir()) == before
    assert cslr(*line(command), "--overwrite", "--skip-existing").status == 2
    replaced = cslr(*line(command), "--overwrite")
    assert replaced.status in (0, 1 if case.startswith("inspect") else 0), replaced
    assert path.read_bytes() != b"my notes"
    content = path.read_bytes()
    kept = cslr(*line(command), "--skip-existing")
    assert kept.status == replaced.status, kept
    assert path.read_bytes() == content
    assert "kept" in kept.stderr
    assert [each.name for each in path.parent.rglob("*.unfinished*")] == []
    assert [each.name for each in path.parent.rglob("*.partial")] == []


@pytest.mark.parametrize("case", MARKED)
def test_the_same_command_for_the_same_inputs_may_replace_its_folder(
    case: str, cslr: Command, project: Path, line: Callable[[str], list[str]]
) -> None:
    command, name = FILES[case]
    assert cslr(*line(command)).status == 0
    folder = Path(name).parent
    marker = json.loads((folder / MARKER_FILE).read_text())
    assert (marker["schema_version"], marker["command"]) == (1, command.split()[0])
    assert marker["complete"]
    assert [Path(os.path.normpath(folder / each["path"])).exists() for each in marker["inputs"]]
    assert str(project) not in (folder / MARKER_FILE).read_text()
    before = Path(name).stat().st_mtime_ns
    assert cslr(*line(command)).status == 0
    assert Path(name).stat().st_mtime_ns > before
    other = command.replace("a.mp4", "c.mp4").replace("best.pt", "last.pt").replace("hyps.ctm", "others.ctm")
    Path("others.ctm").write_text(Path("hyps.ctm").read_text())
    if "--output" in other and "predict" not in other:
        refused = cslr(*line(other))
        assert (refused.status, HINT in refused.stderr) == (2, True), refused


@pytest.mark.parametrize("case", ["predict, a file", "predict, a folder", "cam", "score", "convert"])
def test_a_refusal_needs_no_torch(case: str, project: Path, line: Callable[[str], list[str]]) -> None:
    command, name = FILES[case]
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("my notes")
    program = (
        "import sys\nfrom cslr_cli.__main__ import main\nsys.argv[0] = 'cslr'\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *line(command)], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, HINT in done.stderr) == (2, True), done.stderr
    assert done.stdout == "False\n"


def test_the_options_have_one_text_in_all_commands() -> None:
    texts: dict[str, dict[str, str]] = {"--overwrite": {}, "--skip-existing": {}}
    group: Any = get_command(app)
    for name, command in group.commands.items():
        for parameter in command.params:
            if parameter.opts[0] in texts:
                texts[parameter.opts[0]][name] = parameter.help
    writing = {command.split()[0] for command, _ in FILES.values()}
    for by_command in texts.values():
        assert writing <= set(by_command)
        assert len(set(by_command.values())) == 1


def test_all_existing_files_are_reported_together(cslr: Command, project: Path) -> None:
    for name in ("out/a.txt", "out/b.txt", "out/b.npz"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("mine")
    outcome = cslr("predict", "a.mp4", "b.mp4", "--output", "out/", "--save-logits", "out/")
    assert outcome.status == 2
    assert outcome.stderr == (
        f"error: --output: out/a.txt exists\n--output: out/b.txt exists\n--save-logits: out/b.npz exists\n{HINT}\n"
    )


def test_options_without_an_output_are_refused(cslr: Command, project: Path) -> None:
    outcome = cslr("predict", "a.mp4", "--skip-existing")
    assert (outcome.status, "add --output PATH" in outcome.stderr) == (2, True)


# Interruptions

# Runs `cslr` and ends itself by a signal when the result of an input is about to be recognised.
KILLED = """
import os, sys, signal
from cslr_cli.recognizer.recognizer import Recognizer
method, number = sys.argv.pop(1), int(sys.argv.pop(1))
recognize = getattr(Recognizer, method)
kind, count = signal.Signals[sys.argv.pop(1)], 0
def stopping(*args, **options):
    global count
    count += 1
    if count == number:
        os.kill(os.getpid(), kind)
    return recognize(*args, **options)
setattr(Recognizer, method, stopping)
from cslr_cli.__main__ import main
sys.argv[0] = "cslr"
main()
"""


def killed_at(number: int, kind: str, *arguments: str, method: str = "recognize") -> tuple[int, str]:
    """Run a command that is sent a signal at its input of this number, from 1, in this method of the recognizer."""
    program = [sys.executable, "-c", KILLED, method, str(number), kind, *arguments]
    done = subprocess.run(program, env=environment(), capture_output=True, text=True)
    return done.returncode, done.stderr


STATUS = {"SIGKILL": -signal.SIGKILL, "SIGTERM": 75, "SIGINT": 130}


@pytest.mark.parametrize(
    ("form", "kind", "number"),
    [
        ("text", "SIGKILL", 3),
        ("text", "SIGTERM", 2),
        ("text", "SIGINT", 3),
        ("jsonl", "SIGKILL", 2),
        ("csv", "SIGKILL", 1),
    ],
)
def test_a_file_of_many_inputs_is_continued_after_a_kill(
    form: str, kind: str, number: int, cslr: Command, project: Path
) -> None:
    command = ("predict", "a.mp4", "b.mp4", "c.mp4", "--format", form, "--precision", "fp32", "--output")
    assert cslr(*command, "whole.txt").status == 0
    status, stderr = killed_at(number, kind, *command, "all.txt")
    assert status == STATUS[kind], stderr
    assert not Path("all.txt").exists()
    assert Path("whole.txt").read_bytes().startswith(Path("all.txt.partial").read_bytes())
    if kind != "SIGKILL":
        assert f"{number - 1} of 3 results are finished; continue with --skip-existing" in stderr
    if number > 1:
        refused = cslr(*command, "all.txt")
        assert (refused.status, HINT in refused.stderr) == (2, True)
        with open("all.txt.partial", "a") as partial:
            partial.write("half a li")  # as if killed in the middle of a line
    continued = cslr(*command, "all.txt", "--skip-existing")
    assert continued.status == 0, continued
    assert (f"kept {number - 1} of 3 results" in continued.stderr) == (number > 1)
    assert Path("all.txt").read_bytes() == Path("whole.txt").read_bytes()
    assert [each.name for each in Path().iterdir() if each.name.startswith(("all.txt.", ".all"))] == []


@pytest.mark.parametrize("kind", ["SIGKILL", "SIGTERM"])
def test_a_folder_is_continued_after_a_kill(kind: str, cslr: Command, project: Path) -> None:
    command = ("predict", "a.mp4", "b.mp4", "c.mp4", "--format", "srt", "--output", "out/")
    status, _ = killed_at(3, kind, *command)
    assert status == STATUS[kind]
    assert sorted(path.name for path in Path("out").glob("*.srt")) == ["a.srt", "b.srt"]
    before = Path("out/a.srt").stat().st_mtime_ns
    continued = cslr(*command, "--skip-existing")
    assert continued.status == 0
    assert "kept 2 of 3 results" in continued.stderr
    assert Path("out/a.srt").stat().st_mtime_ns == before
    lines = [json.loads(line) for line in Path("out", LEDGER_FILE).read_text().splitlines()]
    assert [(each["input"], each["output"], each["status"]) for each in lines] == [
        (f"../{name}.mp4", f"{name}.srt", "done") for name in "abc"
    ]


@pytest.mark.parametrize(("kind", "single"), [("SIGKILL", True), ("SIGINT", True), ("SIGTERM", False)])
def test_features_are_continued_after_a_kill(kind: str, single: bool, cslr: Command, project: Path) -> None:
    command = ("features", "a.mp4", "b.mp4", "c.mp4", "--precision", "fp32", *(["--single-file"] if single else []))
    assert cslr(*command, "--output", "whole").status == 0
    status, stderr = killed_at(3, kind, *command, "--output", "out", method="open")
    assert status == STATUS[kind], stderr
    parts = Path("out/videos.npz.partial" if single else "out")
    assert sorted(path.name for path in parts.glob("*.npz")) == ["a.npz", "b.npz"]
    assert not Path("out/videos.npz").exists()
    before = (parts / "a.npz").stat().st_mtime_ns if not single else 0
    if single:
        refused = cslr(*command, "--output", "out")
        assert (refused.status, HINT in refused.stderr) == (2, True), refused
    continued = cslr(*command, "--output", "out", "--skip-existing")
    assert continued.status == 0, continued
    assert "kept 2 of 3 results" in continued.stderr
    if single:
        with np.load("whole/videos.npz") as whole, np.load("out/videos.npz") as joined:
            assert whole["sample_ids"].tolist() == joined["sample_ids"].tolist() == ["a.mp4", "b.mp4", "c.mp4"]
            np.testing.assert_array_equal(whole["step_features"], joined["step_features"])
        assert not parts.exists()
    else:
        assert (parts / "a.npz").stat().st_mtime_ns == before


def test_features_of_two_networks_are_not_mixed(cslr: Command, project: Path) -> None:
    assert cslr("features", "a.mp4", "--output", "out", "--checkpoint", "runs/tiny/epoch-1.pt").status == 0
    outcome = cslr("features", "b.mp4", "--output", "out", "--overwrite")
    assert (outcome.status, "out/a.npz has features of another network" in outcome.stderr) == (2, True), outcome
    assert cslr("features", "a.mp4", "--output", "out").status == 0


def test_a_second_run_makes_only_what_is_missing_changed_or_failed(
    cslr: Command, project: Path, tiny_release: Path, tiny_corpus: PreparedCorpus
) -> None:
    Path("broken.mp4").write_text("no video")
    command = ("predict", "a.mp4", "b.mp4", "broken.mp4", "--output")
    for output in ("out/", "all.txt"):
        first = cslr(*command, output)
        assert first.status == 1
        assert ("written: all.txt, without 1 that failed" in first.stderr) == (output == "all.txt")
    lines = [json.loads(line) for line in Path("out", LEDGER_FILE).read_text().splitlines()]
    assert [each["status"] for each in lines] == ["done", "done", "failed"]
    assert "broken.mp4" in lines[2]["reason"]
    write_clip_video(tiny_release, tiny_corpus.samples("test")[3].sample_id, Path("broken.mp4"))
    os.utime("b.mp4", (time.time() + 9, time.time() + 9))
    before = {name: Path(f"out/{name}.txt").stat().st_mtime_ns for name in "ab"}
    for output in ("out/", "all.txt"):
        second = cslr(*command, output, "--skip-existing")
        assert second.status == 0, second
        assert "kept 1 of 3 results" in second.stderr
    assert Path("out/a.txt").stat().st_mtime_ns == before["a"]
    assert Path("out/b.txt").stat().st_mtime_ns > before["b"]
    assert cslr("predict", "a.mp4", "b.mp4", "broken.mp4").stdout == Path("all.txt").read_text()
    assert not Path("all.txt.ledger.jsonl").exists()


def test_results_of_two_networks_are_not_mixed(cslr: Command, project: Path) -> None:
    assert cslr("predict", "a.mp4", "--output", "out/", "--checkpoint", "runs/tiny/epoch-1.pt").status == 0
    outcome = cslr("predict", "a.mp4", "b.mp4", "--output", "out/", "--skip-existing")
    assert outcome.status == 2
    assert "results of other options (checkpoint: corrnet, epoch 1" in outcome.stderr
    assert not Path("out/b.txt").exists()
