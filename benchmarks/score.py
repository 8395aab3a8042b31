"""Time and memory of `cslr score` for 10,000 clips of 10 glosses, with and without a report.

    python -m benchmarks.score
    python -m benchmarks.score --clips 20000

Each command runs in a new process, from start to end. Wall time and processor time are shown; processor time is also
valid on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from cslr_cli.scoring import Reference, TimedGloss, write_ctm, write_stm

NUM_GLOSSES = 1200
NUM_SIGNERS = 9
GLOSSES_PER_CLIP = 10
REPEATS = 3

# Runs the command line and prints times and peak memory of this process (VmHWM of Linux).
PROGRAM = """
import json, os, sys, time
start = time.perf_counter()
sys.argv = ["cslr", *sys.argv[1:]]
from cslr_cli.__main__ import main
try:
    main()
finally:
    used = os.times()
    (peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    clock = time.perf_counter() - start
    print(json.dumps({"clock": clock, "processor": used.user + used.system, "kib": int(peak)}))
"""


def main() -> None:
    """Make the files, run the commands and print one line per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000, help="number of clips")
    num_clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), num_clips)
        print(f"{num_clips} clips of {GLOSSES_PER_CLIP} glosses, the best of {REPEATS} runs")
        for what, options in (
            ("cslr score", ["first.ctm"]),
            ("with a report", ["first.ctm", "--output", "report"]),
            ("two systems, with a report", ["first.ctm", "second.ctm", "--output", "both"]),
        ):
            best = min((run_score(Path(folder), options) for _ in range(REPEATS)), key=lambda each: each["processor"])
            print(
                f"{what:28} {best['clock']:6.2f} s wall time {best['processor']:6.2f} s processor time "
                f"{best['kib'] / 1024:6.0f} MiB"
            )
        for page in ("report", "both"):
            size = (Path(folder) / page / "report.html").stat().st_size
            print(f"{page}/report.html: {size / 1e6:.1f} MB")


def make_files(folder: Path, num_clips: int) -> None:
    """Write references, and hypotheses of two systems with errors in about 30 % of the glosses."""
    draw = random.Random(0)
    glosses = [f"GLOSS{number}" for number in range(NUM_GLOSSES)]
    references = [
        Reference(f"clip{number:05}", tuple(draw.choices(glosses, k=GLOSSES_PER_CLIP)), f"s{number % NUM_SIGNERS}")
        for number in range(num_clips)
    ]
    write_stm(folder / "refs.stm", references)
    for name in ("first", "second"):
        hypotheses = {
            each.sample_id: [
                TimedGloss(gloss if draw.random() > 0.3 else draw.choice(glosses), place * 0.5, place * 0.5 + 0.4)
                for place, gloss in enumerate(each.glosses)
                if draw.random() > 0.05
            ]
            for each in references
        }
        write_ctm(folder / f"{name}.ctm", hypotheses)


def run_score(folder: Path, options: list[str]) -> dict[str, float]:
    """Run the command once; return times and peak memory."""
    command = [sys.executable, "-c", PROGRAM, "score", "refs.stm", *options, "--protocol", "phoenix2014"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
