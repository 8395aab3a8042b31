"""What tables, JSON and bars become on screens and in files of other kinds than one's own."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from cslr_cli.cli import console
from cslr_cli.progress import Progress


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Screen:
    """Standard error on a terminal that is so wide: what is shown from here on."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    return screen


def written(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    """Standard output in an encoding: what is printed from here on."""
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding, write_through=True))
    return content


@pytest.mark.parametrize(
    ("encoding", "cells"),
    [("utf-8", ["–", "A → B", "█"]), ("latin-1", ["-", "A -> B", "#"]), ("ascii", ["-", "A -> B", "#"])],
)
def test_table_characters_are_replaced_if_the_encoding_lacks_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, cells: list[str]
) -> None:
    content = written(monkeypatch, encoding)
    console.print_result(console.table(["wer", "confused", ""], [["–", "A → B", "█"]]))
    text = content.getvalue().decode(encoding)
    assert all(cell in text for cell in cells)


def test_a_gloss_outside_the_encoding_is_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    written(monkeypatch, "latin-1")
    with pytest.raises(UnicodeEncodeError):
        console.print_result(console.table(["gloss"], [["天气"]]))


@pytest.mark.parametrize(("encoding", "as_it_stands"), [("utf-8", True), ("latin-1", False), ("ascii", False)])
def test_json_is_equal_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str, as_it_stands: bool) -> None:
    content = written(monkeypatch, encoding)
    console.print_json({"gloss": "天气"})
    assert json.loads(content.getvalue()) == {"gloss": "天气"}
    assert ("天气" in content.getvalue().decode(encoding)) == as_it_stands


def test_a_closed_standard_output_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    console.print_json({"wer": 1.0})
    console.print_result(console.table(["wer"], [["1.0"]]))


def test_a_narrow_terminal_keeps_count_and_times_and_cuts_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 60)
    with console.shown_progress() as progress:
        progress(Progress("train", 300, 5760, {"epoch": 3, "loss": 1.5, "best_wer": 21.5, "speed": 4.5}))
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert re.search(r" 300/5760 \d:\d\d:\d\d left \S+ epoch 3, \S*…", plain)


def test_notes_appear_above_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 80)
    with console.shown_progress() as progress:
        progress(Progress("train", 1, 10))
        console.print_note("epoch 1/16 [wer]")
        console.print_error("broken.mp4: cut off", kind="warning")
        console.print_remarks(console.table(["training", ""], [["network", "corrnet"]]))
    # Each begins a line of its own: behind a newline, or where the bar was erased.
    plain = re.sub(r"\x1b\[2K", "\n", screen.getvalue())
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", line).strip() for line in plain.splitlines()]
    for said in ("epoch 1/16 [wer]", "warning: broken.mp4: cut off", "network    corrnet"):
        assert said in lines


def test_names_cannot_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file name may hold the sequence that sets the title of the window, or clears the screen."""
    name = "talk\x1b]0;title\x07\x9b2J\r.mp4"
    shown, content = terminal(monkeypatch, 200), written(monkeypatch, "utf-8")
    console.print_error(f"{name}: not a video\nhint: copy it again")
    console.print_note(f"{name}: written")
    console.print_line(name)
    console.print_result(console.table(["path"], [[name]]))
    style = re.compile(r"\x1b\[[0-9;]*m")  # rich's own colours
    for text in (style.sub("", shown.getvalue()), content.getvalue().decode()):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        assert text.count(r"talk\x1b]0;title\x07\x9b2J\x0d.mp4") == 2
    assert "\nhint: copy it again\n" in style.sub("", shown.getvalue())
