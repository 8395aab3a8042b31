"""`cslr convert`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typing_extensions import NotRequired, TypedDict

from cslr_cli.choices import CheckpointFormat
from cslr_cli.cli import options
from cslr_cli.cli.completion import complete_checkpoint
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, table
from cslr_cli.cli.options import find_checkpoint_and_report, option
from cslr_cli.cli.results import plan_file
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint

_DEFAULT_BEST = 5


class ConversionDocument(TypedDict):
    """A written checkpoint: what `cslr convert --json` prints.

    Attributes:
        schema_version: version of this document.
        network: name of the network.
        glosses: number of glosses in the vocabulary.
        corpus: name of the corpus of the training.
        fps: frame rate of the corpus, frames per second.
        protocol: name of the scoring protocol.
        epoch: number of trained epochs.
        averaged_epochs: epochs whose weights were averaged; only with `--average`.
        checkpoint: path of the written checkpoint.
        vocabulary: path of the written vocabulary; only with `--to published`.
    """

    schema_version: Literal[1]
    network: str
    glosses: int
    corpus: str
    fps: float
    protocol: str
    epoch: int
    averaged_epochs: NotRequired[list[int]]
    checkpoint: str
    vocabulary: NotRequired[str]


def convert(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            metavar="CHECKPOINT",
            autocompletion=complete_checkpoint,
            help="Published checkpoint of VAC, SMKD, CorrNet or CorrNet+. Or a checkpoint of cslr: file, run (its "
            "best.pt) or name of a model.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option("--output", "File to write (default: RUN/average-best-N.pt with --average).", "FILE", options.OUTPUT),
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    to: Annotated[
        CheckpointFormat, option("--to", "Format of the output. published: for the code that published the network.")
    ] = "cslr",
    vocabulary: Annotated[
        Path | None,
        option(
            "--vocabulary",
            "Vocabulary of a published checkpoint: gloss_dict.npy, a prepared corpus, or a text file with one "
            "gloss per line.",
            "PATH",
        ),
    ] = None,
    corpus: Annotated[
        str | None, option("--corpus", "Corpus of the training (default: by the number of glosses).", "NAME")
    ] = None,
    settings: options.Settings = None,
    average: Annotated[Path | None, option("--average", "Run whose best checkpoints are averaged.", "RUN")] = None,
    best: Annotated[
        int | None, option("--best", f"Number of checkpoints to average (default: {_DEFAULT_BEST}).", "N", min=2)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Convert published checkpoints, or average a run's checkpoints.

    By default, converts a published checkpoint to the format of cslr. Published checkpoints contain no vocabulary, so
    add `--vocabulary`. `--to published` converts a checkpoint of cslr to the published format, and writes
    `gloss_dict.npy` next to it. A conversion in both directions changes no weight. No code in the files is executed.

    `--average RUN` averages the weights of the N epochs with the lowest WER on dev.

    Examples:
        cslr convert dev_18.80.pt --vocabulary gloss_dict.npy --output corrnet.pt
        cslr convert corrnet.pt --to published --output published.pt
        cslr convert --average runs/phoenix2014 --best 5
    """
    changes = {"--vocabulary": vocabulary, "--corpus": corpus, "--set": settings}
    refused = [option for option, value in changes.items() if value]
    if average is not None:
        if checkpoint is not None or to == "published" or refused:
            raise UsageError(
                "--average works only with --best, --output, --overwrite, --skip-existing and --json",
                "remove the other arguments; convert the averaged checkpoint afterwards",
            )
        _average(context, average, _DEFAULT_BEST if best is None else best, output, as_json=as_json)
        return
    if best is not None:
        raise UsageError("--best needs a run to average", "cslr convert --average runs/NAME --best 5")
    if checkpoint is None:
        raise UsageError("no checkpoint given", "cslr convert CHECKPOINT, or cslr convert --average RUN")
    if output is None:
        raise UsageError(f"{checkpoint}: no output file given", "add --output FILE")
    if not plan_file(context, "--output", output, [checkpoint]):
        return
    checkpoint = find_checkpoint_and_report(checkpoint)
    if to == "cslr":
        _from_published(checkpoint, output, vocabulary, corpus, settings or [], as_json=as_json)
        return
    if refused:
        raise UsageError(f"{', '.join(refused)} with --to published", "remove these options")
    _to_published(checkpoint, output, as_json=as_json)


