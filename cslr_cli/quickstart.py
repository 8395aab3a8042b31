"""The quickstart: the commands of the whole pipeline, on the synthetic corpus."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from cslr_cli.corpora import find_reader
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.sample import Sample
from cslr_cli.evaluation import evaluation_folder
from cslr_cli.evaluation.documents import EvaluationDocument, SplitFigures
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.runs import summarize_run

CORPUS = "synthetic"
# Pixels. Small frames make training fast; the recipe's crop is for this size.
FRAME_SIZE = 72
PREPARE = ("prepare", CORPUS, "--size", str(FRAME_SIZE))
TRAIN = ("train", "--config", "quickstart")
RUN = RunFolder(Path("runs/quickstart"))
NUM_STAGES = 5
# Number of glosses in the example video; they fit into one picture.
_EXAMPLE_GLOSSES = 4
# Number of example videos; `cslr demo` shows them.
_NUM_EXAMPLES = 3

_VIDEO = RUN.path / "example.mp4"
_STRIP = RUN.path / "example.png"
_MAPS = RUN.path / "cam"


@dataclass(frozen=True)
class Stage:
    """A step of the quickstart.

    Attributes:
        number: from 1.
        title: short description.
        command: words after `cslr` of the command to run; None if an earlier call has done the work.
        notes: what to know about the step, one line each.
    """

    number: int
    title: str
    command: tuple[str, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def command_line(self) -> str:
        """The command as a user types it; empty without a command."""
        return "" if self.command is None else shlex.join(("cslr", *self.command))


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


def iterate_stages(device: str = "auto", common: Sequence[str] = ()) -> Iterator[Stage]:
    """Yield the steps of the quickstart in the current folder; run the command of each before you ask for the next.

    Args:
        device: `--device` of the commands that use a network.
        common: options of every command, for example `--json`.
    """

    def command(*words: object) -> tuple[str, ...]:
        return (*map(str, words), *common)

    network_options = () if device == "auto" else ("--device", device)
    yield Stage(1, "Draw and prepare a synthetic corpus", command(*PREPARE))
    yield _training_stage(command, network_options)
    yield Stage(3, "Evaluate it on dev and test", command("evaluate", RUN.best, *network_options))
    of_run = ("--checkpoint", RUN.best, *network_options)
    yield Stage(
        4,
        "Recognise a video",
        command("predict", _VIDEO, *of_run, "--strip", _STRIP, "--overwrite"),
        (f"{_VIDEO}, a clip of the test split, shows {' '.join(_write_examples().glosses)}",),
    )
    yield Stage(5, "Draw heat maps of each gloss", command("cam", _VIDEO, *of_run, "--output", _MAPS, "--overwrite"))


def _training_stage(command: Callable[..., tuple[str, ...]], network_options: Sequence[str]) -> Stage:
    """Return the training, or its continuation by the run's own configuration, or nothing to do if it is finished."""
    if not RUN.config.is_file():
        return Stage(2, "Train CorrNet", command(*TRAIN, *network_options))
    summary = summarize_run(RUN)
    warnings = tuple(f"warning: {warning}" for warning in summary.warnings)
    if summary.finished and summary.checkpoint is not None:
        return Stage(2, "Train CorrNet", None, (*warnings, f"{RUN.path} was finished before"))
    return Stage(2, "Continue to train CorrNet", command("train", "--resume", RUN.path, *network_options), warnings)


def _write_examples() -> Sample:
    """Write example videos into the run's folder; return the clip of the first one, `example.mp4`."""
    samples = choose_examples()
    for number, sample in enumerate(samples, start=1):
        path = _VIDEO if number == 1 else _VIDEO.with_stem(f"{_VIDEO.stem}-{number}")
        write_clip_video(find_reader(CORPUS).default_source, sample.sample_id, path)
    return samples[0]


def choose_examples() -> list[Sample]:
    """Choose test clips of the prepared corpus, first one with `_EXAMPLE_GLOSSES` glosses."""
    samples = list(open_prepared_corpus(find_reader(CORPUS).default_output).samples("test"))
    samples.sort(key=lambda sample: len(sample.glosses) != _EXAMPLE_GLOSSES)
    return samples[:_NUM_EXAMPLES]


def written_files() -> Mapping[str, Path]:
    """Paths of what the quickstart writes, by description."""
    reader = find_reader(CORPUS)
    return {
        "release, with the truth beside it": reader.default_source,
        "prepared corpus": reader.default_output,
        "run: configuration, metrics, log": RUN.path,
        "checkpoint": RUN.best,
        "report of the evaluation": evaluation_folder(RUN.best) / "report.html",
        "example video": _VIDEO,
        "its glosses, drawn": _STRIP,
        "heat maps": _MAPS,
    }


def make_document(evaluation: EvaluationDocument, recognised: Sequence[str], seconds: float) -> QuickstartDocument:
    """Make the document of a finished quickstart.

    Args:
        evaluation: what its `cslr evaluate --json` has printed.
        recognised: glosses that its `cslr predict` has recognised.
        seconds: time of the command.
    """
    return {
        "schema_version": 1,
        "seconds": seconds,
        "splits": evaluation["splits"],
        "example": {"signed": list(choose_examples()[0].glosses), "recognised": list(recognised)},
        "made": {what: str(path) for what, path in written_files().items()},
    }
