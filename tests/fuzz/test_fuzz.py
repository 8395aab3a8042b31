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


def test_the_seeds_are_valid(kinds: dict[str, Kind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the changes would only be tried on files that are refused anyway."""
    monkeypatch.chdir(tmp_path)
    for kind in kinds.values():
        path = tmp_path / f"input{kind.suffix}"
        assert kind.write(kind.seeds[0], path)
        kind.use(path)


def test_a_case_is_the_same_at_each_run(kinds: dict[str, Kind]) -> None:
    for name in ("zip", "corpus values", "own manifest values"):
        kind = kinds[name]
        for case in draw_cases([name], {name: len(kind.seeds)}, 20, seed=1):
            one, other = (apply_changes(kind.seeds[case.seed], case.changes) for _ in range(2))
            assert repr(one) == repr(other)
