"""`cslr convert`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint

_DEFAULT_BEST = 5


class Format(str, Enum):
    """Whose checkpoint is to come out."""

    cslr = "cslr"
    published = "published"


def convert(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint of the published code of VAC, SMKD, CorrNet or CorrNet+; or of cslr."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write. Default with --average: in the run's folder.")
    ] = None,
    to: Annotated[Format, typer.Option("--to", help="cslr, or published: for the code that it came from.")] = (
        Format.cslr
    ),
    vocabulary: options.Vocabulary = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus", metavar="NAME", help="Corpus that it was trained on. Default: by the number of its glosses."
        ),
    ] = None,
    average: Annotated[
        Path | None, typer.Option("--average", metavar="RUN", help="Make the mean of this run's best checkpoints.")
    ] = None,
    best: Annotated[int | None, typer.Option("--best", min=2, help="How many of them. Default: 5.")] = None,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Convert a published checkpoint into one of cslr, and back; or average a run's best checkpoints.

    Nothing is lost on the way. A published checkpoint has no vocabulary in it: name it by
    --vocabulary. The way back writes a `gloss_dict.npy` beside the output. No code in any of these
    files is run. With --average RUN --best N, the weights of the N epochs of lowest WER on dev are
    averaged into `RUN/average-best-N.pt`, a checkpoint like any other.
    """
    changes = {"--vocabulary": vocabulary, "--corpus": corpus, "--set": settings}
    refused = [option for option, value in changes.items() if value]
    if average is not None:
        if checkpoint is not None or to is Format.published or refused:
            raise UsageError(
                "--average takes a run, and nothing else but --best, --output and --json",
                "the checkpoint that it writes can be converted afterwards",
            )
        _average(average, _DEFAULT_BEST if best is None else best, output, as_json=as_json)
        return
    if best is not None:
        raise UsageError("--best: of which run?", "say --average runs/NAME")
    if checkpoint is None:
        raise UsageError("which checkpoint?", "name one, or a run by --average")
    if output is None:
        raise UsageError(f"{checkpoint}: where to?", "name the file to write by --output")
    _check_new(output)
    if to is Format.cslr:
        _from_published(checkpoint, output, vocabulary, corpus, settings or [], as_json=as_json)
        return
    if refused:
        raise UsageError(f"{', '.join(refused)}: a checkpoint of cslr has all that in it", "leave it out")
    _to_published(checkpoint, output, as_json=as_json)


def _check_new(output: Path) -> None:
    if output.exists():
        raise UsageError(f"--output {output}: is there already", "choose another name, or move that away")


def _from_published(
    path: Path, output: Path, vocabulary: Path | None, corpus: str | None, settings: list[str], *, as_json: bool
) -> None:
    if vocabulary is None:
        raise UsageError(
            f"{path}: which vocabulary has it?",
            "say --vocabulary gloss_dict.npy, a prepared corpus, or a text file with a gloss a line;\n"
            "for a checkpoint of cslr, --to published converts it into a published one",
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


def _average(path: Path, number: int, output: Path | None, *, as_json: bool) -> None:
    from cslr_cli.checkpoints.checkpoint import save_checkpoint
    from cslr_cli.training.averaging import average_best
    from cslr_cli.training.run.folder import RunFolder

    run = RunFolder.existing(path)
    if output is None:
        output = run.path / f"average-best-{number}.pt"
    _check_new(output)
    average = average_best(run, number)
    save_checkpoint(average.checkpoint, output)
    epochs = average.checkpoint.averaged_epochs
    if average.missing:
        missing = ", ".join(map(str, average.missing))
        print_note(f"note: no weights were kept of epoch {missing}, which training.keep_best decides")
    if len(epochs) < number:
        print_note(f"note: the mean of {len(epochs)} checkpoints, not of {number}: {average.evaluated} were evaluated")
    for warning in average.checkpoint.warnings:
        print_error(warning, kind="warning")
    _print_summary(average.checkpoint, {"checkpoint": output}, as_json=as_json)


def _to_published(path: Path, output: Path, *, as_json: bool) -> None:
    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.checkpoints.published import find_unsupported_parts, write_published

    checkpoint = load_checkpoint(path)
    gloss_dict = write_published(checkpoint, output)
    for departure in find_unsupported_parts(checkpoint):
        print_note(f"note: the published code as it is cannot build {departure}")
    for warning in checkpoint.warnings:
        print_error(warning, kind="warning")
    _print_summary(checkpoint, {"checkpoint": output, "vocabulary": gloss_dict}, as_json=as_json)


def _print_summary(checkpoint: Checkpoint, written: dict[str, Path], *, as_json: bool) -> None:
    model = checkpoint.config.model
    if as_json:
        facts: dict[str, Any] = {
            "network": model.name,
            "glosses": len(checkpoint.vocabulary.glosses),
            "corpus": checkpoint.corpus.name,
            "fps": checkpoint.corpus.fps,
            "protocol": checkpoint.corpus.protocol,
            "epoch": checkpoint.epoch,
            **({"averaged_epochs": list(checkpoint.averaged_epochs)} if checkpoint.averaged_epochs else {}),
        }
        print_json({**facts, **{what: str(path) for what, path in written.items()}})
        return
    averaged = ", ".join(map(str, checkpoint.averaged_epochs))
    rows = [
        ["network", model.name],
        *([["mean of epochs", averaged]] if averaged else []),
        ["temporal layers", " ".join(model.temporal_layers)],
        ["glosses", str(len(checkpoint.vocabulary.glosses))],
        ["corpus", f"{checkpoint.corpus.name}, {checkpoint.corpus.fps:g} frames a second"],
        *([what, str(path)] for what, path in written.items()),
        *([] if "vocabulary" in written else [["next", f"cslr evaluate {quote(str(written['checkpoint']))}"]]),
    ]
    print_result(table(["averaged" if averaged else "converted", ""], rows, left=(0, 1)))
