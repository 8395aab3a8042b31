"""`cslr train`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_remarks, print_result, shown_progress, table
from cslr_cli.errors import CslrError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cslr_cli.config import Config
    from cslr_cli.training.loop import Listener, TrainingResult
    from cslr_cli.training.monitoring.outline import Outline
    from cslr_cli.training.run.folder import RunFolder
    from cslr_cli.training.run.state import Record

_DEFAULT_CONFIG = "phoenix2014"


class Tracker(str, Enum):
    """Who else may be told the figures."""

    tensorboard = "tensorboard"


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
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|N|N,N", help="A GPU by its number, several, or the CPU.")
    ] = "auto",
    precision: Annotated[
        options.PrecisionName | None, typer.Option("--precision", help="In place of the configuration's.")
    ] = None,
    batch_frames: Annotated[
        int | None, typer.Option("--batch-frames", min=1, help="Fill batches by frames, not by a number of clips.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read clips, for each device.")
    ] = None,
    backbone_weights: Annotated[
        Path | None, typer.Option("--backbone-weights", help="File with ResNet-18's ImageNet weights.")
    ] = None,
    init_weights: Annotated[
        Path | None,
        typer.Option("--init-weights", metavar="CHECKPOINT", help="Start from these weights; glosses may be others."),
    ] = None,
    vocabulary: options.Vocabulary = None,
    track: Annotated[
        Tracker | None, typer.Option("--track", help="Tell the figures to TensorBoard as well (an extra).")
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
        "--batch-frames": ("training.batch_frames", batch_frames),
        "--workers": ("data.num_workers", workers),
        "--backbone-weights": ("model.backbone_weights", backbone_weights),
        "--init-weights": ("training.init_weights", init_weights),
        "--vocabulary": ("training.init_vocabulary", vocabulary),
        "--track": ("training.track", None if track is None else track.value),
    }
    given = {option: (key, value) for option, (key, value) in given.items() if value is not None}
    if resume is not None:
        options_given = {"--name": name, **{option: key for option, (key, _) in given.items()}}
        _refuse_changes({option: key for option, key in options_given.items() if key})
    changes = [*(settings or []), *(f"{key}={_as_yaml(value)}" for key, value in given.values())]
    from cslr_cli.training.run.folder import RunFolder

    with _told_once():
        if resume is not None:
            task = _resumed(RunFolder.existing(resume), changes, config, device)
        else:
            task = _new(config or _DEFAULT_CONFIG, changes, runs_dir, name, device)
        try:
            result = _on_devices(task)
        except KeyboardInterrupt as error:
            if not RunFolder(task.path).config.is_file():
                raise
            raise KeyboardInterrupt(f"go on from the last save with: cslr train --resume {task.path}") from error
    if result is None:
        return  # the first process shows it
    if as_json:
        print_json({"run": str(task.path), "best": dict(result.best), "checkpoint": str(result.run.best)})
    else:
        print_result(_result_table(result))


@dataclass(frozen=True)
class _Task:
    """A training, as each of its processes is told it.

    Attributes:
        recipe: its configuration.
        path: the run's folder.
        device: as `--device` has it.
        resume: go on with the run.
        batch_may_grow: nobody but the recipe has said how many clips a batch has.
    """

    recipe: Config
    path: Path
    device: str
    resume: bool
    batch_may_grow: bool


def _resumed(run: RunFolder, changes: Sequence[str], config: str | None, device: str) -> _Task:
    """A run, to go on with."""
    from cslr_cli.training.run.resuming import resumed_config

    return _Task(resumed_config(run, changes, config), run.path, device, resume=True, batch_may_grow=False)


def _new(config: str, changes: Sequence[str], runs_dir: Path, name: str | None, device: str) -> _Task:
    """A training by a shipped recipe, or by the user's own."""
    from cslr_cli.config import load_config, shipped_configs
    from cslr_cli.training.run.resuming import keys_named

    recipe = load_config(config, changes)
    is_shipped = config.lower() in {shipped.lower() for shipped in shipped_configs()}
    in_own_file = not is_shipped and "batch_size" in recipe.training.model_fields_set
    may_grow = not in_own_file and "training.batch_size" not in keys_named(changes)
    return _Task(recipe, runs_dir / _run_name(name, config), device, resume=False, batch_may_grow=may_grow)


