from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cslr_cli.result_files import InputFile, Ledger, LedgerEntry


def entry(number: int = 1, **changes: object) -> LedgerEntry:
    values = {"command": "predict", "input": f"../{number}.mp4", "size": 5, "modified": 7.5, "status": "done"}
    return LedgerEntry(**{**values, "output": f"{number}.txt", **changes})  # type: ignore[arg-type]


def test_an_input_is_named_as_seen_from_its_results_and_links_are_resolved(tmp_path: Path) -> None:
    video = tmp_path / "videos" / "talk.mp4"
    video.parent.mkdir()
    video.write_bytes(b"12345")
    (tmp_path / "results").symlink_to(tmp_path / "videos" / "deep")
    assert InputFile.describe(video, tmp_path / "out").path == "../videos/talk.mp4"
    assert InputFile.describe(video, tmp_path / "results").path == "../talk.mp4"
    assert InputFile.describe("rtsp://camera/1", tmp_path) == InputFile("rtsp://camera/1")
    state = InputFile.describe(video, tmp_path)
    assert state.size == 5
    assert state.modified == pytest.approx(video.stat().st_mtime)
    assert InputFile.describe(tmp_path / "missing", tmp_path) == InputFile("missing")


def test_a_folder_of_pictures_has_changed_if_one_picture_has(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"1234")
    before = InputFile.describe(tmp_path, tmp_path)
    assert before.size == 12
    later = (before.modified or 0) + 60
    os.utime(tmp_path / "1.png", (later, later))
    after = InputFile.describe(tmp_path, tmp_path)
    assert (after.path, after.size) == (before.path, 12)
    assert after.modified == pytest.approx(later)


def test_a_ledger_has_one_json_object_per_line_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    entries = [entry(1), entry(2, status="failed", reason="no video"), entry(3, input="märz\udcff.mp4")]
    for each in entries:
        ledger.append(each)
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [line["schema_version"] for line in lines] == [1, 1, 1]
    assert [line["reason"] for line in lines] == [None, "no video", None]
    assert list(Ledger(ledger.path)) == entries


def test_the_last_line_of_a_result_counts_and_rewriting_keeps_only_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for each in (entry(1, status="failed", reason="torn"), entry(2), entry(1)):
        ledger.append(each)
    ledger = Ledger(ledger.path)
    assert ledger.has_replaced_lines
    assert ledger.find("1.txt") == entry(1)
    ledger.rewrite()
    assert not Ledger(ledger.path).has_replaced_lines
    assert set(map(str, Ledger(ledger.path))) == {str(entry(1)), str(entry(2))}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_off_is_ignored_and_the_next_one_is_not(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "ledger.jsonl"
    line = f"{entry(2).to_json()}\n"
    for whole in ("", f"{entry(1).to_json()}\n"):
        path.write_text(whole + line[:cut])
        ledger = Ledger(path)
        assert not ledger.is_foreign
        ledger.append(entry(3))
        assert list(Ledger(path)) == [*([entry(1)] if whole else []), entry(3)]


@pytest.mark.parametrize("text", ["income 100\n", "{}\n", "[]\n", '{"schema_version": 2, "input": "a"}\n'])
def test_another_file_of_that_name_is_not_taken_for_a_ledger(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledger.jsonl").write_text(text)
    assert Ledger(tmp_path / "ledger.jsonl").is_foreign


@pytest.mark.parametrize("change", [{"output": 1}, {"end": "9"}, {"status": "perhaps"}, {"options": []}])
def test_a_line_with_a_value_of_another_type_is_ignored(change: dict[str, object]) -> None:
    assert LedgerEntry.from_json(json.dumps({**json.loads(entry().to_json()), **change})) is None


def test_fields_of_a_later_version_are_ignored() -> None:
    line = json.dumps({**json.loads(entry().to_json()), "new": 1})
    assert LedgerEntry.from_json(line) == entry()
