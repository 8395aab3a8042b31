"""Runs cases in a worker process that is watched from outside, and gathers the faults by the place in the code.

A case may raise any CslrError (or OSError, which the command line reports too). Everything else is a fault: another
exception, a crash of the process, more than 10 seconds, or more than 2 GB.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.fuzz.commands import CommandFaultError, make_command_kinds
from benchmarks.fuzz.kinds import Kind, make_kinds
from benchmarks.fuzz.mutations import apply_changes
from cslr_cli.errors import CslrError

MAX_SECONDS = 10.0
MAX_MIB = 2000
_MAX_WAIT_SECONDS = 50.0  # more, for a case that has not used so much time of the processor
_START_SECONDS = 300.0  # of a worker: it imports torch and makes the seeds

Result: TypeAlias = Literal["read", "refused", "unwritable", "fault"]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        kind: name of its kind.
        seed: number of the valid input.
        changes: numbers of the changes; see `mutations`.
    """

    kind: str
    seed: int
    changes: tuple[int, ...]


@dataclass
class Fault:
    """A fault, and the smallest case that shows it.

    Attributes:
        case: the smallest case.
        place: exception and place in the code, or what the process did; equal faults have equal places.
        details: traceback.
        count: number of cases with this fault.
        content: bytes of the file of the smallest case.
    """

    case: Case
    place: str
    details: str
    count: int = 1
    content: bytes = b""


@dataclass
class Report:
    """The results of a campaign: number of cases by result, and the faults by their places."""

    counts: Counter[Result] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)
    slowest: float = 0.0
    peak_mib: int = 0


def draw_cases(kinds: Sequence[str], num_seeds: dict[str, int], number: int, seed: int) -> Iterator[Case]:
    """Draw cases of all kinds in turn, each with 1 to 4 changes."""
    rng = random.Random(seed)
    for index in range(number):
        kind = kinds[index % len(kinds)]
        changes = tuple(rng.randrange(2**40) for _ in range(rng.choice((1, 1, 1, 2, 3, 4))))
        yield Case(kind, rng.randrange(num_seeds[kind]), changes)


def run_case(kind: Kind, case: Case, folder: Path) -> tuple[Result, str, str]:
    """Run a case in this process, in an empty folder.

    Returns:
        The result, and for a fault its place and its traceback.
    """
    path = folder / f"input{kind.suffix}"
    if not kind.write(apply_changes(kind.seeds[case.seed], case.changes), path):
        return "unwritable", "", ""
    try:
        kind.use(path)
    except (CslrError, OSError):
        return "refused", "", ""
    except CommandFaultError as fault:
        place, _, details = str(fault).partition("\n")
        return "fault", place, details
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "cslr_cli" in frame.filename] or list(frames)
        last = own[-1]
        place = f"{type(error).__name__} in {Path(last.filename).name}, {last.name}"
        return "fault", place, "".join(traceback.format_exception(error))[-3000:]
    if kind.is_whole is not None and not kind.is_whole(path.read_bytes()):
        return "fault", "read, although an independent reader cannot read it", ""
    return "read", "", ""


