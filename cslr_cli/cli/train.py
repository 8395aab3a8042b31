"""`cslr train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_result, shown_progress, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.training.state import Record


def train(
    config: Annotated[
        str, typer.Option("--config", help="A shipped configuration by name, or a YAML file.")
    ] = "phoenix2014",
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
        "corpus.path": corpus,
        "training.precision": None if precision is None else precision.value,
        "data.num_workers": workers,
        "model.backbone_weights": backbone_weights,
    }
    changes = [*(settings or []), *(f"{key}={value}" for key, value in given.items() if value is not None)]
    if resume is not None and changes:
        raise UsageError(
            f"--resume goes on with the run's own configuration; it cannot be changed ({changes[0]})",
            "leave the other settings out, or start another run by --name",
        )
    from cslr_cli.config import load_config
    from cslr_cli.model.device import resolve_device
    from cslr_cli.training.loop import train as train_network
    from cslr_cli.training.tracking import RunFolder

    if resume is not None:
        run = RunFolder.existing(resume)
        recipe, path = load_config(run.config), run.path
    else:
        recipe = load_config(config, changes)
        path = runs_dir / (name or Path(config).stem)
    with shown_progress() as progress:
        result = train_network(
            recipe,
            path,
            device=resolve_device(device),
            resume=resume is not None,
            progress=progress,
            on_epoch=lambda record: print_note(epoch_line(record, recipe.training.epochs)),
        )
    best = result.best
    if as_json:
        print_json({"run": str(path), "best": dict(best), "checkpoint": str(result.run.best)})
        return
    seconds = sum(float(record["seconds"]) for record in result.history)
    rows = [
        ["best WER on dev", f"{best['wer']:.1f} % (epoch {best['epoch']})"],
        ["epochs", str(len(result.history))],
        ["time", duration(seconds)],
        ["checkpoint", str(result.run.best)],
        ["next", f"cslr evaluate {result.run.best}"],
    ]
    print_result(table(["training", ""], rows))


def epoch_line(record: Record, epochs: int) -> str:
    """An epoch in a line."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"loss {record['loss']:.3f}" if "loss" in record else "no step"]
    if record["wer"] is not None:
        parts.append(f"dev WER {record['wer']:.1f} % (convolution {record['conv_wer']:.1f} %)")
    parts += [f"{record['clips_per_second']:.1f} clips/s", duration(record["seconds"])]
    if record["skipped"]:
        parts.append(f"skipped, loss not finite: {', '.join(record['skipped'])}")
    return ", ".join(parts)
