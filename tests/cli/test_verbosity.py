"""`--quiet` and `--verbose`: what is printed on standard error."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cslr_cli.cli import console
from cslr_cli.cli.app import app
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.progress import Progress
from tests.cli.conftest import Command

GROUP: Any = get_command(app)


@pytest.mark.parametrize("command", sorted(GROUP.commands))
def test_every_command_has_both_options_with_one_meaning(command: str, cslr: Command) -> None:
    options = {each.opts[0]: each.help for each in GROUP.commands[command].params}
    assert options["--quiet"] == "Print only results and errors."
    assert options["--verbose"] == "Also print the debug log and the origin of errors."


def print_everything() -> None:
    """One line of every kind."""
    print("result")
    console.print_error("an error")
    console.print_error("a warning", kind="warning")
    console.print_note("a note")
    console.print_remarks("a remark")
    console.print_remarks("faults", of_error=True)
    logging.getLogger("cslr_cli.model").debug("a detail")
    logging.getLogger("other").debug("a detail of another package")
    with console.shown_progress() as progress:
        progress(Progress("train", 10, 10))


@pytest.mark.parametrize(
    ("wanted", "printed"),
    [
        ("quiet", ["an error", "faults"]),
        ("normal", ["an error", "a warning", "a note", "a remark", "faults", "train 10/10"]),
        (
            "verbose",
            ["an error", "a warning", "a note", "a remark", "faults", "cslr_cli.model: a detail", "train 10/10"],
        ),
    ],
)
def test_each_verbosity_prints_its_kinds_of_lines(
    wanted: console.Verbosity, printed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.use_verbosity(wanted):
        print_everything()
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    lines = captured.err.splitlines()
    assert len(lines) == len(printed)
    assert all(text in line for text, line in zip(printed, lines, strict=True))
    # Afterwards, everything is as before.
    print_everything()
    assert "a note" in (err := capsys.readouterr().err)
    assert "detail" not in err


def test_results_do_not_depend_on_verbosity(cslr: Command, trained: Path, tiny_corpus: PreparedCorpus) -> None:
    video = tiny_corpus.frames_path(tiny_corpus.samples("test")[0])
    normal = cslr("predict", video, "--json")
    quiet = cslr("predict", video, "--json", "--quiet")
    verbose = cslr("predict", video, "--json", "--verbose")
    assert normal.stdout == quiet.stdout == verbose.stdout
    assert quiet.stderr == ""
    assert len(verbose.stderr) > len(normal.stderr)
    assert "network on cpu" in verbose.stderr
    assert "network on cpu" not in normal.stderr


def test_an_error_is_printed_in_quiet_and_its_origin_in_verbose(cslr: Command, tmp_path: Path) -> None:
    missing = tmp_path / "best.pt"
    quiet = cslr("inspect", missing, "--quiet")
    assert (quiet.status, quiet.stderr) == (1, cslr("inspect", missing).stderr)
    assert "Traceback" not in quiet.stderr
    verbose = cslr("inspect", missing, "--verbose")
    assert verbose.stderr.startswith(quiet.stderr)
    assert "Traceback" in verbose.stderr


def test_quiet_hides_notes_about_old_spellings(cslr: Command) -> None:
    assert "is now" not in cslr("predict", "talk.mp4", "--fps", 25, "--quiet", "--checkpoint", "none.pt").stderr


def test_both_options_together_are_an_error(cslr: Command) -> None:
    outcome = cslr("runs", "--quiet", "--verbose")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "--quiet and --verbose together" in outcome.stderr