def _on_devices(task: _Task) -> TrainingResult | None:
    """Train here, or in a process for each device; None in a process that is not the first."""
    from cslr_cli.model.device import resolve_devices
    from cslr_cli.training.distributed.launch import launch
    from cslr_cli.training.distributed.ranks import was_launched

    if was_launched():
        return _in_this_process(task)
    devices = resolve_devices(task.device)
    return _in_this_process(task) if len(devices) == 1 else launch(_in_this_process, task, len(devices))


def _in_this_process(task: _Task) -> TrainingResult | None:
    """Train with whatever processes this one was launched with; only the first has a screen."""
    from cslr_cli.model.device import resolve_device, resolve_process_device
    from cslr_cli.training.batches import with_a_clip_each
    from cslr_cli.training.distributed.ranks import joined, local_rank, was_launched
    from cslr_cli.training.loop import train as train_network

    device = resolve_process_device(task.device, *local_rank()) if was_launched() else resolve_device(task.device)
    with joined(device) as ranks:
        recipe = with_a_clip_each(task.recipe, ranks.world_size) if task.batch_may_grow else task.recipe
        if not ranks.is_first:
            train_network(recipe, task.path, device=device, resume=task.resume, ranks=ranks)
            return None
        with shown_progress() as progress:
            return train_network(
                recipe,
                task.path,
                device=device,
                resume=task.resume,
                progress=progress,
                on_epoch=lambda record: print_note(epoch_line(record, recipe.training.epochs)),
                listener=_listener(_grown_batch_told(task.recipe, recipe)),
                ranks=ranks,
            )


def _listener(remark: str | None) -> Listener:
    """Who shows on standard error what a training says; the remark comes below the table at the start."""
    from cslr_cli.training.loop import Listener
    from cslr_cli.training.run.folder import LOGGER

    def outline(told: Outline) -> None:
        print_remarks(outline_table(told))
        if remark is not None:
            LOGGER.warning("%s", remark)
            print_note(remark)

    return Listener(
        note=print_note,
        outline=outline,
        estimate=lambda seconds: print_note(f"it will take about {rough_duration(seconds)}"),
    )


def _grown_batch_told(recipe: Config, grown: Config) -> str | None:
    """What to know of a batch that is larger than the recipe's; None where it is not."""
    before, now = recipe.training.batch_size, grown.training.batch_size
    if now == before:
        return None
    return (
        f"warning: a batch is now {now} clips, for every process needs one; the recipe has {before}, and its learning "
        f"rate of {recipe.optimizer.lr:g} was made for them\n"
        f"  set another rate by --set optimizer.lr=…, another batch by --set training.batch_size=…"
    )


@contextmanager
def _told_once() -> Iterator[None]:
    """Of processes that `torchrun` has started and that fail, let one say why: the first.

    Most often the others fail because of it, or alike.
    """
    try:
        yield
    except CslrError as error:
        from cslr_cli.training.distributed.interruption import was_asked_to_end
        from cslr_cli.training.distributed.launch import wait_to_be_ended
        from cslr_cli.training.distributed.ranks import is_first_to_fail

        if not is_first_to_fail():
            if was_asked_to_end(error):
                raise typer.Exit(error.exit_status) from error
            wait_to_be_ended()  # who comes back from there was the only one after all
        raise


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


def outline_table(outline: Outline) -> RenderableType:
    """What is trained on what, as a table."""
    return table(["training", ""], outline.rows, left=(0, 1))


def rough_duration(seconds: float) -> str:
    """`16 h 20 min`, `25 min` or `40 s`: what an estimate can say."""
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _refuse_changes(given: Mapping[str, str]) -> None:
    """Say how a run's settings are changed: by their names.

    Args:
        given: options, each with the key that it sets, or with a name for the run.
    """
    if given:
        keys = [f"--set {key}=…" for key in given.values() if "." in key]
        raise UsageError(
            f"--resume goes on with the run's own configuration; {', '.join(given)} cannot change it",
            f"name what is to be another: {' '.join(keys)}"
            if keys
            else "another name is another run: leave out --resume",
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
