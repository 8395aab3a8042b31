"""Time and memory of `cslr score` for 10,000 clips of 10 glosses: in every form, with marks, and with a report.

    python -m benchmarks.score
    python -m benchmarks.score --clips 20000
    python -m benchmarks.score --smoke              # a few clips, to see that everything runs

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
from cslr_cli.scoring.forms import FORM_NAMES, read_transcripts, write_transcripts

NUM_GLOSSES = 1200
NUM_SIGNERS = 9
GLOSSES_PER_CLIP = 10
REPEATS = 3
SEEDS = ("first.ctm", "first-1.ctm", "first-2.ctm", "second.ctm", "second-1.ctm", "second-2.ctm")

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
    parser.add_argument("--smoke", action="store_true", help="a few clips, one run of each command")
    arguments = parser.parse_args()
    num_clips, repeats = (50, 1) if arguments.smoke else (arguments.clips, REPEATS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, num_clips)
        make_forms(folder)
        make_marks(folder, num_clips)
        print(f"{num_clips} clips of {GLOSSES_PER_CLIP} glosses, the best of {repeats} runs")
        commands = [
            ("cslr score", ["refs.stm", "first.ctm"]),
            ("with a report", ["refs.stm", "first.ctm", "--output", "report", "--overwrite"]),
            ("two systems, with a report", ["refs.stm", "first.ctm", "second.ctm", "--output", "both", "--overwrite"]),
            *((f"both sides as {form}", [f"refs-{form}", f"first-{form}", "--format", form]) for form in FORM_NAMES),
            ("alternatives in each clip", ["alternatives.stm", "first.ctm"]),
            ("optional glosses in each clip", ["optional.stm", "first.ctm", "--optional-glosses"]),
            ("three seeds of two systems", ["refs.stm", *SEEDS[:3], "--", *SEEDS[3:]]),
            ("segments of 10 recordings", ["segments.stm", "recordings.ctm"]),
        ]
        for what, options in commands:
            best = min((run_score(folder, options) for _ in range(repeats)), key=lambda each: each["processor"])
            print(
                f"{what:30} {best['clock']:6.2f} s wall time {best['processor']:6.2f} s processor time "
                f"{best['kib'] / 1024:6.0f} MiB"
            )
        for page in ("report", "both"):
            size = (folder / page / "report.html").stat().st_size
            print(f"{page}/report.html: {size / 1e6:.1f} MB")


def make_forms(folder: Path) -> None:
    """Write the references and the first hypotheses in every form, CTM with the times of the glosses."""
    references = read_transcripts(folder / "refs.stm", "references").transcripts
    hypotheses = read_transcripts(folder / "first.ctm", "hypotheses").transcripts
    for form in FORM_NAMES:
        for name, transcripts in (("refs", references), ("first", hypotheses)):
            write_transcripts(folder / f"{name}-{form}", form, transcripts)


def make_marks(folder: Path, num_clips: int) -> None:
    """Write references with alternatives, with optional glosses, and with segments of 10 recordings."""
    draw = random.Random(1)
    lines = [line.split() for line in (folder / "refs.stm").read_text().splitlines()]
    alternatives, optional, segments, glosses = [], [], [], []
    for number, (name, channel, signer, *_, last) in enumerate(lines):
        signed = lines[number][5:]
        nested = f"{{ {signed[0]} / @ / {{ {signed[1]} / {last} }} {signed[2]} }}"
        alternatives.append(f"{name} {channel} {signer} 0 9 {nested} {' '.join(signed[1:])}\n")
        optional.append(f"{name} {channel} {signer} 0 9 ({signed[0]}) {' '.join(signed[1:])}\n")
        recording, start = number * 10 // num_clips, 10 * number
        segments.append(f"r{recording} 1 {signer} {start} {start + 10} {' '.join(signed)}\n")
        recognised = [gloss for gloss in signed if draw.random() > 0.3]
        glosses += [f"r{recording} 1 {start + place} 0.5 {gloss}\n" for place, gloss in enumerate(recognised)]
    for name, content in (
        ("alternatives.stm", alternatives),
        ("optional.stm", optional),
        ("segments.stm", segments),
        ("recordings.ctm", glosses),
    ):
        (folder / name).write_text("".join(content))


def make_files(folder: Path, num_clips: int) -> None:
    """Write references, and hypotheses of two systems, three seeds each, with errors in about 30 % of the glosses."""
    draw = random.Random(0)
    glosses = [f"GLOSS{number}" for number in range(NUM_GLOSSES)]
    references = [
        Reference(f"clip{number:05}", tuple(draw.choices(glosses, k=GLOSSES_PER_CLIP)), f"s{number % NUM_SIGNERS}")
        for number in range(num_clips)
    ]
    write_stm(folder / "refs.stm", references)
    for name in SEEDS:
        hypotheses = {
            each.sample_id: [
                TimedGloss(gloss if draw.random() > 0.3 else draw.choice(glosses), place * 0.5, place * 0.5 + 0.4)
                for place, gloss in enumerate(each.glosses)
                if draw.random() > 0.05
            ]
            for each in references
        }
        write_ctm(folder / name, hypotheses)


def run_score(folder: Path, options: list[str]) -> dict[str, float]:
    """Run the command once; return times and peak memory."""
    command = [sys.executable, "-c", PROGRAM, "score", "--protocol", "phoenix2014", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


if __name__ == "__main__":
    main()
