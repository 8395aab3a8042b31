from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cslr_cli import __version__
from cslr_cli.choices import ExistingFiles
from cslr_cli.errors import UsageError
from cslr_cli.result_files import MARKER_FILE, MarkedFolder, raise_output_faults

NAMES = ("cam.png", "cam.npz", "correlation.png")


@pytest.fixture(autouse=True)
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("talk.mp4", "other.mp4"):
        Path(name).write_text(name)


def run(
    video: str = "talk.mp4",
    existing: ExistingFiles = "refuse",
    *,
    command: str = "cam",
    names: tuple[str, ...] = NAMES,
    stop: bool = False,
    **options: str,
) -> bool:
    """Write the files as a command does; `stop` it after the first. Returns whether there was anything to do."""
    required, optional = NAMES[:2], NAMES[2:]
    folder = MarkedFolder.plan(command, Path("out"), [Path(video)], required, existing, options, optional=optional)
    raise_output_faults(folder.find_faults("--output"))
    if folder.is_done:
        return False
    folder.begin()
    for name in names[:1] if stop else names:
        Path("out", name).write_text(f"{video} {options}")
    if not stop:
        folder.finish(names)
    return True


def files() -> list[str]:
    return sorted(name for name in os.listdir("out") if name != MARKER_FILE)


def test_the_marker_says_which_command_wrote_the_folder_for_what() -> None:
    run(layer="stem")
    marker = json.loads(Path("out", MARKER_FILE).read_text())
    assert marker["schema_version"] == 1
    assert (marker["command"], marker["version"], marker["complete"]) == ("cam", __version__, True)
    assert marker["inputs"] == [
        {"path": "../talk.mp4", "size": 8, "modified": pytest.approx(Path("talk.mp4").stat().st_mtime)}
    ]
    assert (marker["options"], marker["files"]) == ({"layer": "stem"}, list(NAMES))
    assert str(Path.cwd()) not in Path("out", MARKER_FILE).read_text()


def test_the_same_command_for_the_same_input_may_replace_the_folder() -> None:
    run()
    assert run(layer="stem")
    assert "stem" in Path("out/cam.png").read_text()


@pytest.mark.parametrize("existing", ["refuse", "skip"])
def test_another_command_or_input_may_not(existing: ExistingFiles) -> None:
    run()
    with pytest.raises(UsageError, match=r"^--output: out has results of cslr cam for talk.mp4\nhint: use --overw"):
        run("other.mp4", existing)
    with pytest.raises(UsageError, match="results of cslr cam"):
        run(command="score", existing=existing)
    assert run("other.mp4", "overwrite")
    assert Path("out/cam.png").read_text().startswith("other")


def test_files_of_unknown_origin_are_refused_all_at_once_or_kept() -> None:
    Path("out").mkdir()
    for name in ("cam.png", "correlation.png", "notes.txt"):
        Path("out", name).write_text("mine")
    with pytest.raises(UsageError) as caught:
        run()
    assert str(caught.value) == (
        "--output: out/cam.png exists\n--output: out/correlation.png exists\n"
        "hint: use --overwrite, --skip-existing, or another name"
    )
    with pytest.raises(UsageError, match=r"out/cam.png exists"):
        run(existing="skip")  # a part of the results: not finished
    Path("out/cam.npz").write_text("mine")
    assert not run(existing="skip")
    assert run(existing="overwrite")
    assert Path("out/notes.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_used() -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    assert run()
    assert files() == sorted([*NAMES, "notes.txt"])


def test_skipping_keeps_what_is_complete_and_unchanged() -> None:
    assert run(existing="skip", stop=True)
    assert run(existing="skip")
    assert not run(existing="skip")
    with pytest.raises(UsageError, match=r"other options \(layer: default, now stem\)"):
        run(existing="skip", layer="stem")
    Path("talk.mp4").write_text("a new video")
    assert run(existing="skip")


def test_a_marker_names_no_files_of_other_folders() -> None:
    run()
    marker = json.loads(Path("out", MARKER_FILE).read_text())
    Path("out", MARKER_FILE).write_text(json.dumps({**marker, "files": ["../talk.mp4", "..", "cam.png"]}))
    run(layer="stem", names=NAMES[:2])
    assert Path("talk.mp4").exists()


def test_a_killed_call_may_be_repeated() -> None:
    run(stop=True)
    assert run()


def test_files_of_an_earlier_call_stay_only_if_they_fit() -> None:
    run()
    run(names=NAMES[:2])
    assert files() == sorted(NAMES)  # the same input and options
    run(names=NAMES[:2], layer="stem")
    assert files() == sorted(NAMES[:2])


def test_a_file_in_the_place_of_the_folder_is_an_error() -> None:
    Path("out").write_text("mine")
    with pytest.raises(UsageError, match="--output out: a file, not a folder"):
        run(existing="overwrite")
