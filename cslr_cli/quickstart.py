"""The whole pipeline on the synthetic corpus: drawn, prepared, learned, scored and recognised."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cslr_cli.cam import CamOptions, explain, write_sheet
from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release, write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.evaluation import SplitResult, evaluate, write_hypotheses
from cslr_cli.model.device import resolve_precision
from cslr_cli.output.film_strip import draw_film_strip
from cslr_cli.processes import available_cores
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.recognition import Recognition
from cslr_cli.recognizer import Recognizer
from cslr_cli.training.loop import train
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.state import Record

CORPUS = "synthetic"
CONFIG = "quickstart"
# Small frames make a small network quick. In the proportion of the published 224 of 256.
FRAME_SIZE = 72
RUN = Path("runs") / CONFIG
# Glosses of the example: enough to see something, few enough for one picture.
_EXAMPLE_GLOSSES = 4
# Clips that the run offers to try; `cslr demo` shows them.
_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class Stage:
    """A step of the quickstart.

    Attributes:
        number: from 1.
        title: what it does.
        command: the `cslr` command that does the same.
    """

    number: int
    title: str
    command: str


STAGES = (
    Stage(1, "Draw a signed corpus and prepare it", f"cslr prepare {CORPUS} --size {FRAME_SIZE}"),
    Stage(2, "Train CorrNet on it", f"cslr train --config {CONFIG}"),
    Stage(3, "Score it on dev and test", f"cslr evaluate {RUN / 'best.pt'}"),
    Stage(4, "Recognise a video", f"cslr predict {RUN / 'example.mp4'}"),
    Stage(5, "Show what speaks for each gloss", f"cslr cam {RUN / 'example.mp4'} --output {RUN / 'cam'}"),
)


@dataclass(frozen=True)
class QuickstartResult:
    """What the quickstart made.

    Attributes:
        results: dev and test, scored.
        recognition: of the example video.
        example: the clip that the video shows.
        made: what is where, in the order of making.
    """

    results: Sequence[SplitResult]
    recognition: Recognition
    example: Sample
    made: Sequence[tuple[str, Path]]


def quickstart(
    *,
    device: torch.device,
    on_stage: Callable[[Stage], None],
    on_epoch: Callable[[Record], None],
    progress: ProgressCallback = no_progress,
) -> QuickstartResult:
    """Run the stages in the current folder; what an earlier call finished is not done again.

    Args:
        device: where to compute.
        on_stage: is told of each stage before it starts.
        on_epoch: is told of each finished epoch of training.
        progress: is told how far each stage is.
    """
    stages = iter(STAGES)
    on_stage(next(stages))
    reader = find_reader(CORPUS)
    release, cores = reader.default_source, available_cores()
    make_release(release, SyntheticOptions(), workers=cores, progress=progress)
    options = PreparationOptions(frame_size=FRAME_SIZE)
    prepare(reader, release, reader.default_output, options, workers=cores, progress=progress)
    corpus = open_prepared_corpus(reader.default_output)

    on_stage(next(stages))
    config = load_config(CONFIG)
    run = _trained(config, device, progress, on_epoch)

    on_stage(next(stages))
    checkpoint = load_checkpoint(run.best)
    dtype = resolve_precision(config.training.precision, device)
    results = evaluate(checkpoint, corpus, ("dev", "test"), device=device, dtype=dtype, progress=progress)
    for result in results:
        write_hypotheses(result, corpus, run.path / "evaluation")

    on_stage(next(stages))
    example, *others = _examples(corpus)
    video, picture = run.path / "example.mp4", run.path / "example.png"
    write_clip_video(release, example.sample_id, video)
    for number, other in enumerate(others, start=2):
        write_clip_video(release, other.sample_id, run.path / f"example-{number}.mp4")
    recognizer = Recognizer(checkpoint, device=device)
    recognition = recognizer.recognize(video)
    draw_film_strip(video, recognition, picture, reference=example.glosses)

    on_stage(next(stages))
    maps = run.path / "cam" / "cam.png"
    if recognition.glosses:
        sentence = tuple(timed.gloss for timed in recognition.glosses)
        write_sheet(explain(recognizer, video, CamOptions(reference=sentence)), maps)
    made = (
        ("release, with the truth beside it", release),
        ("prepared corpus", corpus.path),
        ("run: configuration, metrics, log", run.path),
        ("checkpoint", run.best),
        ("hypotheses and references", run.path / "evaluation"),
        ("example video", video),
        ("its glosses, drawn", picture),
        *([("what speaks for them", maps)] if recognition.glosses else []),
    )
    return QuickstartResult(results, recognition, example, made)


def _trained(
    config: Config, device: torch.device, progress: ProgressCallback, on_epoch: Callable[[Record], None]
) -> RunFolder:
    """The run, trained to its end: begun, gone on with, or found finished."""
    run = RunFolder(RUN)
    if run.metrics.is_file():
        epochs = [json.loads(line)["epoch"] for line in run.metrics.read_text(encoding="utf-8").splitlines()]
        if epochs and epochs[-1] >= config.training.epochs and run.best.is_file():
            return run
    resume = run.path.exists()
    return train(config, RUN, device=device, resume=resume, progress=progress, on_epoch=on_epoch).run


def _examples(corpus: PreparedCorpus) -> list[Sample]:
    """Test clips to try: first one of a length that makes a good picture, then others as they come."""
    samples = list(corpus.samples("test"))
    samples.sort(key=lambda sample: len(sample.glosses) != _EXAMPLE_GLOSSES)
    return samples[:_NUM_EXAMPLES]
