"""Try damaged and hostile inputs of every kind, and report the faults.

    python -m benchmarks.fuzz --cases 10000 --output faults/
    python -m benchmarks.fuzz --kind "picture .gif" --kind "train *" --seed 7
    python -m benchmarks.fuzz --smoke

Each case changes a valid file at one to four places. It ends well if the package reads it, or raises an error for the
user. Kinds that begin with the name of a command (`predict zip`) run this command. The exit
status is 1 if there are faults; `--output` gets the smallest file and the traceback of each.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.fuzz.campaign import MAX_MIB, MAX_SECONDS, Fault, Report, run_campaign

_SMOKE_CASES = 60
_DETAILS_SHOWN = 1000  # characters


def main() -> int:
    """Run a campaign and print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="number of cases (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument(
        "--kind", action="append", default=[], help="kind of input, or a pattern (default: all); repeatable"
    )
    parser.add_argument("--output", type=Path, help="folder for the smallest file of each fault")
    parser.add_argument("--smoke", action="store_true", help=f"only {_SMOKE_CASES} cases")
    arguments = parser.parse_args()
    started = time.monotonic()
    number = _SMOKE_CASES if arguments.smoke else arguments.cases
    report = run_campaign(number, arguments.seed, arguments.kind, _print_fault)
    print(_summary(report, time.monotonic() - started))
    if arguments.output is not None:
        _write_faults(report, arguments.output)
    return 1 if report.faults else 0


def _print_fault(key: str, fault: Fault) -> None:
    details = fault.details[-_DETAILS_SHOWN:].strip().replace("\n", "\n        ")
    print(f"{key}\n        {fault.case}\n        {details}", file=sys.stderr, flush=True)


def _summary(report: Report, seconds: float) -> str:
    lines = [
        f"{sum(report.counts.values())} cases in {seconds:.0f} s: "
        + ", ".join(f"{count} {result}" for result, count in sorted(report.counts.items())),
        f"slowest {report.slowest:.1f} s (limit {MAX_SECONDS:g} s), "
        f"most memory {report.peak_mib} MiB (limit {MAX_MIB} MiB)",
    ]
    for key, fault in sorted(report.faults.items()):
        lines.append(f"{fault.count:5} × {key}\n        {fault.case}")
    return "\n".join(lines)


def _write_faults(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (key, fault) in enumerate(sorted(report.faults.items())):
        (folder / f"{number}.input").write_bytes(fault.content)
        (folder / f"{number}.txt").write_text(f"{key}\n{fault.case}\n\n{fault.details}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