def _work(connection: Connection) -> None:
    """Answer each case that the connection sends with its result."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries print a line for each damaged picture
    with tempfile.TemporaryDirectory(prefix="cslr-fuzz-") as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        kinds = make_kinds(folder / "seeds")
        kinds |= {kind.name: kind for kind in make_command_kinds(folder / "seeds")}
        work = folder / "work"
        work.mkdir()
        os.chdir(work)
        connection.send({kind.name: len(kind.seeds) for kind in kinds.values()})
        while True:
            try:
                case: Case = connection.recv()
            except EOFError:
                return
            result, place, details = run_case(kinds[case.kind], case, work)
            if result != "fault" and any(path.name.startswith("executed") for path in work.iterdir()):
                result, place, details = "fault", "code of the file was executed", ""
            path = work / f"input{kinds[case.kind].suffix}"
            content = path.read_bytes() if result == "fault" and path.exists() else b""
            connection.send((result, place, details, content))


class Worker:
    """A process that runs cases; a new one replaces it when it crashes or is too slow.

    Attributes:
        num_seeds: number of valid inputs of each kind.
    """

    def __init__(self) -> None:
        self.num_seeds: dict[str, int] = {}
        self._cpu_before = 0.0
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()
        if not self._connection.poll(_START_SECONDS):
            raise RuntimeError("the worker did not start")
        self.num_seeds = self._connection.recv()

    def run(self, case: Case) -> tuple[Result, str, str, bytes, float, int]:
        """Return result, place, details, content, seconds and peak memory in MiB of a case."""
        process = f"/proc/{self._process.pid}"
        with suppress(OSError):
            Path(process, "clear_refs").write_text("5")  # resets the peak memory
        self._cpu_before = 0.0
        self._cpu_before = self._cpu_seconds()
        started = time.monotonic()
        result: Result
        self._connection.send(case)
        try:
            has_answer = self._connection.poll(MAX_SECONDS) or self._waits_for_the_processor()
            result, place, details, content = self._connection.recv() if has_answer else ("fault", "too slow", "", b"")
        except EOFError:
            self._process.join()
            result, place, details, content = "fault", f"the process ended: {self._process.exitcode}", "", b""
        seconds, peak = time.monotonic() - started, self._peak_mib(process)
        if peak > MAX_MIB:
            result, place = "fault", f"{MAX_MIB} MiB of memory"
        if not has_answer or not self._process.is_alive():
            self.stop()
            self._start()
        return result, place, details, content, seconds, peak

    def _waits_for_the_processor(self) -> bool:
        """Give a case more time if other programs use the processor; return whether it ends in time."""
        started = time.monotonic()
        while time.monotonic() - started < _MAX_WAIT_SECONDS and self._cpu_seconds() < MAX_SECONDS:
            if self._connection.poll(1.0):
                return True
        return False

    def _cpu_seconds(self) -> float:
        """Return the processor time of the current case."""
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") - self._cpu_before
        return MAX_SECONDS

    @staticmethod
    def _peak_mib(process: str) -> int:
        with suppress(OSError, IndexError):
            lines = Path(process, "status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
        return 0

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def run_campaign(
    number: int,
    seed: int,
    only: Sequence[str] = (),
    on_fault: Callable[[str, Fault], None] = lambda key, fault: None,
) -> Report:
    """Run cases, and make the case of each fault as small as possible.

    Args:
        number: number of cases.
        seed: seed of the cases.
        only: patterns of the kinds; all kinds if there are none.
        on_fault: called with each new fault and its key.
    """
    report, worker = Report(), Worker()
    kinds = [name for name in worker.num_seeds if not only or any(fnmatch(name, pattern) for pattern in only)]
    try:
        for case in draw_cases(kinds, worker.num_seeds, number, seed):
            result, place, details, content, seconds, peak = worker.run(case)
            report.counts[result] += 1
            report.slowest, report.peak_mib = max(report.slowest, seconds), max(report.peak_mib, peak)
            if result != "fault":
                continue
            key = f"{case.kind}: {place}"
            if key in report.faults:
                report.faults[key].count += 1
            else:
                report.faults[key] = _minimized(worker, Fault(case, place, details, content=content))
                on_fault(key, report.faults[key])
    finally:
        worker.stop()
    return report


def _minimized(worker: Worker, fault: Fault) -> Fault:
    """Leave out the changes that the fault does not need."""
    for change in fault.case.changes:
        fewer = tuple(other for other in fault.case.changes if other != change)
        smaller = Case(fault.case.kind, fault.case.seed, fewer)
        if fewer:
            result, place, details, content, *_ = worker.run(smaller)
            if result == "fault" and place == fault.place:
                fault = Fault(smaller, place, details, content=content)
    return fault
