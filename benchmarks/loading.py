"""Speed of loading training batches from a prepared corpus, compared with a plain implementation.

    python -m benchmarks.loading
    python -m benchmarks.loading --clips 20 --repeats 3 --workers 2 --json

Both sides draw the same crops, flips and frames for the same clips, in batches of two, with the same number of
worker processes. The plain side decodes every frame with OpenCV and returns floats. The compared value is the mean
of a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.drawn_corpus import drawn_corpus
from benchmarks.measuring import alternate_runs, report, serve, summarize_sides
from benchmarks.plain import PlainDataset, padded
from cslr_cli.config import Config, DataConfig
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.loader import Loader
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.model.network import build_temporal_plan
from cslr_cli.temporal_plan import TemporalPlan

SIDES = ("plain", "cslr")
BATCH = 2


class _Padded:
    def __init__(self, plan: TemporalPlan) -> None:
        self.plan = plan

    def __call__(self, clips: Sequence[tuple[str, Tensor]]) -> tuple[Tensor, Tensor]:
        return padded([frames for _, frames in clips], self.plan)


def published_settings() -> tuple[DataConfig, TemporalPlan]:
    """Return the published augmentation and temporal plan."""
    config = Config.from_dict({"model": {"pretrained": False}}, "the benchmark")
    return config.data, build_temporal_plan(config.model)


def make_loading_run(side: str, corpus: PreparedCorpus, num_workers: int) -> Callable[[], float]:
    """Return the work of a side in one run: load every clip, and return the mean of a picture of the first batch."""
    config, plan = published_settings()
    samples = corpus.samples("train")
    if side == "plain":
        plain = PlainDataset(corpus, samples, config, training=True)
        plain_loader = DataLoader(
            plain, batch_size=BATCH, collate_fn=_Padded(plan), num_workers=num_workers, persistent_workers=True
        )
        next(iter(plain_loader))  # starts the workers before the measurement

        def run_plain() -> float:
            means = [_mean(frames) for frames, _ in plain_loader]
            return means[0]

        return run_plain
    loader = Loader(ClipDataset(corpus, samples, config, training=True), plan, num_workers)
    keys = [
        [ClipKey(index, 1) for index in range(start, min(start + BATCH, len(samples)))]
        for start in range(0, len(samples), BATCH)
    ]
    list(loader.batches(keys[:num_workers]))

    def run() -> float:
        means = [_mean(batch.frames) for batch in loader.batches(keys)]
        return means[0]

    return run


def _mean(frames: Tensor) -> float:
    """Return the mean of one picture, which is enough for a comparison and costs little."""
    picture = frames[0, len(frames[0]) // 2].double()
    return float((picture / 127.5 - 1).mean()) if frames.dtype == torch.uint8 else float(picture.mean())


def count_frames(corpus: PreparedCorpus, samples: Sequence[Sample]) -> int:
    """Count the frames of the clips in the corpus."""
    return sum(sample.num_frames or 0 for sample in samples)


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20, help="number of clips, about 46 frames each")
    parser.add_argument("--repeats", type=int, default=5, help="runs per side, in turn; medians are shown")
    parser.add_argument("--workers", type=int, default=1, help="worker processes per side")
    parser.add_argument("--corpus", type=Path, help="prepared corpus instead of a synthetic one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        torch.set_num_threads(1)
        serve(make_loading_run(given.side, PreparedCorpus.open(given.corpus), given.workers))
        return
    if given.corpus:
        measure(given.corpus, given.repeats, given.workers, as_json=given.json)
        return
    with drawn_corpus(given.clips, 1) as path:
        measure(path, given.repeats, given.workers, as_json=given.json)


def measure(path: Path, repeats: int, workers: int, *, as_json: bool) -> None:
    """Run both sides over a corpus and print the results."""
    corpus = PreparedCorpus.open(path)
    runs = alternate_runs("benchmarks.loading", SIDES, [f"--corpus={path}", f"--workers={workers}"], repeats)
    samples = corpus.samples("train")
    title = f"Loading {len(samples)} training clips, {workers} worker{'s' * (workers > 1)}, batches of {BATCH}"
    report(title, summarize_sides(runs, "plain", count_frames(corpus, samples)), as_json=as_json)


if __name__ == "__main__":
    main()
