"""Accuracy of gloss times, and of recognition of long and live recordings, on the synthetic corpus.

    cslr quickstart
    python -m benchmarks.timing

The synthetic corpus contains the true start and end of each gloss (`truth.jsonl` in its release); the end is that of
the last frame. The times of correctly recognised glosses are compared with them, with timing by the convolution head
(the default) and by the sequence head only.

A long recording consists of the clips of one signer with rests between them, in which the last frame is repeated,
and with camera noise. Splitting at rests should find exactly the sentences and recognise them as well as the single
clips.

For live recognition, all clips of the test split are joined without rests and played like a camera, but with a clock
that does not run during the computation, so no frame is dropped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.corpora.preparation.clip_writer import ClipFormat, write_clip
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.frames import open_frames
from cslr_cli.recognizer import Recognizer, Segmentation
from cslr_cli.recognizer.live.camera import FileCamera
from cslr_cli.recognizer.live.live_recognizer import LiveRecognizer
from cslr_cli.recognizer.live.sliding_window import SlidingWindowRecognizer
from cslr_cli.recognizer.options import LiveOptions
from cslr_cli.scoring import TimedGloss
from cslr_cli.scoring.alignment import Counts, align, count

PARTS = ("times", "long", "live")
# Length of a rest, seconds, and standard deviation of the noise, grey levels.
SHORTEST_REST, LONGEST_REST = 0.8, 2.0
NOISE = 2.0
# Seconds of a sentence that may be cut off before the split counts as wrong.
ALLOWED_CUT = 0.05


@dataclass(frozen=True)
class TrueSentence:
    """A sentence in a recording.

    Attributes:
        glosses: glosses in order.
        start: start of the first gloss, seconds.
        end: end of the last gloss, seconds.
    """

    glosses: tuple[str, ...]
    start: float
    end: float


class ManualClock:
    """A clock that advances only by `sleep`, without waiting."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds since the start."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self._now += seconds


def measure_times(
    recognizer: Recognizer, corpus: PreparedCorpus, splits: Sequence[str], truth: Mapping[str, Any], timed_by: str
) -> None:
    """Print the errors of start and end of the correctly recognised glosses."""
    errors: list[tuple[float, float]] = []
    number = 0
    for split in splits:
        for sample in corpus.samples(split):
            signed = truth[sample.sample_id]["glosses"]
            number += len(signed)
            errors += timing_errors(recognizer.recognize(corpus.frames_path(sample)).glosses, signed)
    print(f"timing by the {timed_by}: {len(errors)} of {number} glosses of {' and '.join(splits)} are recognised")
    for name, values in zip(("start", "end"), np.array(errors).T, strict=True):
        median, ninetieth = np.percentile(np.abs(values), (50, 90))
        print(f"  {name:5s} error: median {median:.2f} s, 90 % below {ninetieth:.2f} s, mean {values.mean():+.2f} s")


