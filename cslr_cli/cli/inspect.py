"""`cslr inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_json, print_note, print_result, shown_progress, table
from cslr_cli.cli.inspect_checkpoint import find_checkpoint, print_checkpoint
from cslr_cli.errors import FAULTS_SHOWN, UsageError

if TYPE_CHECKING:
    from cslr_cli.corpora.inspection import CorpusInspection, Finding

_BAR = 30  # characters of the longest bar of the histogram


def inspect(
    path: Annotated[Path, typer.Argument(help="Prepared corpus, checkpoint, or folder of a run.")],
    config: Annotated[
        str, typer.Option("--config", help="Configuration whose temporal plan says which clips are too short.")
    ] = "phoenix2014",
    quick: Annotated[bool, typer.Option("--quick", help="Count frames instead of reading every picture.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Write plots of lengths and gloss frequencies.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; by default the cores that there are.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what is in a prepared corpus, and what is wrong with it; or what a checkpoint is.

    Exit status 1 if anything in a corpus would break training.
    """
    if (checkpoint := find_checkpoint(path)) is not None:
        if plot is not None:
            raise UsageError(f"--plot: {path} is a checkpoint", "plots of its training are in curves.png of its run")
        print_checkpoint(checkpoint, as_json=as_json)
        return
    if plot is not None:
        from cslr_cli.corpora.inspection import check_plot_name

        check_plot_name(plot)
    inspection = _inspected(path, config, read_frames=not quick, workers=workers)
    if as_json:
        print_json(inspection.to_dict())
    else:
        _print_inspection(inspection)
    if plot is not None:
        from cslr_cli.corpora.inspection import draw_plots

        draw_plots(inspection, plot)
        print_note(f"plots: {plot}")
    if inspection.breaks_training:
        raise typer.Exit(1)


def _inspected(path: Path, config: str, *, read_frames: bool, workers: int | None) -> CorpusInspection:
    from cslr_cli.config import load_config
    from cslr_cli.corpora.inspection import inspect_corpus
    from cslr_cli.model.network import build_temporal_plan

    recipe = load_config(config)
    with shown_progress() as progress:
        return inspect_corpus(
            path,
            plan=build_temporal_plan(recipe.model),
            frame_interval=recipe.data.frame_interval,
            read_frames=read_frames,
            workers=workers,
            progress=progress,
        )


def _print_inspection(inspection: CorpusInspection) -> None:
    info = inspection.info
    glosses = "" if inspection.num_glosses is None else f"vocabulary of {inspection.num_glosses}, "
    print(f"{info.name}: {glosses}{info.fps:g} frames a second, {info.frame_size} pixels")
    print_result(_contents_table(inspection))
    if inspection.length_histogram():
        print_result(_histogram(inspection))
    if not inspection.findings:
        print("nothing is wrong")
    for finding in inspection.findings:
        _print_finding(finding)


def _contents_table(inspection: CorpusInspection) -> Any:
    def shown(value: float | None, digits: int = 0) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    rows = []
    for split, contents in inspection.splits.items():
        values = inspection.to_dict()["splits"][split]
        lengths = values["frames_per_clip"]
        rows.append(
            [
                split,
                str(contents.clips),
                shown(contents.frames),
                shown(contents.hours(inspection.info.fps), 2),
                str(contents.glosses),
                str(len(contents.gloss_counts)),
                str(len(contents.signers)) if contents.signers else "–",
                "–" if lengths is None else f"{lengths['min']}–{lengths['median']:g}–{lengths['max']}",
                shown(values["glosses_per_clip"]["mean"] if values["glosses_per_clip"] else None, 1),
            ]
        )
    columns = ["split", "clips", "frames", "hours", "glosses", "distinct\nglosses", "signers"]
    means = ["frames\na clip\nmin–med–max", "glosses\na clip"]
    return table([*columns, *means], rows, narrow=True)


def _histogram(inspection: CorpusInspection) -> Any:
    bins = inspection.length_histogram()
    highest = max(sum(clips.values()) for _, _, clips in bins)
    rows = []
    for first, last, clips in bins:
        total = sum(clips.values())
        lengths = f"{first} – {last}" if last > first else str(first)
        rows.append([lengths, str(total), "█" * round(_BAR * total / highest) or ("▏" if total else "")])
    return table(["frames", "clips", ""], rows, left=(0, 2))


def _print_finding(finding: Finding) -> None:
    kind = "breaks training" if finding.breaks_training else "note"
    print(f"{kind}: {finding.what}")
    for detail in finding.details[:FAULTS_SHOWN]:
        print(f"    {detail}")
    if len(finding.details) > FAULTS_SHOWN:
        print(f"    and {len(finding.details) - FAULTS_SHOWN} more: --json has all")
