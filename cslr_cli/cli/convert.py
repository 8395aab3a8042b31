"""`cslr convert`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoint import Checkpoint


class Format(str, Enum):
    """Whose checkpoint is to come out."""

    cslr = "cslr"
    published = "published"


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint of the published code of VAC, SMKD, CorrNet or CorrNet+; or of cslr.")
    ],
    output: Annotated[Path, typer.Option("--output", help="File to write.")],
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
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> None:
    """Convert a published checkpoint into one of cslr, and back; nothing is lost on the way.

    A published checkpoint has no vocabulary in it: name it by --vocabulary. The way back writes a
    `gloss_dict.npy` beside the output. No code in any of these files is run.
    """
    if output.exists():
        raise UsageError(f"--output {output}: is there already", "choose another name, or move that away")
    if to is Format.published:
        given = {"--vocabulary": vocabulary, "--corpus": corpus, "--set": settings}
        refused = [option for option, value in given.items() if value]
        if refused:
            raise UsageError(f"{', '.join(refused)}: a checkpoint of cslr has all that in it", "leave it out")
        _to_published(checkpoint, output, as_json=as_json)
        return
    if vocabulary is None:
        raise UsageError(
            f"{checkpoint}: which vocabulary has it?",
            "say --vocabulary gloss_dict.npy, a prepared corpus, or a text file with a gloss a line;\n"
            "for a checkpoint of cslr, --to published converts it into a published one",
        )
    from cslr_cli.checkpoint import save_checkpoint
    from cslr_cli.published_checkpoint import convert_published

    conversion = convert_published(checkpoint, vocabulary, corpus=corpus, settings=settings or [])
    save_checkpoint(conversion.checkpoint, output)
    for note in conversion.notes:
        print_note(f"note: {note}")
    for warning in conversion.checkpoint.warnings:
        print_error(warning, kind="warning")
    _tell(conversion.checkpoint, {"checkpoint": output}, f"cslr evaluate {output}", as_json=as_json)


def _to_published(path: Path, output: Path, *, as_json: bool) -> None:
    from cslr_cli.checkpoint import load_checkpoint
    from cslr_cli.published_checkpoint import departures, write_published

    checkpoint = load_checkpoint(path)
    gloss_dict = write_published(checkpoint, output)
    for departure in departures(checkpoint):
        print_note(f"note: the published code as it is cannot build {departure}")
    for warning in checkpoint.warnings:
        print_error(warning, kind="warning")
    _tell(checkpoint, {"checkpoint": output, "vocabulary": gloss_dict}, None, as_json=as_json)


def _tell(checkpoint: Checkpoint, written: dict[str, Path], next_command: str | None, *, as_json: bool) -> None:
    model = checkpoint.config.model
    if as_json:
        facts: dict[str, Any] = {
            "network": model.name,
            "glosses": len(checkpoint.vocabulary.glosses),
            "corpus": checkpoint.corpus.name,
            "fps": checkpoint.corpus.fps,
            "protocol": checkpoint.corpus.protocol,
            "epoch": checkpoint.epoch,
        }
        print_json({**facts, **{what: str(path) for what, path in written.items()}})
        return
    rows = [
        ["network", model.name],
        ["temporal layers", " ".join(model.temporal_layers)],
        ["glosses", str(len(checkpoint.vocabulary.glosses))],
        ["corpus", f"{checkpoint.corpus.name}, {checkpoint.corpus.fps:g} frames a second"],
        *([what, str(path)] for what, path in written.items()),
        *([["next", next_command]] if next_command else []),
    ]
    print_result(table(["converted", ""], rows, left=(0, 1)))
