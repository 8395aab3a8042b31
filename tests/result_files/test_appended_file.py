"""The file of many results, at every moment at which a command can be killed."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cslr_cli.errors import CslrError
from cslr_cli.result_files import AppendedFile, InputFile

TEXTS = {"a": "one\ntwo\n", "b": "", "c": "märz\n", "d": "no line end", "e": "{}\n"}
HEADERS = [("", ""), ("start,end\n", ""), ("", "\n"), ("head\n", "--\n")]


def state(name: str, size: int = 1) -> InputFile:
    return InputFile(name, size, 0.0)


def expected(names: str, header: str, separator: str) -> str:
    return header + separator.join(TEXTS[name] for name in names)


def run(path: Path, names: str, header: str = "", separator: str = "", *, stop: int | None = None) -> list[str]:
    """Write the results that are missing, as a command does; end after `stop` of them. Returns the names written."""
    file = AppendedFile(path, "predict", header, separator)
    done = file.read_results()
    todo = [name for name in names if (name, 1) not in done]
    file.open("skip")
    try:
        for name in todo[:stop]:
            file.append(state(name), TEXTS[name])
        if stop is None:
            file.finish([(name, 1) for name in names])
    finally:
        file.close()
    return todo[:stop]


@pytest.mark.parametrize(("header", "separator"), HEADERS)
def test_results_are_appended_and_the_name_appears_at_the_end(tmp_path: Path, header: str, separator: str) -> None:
    path = tmp_path / "all.txt"
    assert run(path, "abcde", header, separator, stop=3) == ["a", "b", "c"]
    assert not path.exists()
    assert (tmp_path / "all.txt.partial").read_text() == expected("abc", header, separator)
    assert run(path, "abcde", header, separator) == ["d", "e"]
    assert path.read_text() == expected("abcde", header, separator)
    assert [each.name for each in tmp_path.iterdir()] == ["all.txt"]


@pytest.mark.parametrize(("header", "separator"), HEADERS)
def test_a_file_cut_at_any_byte_is_continued_exactly(tmp_path: Path, header: str, separator: str) -> None:
    """A command is killed between or within any two writes: to the file, then to its ledger."""
    path, partial, ledger = (tmp_path / f"all.txt{suffix}" for suffix in ("", ".partial", ".ledger.jsonl"))
    run(path, "abcde", header, separator, stop=4)
    text, lines = partial.read_bytes(), ledger.read_bytes()
    ends = [entry.end or 0 for entry in AppendedFile(path, "predict").ledger]
    line_ends = [0, *itertools.accumulate(len(line) for line in lines.splitlines(keepends=True))]
    for count in range(5):
        end = ends[count - 1] if count else 0
        next_end = ends[count] if count < 4 else end
        # While the next result is written: its line is missing. After that: its line is missing or cut off.
        for cut in range(end, next_end + 1):
            for extra in (0, 1, 30) if cut == next_end and count < 4 else (0,):
                path.unlink(missing_ok=True)
                partial.write_bytes(text[:cut])
                ledger.write_bytes(lines[: line_ends[count] + extra])
                assert "".join(run(path, "abcde", header, separator)) == "abcde"[count:]
                assert path.read_text() == expected("abcde", header, separator)
                assert [each.name for each in tmp_path.iterdir()] == ["all.txt"]


def test_a_ledger_that_is_ahead_of_its_file_is_not_believed(tmp_path: Path) -> None:
    """A power failure may keep the ledger and lose the last bytes of the file."""
    path = tmp_path / "all.txt"
    run(path, "abcde", stop=4)
    os.truncate(tmp_path / "all.txt.partial", 10)
    assert run(path, "abcde") == ["c", "d", "e"]
    assert path.read_text() == expected("abcde", "", "")


@settings(max_examples=25)
@given(st.permutations("abcde"), st.integers(0, 5), st.permutations("abcde"), st.sampled_from(HEADERS))
def test_the_order_is_that_of_the_inputs_whatever_came_first(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], stop: int, last: list[str], ends: tuple[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    run(folder / "all.txt", "".join(first), *ends, stop=stop)
    run(folder / "all.txt", "".join(last), *ends)
    assert (folder / "all.txt").read_text() == expected("".join(last), *ends)
    assert [each.name for each in folder.iterdir()] == ["all.txt"]


def test_a_failed_input_is_added_later_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    file = AppendedFile(path, "predict", "head\n", "--\n")
    file.open()
    file.append(state("a"), TEXTS["a"])
    file.append_failure(state("b"), "no video")
    file.append(state("c"), TEXTS["c"])
    file.finish([("a", 1), ("b", 1), ("c", 1)])
    file.close()
    assert path.read_text() == expected("ac", "head\n", "--\n")
    assert not AppendedFile(path, "predict").is_finished
    assert run(path, "abc", "head\n", "--\n") == ["b"]
    assert path.read_text() == expected("abc", "head\n", "--\n")
    assert [each.name for each in tmp_path.iterdir()] == ["all.txt"]


def test_a_kill_between_the_steps_of_the_end_loses_nothing(tmp_path: Path) -> None:
    """The file gets its name, then the ledger is changed, then the unfinished file is removed."""
    path, partial, ledger = (tmp_path / f"all.txt{suffix}" for suffix in ("", ".partial", ".ledger.jsonl"))
    for names in ("abcde", "edcba"):  # as appended, and put together anew
        run(path, "abcde", stop=5)
        shutil.copy(ledger, tmp_path / "ledger")
        shutil.copy(partial, tmp_path / "partial")
        run(path, names)
        shutil.move(tmp_path / "ledger", ledger)
        if names == "edcba":
            shutil.move(tmp_path / "partial", partial)
        else:
            (tmp_path / "partial").unlink()
        assert run(path, names) == []
        assert path.read_text() == expected(names, "", "")
        assert [each.name for each in tmp_path.iterdir()] == ["all.txt"]
        path.unlink()


def test_a_changed_input_replaces_its_old_result(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    run(path, "abc", stop=3)
    file = AppendedFile(path, "predict")
    file.open("skip")
    file.append(state("a", size=2), "new\n")
    file.finish([("a", 1), ("b", 1), ("c", 1)])
    file.close()
    assert path.read_text() == "new\n" + expected("bc", "", "")


def test_nothing_stays_of_a_call_without_a_result(tmp_path: Path) -> None:
    run(tmp_path / "all.txt", "abc", stop=0)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_or_unfinished_file_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    run(path, "abc", stop=2)
    (fault,) = AppendedFile(path, "predict").find_faults("--output", "refuse")
    assert fault.message == f"--output: {path}.partial exists, with 2 results of an interrupted command"
    assert AppendedFile(path, "predict").find_faults("--output", "skip") == []
    (fault,) = AppendedFile(path, "align").find_faults("--output", "skip")
    assert "not a ledger of cslr align" in fault.message
    run(path, "abc")
    (fault,) = AppendedFile(path, "predict").find_faults("--output", "refuse")
    assert fault.message == f"--output: {path} exists"
    (tmp_path / "all.txt.partial").write_text("somebody's own file")
    (fault,) = AppendedFile(path, "predict").find_faults("--output", "skip")
    assert "without all.txt.ledger.jsonl" in fault.message
    assert AppendedFile(path, "predict").find_faults("--output", "overwrite") == []


def test_overwriting_starts_again_and_keeps_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text("old\n")
    (tmp_path / "all.txt.partial").write_text("old part")
    file = AppendedFile(path, "predict")
    file.open("overwrite")
    file.append(state("c"), TEXTS["c"])
    assert path.read_text() == "old\n"
    file.finish([("c", 1)])
    file.close()
    assert path.read_text() == TEXTS["c"]
    assert [each.name for each in tmp_path.iterdir()] == ["all.txt"]


def test_two_commands_do_not_write_the_same_file(tmp_path: Path) -> None:
    first, second = AppendedFile(tmp_path / "all.txt", "predict"), AppendedFile(tmp_path / "all.txt", "predict")
    first.open()
    first.append(state("a"), TEXTS["a"])
    with pytest.raises(CslrError, match="another command is writing"):
        second.open("overwrite")
    first.finish([("a", 1)])
    first.close()
    assert (tmp_path / "all.txt").read_text() == TEXTS["a"]
