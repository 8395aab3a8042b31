"""`cslr train`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_result, shown_progress, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cslr_cli.training.loop import TrainingResult
    from cslr_cli.training.state import Record

_DEFAULT_CONFIG = "phoenix2014"


def train(
    config: Annotated[
        str | None,
        typer.Option("--config", help="A shipped configuration by name, or a YAML file. Default: phoenix2014."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="Prepared corpus, in place of the configuration's.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run; by default that of the configuration.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with this run's folder, exactly.")
    ] = None,
    device: options.Device = "auto",
    precision: Annotated[
        options.PrecisionName | None, typer.Option("--precision", help="In place of the configuration's.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Processes that read clips.")] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option("--backbone-weights", help="File with ResNet-18's ImageNet weights.")
    ] = None,
    settings: options.Settings = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Train a network on a prepared corpus.

    With nothing said, the published PHOENIX2014 recipe on `prepared/phoenix2014`. Writes
    `runs/NAME/` with `best.pt` (lowest WER on dev), `last.pt` (to resume from), the resolved
    configuration, the metrics of each epoch and a log.
    """
    given = {
        "--corpus": ("corpus.path", corpus),
        "--precision": ("training.precision", None if precision is None else precision.value),
        "--workers": ("data.num_workers", workers),
        "--backbone-weights": ("model.backbone_weights", backbone_weights),
    }
    given = {option: (key, value) for option, (key, value) in given.items() if value is not None}
    if resume is not None:
        options_given = {"--config": config, "--name": name, "--set": settings, **given}
        _refuse_changes([option for option, value in options_given.items() if value])
    changes = [*(settings or []), *(f"{key}={_as_yaml(value)}" for key, value in given.values())]
    from cslr_cli.config import load_config
    from cslr_cli.model.device import resolve_device
    from cslr_cli.training.loop import train as train_network
    from cslr_cli.training.tracking import RunFolder

    if resume is not None:
        run = RunFolder.existing(resume)
        recipe, path = load_config(run.config), run.path
    else:
        recipe = load_config(config or _DEFAULT_CONFIG, changes)
        path = runs_dir / _run_name(name, config or _DEFAULT_CONFIG)
    try:
        with shown_progress() as progress:
            result = train_network(
                recipe,
                path,
                device=resolve_device(device),
                resume=resume is not None,
                progress=progress,
                on_epoch=lambda record: print_note(epoch_line(record, recipe.training.epochs)),
            )
    except KeyboardInterrupt as error:
        if not RunFolder(path).config.is_file():
            raise
        raise KeyboardInterrupt(f"go on from the last finished epoch with: cslr train --resume {path}") from error
    if as_json:
        print_json({"run": str(path), "best": dict(result.best), "checkpoint": str(result.run.best)})
    else:
        print_result(_result_table(result))


def _result_table(result: TrainingResult) -> RenderableType:
    best = result.best
    seconds = sum(float(record["seconds"]) for record in result.history)
    rows = [
        ["best WER on dev", f"{best['wer']:.1f} % (epoch {best['epoch']})"],
        ["epochs", str(len(result.history))],
        ["time", duration(seconds)],
        ["checkpoint", str(result.run.best)],
        ["next", f"cslr evaluate {result.run.best}"],
    ]
    return table(["training", ""], rows)


def _refuse_changes(options_given: list[str]) -> None:
    if options_given:
        raise UsageError(
            f"--resume goes on with the run's own configuration; {', '.join(options_given)} cannot change it",
            "leave that out, or start another run: --name without --resume",
        )


def _run_name(name: str | None, config: str) -> str:
    if name is None:
        return Path(config).stem
    if Path(name).name != name:
        raise UsageError(
            f"--name {name}: not the name of a folder", "for a run in another place, use --runs-dir as well"
        )
    return name


def _as_yaml(value: object) -> str:
    """The value as `--set` reads it; a path may look like a number, or have a # in it."""
    return json.dumps(os.path.join(os.curdir, value) if isinstance(value, Path) else value, ensure_ascii=False)


def epoch_line(record: Record, epochs: int) -> str:
    """An epoch in a line."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"loss {record['loss']:.3f}" if "loss" in record else "no step"]
    if record["wer"] is not None:
        parts.append(f"dev WER {record['wer']:.1f} % (convolution {record['conv_wer']:.1f} %)")
    parts += [f"{record['clips_per_second']:.1f} clips/s", duration(record["seconds"])]
    if record["skipped"]:
        parts.append(f"{len(record['skipped'])} clips skipped, loss not finite: {', '.join(record['skipped'])}")
    return ", ".join(parts)
