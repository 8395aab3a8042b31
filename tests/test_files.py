from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cslr_cli.files import atomic_file, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as unfinished:
        unfinished.write_text("half")
        assert not path.exists()
        unfinished.write_text("whole")
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["a.txt"]


def test_what_stood_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_a_write_that_is_interrupted_leaves_everything_as_it_was(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(interruption), atomic_file(path) as unfinished:  # noqa: PT012
        unfinished.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "a.txt"):
        pass  # nothing is written
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_a_write_that_is_interrupted_before_the_first_byte_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), atomic_file(tmp_path / "a.txt"):
        raise ValueError("early")
    assert names(tmp_path) == []


def test_the_other_name_lies_beside_and_has_the_same_suffix(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "b" / "film.mp4") as unfinished:
        assert unfinished.parent == tmp_path / "b"
        assert unfinished.suffix == ".mp4"
        assert unfinished.name.startswith(".")
        unfinished.touch()


def test_two_processes_that_write_one_file_use_two_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_file(tmp_path / "a.txt") as first:
        first.write_text("first")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with atomic_file(tmp_path / "a.txt") as second:
            second.write_text("second")
        assert first != second
    assert (tmp_path / "a.txt").read_text() == "first"


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "b" / "c" / "a.txt", "x")
    assert (tmp_path / "b" / "c" / "a.txt").read_text() == "x"


def test_text_is_utf_8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "märz\n天气\n")
    assert (tmp_path / "a.txt").read_bytes() == "märz\n天气\n".encode()


def test_an_error_without_a_name_gets_that_of_the_file(tmp_path: Path) -> None:
    """Writing to a full disk raises an OSError that names no file."""
    with pytest.raises(OSError, match="No space left") as caught, atomic_file(tmp_path / "talk.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "talk.json")
