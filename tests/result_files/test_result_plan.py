"""What is refused, what is kept and what is made again, for results in a folder and in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from cslr_cli.choices import ExistingFiles
from cslr_cli.errors import UsageError
from cslr_cli.result_files import LEDGER_FILE, MARKER_FILE, Ledger, OutputMarker, ResultPlan


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three inputs in the current folder."""
    monkeypatch.chdir(tmp_path)
    paths = [Path(f"videos/{name}.mp4") for name in "abc"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.stem)
    return paths


def make_plan(
    inputs: Iterable[Path], existing: ExistingFiles = "refuse", command: str = "predict", **options: str
) -> ResultPlan:
    plan = ResultPlan(command, list(inputs), existing, options)
    plan.add_folder("--output", Path("out"), [Path("out") / f"{path.stem}.txt" for path in inputs])
    return plan


def run(plan: ResultPlan, inputs: list[Path], *, fail: str = "", stop: int | None = None) -> str:
    """Make the results; the inputs in `fail` fail, and after `stop` inputs the command is interrupted."""
    plan.check()
    made = ""
    try:
        with plan.open("the network"):
            for index in plan.todo:
                if stop is not None and len(made) == stop:
                    raise KeyboardInterrupt
                name = inputs[index].stem
                made += name
                if name in fail:
                    plan.record_failed(index, "torn")
                else:
                    Path(f"out/{name}.txt").write_text(f"result {inputs[index].read_text()}")
                    plan.record_done(index)
    except KeyboardInterrupt:
        pass
    return made


def touch(path: Path, seconds: float = 60) -> None:
    time = path.stat().st_mtime + seconds
    os.utime(path, (time, time))


def test_the_ledger_has_one_line_per_input_with_what_the_contract_says(inputs: list[Path]) -> None:
    assert run(make_plan(inputs, fps="25"), inputs, fail="b") == "abc"
    lines = [json.loads(line) for line in Path("out", LEDGER_FILE).read_text().splitlines()]
    assert [line["input"] for line in lines] == [f"../videos/{name}.mp4" for name in "abc"]
    assert [line["status"] for line in lines] == ["done", "failed", "done"]
    assert [line["reason"] for line in lines] == [None, "torn", None]
    assert all(0 <= line["seconds"] < 10 for line in lines)
    for line, path in zip(lines, inputs, strict=True):
        assert line["schema_version"] == 1
        assert line["size"] == path.stat().st_size
        assert line["modified"] == pytest.approx(path.stat().st_mtime)
        assert line["output"] == f"{path.stem}.txt"
        assert line["options"] == {"fps": "25", "checkpoint": "the network"}
    marker = OutputMarker.read(Path("out"))
    assert marker is not None
    assert (marker.command, marker.complete) == ("predict", True)
    assert [each.path for each in marker.inputs] == [f"../videos/{name}.mp4" for name in "abc"]


def test_the_same_command_for_the_same_inputs_may_replace_its_results(inputs: list[Path]) -> None:
    run(make_plan(inputs), inputs)
    inputs[0].write_text("new")
    assert run(make_plan(inputs), inputs) == "abc"
    assert Path("out/a.txt").read_text() == "result new"
    assert run(make_plan(inputs[:1]), inputs) == "a"
    assert len(Path("out", LEDGER_FILE).read_text().splitlines()) == 3


@pytest.mark.parametrize("existing", ["refuse", "skip"])
def test_results_of_another_input_or_command_are_refused(inputs: list[Path], existing: ExistingFiles) -> None:
    run(make_plan(inputs), inputs)
    Path("other").mkdir()
    others = [Path("other/a.mp4"), Path("other/d.mp4")]
    for path in others:
        path.write_text("other")
    with pytest.raises(UsageError, match=r"out/a.txt is a result of cslr predict for videos/a.mp4\nhint: use --ov"):
        make_plan(others, existing).check()
    with pytest.raises(UsageError, match=r"(?s)a.txt is a result of cslr predict .*b.txt.*c.txt"):
        make_plan(inputs, existing, "align").check()
    assert run(make_plan(others, "overwrite"), others) == "ad"
    entry = Ledger(Path("out", LEDGER_FILE)).find("a.txt")
    assert entry is not None
    assert entry.input == "../other/a.mp4"


def test_files_of_unknown_origin_are_refused_or_kept(inputs: list[Path]) -> None:
    Path("out").mkdir()
    Path("out/b.txt").write_text("by hand")
    with pytest.raises(UsageError, match=r"^--output: out/b.txt exists\nhint: use --overwrite, --skip-existing, or"):
        make_plan(inputs).check()
    assert os.listdir("out") == ["b.txt"]
    assert run(make_plan(inputs, "skip"), inputs) == "ac"
    assert Path("out/b.txt").read_text() == "by hand"
    assert run(make_plan(inputs, "overwrite"), inputs) == "abc"
    assert Path("out/b.txt").read_text() == "result b"


