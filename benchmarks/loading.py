"""How fast worker processes load training batches from a prepared corpus, against the plain way.

    python -m benchmarks.loading
    python -m benchmarks.loading --clips 20 --repeats 3 --workers 2 --json

Both sides draw the same crops, flips and frames for the same clips, in batches of two, through a loader with
one worker, or as many as are asked for. The plain side decodes every frame, by OpenCV, and hands over floats;
the value that is compared is the mean of a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.drawn_corpus import drawn_corpus
from benchmarks.measuring import alternate, report, serve, side_rows
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


def settings() -> tuple[DataConfig, TemporalPlan]:
    """The published augmentation, and how clips are padded."""
    config = Config.from_dict({"model": {"pretrained": False}}, "the benchmark")
    return config.data, build_temporal_plan(config.model)


def loading(side: str, corpus: PreparedCorpus, num_workers: int) -> Callable[[], float]:
    """What a side does in one run: every clip once; gives the mean of the pictures of the first batch."""
    config, plan = settings()
    samples = corpus.samples("train")
    if side == "plain":
        plain = PlainDataset(corpus, samples, config, training=True)
        plain_loader = DataLoader(
            plain, batch_size=BATCH, collate_fn=_Padded(plan), num_workers=num_workers, persistent_workers=True
        )
        next(iter(plain_loader))  # the workers are there before the clock starts

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
    """Of one picture, which is enough to compare by and costs nothing."""
    picture = frames[0, len(frames[0]) // 2].double()
    return float((picture / 127.5 - 1).mean()) if frames.dtype == torch.uint8 else float(picture.mean())


def num_frames(corpus: PreparedCorpus, samples: Sequence[Sample]) -> int:
    """Frames of the clips as they lie in the corpus."""
    return sum(sample.num_frames or 0 for sample in samples)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20, help="drawn clips, of about 46 frames each")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side, by turns; the medians count")
    parser.add_argument("--workers", type=int, default=1, help="processes of each side")
    parser.add_argument("--corpus", type=Path, help="a prepared corpus in place of a drawn one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        torch.set_num_threads(1)
        serve(loading(given.side, PreparedCorpus.open(given.corpus), given.workers))
        return
    if given.corpus:
        measure(given.corpus, given.repeats, given.workers, as_json=given.json)
        return
    with drawn_corpus(given.clips, 1) as path:
        measure(path, given.repeats, given.workers, as_json=given.json)


def measure(path: Path, repeats: int, workers: int, *, as_json: bool) -> None:
    """Run both sides over a corpus, and print."""
    corpus = PreparedCorpus.open(path)
    runs = alternate("benchmarks.loading", SIDES, [f"--corpus={path}", f"--workers={workers}"], repeats)
    samples = corpus.samples("train")
    title = f"Loading {len(samples)} training clips, {workers} worker{'s' * (workers > 1)}, batches of {BATCH}"
    report(title, side_rows(runs, "plain", num_frames(corpus, samples)), as_json=as_json)


if __name__ == "__main__":
    main()