def timing_errors(recognized: Sequence[TimedGloss], signed: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the errors of start and end of each correctly recognised gloss, seconds."""
    errors = []
    i = j = 0
    for pair in align([gloss["gloss"] for gloss in signed], [timed.gloss for timed in recognized]):
        if pair.operation == "correct":
            errors.append((recognized[j].start - signed[i]["start"], recognized[j].end - signed[i]["end"]))
        i += pair.reference is not None
        j += pair.hypothesis is not None
    return errors


def measure_splitting(
    recognizer: Recognizer, corpus: PreparedCorpus, split: str, truth: Mapping[str, Any], seed: int
) -> None:
    """Print how well recordings are split into sentences, and the word error rate of each way to split them."""
    rng = np.random.default_rng(seed)
    by_signer: dict[str | None, list[Sample]] = {}
    for sample in corpus.samples(split):
        by_signer.setdefault(sample.signer, []).append(sample)
    clip_counts = sum((count_clip_errors(recognizer, corpus, sample) for sample in corpus.samples(split)), Counts())
    ways = {"rests": Segmentation("rests"), "windows": Segmentation("windows"), "none": Segmentation("none")}
    totals = {way: Counts() for way in ways}
    whole = sentences = seconds = 0.0
    for samples in by_signer.values():
        frames, signed = make_recording(corpus, samples, truth, rng)
        reference = [gloss for sentence in signed for gloss in sentence.glosses]
        sentences, seconds = sentences + len(signed), seconds + len(frames) / corpus.fps
        for way, long in ways.items():
            recognition = recognizer.recognize(frames, segmentation=long)
            totals[way] += count(align(reference, [timed.gloss for timed in recognition.glosses]))
            if way == "rests":
                stretches = [(found.start, found.end) for found in recognition.sentences]
                whole += sum(is_found_by_itself(sentence, signed, stretches) for sentence in signed)
    print(
        f"long recordings: {len(by_signer)} of {seconds / len(by_signer):.0f} s on average, {sentences:.0f} sentences"
    )
    print(f"  split at rests: {whole:.0f} sentences are found complete and by themselves")
    for way, total in totals.items():
        print(f"  WER, split {way}: {total.wer:.1f} %")
    print(f"  WER of the single clips: {clip_counts.wer:.1f} %")


def count_clip_errors(recognizer: Recognizer, corpus: PreparedCorpus, sample: Sample) -> Counts:
    """Count the errors of one clip, recognised by itself."""
    recognition = recognizer.recognize(corpus.frames_path(sample))
    return count(align(sample.glosses, [timed.gloss for timed in recognition.glosses]))


def make_recording(
    corpus: PreparedCorpus, samples: Sequence[Sample], truth: Mapping[str, Any], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[TrueSentence]]:
    """Join clips with a rest after each; return frames, uint8 (T, H, W, 3), and the sentences."""
    parts: list[NDArray[np.uint8]] = []
    signed = []
    num_frames = 0
    for sample in samples:
        clip = open_frames(corpus.frames_path(sample)).read()
        rest = np.repeat(clip[-1:], round(rng.uniform(SHORTEST_REST, LONGEST_REST) * corpus.fps), axis=0)
        glosses = truth[sample.sample_id]["glosses"]
        start, end = (num_frames / corpus.fps + time for time in (glosses[0]["start"], glosses[-1]["end"]))
        signed.append(TrueSentence(sample.glosses, start, end))
        parts += [clip, rest]
        num_frames += len(clip) + len(rest)
    frames = np.concatenate(parts)
    noisy = frames + rng.normal(0, NOISE, frames.shape).astype(np.float32)
    return noisy.round().clip(0, 255).astype(np.uint8), signed


def is_found_by_itself(
    sentence: TrueSentence, others: Sequence[TrueSentence], stretches: Sequence[tuple[float, float]]
) -> bool:
    """Return whether one stretch contains all of a sentence and nothing of the others."""
    for start, end in stretches:
        if start <= sentence.start + ALLOWED_CUT and sentence.end - ALLOWED_CUT <= end:
            return not any(
                other is not sentence and other.start < end - ALLOWED_CUT and other.end > start + ALLOWED_CUT
                for other in others
            )
    return False


def measure_live(recognizer: Recognizer, corpus: PreparedCorpus, split: str) -> None:
    """Print the word error rates of all clips of a split, joined into one recording, live and not live."""
    reference = [gloss for sample in corpus.samples(split) for gloss in sample.glosses]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{split}.zip"
        seconds = write_clip(iterate_frames(corpus, split), path, ClipFormat(corpus.frame_size)) / corpus.fps
        print(f"live: the clips of {split} one after the other, {seconds:.0f} s, {len(reference)} glosses")
        for unsure in (LiveOptions().uncertain, 0.0):
            glosses, delays = recognize_live(recognizer, path, corpus.fps, LiveOptions(uncertain=unsure))
            wer = count(align(reference, glosses)).wer
            print(
                f"  WER, live with {unsure:g} s uncertain at the window's ends: {wer:.1f} %; glosses appear "
                f"{statistics.median(delays):.1f} s after their end (median; at most {max(delays):.1f} s)"
            )
        for way in (Segmentation("rests"), Segmentation("windows"), Segmentation("none")):
            recognized = recognizer.recognize(path, segmentation=way).glosses
            wer = count(align(reference, [timed.gloss for timed in recognized])).wer
            print(f"  WER, split {way.method}: {wer:.1f} %")


def iterate_frames(corpus: PreparedCorpus, split: str) -> Iterator[Frame]:
    """Yield the frames of all clips of a split, one clip after the other."""
    for sample in corpus.samples(split):
        yield from open_frames(corpus.frames_path(sample)).iterate()


def recognize_live(
    recognizer: Recognizer, path: Path, fps: float, options: LiveOptions
) -> tuple[list[str], list[float]]:
    """Recognise a clip live; return the glosses and their delays after their ends, seconds."""
    camera = FileCamera(path, ManualClock(), picture_fps=fps)
    watching = LiveRecognizer(camera, SlidingWindowRecognizer(recognizer, options.window), options)
    glosses = []
    while not watching.is_over:
        glosses += watching.step()
    glosses += watching.finish()
    return [gloss.timed.gloss for gloss in glosses], [gloss.delay for gloss in glosses]


def without_convolution_head(checkpoint: Checkpoint) -> Checkpoint:
    """Mark the convolution head as untrained, so that it is not used for timing."""
    loss = checkpoint.config.loss.model_copy(update={"conv_ctc": 0.0})
    return replace(checkpoint, config=checkpoint.config.model_copy(update={"loss": loss}))


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("runs/quickstart/best.pt"), help="checkpoint of cslr quickstart"
    )
    parser.add_argument("--corpus", type=Path, default=Path("prepared/synthetic"), help="prepared corpus")
    parser.add_argument("--truth", type=Path, default=Path("dataset/synthetic/truth.jsonl"), help="truth of the corpus")
    parser.add_argument("--seed", type=int, default=0, help="random seed of rests and noise")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    arguments = parser.parse_args()
    checkpoint, cpu = load_checkpoint(arguments.checkpoint), torch.device("cpu")
    recognizer = Recognizer(checkpoint, device=cpu, precision="fp32")
    sequence_recognizer = Recognizer(without_convolution_head(checkpoint), device=cpu, precision="fp32")
    corpus = PreparedCorpus.open(arguments.corpus)
    lines = arguments.truth.read_text(encoding="utf-8").splitlines()
    truth = {clip["sample_id"]: clip for clip in map(json.loads, lines)}
    if "times" in arguments.parts:
        measure_times(recognizer, corpus, ("dev", "test"), truth, "convolution head")
        measure_times(sequence_recognizer, corpus, ("dev", "test"), truth, "sequence head only")
    if "long" in arguments.parts:
        measure_splitting(recognizer, corpus, "test", truth, arguments.seed)
    if "live" in arguments.parts:
        measure_live(recognizer, corpus, "test")


if __name__ == "__main__":
    main()
