"""Speed of the whole command `cslr evaluate`, compared with a plain implementation.

    python -m benchmarks.evaluate
    python -m benchmarks.evaluate --clips 20 --repeats 2 --json

The network is CorrNet of the published size with random weights. The plain side reads every frame, converts it to
floats and runs one clip at a time; decoding and scoring use the same functions. The compared value is the word
error rate in percent, plus one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.drawn_corpus import drawn_corpus, write_checkpoint
from benchmarks.measuring import THREADS, Run, report, summarize_sides
from benchmarks.plain import PlainDataset, PlainNetwork, recognize_clips
from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.decoding.clip_decoder import ClipLogProbs
from cslr_cli.evaluation.checkpoint_evaluation import make_evaluator

SIDES = ("plain fp32", "fp32", "bf16")


def measure_plain_wer(checkpoint_path: Path, corpus_path: Path) -> float:
    """Compute the word error rate on dev with the plain implementation."""
    checkpoint, corpus = load_checkpoint(checkpoint_path), PreparedCorpus.open(corpus_path)
    network = checkpoint.build_network()
    plain = PlainNetwork.like(network)
    dataset = PlainDataset(corpus, corpus.samples("dev"), checkpoint.config.data, training=False)
    clips = []
    for sample_id, output in recognize_clips(plain, dataset, network.plan, num_workers=1):
        heads = {"sequence": output.sequence_logits, "conv": output.conv_logits}
        log_probs = {head: logits[0].log_softmax(-1).numpy() for head, logits in heads.items()}
        clips.append(ClipLogProbs(sample_id, len(dataset.samples), log_probs))
    evaluator = make_evaluator(
        checkpoint, corpus, "dev", device=torch.device("cpu"), dtype=torch.float32, num_workers=0
    )
    return evaluator.score(evaluator.decode(clips, len(clips))).wer


def make_command(side: str, checkpoint: Path, corpus: Path) -> list[str]:
    """Return the command of a side, which prints a word error rate as JSON."""
    if side.startswith("plain"):
        return [sys.executable, "-m", "benchmarks.evaluate", "--plain", str(checkpoint), str(corpus)]
    options = ["--corpus", str(corpus), "--split", "dev", "--precision", side, "--device", "cpu", "--workers", "1"]
    return [sys.executable, "-m", "cslr_cli", "evaluate", str(checkpoint), *options, "--json"]


def run_command(side: str, checkpoint: Path, corpus: Path, threads: int) -> Run:
    """Run the command of a side."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        make_command(side, checkpoint, corpus),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The peak is the largest of all child processes so far, so it is valid only for the first side.
    return Run(seconds, processor, after.ru_maxrss / 1024, 1 + find_wer(json.loads(done.stdout)))


def find_wer(output: dict[str, Any]) -> float:
    """Return the word error rate on dev in the output of either side."""
    return float((output["splits"]["dev"] if "splits" in output else output)["wer"])


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20, help="number of clips, about 46 frames each")
    parser.add_argument("--threads", type=int, default=THREADS, help="number of CPU threads")
    parser.add_argument("--repeats", type=int, default=2, help="runs per side, in turn; medians are shown")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plain", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plain:
        print(json.dumps({"wer": measure_plain_wer(*given.plain)}))
        return
    with drawn_corpus(2, given.clips) as path:
        corpus, checkpoint = PreparedCorpus.open(path), path / "checkpoint.pt"
        write_checkpoint(corpus, checkpoint)
        runs: dict[str, list[Run]] = {side: [] for side in SIDES}
        for _ in range(given.repeats):
            for side in SIDES:
                runs[side].append(run_command(side, checkpoint, path, given.threads))
        num_frames = sum(sample.num_frames or 0 for sample in corpus.samples("dev"))
    rows = summarize_sides(runs, SIDES[0], num_frames)
    for row in rows:
        del row["peak_mib"], row["memory_percent"]
    title = f"cslr evaluate on {given.clips} clips, {num_frames} frames, {given.threads} threads, whole command"
    report(title, rows, as_json=given.json)


if __name__ == "__main__":
    main()