def test_all_faults_are_reported_together(inputs: list[Path]) -> None:
    for name in ("out/a.txt", "one.srt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("by hand")
    Path("out/c.txt").mkdir()
    plan = make_plan(inputs)
    plan.add_file("--render", Path("one.srt"))
    plan.add_file("--preview", inputs[0])
    plan.add_appended("--all", Path("videos/a.mp4/all.csv"))
    with pytest.raises(UsageError) as caught:
        plan.check()
    message, _, hint = str(caught.value).partition("\nhint: ")
    assert message.splitlines() == [
        "--output: out/c.txt is a folder",
        "--output: out/a.txt exists",
        "--render: one.srt exists",
        "--preview: videos/a.mp4 is an input and would be overwritten",
        "--preview: videos/a.mp4 exists",
        f"--all: cannot write to videos/a.mp4: {Path('videos/a.mp4')} is a file",
    ]
    assert "use --overwrite, --skip-existing, or another name" in hint


def test_skipping_makes_what_is_missing_changed_or_failed(inputs: list[Path]) -> None:
    assert run(make_plan(inputs), inputs, fail="c") == "abc"
    assert run(make_plan(inputs, "skip"), inputs) == "c"
    assert run(make_plan(inputs, "skip"), inputs) == ""
    touch(inputs[0])
    Path("out/b.txt").unlink()
    assert run(make_plan(inputs, "skip"), inputs) == "ab"
    assert run(make_plan(inputs, "skip"), inputs) == ""


@pytest.mark.parametrize("existing", ["refuse", "overwrite"])
def test_a_replacement_that_is_interrupted_is_continued(inputs: list[Path], existing: ExistingFiles) -> None:
    run(make_plan(inputs), inputs)
    assert run(make_plan(inputs, existing), inputs, stop=1) == "a"
    marker = OutputMarker.read(Path("out"))
    assert marker is not None
    assert not marker.complete
    assert run(make_plan(inputs, "skip"), inputs) == "bc"


def test_a_result_that_somebody_has_edited_is_not_replaced(inputs: list[Path]) -> None:
    run(make_plan(inputs), inputs)
    Path("out/b.txt").write_text("corrected by an annotator")
    touch(Path("out/b.txt"))
    with pytest.raises(UsageError, match=r"^--output: out/b.txt was edited after cslr had written it\nhint: use"):
        make_plan(inputs).check()
    assert run(make_plan(inputs, "skip"), inputs) == ""
    touch(inputs[1])
    with pytest.raises(UsageError, match="was edited"):
        make_plan(inputs, "skip").check()
    assert run(make_plan(inputs, "overwrite"), inputs) == "abc"


def test_results_of_other_options_are_not_mixed(inputs: list[Path]) -> None:
    run(make_plan(inputs, fps="25"), inputs, fail="c")
    with pytest.raises(UsageError, match=r"out has results of other options \(fps: 25, now 30\)\nhint: use the same"):
        make_plan(inputs, "skip", fps="30").check()
    plan = make_plan(inputs, "skip", fps="25")
    plan.check()
    with pytest.raises(UsageError, match=r"\(checkpoint: the network, now another\)"), plan.open("another"):
        pass
    assert run(make_plan(inputs, "skip", fps="25"), inputs) == "c"
    run(make_plan(inputs, fps="30"), inputs)  # all are replaced


def test_somebody_elses_ledger_is_not_changed(inputs: list[Path]) -> None:
    Path("out").mkdir()
    Path("out", LEDGER_FILE).write_text("income 100\nexpenses 90\n")
    for existing in ("refuse", "skip"):
        with pytest.raises(UsageError, match=r"ledger\.jsonl exists, and is not a ledger"):
            make_plan(inputs, existing).check()


def test_two_options_may_write_to_one_folder(inputs: list[Path]) -> None:
    def plan() -> ResultPlan:
        plan = make_plan(inputs, "skip")
        plan.add_folder("--render", Path("out"), [Path("out") / f"{path.stem}.mp4" for path in inputs])
        return plan

    first = plan()
    first.check()
    with first.open(""):
        for index, path in enumerate(inputs):
            for suffix in (".txt", ".mp4"):
                Path("out", path.stem + suffix).write_text("result")
            first.record_done(index)
    assert len(Path("out", LEDGER_FILE).read_text().splitlines()) == 6
    Path("out/b.mp4").unlink()
    again = plan()
    again.check()
    assert again.todo == (1,)


def test_the_mark_of_another_command_stays(inputs: list[Path]) -> None:
    for text in (json.dumps({"schema_version": 1, "command": "cam"}), "no JSON"):
        Path("out").mkdir(exist_ok=True)
        Path("out", MARKER_FILE).write_text(text)
        run(make_plan(inputs, "overwrite"), inputs)
        assert Path("out", MARKER_FILE).read_text() == text


def test_two_commands_may_share_a_folder_and_unfinished_files_of_killed_ones_are_removed(inputs: list[Path]) -> None:
    Path("out").mkdir()
    for name in (".a.77.unfinished.txt", ".keep", "b.unfinished"):
        Path("out", name).write_text("half")
    first, second = make_plan(inputs[:1]), make_plan(inputs[1:])
    first.check()
    second.check()
    with first.open("the network"), second.open("the network"):
        for plan, number, index in ((second, 1, 0), (first, 0, 0), (second, 2, 1)):
            Path(f"out/{inputs[number].stem}.txt").write_text("result")
            plan.record_done(index)
    names = {".keep", "b.unfinished", "a.txt", "b.txt", "c.txt", LEDGER_FILE, MARKER_FILE}
    assert set(os.listdir("out")) == names
    assert run(make_plan(inputs, "skip"), inputs) == ""


def test_an_input_that_is_named_twice_has_two_results_in_one_file(inputs: list[Path]) -> None:
    twice = [inputs[0], inputs[1], inputs[0]]
    for stop in (2, 3):
        plan = ResultPlan("predict", twice, "skip")
        plan.add_appended("--output", Path("all.txt"))
        plan.check()
        assert plan.todo == ((0, 1, 2) if stop == 2 else (2,))
        try:
            with plan.open(""):
                for index in plan.todo:
                    if index == stop:
                        raise KeyboardInterrupt
                    plan.append(index, f"{index}\n")
        except KeyboardInterrupt:
            pass
    assert Path("all.txt").read_text() == "0\n1\n2\n"
    plan = ResultPlan("predict", twice, "skip")
    plan.add_appended("--output", Path("all.txt"))
    plan.check()
    assert plan.todo == ()
