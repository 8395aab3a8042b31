"""How fast the decoders are, how often they agree, and what decoding in other processes costs.

    python -m benchmarks.decoding
    python -m benchmarks.decoding --checkpoint runs/quickstart/best.pt --json

Each decoder decodes the same clips in turn with the others, again and again, and the median of its times
counts: so that what else the machine does falls on all alike. Times are of the processor. Clips are
log-probabilities: `flat` ones of a network that knows nothing, the hardest, `peaky` ones of a network that is
sure of most steps, and with `--checkpoint` those of a trained network on dev and test of its corpus.
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

# PHOENIX2014's size: classes with the blank, steps of a clip of 200 frames, glosses of a sentence.
NUM_CLASSES, NUM_STEPS, NUM_GLOSSES = 1300, 50, 11
# The size of the synthetic corpus: here flat logits leave the search many labellings that are nearly alike.
FEW_CLASSES, FEW_STEPS = 18, 12
BEAM_WIDTH = 10

Clips = Sequence[LogProbs]
Glosses = tuple[int, ...]


@dataclass(frozen=True)
class Speed:
    """How long a clip takes.

    Attributes:
        logits: which clips.
        decoder: its name.
        milliseconds: of processor time, the median.
        slowest: the 95th of a hundred.
    """

    logits: str
    decoder: str
    milliseconds: float
    slowest: float


@dataclass(frozen=True)
class Agreement:
    """How alike two decoders' results are.

    Attributes:
        logits: which clips.
        clips: how many.
        first: a decoder.
        second: the other one.
        same_percent: clips for which both give the same glosses.
        first_likelier_percent: clips for which the first's glosses are more probable, by all paths.
        second_likelier_percent: clips for which the second's are.
        wer_between: the second's word error rate, were the first's the references, percent.
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
    """What decoding a split costs the process that has the network.

    Attributes:
        workers: other processes that decode.
        clips: how many were decoded, both heads of each.
        own_seconds: of processor time in this process, the median.
        clock_seconds: from the first clip to the last, with the start of the processes, the median.
    """

    workers: int
    clips: int
    own_seconds: float
    clock_seconds: float


def flat(
    random: np.random.Generator, num_steps: int = NUM_STEPS, num_classes: int = NUM_CLASSES, spread: float = 1.0
) -> LogProbs:
    """Log-probabilities (T', V) of normal logits: no class stands out."""
    return log_softmax(random.normal(0, spread, (num_steps, num_classes)))


