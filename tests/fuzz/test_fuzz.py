"""Damaged and hostile inputs of every kind are read, or are errors for the user; never anything else."""

from __future__ import annotations

import faulthandler
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.fuzz.campaign import MAX_MIB, MAX_SECONDS, draw_cases, run_case
from benchmarks.fuzz.commands import find_fault, make_command_kinds
from benchmarks.fuzz.kinds import CANARY, Kind, make_kinds
from benchmarks.fuzz.mutations import apply_changes

CASES = 100  # per kind

# The seeds are made in a temporary folder; their names are needed before.
KINDS = (
    *("checkpoint", "checkpoint values", "training state", "published", "gloss_dict"),
    *("corpus.yaml", "corpus values", "manifest", "manifest values", "vocabulary"),
    *("configuration", "configuration values", "own manifest", "own manifest values"),
    *("ELAN", "TextGrid", "subtitles", "corrected JSON", "CSL-Daily pickle"),
    *("metrics", "metrics values", "environment", "ledger", "ledger values", "marker", "references", "hypotheses"),
    *("picture .png", "picture .jpg", "picture .gif", "picture .bmp", "picture .webp", "zip", "video", "recognition"),
)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    made = make_kinds(tmp_path_factory.mktemp("seeds"))
    assert tuple(made) == KINDS
    return made


@contextmanager
def watchdog() -> Iterator[None]:
    """End the process with the place where it hangs, if the block takes too long."""
    faulthandler.dump_traceback_later(6 * MAX_SECONDS, exit=True)  # other tests may run at the same time
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")  # libraries warn about damaged files
def test_changed_files_are_read_or_refused(
    name: str, kinds: dict[str, Kind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    faults, slowest = [], 0.0
    for case in draw_cases([name], {name: len(kinds[name].seeds)}, CASES, seed=0):
        started = time.process_time()
        with watchdog():
            result, place, details = run_case(kinds[name], case, tmp_path)
        slowest = max(slowest, time.process_time() - started)
        if result == "fault":
            faults.append(f"{case}: {place}\n{details}")
    assert not faults, f"{len(faults)} faults, first {faults[0]}"
    assert slowest < MAX_SECONDS
    assert not (tmp_path / CANARY.split()[1]).exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < 2 * MAX_MIB  # with all that tests have loaded


# Number of cases by command: a training takes ten times as long as a scoring.
COMMAND_CASES = {
    **{"predict": 36, "inspect": 15, "prepare": 30, "score": 14, "runs": 8, "convert": 12},
    **{"evaluate": 12, "features": 8, "train": 9, "cam": 3},
}


@pytest.fixture(scope="module")
def command_kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    made = {kind.name: kind for kind in make_command_kinds(tmp_path_factory.mktemp("commands"))}
    assert {name.split()[0] for name in made} == COMMAND_CASES.keys()
    return made


@pytest.mark.parametrize("command", COMMAND_CASES)
@pytest.mark.filterwarnings("ignore")  # libraries warn about damaged files
def test_commands_read_changed_files_or_refuse_them(
    command: str, command_kinds: dict[str, Kind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [name for name in command_kinds if name.split()[0] == command]
    for case in draw_cases(names, dict.fromkeys(names, 1), COMMAND_CASES[command], seed=0):
        with watchdog():
            result, place, details = run_case(command_kinds[case.kind], case, tmp_path)
        assert result != "fault", f"{case}: {place}\n{details}"
    assert not (tmp_path / CANARY.split()[1]).exists()


COMPLAINTS = (
    (0, "", "", None),
    (1, "", "error: a.csv: the file is empty\nhint: use another one\n", None),
    (2, "", "Usage: cslr predict\n", None),
    (1, "breaks training: no clip\n", "", None),
    (1, "", "", "0 errors"),
    (1, "", "error: a.csv: one\nerror: a.csv: two\n", "2 errors"),
    (1, "", "error: a.csv: ValueError: no\n", "an error in the words of a library: ValueError"),
    (1, "", "error: another file\n", "an error that does not name the file"),
    (1, "", "Traceback (most recent call last):\n", "a traceback"),
    (0, "\x1b[2J", "", "control characters"),
    (70, "", "", "exit status 70"),
)


@pytest.mark.parametrize(("status", "output", "messages", "fault"), COMPLAINTS)
def test_the_campaign_finds_what_is_wrong_with_the_end_of_a_command(
    status: int, output: str, messages: str, fault: str | None
) -> None:
    assert find_fault(status, output, messages, ["a.csv"], as_json=False) == fault


def test_the_seeds_are_valid(
    kinds: dict[str, Kind], command_kinds: dict[str, Kind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the changes would only be tried on files that are refused anyway."""
    monkeypatch.chdir(tmp_path)
    cheap = [kind for name, kind in command_kinds.items() if name.startswith(("prepare", "score", "convert"))]
    for kind in (*kinds.values(), *cheap):
        path = tmp_path / f"input{kind.suffix}"
        assert kind.write(kind.seeds[0], path)
        kind.use(path)


def test_a_case_is_the_same_at_each_run(kinds: dict[str, Kind]) -> None:
    for name in ("zip", "corpus values", "own manifest values"):
        kind = kinds[name]
        for case in draw_cases([name], {name: len(kind.seeds)}, 20, seed=1):
            one, other = (apply_changes(kind.seeds[case.seed], case.changes) for _ in range(2))
            assert repr(one) == repr(other)
