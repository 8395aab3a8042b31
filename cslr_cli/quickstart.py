"""The quickstart: the whole pipeline on the synthetic corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from typing_extensions import TypedDict

from cslr_cli.cam import CamOptions, explain, write_sheet
from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config, load_config
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release, write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.evaluation import SplitResult, evaluate, evaluation_folder, write_hypotheses
from cslr_cli.evaluation.documents import SplitFigures, split_figures
from cslr_cli.model.device import resolve_precision
from cslr_cli.output.film_strip import draw_film_strip
from cslr_cli.processes import available_cores
from cslr_cli.recognition import Recognition
from cslr_cli.recognizer import Recognizer
from cslr_cli.training.loop import train
from cslr_cli.training.monitoring.observer import NO_OBSERVER, TrainingObserver
from cslr_cli.training.run.folder import RunFolder

CORPUS = "synthetic"
CONFIG = "quickstart"
# Pixels. Small frames make training fast; the crop has the same proportion as the published 224 of 256.
FRAME_SIZE = 72
RUN = Path("runs") / CONFIG
# Number of glosses in the example video; they fit into one picture.
_EXAMPLE_GLOSSES = 4
# Number of example videos; `cslr demo` shows them.
_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class Stage:
    """A step of the quickstart.

    Attributes:
        number: from 1.
        title: short description.
        command: equivalent `cslr` command.
    """

    number: int
    title: str
    command: str


STAGES = (
    Stage(1, "Draw and prepare a synthetic corpus", f"cslr prepare {CORPUS} --size {FRAME_SIZE}"),
    Stage(2, "Train CorrNet", f"cslr train --config {CONFIG}"),
    Stage(3, "Evaluate it on dev and test", f"cslr evaluate {RUN / 'best.pt'}"),
    Stage(4, "Recognise a video", f"cslr predict {RUN / 'example.mp4'}"),
    Stage(5, "Draw heat maps of each gloss", f"cslr cam {RUN / 'example.mp4'} --output {RUN / 'cam'}"),
)


@dataclass(frozen=True)
class QuickstartResult:
    """The results of the quickstart.

    Attributes:
        results: results on dev and test.
        recognition: recognition of the example video.
        example: sample of the example video.
        made: descriptions and paths of the written files and folders, in order.
    """

    results: Sequence[SplitResult]
    recognition: Recognition
    example: Sample
    made: Sequence[tuple[str, Path]]


class ExampleFigures(TypedDict):
    """The example video.

    Attributes:
        signed: its glosses.
        recognised: recognised glosses.
    """

    signed: list[str]
    recognised: list[str]


class QuickstartDocument(TypedDict):
    """What `cslr quickstart --json` prints.

    Attributes:
        schema_version: version of this document.
        seconds: time of the command.
        splits: scores and hypotheses of each split.
        example: example video.
        made: paths of the written files and folders, by description.
    """

    schema_version: Literal[1]
    seconds: float
    splits: dict[str, SplitFigures]
    example: ExampleFigures
    made: dict[str, str]


def quickstart_document(result: QuickstartResult, seconds: float) -> QuickstartDocument:
    """Make the document of a quickstart that took so many seconds."""
    return {
        "schema_version": 1,
        "seconds": seconds,
        "splits": split_figures(result.results),
        "example": {"signed": list(result.example.glosses), "recognised": result.recognition.text.split()},
        "made": {what: str(where) for what, where in result.made},
    }


def quickstart(
    *,
    device: torch.device,
    on_stage: Callable[[Stage], None],
    observer: TrainingObserver = NO_OBSERVER,
) -> QuickstartResult:
    """Run the stages in the current folder; skip the finished work of an earlier call.

    Args:
        device: device of the network.
        on_stage: called with each stage before it starts.
        observer: observer of the training and of the progress of all stages.
    """
    progress = observer.on_progress
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
    run = _train_if_needed(config, device, observer)

    on_stage(next(stages))
    checkpoint = load_checkpoint(run.best)
    dtype = resolve_precision(config.training.precision, device)
    results = evaluate(checkpoint, corpus, ("dev", "test"), device=device, dtype=dtype, progress=progress)
    for result in results:
        write_hypotheses(result, corpus, evaluation_folder(run.best))

    on_stage(next(stages))
    example, *others = _choose_examples(corpus)
    video, picture = run.path / "example.mp4", run.path / "example.png"
    write_clip_video(release, example.sample_id, video)
    for number, other in enumerate(others, start=2):
        write_clip_video(release, other.sample_id, run.path / f"example-{number}.mp4")
    recognizer = Recognizer(checkpoint, device=device, name=str(RUN / "best.pt"))
    recognition = recognizer.recognize(video)
    with recognizer.open(video) as clip:
        draw_film_strip(clip.frames(), recognition, picture)

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
        ("hypotheses and references", evaluation_folder(run.best)),
        ("example video", video),
        ("its glosses, drawn", picture),
        *([("what speaks for them", maps)] if recognition.glosses else []),
    )
    return QuickstartResult(results, recognition, example, made)


def _train_if_needed(config: Config, device: torch.device, observer: TrainingObserver) -> RunFolder:
    """Train to the end, unless the run is finished."""
    run = RunFolder(RUN)
    history = run.read_metrics()
    if history and history[-1].epoch >= config.training.epochs and run.best.is_file():
        return run
    return train(config, RUN, device=device, resume=run.path.exists(), observer=observer).run


def _choose_examples(corpus: PreparedCorpus) -> list[Sample]:
    """Choose test clips, first one with `_EXAMPLE_GLOSSES` glosses."""
    samples = list(corpus.samples("test"))
    samples.sort(key=lambda sample: len(sample.glosses) != _EXAMPLE_GLOSSES)
    return samples[:_NUM_EXAMPLES]