def peaky(random: np.random.Generator) -> LogProbs:
    """Log-probabilities (T', V) with one class far above the others in each step, mostly the blank."""
    logits = random.normal(0, 1, (NUM_STEPS, NUM_CLASSES))
    path = np.zeros(NUM_STEPS, dtype=np.intp)
    for start in 2 * np.sort(random.choice(np.arange(1, NUM_STEPS // 2), NUM_GLOSSES, replace=False)):
        path[start : start + 2] = random.integers(1, NUM_CLASSES)
    logits[np.arange(NUM_STEPS), path] += random.uniform(6, 14, NUM_STEPS)
    return log_softmax(logits)


def decoders(glosses: Sequence[str]) -> dict[str, Decoder]:
    """All that can be had here."""
    names = ("beam", "greedy")
    # Repeats are kept: what is compared is what the searches find.
    made = {name: make_decoder(name, glosses=glosses, beam_width=BEAM_WIDTH, keep_repeats=True) for name in names}
    with suppress(MissingPackageError):  # Python 3.13 and later have none
        made["pyctcdecode"] = make_decoder("pyctcdecode", glosses=glosses, beam_width=BEAM_WIDTH, keep_repeats=True)
    return made


def measure_speed(logits: str, clips: Clips, with_decoders: Mapping[str, Decoder], repeats: int) -> list[Speed]:
    """Time each decoder on each clip, in turn with the others."""
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


def decoded(clips: Clips, with_decoders: Mapping[str, Decoder]) -> dict[str, list[Glosses]]:
    """What each decoder makes of the clips."""
    return {name: [decoder.decode(clip)[0].gloss_ids for clip in clips] for name, decoder in with_decoders.items()}


def log_probability(log_probs: LogProbs, glosses: Glosses) -> float:
    """The logarithm of the probability of a labelling: all its paths, by CTC's forward sums."""
    labels = np.zeros(2 * len(glosses) + 1, dtype=np.intp)
    labels[1::2] = glosses
    skips = np.full(len(labels), -np.inf)  # from a gloss directly to the next, unless that is the same
    skips[3::2] = np.where(labels[3::2] != labels[1:-2:2], 0.0, -np.inf)
    reached = np.full(len(labels), -np.inf)
    reached[:2] = log_probs[0, labels[:2]]
    for step in log_probs[1:]:
        stepped = np.concatenate(([-np.inf], reached[:-1]))
        skipped = np.concatenate(([-np.inf, -np.inf], reached[:-2]))[: len(labels)] + skips
        reached = np.logaddexp(np.logaddexp(reached, stepped), skipped) + step[labels]
    return float(np.logaddexp.reduce(reached[-2:]))


def measure_agreement(logits: str, clips: Clips, glosses: Mapping[str, Sequence[Glosses]]) -> list[Agreement]:
    """Compare the exact search with each of the others."""
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
    """Decode clips here and in other processes, in turn."""
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
    """A trained network's dev and test.

    Returns:
        For each split the WER of each decoder on the sequence head, percent; and how the decoders agree,
        by split and head.
    """
    import torch

    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.evaluation import HEADS, find_prepared_corpus
    from cslr_cli.evaluation.checkpoint_evaluation import make_evaluator
    from cslr_cli.evaluation.network_pass import evaluation_mode

    checkpoint = load_checkpoint(checkpoint_path)
    corpus, network = find_prepared_corpus(checkpoint, None), checkpoint.build_network()
    with_decoders = decoders(checkpoint.vocabulary.glosses)
    wers: dict[str, dict[str, float]] = {}
    agreements = []
    for split in ("dev", "test"):
        evaluator = make_evaluator(checkpoint, corpus, split, device=torch.device("cpu"), dtype=torch.float32)
        with evaluation_mode(network):
            clips = list(evaluator.log_probs(network))
        log_probs = {head: [clip.heads[head] for clip in clips] for head in HEADS}
        found = {head: decoded(log_probs[head], with_decoders) for head in HEADS}
        for head in HEADS:
            agreements += measure_agreement(f"{split}, {head} head", log_probs[head], found[head])
        wers[split] = {}
        for decoder, glosses in found["sequence"].items():
            pairs = zip(clips, glosses, strict=True)
            hypotheses = {clip.sample_id: checkpoint.vocabulary.decode(merge_repeated_ids(ids)) for clip, ids in pairs}
            wers[split][decoder] = evaluator.score_glosses(hypotheses).wer
    return wers, agreements


def machine() -> str:
    """What was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements, as plain values."""
    random = np.random.default_rng(0)
    glosses = [f"GLOSS{number:04d}" for number in range(1, NUM_CLASSES)]
    with_decoders = decoders(glosses)
    kinds = {kind.__name__: [kind(random) for _ in range(arguments.clips)] for kind in (flat, peaky)}
    speeds, agreements = [], []
    for name, clips in kinds.items():
        speeds += measure_speed(name, clips, with_decoders, arguments.repeats)
        agreements += measure_agreement(name, clips, decoded(clips, with_decoders))
    for spread in (0.3, 1.0, 3.0):
        clips = [flat(random, FEW_STEPS, FEW_CLASSES, spread) for _ in range(10 * arguments.clips)]
        few = decoded(clips, decoders(glosses[: FEW_CLASSES - 1]))
        agreements += measure_agreement(f"flat, {FEW_CLASSES} classes, σ {spread:g}", clips, few)
    costs = measure_decoder_pool(kinds["flat"] * 10, with_decoders["beam"], (0, 1, 2), 3)
    wers: dict[str, dict[str, float]] = {}
    if arguments.checkpoint:
        wers, of_trained = measure_trained(arguments.checkpoint)
        agreements += of_trained
    return {
        "machine": machine(),
        "classes": NUM_CLASSES,
        "steps": NUM_STEPS,
        "beam_width": BEAM_WIDTH,
        "speed": [asdict(speed) for speed in speeds],
        "agreement": [asdict(agreement) for agreement in agreements],
        "decoder_pool": [asdict(cost) for cost in costs],
        "wer": wers,
    }


def show(figures: Mapping[str, Any]) -> None:
    """Print the measurements for people."""
    print(figures["machine"])
    print(f"milliseconds a clip, V = {figures['classes']}, T' = {figures['steps']}, beam {figures['beam_width']}")
    for speed in figures["speed"]:
        print(
            f"  {speed['logits']:6s} {speed['decoder']:12s} {speed['milliseconds']:6.2f} (95 %: {speed['slowest']:.2f})"
        )
    print("agreement with the exact search: clips with the same glosses, clips for which the exact search's")
    print("are more probable, clips for which the other's are, the word error rate between them; all in %")
    for each in figures["agreement"]:
        shares = (each["same_percent"], each["first_likelier_percent"], each["second_likelier_percent"])
        told = " ".join(f"{share:6.1f}" for share in shares)
        print(f"  {each['logits']:24s} {each['second']:12s} {told} {each['wer_between']:7.2f} ({each['clips']} clips)")
    print("decoding in other processes: this process' own time, and the clock's")
    for cost in figures["decoder_pool"]:
        print(
            f"  {cost['workers']} processes, {cost['clips']} clips: "
            f"{cost['own_seconds']:6.2f} s of its own, {cost['clock_seconds']:6.2f} s by the clock"
        )
    for split, wers in figures["wer"].items():
        print(f"WER on {split}: " + ", ".join(f"{decoder} {wer:.2f} %" for decoder, wer in wers.items()))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=50, help="clips of each kind")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each measurement; the median counts")
    parser.add_argument("--checkpoint", type=Path, help="a trained network, whose dev and test are decoded too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = measure(arguments)
    if arguments.json:
        print(json.dumps(figures))
    else:
        show(figures)


if __name__ == "__main__":
    main()
