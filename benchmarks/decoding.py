"""Speed and agreement of the decoders, and the cost of decoding in other processes.

    python -m benchmarks.decoding
    python -m benchmarks.decoding --checkpoint runs/quickstart/best.pt --json

The decoders take turns on the same clips, so that other load on the machine affects all of them; the median of
several runs is shown. Times are processor times. Clips are log-probabilities: `flat` ones of an untrained network
(the hardest), `peaky` ones of a network that is certain of most steps, and with `--checkpoint` those of a trained
network on dev and test of its corpus.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cslr_cli.decoding import Decoder, decoder_pool, log_softmax, make_decoder
from cslr_cli.decoding.decoder_pool import DecoderPool
from cslr_cli.decoding.hypothesis import LogProbs, merge_repeated_ids
from cslr_cli.errors import MissingPackageError
from cslr_cli.scoring import Reference, find_protocol, score

# Size of PHOENIX2014: classes with the blank, steps of a clip of 200 frames, glosses of a sentence.
NUM_CLASSES, NUM_STEPS, NUM_GLOSSES = 1300, 50, 11
# Size of the synthetic corpus: with flat logits, many labellings have nearly the same probability.
FEW_CLASSES, FEW_STEPS = 18, 12
BEAM_WIDTH = 10

Clips = Sequence[LogProbs]
Glosses = tuple[int, ...]


@dataclass(frozen=True)
class Speed:
    """Processor time of a decoder per clip.

    Attributes:
        logits: kind of clips.
        decoder: name of the decoder.
        milliseconds: median, milliseconds.
        slowest: 95th percentile, milliseconds.
    """

    logits: str
    decoder: str
    milliseconds: float
    slowest: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of two decoders.

    Attributes:
        logits: kind of clips.
        clips: number of clips.
        first: name of the first decoder.
        second: name of the second decoder.
        same_percent: clips with the same glosses, percent.
        first_likelier_percent: clips for which the first decoder's glosses are more probable (over all paths), percent.
        second_likelier_percent: clips for which the second decoder's glosses are more probable, percent.
        wer_between: word error rate of the second decoder with the first's glosses as references, percent.
    """

    logits: str
    clips: int
    first: str
    second: str
    same_percent: float
    first_likelier_percent: float
    second_likelier_percent: float
    wer_between: float


@dataclass(frozen=True)
class WorkerCost:
    """Cost of decoding for the main process.

    Attributes:
        workers: number of other processes that decode.
        clips: number of decoded clips.
        own_seconds: median processor time of the main process, seconds.
        clock_seconds: median wall time including the start of the processes, seconds.
    """

    workers: int
    clips: int
    own_seconds: float
    clock_seconds: float


def flat(
    random: np.random.Generator, num_steps: int = NUM_STEPS, num_classes: int = NUM_CLASSES, spread: float = 1.0
) -> LogProbs:
    """Draw log-probabilities (T', V) from normal logits, without clear winners."""
    return log_softmax(random.normal(0, spread, (num_steps, num_classes)))