def _from_published(
    path: Path, output: Path, vocabulary: Path | None, corpus: str | None, settings: list[str], *, as_json: bool
) -> None:
    if vocabulary is None:
        raise UsageError(
            f"{path}: no vocabulary given",
            "add --vocabulary PATH: gloss_dict.npy, a prepared corpus, or a text file with one gloss per line\n"
            "to convert a checkpoint of cslr, add --to published",
        )
    from cslr_cli.checkpoints.checkpoint import save_checkpoint
    from cslr_cli.checkpoints.published import convert_published

    conversion = convert_published(path, vocabulary, corpus=corpus, settings=settings)
    save_checkpoint(conversion.checkpoint, output)
    for note in conversion.notes:
        print_note(f"note: {note}")
    for warning in conversion.checkpoint.warnings:
        print_error(warning, kind="warning")
    _print_summary(conversion.checkpoint, {"checkpoint": output}, as_json=as_json)


def _average(context: typer.Context, path: Path, number: int, output: Path | None, *, as_json: bool) -> None:
    from cslr_cli.checkpoints.checkpoint import save_checkpoint
    from cslr_cli.training.averaging import average_best
    from cslr_cli.training.run.folder import RunFolder

    run = RunFolder.existing(path)
    if output is None:
        output = run.path / f"average-best-{number}.pt"
    if not plan_file(context, "--output", output, []):
        return
    in_run = output.absolute().parent == run.path.absolute()
    with run.lock("cslr convert", "use --output for a file in another folder") if in_run else nullcontext():
        average = average_best(run, number)
        save_checkpoint(average.checkpoint, output)
    epochs = average.checkpoint.averaged_epochs
    if average.missing:
        missing = ", ".join(map(str, average.missing))
        print_note(f"note: the run has no weights of epoch {missing}; training.keep_best sets how many epochs it keeps")
    if len(epochs) < number:
        print_note(f"note: averaged {len(epochs)} checkpoints, not {number}: {average.evaluated} epochs were evaluated")
    for warning in (*average.warnings, *average.checkpoint.warnings):
        print_error(warning, kind="warning")
    _print_summary(average.checkpoint, {"checkpoint": output}, as_json=as_json)


def _to_published(path: Path, output: Path, *, as_json: bool) -> None:
    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.checkpoints.published import find_unsupported_parts, write_published

    checkpoint = load_checkpoint(path)
    gloss_dict = write_published(checkpoint, output)
    for departure in find_unsupported_parts(checkpoint):
        print_note(f"note: the published code cannot build {departure}")
    for warning in checkpoint.warnings:
        print_error(warning, kind="warning")
    _print_summary(checkpoint, {"checkpoint": output, "vocabulary": gloss_dict}, as_json=as_json)


def _print_summary(checkpoint: Checkpoint, written: dict[str, Path], *, as_json: bool) -> None:
    model = checkpoint.config.model
    if as_json:
        document: ConversionDocument = {
            "schema_version": 1,
            "network": model.name,
            "glosses": len(checkpoint.vocabulary.glosses),
            "corpus": checkpoint.corpus.name,
            "fps": checkpoint.corpus.fps,
            "protocol": checkpoint.corpus.protocol,
            "epoch": checkpoint.epoch,
            "checkpoint": str(written["checkpoint"]),
        }
        if checkpoint.averaged_epochs:
            document["averaged_epochs"] = list(checkpoint.averaged_epochs)
        if "vocabulary" in written:
            document["vocabulary"] = str(written["vocabulary"])
        print_json(document)
        return
    averaged = ", ".join(map(str, checkpoint.averaged_epochs))
    rows = [
        ["network", model.name],
        *([["averaged epochs", averaged]] if averaged else []),
        ["temporal layers", " ".join(model.temporal_layers)],
        ["glosses", str(len(checkpoint.vocabulary.glosses))],
        ["corpus", f"{checkpoint.corpus.name}, {checkpoint.corpus.fps:g} frames per second"],
        *([what, str(path)] for what, path in written.items()),
        *([] if "vocabulary" in written else [["next", f"cslr evaluate {quote(str(written['checkpoint']))}"]]),
    ]
    print_result(table(["averaged" if averaged else "converted", ""], rows, left=(0, 1)))
