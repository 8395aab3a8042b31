"""`cslr prepare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_json, print_note, print_result, shown_progress, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.preparation import PreparationReport

_SYNTHETIC = "Synthetic corpus"
_FAULTS_SHOWN = 10


def prepare(
    corpus: Annotated[str, typer.Argument(help="phoenix2014 or synthetic, in small or capital letters.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="The release's folder, only read. Default: dataset/CORPUS.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Where the prepared corpus goes. Default: prepared/CORPUS.")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Height and width of the prepared frames, pixels.")] = 256,
    layout: Annotated[str, typer.Option("--layout", help="zip: a file a clip; folder: a folder a clip.")] = "zip",
    image_format: Annotated[str, typer.Option("--image-format", help="png (exact) or jpeg (smaller).")] = "png",
    strict: Annotated[bool, typer.Option("--strict", help="A clip that cannot be read is an error.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; by default the cores that there are.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Everything random follows from it.", rich_help_panel=_SYNTHETIC)
    ] = None,
    glosses: Annotated[
        int | None, typer.Option("--glosses", help="Size of the vocabulary.", rich_help_panel=_SYNTHETIC)
    ] = None,
    signers: Annotated[
        int | None,
        typer.Option("--signers", help="People in all; one of them is only in test.", rich_help_panel=_SYNTHETIC),
    ] = None,
    train_clips: Annotated[
        int | None, typer.Option("--train-clips", help="Clips to train on.", rich_help_panel=_SYNTHETIC)
    ] = None,
    dev_clips: Annotated[
        int | None, typer.Option("--dev-clips", help="Clips of the dev split.", rich_help_panel=_SYNTHETIC)
    ] = None,
    test_clips: Annotated[
        int | None, typer.Option("--test-clips", help="Clips of the test split.", rich_help_panel=_SYNTHETIC)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a prepared corpus of a release: frames of one size, manifests, vocabulary, references.

    Stopped at any moment and called again, it goes on where it was. `synthetic` draws its own
    release first, into the source folder.
    """
    given = {
        "seed": seed,
        "num_glosses": glosses,
        "num_signers": signers,
        "num_train_clips": train_clips,
        "num_dev_clips": dev_clips,
        "num_test_clips": test_clips,
    }
    drawing = {name: value for name, value in given.items() if value is not None}
    from cslr_cli.data.clip_workers import available_cores
    from cslr_cli.data.corpora import find_corpus
    from cslr_cli.preparation import PreparationOptions
    from cslr_cli.preparation import prepare as prepare_corpus

    reader = find_corpus(corpus)
    source, output = source or reader.default_source, output or reader.default_output
    processes = workers or available_cores()
    form = PreparationOptions(
        frame_size=size, layout=layout, image_format=image_format, strict=strict
    )
    with shown_progress() as progress:
        if reader.name == "synthetic":
            from cslr_cli.data.corpora.synthetic import SyntheticOptions, make_release

            make_release(source, SyntheticOptions(**drawing), workers=processes, progress=progress)
        elif drawing:
            raise UsageError(f"--seed, --glosses, --signers and --…-clips are for `synthetic`, not for {reader.name}")
        report = prepare_corpus(reader, source, output, form, workers=processes, progress=progress)
    for fault in report.faults[:_FAULTS_SHOWN]:
        print_note(f"left out: {fault.split} {fault.sample_id}: {fault.reason}")
    if len(report.faults) > _FAULTS_SHOWN:
        print_note(f"left out: {len(report.faults) - _FAULTS_SHOWN} clips more; see {output / 'prepare-report.json'}")
    if as_json:
        print_json({"output": str(output), **json.loads(report.to_json())})
    else:
        print_result(report_table(report))


def report_table(report: PreparationReport) -> Any:
    """Clips, frames and glosses of each split, and what was left out."""
    rows = [
        [split, str(counts.clips), str(counts.frames), str(counts.glosses), str(_left_out(report, split))]
        for split, counts in report.splits.items()
    ]
    rows.append(["different glosses", "", "", str(report.num_glosses), ""])
    return table([str(report.output), "clips", "frames", "glosses", "left out"], rows)


def _left_out(report: PreparationReport, split: str) -> int:
    return sum(left_out.split == split for left_out in report.left_out)