def peaky(random: np.random.Generator) -> LogProbs:
    """Draw log-probabilities (T', V) with one clearly most probable class per step, mostly the blank."""
    logits = random.normal(0, 1, (NUM_STEPS, NUM_CLASSES))
    path = np.zeros(NUM_STEPS, dtype=np.intp)
    for start in 2 * np.sort(random.choice(np.arange(1, NUM_STEPS // 2), NUM_GLOSSES, replace=False)):
        path[start : start + 2] = random.integers(1, NUM_CLASSES)
    logits[np.arange(NUM_STEPS), path] += random.uniform(6, 14, NUM_STEPS)
    return log_softmax(logits)


def make_decoders(glosses: Sequence[str]) -> dict[str, Decoder]:
    """Make all installed decoders."""
    names = ("beam", "greedy")
    # Repeats are kept, so that exactly the results of the searches are compared.
    made = {name: make_decoder(name, glosses=glosses, beam_width=BEAM_WIDTH, keep_repeats=True) for name in names}
    with suppress(MissingPackageError):  # not available for Python 3.13 and later
        made["pyctcdecode"] = make_decoder("pyctcdecode", glosses=glosses, beam_width=BEAM_WIDTH, keep_repeats=True)
    return made


def measure_speed(logits: str, clips: Clips, with_decoders: Mapping[str, Decoder], repeats: int) -> list[Speed]:
    """Time each decoder on each clip; the decoders take turns."""
    times: dict[str, list[float]] = {name: [] for name in with_decoders}
    for _ in range(repeats):
        for clip in clips:
            for name, decoder in with_decoders.items():
                start = time.process_time()
                decoder.decode(clip)
                times[name].append(1000 * (time.process_time() - start))
    return [
        Speed(logits, name, statistics.median(each), float(np.percentile(each, 95))) for name, each in times.items()
    ]


def decode_clips(clips: Clips, with_decoders: Mapping[str, Decoder]) -> dict[str, list[Glosses]]:
    """Decode the clips with each decoder."""
    return {name: [decoder.decode(clip)[0].gloss_ids for clip in clips] for name, decoder in with_decoders.items()}


def log_probability(log_probs: LogProbs, glosses: Glosses) -> float:
    """Compute the log-probability of a labelling over all its paths, by CTC's forward algorithm."""
    labels = np.zeros(2 * len(glosses) + 1, dtype=np.intp)
    labels[1::2] = glosses
    skips = np.full(len(labels), -np.inf)  # from a gloss directly to the next, if they differ
    skips[3::2] = np.where(labels[3::2] != labels[1:-2:2], 0.0, -np.inf)
    reached = np.full(len(labels), -np.inf)
    reached[:2] = log_probs[0, labels[:2]]
    for step in log_probs[1:]:
        stepped = np.concatenate(([-np.inf], reached[:-1]))
        skipped = np.concatenate(([-np.inf, -np.inf], reached[:-2]))[: len(labels)] + skips
        reached = np.logaddexp(np.logaddexp(reached, stepped), skipped) + step[labels]
    return float(np.logaddexp.reduce(reached[-2:]))


def measure_agreement(logits: str, clips: Clips, glosses: Mapping[str, Sequence[Glosses]]) -> list[Agreement]:
    """Compare the exact search with each other decoder."""
    exact = glosses["beam"]
    references = [Reference(str(place), tuple(map(str, each))) for place, each in enumerate(exact)]
    compared = []
    for name, others in glosses.items():
        if name == "beam":
            continue
        leads = [
            log_probability(clip, one) - log_probability(clip, other)
            for clip, one, other in zip(clips, exact, others, strict=True)
            if one != other
        ]
        first, second = sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads)
        hypotheses = {str(place): [str(gloss) for gloss in each] for place, each in enumerate(others)}
        between = score(references, hypotheses, find_protocol("plain")).wer
        compared.append(
            Agreement(
                logits=logits,
                clips=len(clips),
                first="beam",
                second=name,
                same_percent=100 * (len(clips) - len(leads)) / len(clips),
                first_likelier_percent=100 * first / len(clips),
                second_likelier_percent=100 * second / len(clips),
                wer_between=between,
            )
        )
    return compared


def measure_decoder_pool(clips: Clips, decoder: Decoder, workers: Sequence[int], repeats: int) -> list[WorkerCost]:
    """Decode clips in this process and in other processes, in turn."""
    runs: dict[int, list[tuple[float, float]]] = {count: [] for count in workers}
    before, decoder_pool.MIN_SECONDS_FOR_WORKERS = decoder_pool.MIN_SECONDS_FOR_WORKERS, 0.0
    try:
        for _ in range(repeats):
            for count in workers:
                own, clock = time.process_time(), time.perf_counter()
                with DecoderPool(decoder.decode, count) as pool:
                    for _ in pool.map(clips, len(clips)):
                        pass
                runs[count].append((time.process_time() - own, time.perf_counter() - clock))
    finally:
        decoder_pool.MIN_SECONDS_FOR_WORKERS = before
    return [
        WorkerCost(count, len(clips), *(statistics.median(column) for column in zip(*times, strict=True)))
        for count, times in runs.items()
    ]


def measure_trained(checkpoint_path: Path) -> tuple[dict[str, dict[str, float]], list[Agreement]]:
    """Decode dev and test of a trained network.

    Returns:
        WER of each decoder on the sequence head by split, percent; and the agreement by split and head.
    """
    import torch

    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.checkpoints.corpus_origin import find_corpus
    from cslr_cli.evaluation import HEADS
    from cslr_cli.evaluation.checkpoint_evaluation import make_evaluator
    from cslr_cli.evaluation.network_pass import evaluation_mode

    checkpoint = load_checkpoint(checkpoint_path)
    corpus, network = find_corpus(checkpoint.corpus).corpus, checkpoint.build_network()
    with_decoders = make_decoders(checkpoint.vocabulary.glosses)
    wers: dict[str, dict[str, float]] = {}
    agreements = []
    for split in ("dev", "test"):
        evaluator = make_evaluator(checkpoint, corpus, split, device=torch.device("cpu"), dtype=torch.float32)
        with evaluation_mode(network):
            clips = list(evaluator.log_probs(network))
        log_probs = {head: [clip.heads[head] for clip in clips] for head in HEADS}
        found = {head: decode_clips(log_probs[head], with_decoders) for head in HEADS}
        for head in HEADS:
            agreements += measure_agreement(f"{split}, {head} head", log_probs[head], found[head])
        wers[split] = {}
        for decoder, glosses in found["sequence"].items():
            pairs = zip(clips, glosses, strict=True)
            hypotheses = {clip.sample_id: checkpoint.vocabulary.decode(merge_repeated_ids(ids)) for clip, ids in pairs}
            wers[split][decoder] = evaluator.score_glosses(hypotheses).wer
    return wers, agreements


def describe_machine() -> str:
    """Describe the machine."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all measurements and return plain values."""
    random = np.random.default_rng(0)
    glosses = [f"GLOSS{number:04d}" for number in range(1, NUM_CLASSES)]
    with_decoders = make_decoders(glosses)
    kinds = {kind.__name__: [kind(random) for _ in range(arguments.clips)] for kind in (flat, peaky)}
    speeds, agreements = [], []
    for name, clips in kinds.items():
        speeds += measure_speed(name, clips, with_decoders, arguments.repeats)
        agreements += measure_agreement(name, clips, decode_clips(clips, with_decoders))
    for spread in (0.3, 1.0, 3.0):
        clips = [flat(random, FEW_STEPS, FEW_CLASSES, spread) for _ in range(10 * arguments.clips)]
        few = decode_clips(clips, make_decoders(glosses[: FEW_CLASSES - 1]))
        agreements += measure_agreement(f"flat, {FEW_CLASSES} classes, σ {spread:g}", clips, few)
    costs = measure_decoder_pool(kinds["flat"] * 10, with_decoders["beam"], (0, 1, 2), 3)
    wers: dict[str, dict[str, float]] = {}
    if arguments.checkpoint:
        wers, of_trained = measure_trained(arguments.checkpoint)
        agreements += of_trained
    return {
        "machine": describe_machine(),
        "classes": NUM_CLASSES,
        "steps": NUM_STEPS,
        "beam_width": BEAM_WIDTH,
        "speed": [asdict(speed) for speed in speeds],
        "agreement": [asdict(agreement) for agreement in agreements],
        "decoder_pool": [asdict(cost) for cost in costs],
        "wer": wers,
    }


def show(figures: Mapping[str, Any]) -> None:
    """Print the measurements as text."""
    print(figures["machine"])
    print(f"milliseconds per clip, V = {figures['classes']}, T' = {figures['steps']}, beam {figures['beam_width']}")
    for speed in figures["speed"]:
        label = f"{speed['logits']:6s} {speed['decoder']:12s}"
        print(f"  {label} {speed['milliseconds']:6.2f} (95th percentile: {speed['slowest']:.2f})")
    print("agreement with the exact search, in %: clips with the same glosses; clips for which the exact search's")
    print("glosses are more probable; clips for which the other decoder's are; word error rate between them")
    for each in figures["agreement"]:
        shares = (each["same_percent"], each["first_likelier_percent"], each["second_likelier_percent"])
        columns = " ".join(f"{share:6.1f}" for share in shares)
        print(
            f"  {each['logits']:24s} {each['second']:12s} {columns} {each['wer_between']:7.2f} ({each['clips']} clips)"
        )
    print("decoding in other processes: processor time of the main process, and wall time")
    for cost in figures["decoder_pool"]:
        print(
            f"  {cost['workers']} processes, {cost['clips']} clips: "
            f"{cost['own_seconds']:6.2f} s processor time, {cost['clock_seconds']:6.2f} s wall time"
        )
    for split, wers in figures["wer"].items():
        print(f"WER on {split}: " + ", ".join(f"{decoder} {wer:.2f} %" for decoder, wer in wers.items()))


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=50, help="number of clips of each kind")
    parser.add_argument("--repeats", type=int, default=5, help="number of runs; the median is shown")
    parser.add_argument("--checkpoint", type=Path, help="also decode dev and test of this trained network")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = measure(arguments)
    if arguments.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
