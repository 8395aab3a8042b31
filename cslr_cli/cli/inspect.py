"""`cslr inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.completion import complete_corpus_or_checkpoint
from cslr_cli.cli.console import print_error, print_json, print_line, print_note, print_result, shown_progress, table
from cslr_cli.cli.inspect_tables import (
    describe_frequent_glosses,
    describe_gloss_lengths,
    frequency_table,
    signer_table,
)
from cslr_cli.cli.inspect_video import is_video, print_video
from cslr_cli.cli.options import option
from cslr_cli.cli.results import plan_file
from cslr_cli.errors import EXIT_FAILED, FAULTS_SHOWN, UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoints.inspection import CheckpointInspection
    from cslr_cli.corpora.inspection import CorpusInspection, Finding

_BAR = 30  # characters of the longest bar of the histogram


def inspect(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            autocompletion=complete_corpus_or_checkpoint,
            help="Prepared corpus, checkpoint, folder of a run, or video.",
        ),
    ],
    config: Annotated[
        str,
        option(
            "--config", "Configuration of the planned training; it determines which clips are too short.", "NAME|FILE"
        ),
    ] = "phoenix2014",
    settings: options.Settings = None,
    quick: Annotated[bool, option("--quick", "Count frames without reading the pictures.")] = False,
    plot: Annotated[
        Path | None,
        option("--plot", "Picture file for plots of clip lengths and gloss frequencies.", "FILE", options.OUTPUT),
    ] = None,
    sheet: Annotated[
        Path | None,
        option(
            "--sheet", "Picture file for a contact sheet: frames of some clips of each split.", "FILE", options.OUTPUT
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    workers: Annotated[
        int | None, option("--workers", "Number of processes (default: the number of CPU cores).", "N", min=1)
    ] = None,
    stream: options.Stream = None,
    as_json: options.Json = False,
) -> None:
    """Check a prepared corpus, or describe a checkpoint or a video.

    The exit status is 1 if a fault in the corpus would break training. Of a video it shows what is in the file, what is
    damaged, and how predict will read it.

    Examples:
        cslr inspect prepared/phoenix2014
        cslr inspect prepared/my-corpus --plot lengths.png --sheet clips.png
        cslr inspect runs/phoenix2014  # its best checkpoint
        cslr inspect talk.mp4
    """
    if is_video(path):
        print_video(path, stream, as_json=as_json)
        return
    if (checkpoint := _find_checkpoint(path)) is not None:
        if plot is not None:
            raise UsageError(f"--plot: {path} is a checkpoint", "see curves.png in the folder of its run")
        if sheet is not None:
            raise UsageError(f"--sheet: {path} is a checkpoint", "name a prepared corpus")
        _print_checkpoint(checkpoint, as_json=as_json)
        return
    plot, sheet = (_planned_picture(context, name, file) for name, file in (("--plot", plot), ("--sheet", sheet)))
    inspection = _inspected(path, config, settings or [], read_frames=not quick, workers=workers)
    if as_json:
        print_json(inspection.to_dict())
    else:
        _print_inspection(inspection)
    if plot is not None:
        from cslr_cli.corpora.inspection import draw_plots

        draw_plots(inspection, plot)
        print_note(f"plots: {plot}")
    if sheet is not None:
        _draw_sheet(path, sheet)
    if inspection.breaks_training:
        raise typer.Exit(EXIT_FAILED)


def _planned_picture(context: typer.Context, name: str, picture: Path | None) -> Path | None:
    """Check the picture file of an option; return None if it is not to be written."""
    from cslr_cli.corpora.inspection import check_plot_name

    if picture is None:
        return None
    check_plot_name(picture)
    return picture if plan_file(context, name, picture, []) else None


def _draw_sheet(path: Path, sheet: Path) -> None:
    from cslr_cli.corpora import open_prepared_corpus
    from cslr_cli.corpora.inspection import draw_contact_sheet
    from cslr_cli.output.fonts import plot_font_families

    num_clips = draw_contact_sheet(open_prepared_corpus(path), sheet, plot_font_families())
    print_note(f"contact sheet of {num_clips} clips: {sheet}")


def _inspected(
    path: Path, config: str, settings: list[str], *, read_frames: bool, workers: int | None
) -> CorpusInspection:
    from cslr_cli.config import load_config
    from cslr_cli.corpora.inspection import inspect_corpus
    from cslr_cli.model.network import build_temporal_plan

    recipe = load_config(config, settings)
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
    print_line(f"{info.name}: {glosses}{info.fps:g} frames per second, {info.frame_size} pixels")
    print_result(_contents_table(inspection))
    if inspection.length_histogram():
        print_result(_histogram(inspection))
    print_result(frequency_table(inspection))
    for line in (describe_frequent_glosses(inspection), describe_gloss_lengths(inspection)):
        if line:
            print_line(line)
    signers = signer_table(inspection)
    if signers is not None:
        print_result(signers)
    if not inspection.findings:
        print_line("no faults found")
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
    means = ["frames\nper clip\nmin–med–max", "glosses\nper clip"]
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
    print_line(f"{kind}: {finding.what}")
    for detail in finding.details[:FAULTS_SHOWN]:
        print_line(f"    {detail}")
    if len(finding.details) > FAULTS_SHOWN:
        print_line(f"    and {len(finding.details) - FAULTS_SHOWN} more; use --json to list all")


def _find_checkpoint(path: Path) -> Path | None:
    """Return the checkpoint of a path: the file, or best.pt or last.pt in the folder of a run; None for a corpus."""
    if path.is_file() or path.suffix == ".pt":
        return path
    saved = [path / name for name in ("best.pt", "last.pt") if (path / name).is_file()]
    if not saved and (path / "config.yaml").is_file():
        raise UsageError(f"{path}: the run has no checkpoint yet", f"see the log of the training: {path / 'train.log'}")
    if not saved and any(path.glob("*/config.yaml")):
        raise UsageError(
            f"{path}: a folder of runs", f"use the folder of one run; list them: cslr runs --runs-dir {path}"
        )
    return saved[0] if saved else None


def _print_checkpoint(path: Path, *, as_json: bool) -> None:
    """Print the description of a checkpoint."""
    from cslr_cli.checkpoints.inspection import inspect_checkpoint

    inspection = inspect_checkpoint(path)
    for warning in inspection.warnings:
        print_error(warning, kind="warning")
    if as_json:
        print_json(inspection.to_dict())
        return
    rows = [*_network_rows(inspection), *_use_rows(inspection), *_training_rows(inspection)]
    print_result(table([str(path), ""], rows, left=(0, 1)))


def _network_rows(inspection: CheckpointInspection) -> list[list[str]]:
    model, parts = inspection.model, inspection.model.parts
    sharing = "shared by both heads" if parts.shared_classifier else "one per head"
    total = sum(inspection.parameters.values())
    rows = [
        ["network", model.name],
        ["temporal layers", f"{' '.join(model.temporal_layers)}, {parts.pool} pool"],
        ["classifier", f"{parts.classifier}, {sharing}"],
        ["parameters", f"{total:,}"],
        *([f"  {part}", f"{count:,}"] for part, count in inspection.parameters.items()),
    ]
    if any("correlation" in part for part in inspection.parameters):
        rows.insert(1, ["correlation after", " ".join(model.correlation_after)])
    return rows


def _use_rows(inspection: CheckpointInspection) -> list[list[str]]:
    vocabulary, corpus, data = inspection.vocabulary, inspection.corpus, inspection.data
    if vocabulary is None or corpus is None or data is None:
        path, output = quote(str(inspection.path)), quote(f"{inspection.path.stem}-cslr.pt")
        command = f"cslr convert {path} --vocabulary gloss_dict.npy --output {output}"
        return [["glosses", f"{inspection.num_classes - 1}; the file has no vocabulary"], ["next", command]]
    first = " ".join(vocabulary.glosses[:5]) + (" …" if len(vocabulary.glosses) > 5 else "")
    frames = [f"{corpus.fps:g} per second", "all" if data.frame_interval == 1 else f"one in {data.frame_interval}"]
    pixels = [f"{corpus.frame_size} pixels, cropped to {data.crop_size}"]
    if data.input_size != data.crop_size:
        pixels.append(f"resized to {data.input_size}")
    return [
        ["glosses", f"{len(vocabulary.glosses)}: {first} (hash {vocabulary.hash})"],
        ["corpus", f"{corpus.name}, scored as {corpus.protocol}; prepared in {corpus.path}"],
        ["frames", ", ".join([*frames, *pixels])],
    ]


def _training_rows(inspection: CheckpointInspection) -> list[list[str]]:
    of_all = "" if inspection.num_epochs is None else f" of {inspection.num_epochs}"
    rows = [["epochs", f"{inspection.epoch}{of_all}"]]
    for title, record in (("best WER on dev", inspection.best), ("last WER on dev", _last(inspection))):
        if record is not None:
            rows.append([title, f"{record['wer']:.1f} % (epoch {record['epoch']})"])
    if inspection.converted_from is not None:
        rows.append(["converted from", inspection.converted_from])
    if inspection.averaged_epochs:
        rows.append(["averaged epochs", ", ".join(map(str, inspection.averaged_epochs))])
    if inspection.resumable:
        rows.append(["to continue", f"cslr train --resume {quote(str(inspection.path.parent))}"])
    rows += [["written by", inspection.written_by], ["size", f"{inspection.num_bytes / 2**20:.1f} MiB"]]
    return rows


def _last(inspection: CheckpointInspection) -> Mapping[str, Any] | None:
    return next((record for record in reversed(inspection.history) if record.get("wer") is not None), None)
