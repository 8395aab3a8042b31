"""Shared parts of the benchmarks: alternating runs of several sides, and tables of the results.

A side is one of the compared implementations. It runs in its own process, a module of this package started with
`--side NAME`, and performs one run per input line. So the runs of all sides alternate, and each side has its own
peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

THREADS = min(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Run:
    """One run of a side.

    Attributes:
        seconds: wall time, seconds.
        processor: processor time of all threads, seconds.
        peak_mib: peak memory so far: of the process on a CPU, of tensors on a GPU; MiB.
        value: number that should be the same for all sides.
    """

    seconds: float
    processor: float
    peak_mib: float
    value: float


@dataclass(frozen=True)
class Machine:
    """The machine of the measurements."""

    processor: str
    cores: int
    memory_gib: float
    python: str
    torch: str
    gpu: str | None

    @classmethod
    def this(cls) -> Machine:
        """Describe this machine."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return cls(
            _processor(), os.cpu_count() or 1, round(memory, 1), platform.python_version(), torch.__version__, gpu
        )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def serve(work: Callable[[], float], device: str = "cpu") -> None:
    """Run `work` for each line of standard input, and print each run as JSON.

    Args:
        work: work of the side; returns the value that should be the same for all sides.
        device: device of the computation.
    """
    for _ in sys.stdin:
        before, processor = time.perf_counter(), time.process_time()
        value = work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds, processor = time.perf_counter() - before, time.process_time() - processor
        peak = _peak_memory() if device == "cpu" else torch.cuda.max_memory_allocated() / 2**20
        print(json.dumps(asdict(Run(seconds, processor, peak, value))), flush=True)


def _peak_memory() -> float:
    """Return the peak memory of this process, MiB; `ru_maxrss` begins with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def alternate_runs(module: str, sides: Sequence[str], arguments: Sequence[str], repeats: int) -> dict[str, list[Run]]:
    """Run all sides in turn, several times.

    Args:
        module: module of the sides, `benchmarks.NAME`.
        sides: names of the sides.
        arguments: command-line arguments for all sides.
        repeats: runs per side.
    """
    processes = {
        side: subprocess.Popen(
            [sys.executable, "-m", module, "--side", side, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in sides
    }
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("run\n")
            process.stdin.flush()
            runs[side].append(Run(**json.loads(process.stdout.readline())))
    for process in processes.values():
        process.communicate()
    return runs


def median(runs: Sequence[Run]) -> float:
    """Return the median wall time, seconds."""
    return statistics.median(run.seconds for run in runs)


def relative_differences(runs: Mapping[str, Sequence[Run]], reference: str) -> dict[str, float]:
    """Return the relative difference of each side's first value from the reference's."""
    expected = runs[reference][0].value
    return {side: abs(of[0].value - expected) / abs(expected) for side, of in runs.items()}


def summarize_sides(runs: Mapping[str, Sequence[Run]], reference: str, frames: int) -> list[dict[str, object]]:
    """Return one row per side: time, frames per second, speed-up over the reference, memory, difference in value."""
    differences = relative_differences(runs, reference)
    peak = runs[reference][-1].peak_mib
    return [
        {
            "side": side,
            "seconds": round(median(of), 3),
            "processor_seconds": round(statistics.median(run.processor for run in of), 3),
            "frames_per_second": round(frames / median(of), 2),
            "times_as_fast": round(
                statistics.median(r.seconds / o.seconds for r, o in zip(runs[reference], of, strict=True)), 2
            ),
            "peak_mib": round(of[-1].peak_mib),
            "memory_percent": round(100 * of[-1].peak_mib / peak, 1),
            "difference": float(f"{differences[side]:.1e}"),
        }
        for side, of in runs.items()
    ]


def report(title: str, rows: Sequence[Mapping[str, object]], *, as_json: bool, **facts: object) -> None:
    """Print a table as Markdown or JSON."""
    if as_json:
        print(json.dumps({"title": title, "machine": asdict(Machine.this()), **facts, "rows": rows}, indent=2))
        return
    machine = Machine.this()
    print(f"**{title}** on {machine.cores} × {machine.processor}, {machine.memory_gib:g} GiB, torch {machine.torch}")
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
    names = list(rows[0])
    print("\n| " + " | ".join(name.replace("_", " ") for name in names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in names) + " |")
    print()


def compare_sides(
    description: str,
    name: str,
    title: str,
    make: Callable[[str, int, int, int, str], Callable[[], float]],
    *,
    sides: Mapping[str, Sequence[str]],
    repeats: int,
) -> None:
    """Run the command line of a benchmark of CorrNet: compare all sides or, with `--side`, serve one of them.

    Args:
        description: description in the help text.
        name: name of the benchmark's module in this package.
        title: title of the table.
        make: function of side, clips, frames per clip, pixels and device that returns the work to measure.
        sides: default sides by `cpu` and `cuda`; the plain one first.
        repeats: default number of runs per side.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="clips per batch")
    parser.add_argument("--frames", type=int, default=100, help="frames per clip, a multiple of 4")
    parser.add_argument("--size", type=int, default=224, help="side of the frames, pixels")
    parser.add_argument("--threads", type=int, default=THREADS, help="number of CPU threads")
    parser.add_argument("--repeats", type=int, default=repeats, help="runs per side, in turn; medians are shown")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--sides", nargs="*", help="sides to compare; the first is the reference")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        torch.set_num_threads(given.threads)
        serve(make(given.side, given.batch, given.frames, given.size, given.device), given.device)
        return
    chosen = given.sides or sides["cpu" if given.device == "cpu" else "cuda"]
    arguments = [f"--{option}={getattr(given, option)}" for option in ("batch", "frames", "size", "threads", "device")]
    runs = alternate_runs(f"benchmarks.{name}", chosen, arguments, given.repeats)
    title = f"{title}, B = {given.batch}, T = {given.frames}, {given.size} pixels, {given.threads} threads"
    report(title, summarize_sides(runs, chosen[0], given.batch * given.frames), as_json=given.json)
