"""`cslr train`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typing_extensions import TypedDict

from cslr_cli.choices import Precision, Tracker
from cslr_cli.cli import options
from cslr_cli.cli.console import (
    Verbosity,
    duration,
    print_json,
    print_note,
    print_remarks,
    print_result,
    shown_progress,
    table,
    use_verbosity,
    verbosity,
)
from cslr_cli.cli.options import option
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.monitoring.epoch_record import EpochFigures, EpochRecord
from cslr_cli.training.monitoring.observer import LOGGER, TrainingObserver, TrainingOutline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cslr_cli.checkpoints.corpus_origin import FoundCorpus
    from cslr_cli.config import Config
    from cslr_cli.training.loop import TrainingResult
    from cslr_cli.training.run.folder import RunFolder

_DEFAULT_CONFIG = "phoenix2014"


_RECIPE = "Recipe"
_HARDWARE = "Hardware"
_INITIAL_WEIGHTS = "Initial weights"


class TrainingDocument(TypedDict):
    """A finished training: what `cslr train --json` prints.

    Attributes:
        schema_version: version of this document.
        run: folder of the run.
        best: figures of the epoch with the lowest WER on dev.
        checkpoint: checkpoint of this epoch.
    """

    schema_version: Literal[1]
    run: str
    best: EpochFigures
    checkpoint: str


def train(
    config: Annotated[
        str | None, option("--config", "Shipped configuration or YAML file (default: phoenix2014).", "NAME|FILE")
    ] = None,
    corpus: Annotated[Path | None, option("--corpus", "Prepared corpus (default: as configured).", "FOLDER")] = None,
    settings: options.Settings = None,
    epochs: Annotated[
        int | None,
        option("--epochs", "Number of passes over the training clips (default: as configured).", "N", _RECIPE, min=1),
    ] = None,
    lr: Annotated[
        float | None, option("--lr", "Learning rate (default: as configured).", "NUMBER", _RECIPE, min=0)
    ] = None,
    batch_size: Annotated[
        int | None,
        option("--batch-size", "Clips per step, over all devices (default: as configured).", "N", _RECIPE, min=1),
    ] = None,
    batch_frames: Annotated[
        int | None,
        option(
            "--batch-frames", "Frames per step, instead of --batch-size (default: as configured).", "N", _RECIPE, min=1
        ),
    ] = None,
    seed: Annotated[int | None, option("--seed", "Random seed (default: as configured).", "N", _RECIPE, min=0)] = None,
    name: Annotated[
        str | None, option("--name", "Name of the run (default: name of the configuration).", "NAME")
    ] = None,
    runs_dir: Annotated[Path, option("--runs-dir", "Folder of the runs.", "FOLDER")] = Path("runs"),
    resume: Annotated[Path | None, option("--resume", "Folder of an unfinished run to continue.", "RUN")] = None,
    track: Annotated[
        Tracker | None, option("--track", "Also log to TensorBoard (requires the extra tensorboard).")
    ] = None,
    device: Annotated[
        str,
        option(
            "--device",
            "Device, or several. auto: the first GPU, otherwise the CPU; cuda: the first GPU; cuda:N or N: GPU number "
            "N; N,N: several GPUs.",
            "auto|cpu|cuda|cuda:N|N|N,N",
            _HARDWARE,
        ),
    ] = "auto",
    precision: Annotated[
        Precision | None,
        option("--precision", "Number format of the network (default: as configured).", panel=_HARDWARE),
    ] = None,
    workers: Annotated[
        int | None,
        option(
            "--workers",
            "Number of processes per device that read clips (default: as configured).",
            "N",
            _HARDWARE,
            min=0,
        ),
    ] = None,
    backbone_weights: Annotated[
        Path | None,
        option(
            "--backbone-weights", "ImageNet weights of ResNet-18 (default: torchvision's).", "FILE", _INITIAL_WEIGHTS
        ),
    ] = None,
    init_weights: Annotated[
        Path | None,
        option(
            "--init-weights",
            "Checkpoint whose weights the training starts from. Its vocabulary may differ.",
            "CHECKPOINT",
            _INITIAL_WEIGHTS,
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        option(
            "--vocabulary",
            "Vocabulary of --init-weights if it is a published checkpoint: gloss_dict.npy, a prepared corpus, or "
            "a text file with one gloss per line.",
            "PATH",
            _INITIAL_WEIGHTS,
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a network on a prepared corpus.

    Uses the published PHOENIX2014 recipe by default. Writes `runs/NAME/` with `best.pt` (lowest WER on dev),
    `last.pt` (newest state, for `--resume`), the resolved configuration, the metrics of each epoch, and a log.

    Examples:
        cslr train --config phoenix2014 --device 0
        cslr train --config csl-daily --device 0,1 --lr 5e-5
        cslr train --resume runs/phoenix2014
    """
    given = {
        "--corpus": ("corpus.path", corpus),
        "--epochs": ("training.epochs", epochs),
        "--lr": ("optimizer.lr", lr),
        "--batch-size": ("training.batch_size", batch_size),
        "--seed": ("training.seed", seed),
        "--precision": ("training.precision", precision),
        "--batch-frames": ("training.batch_frames", batch_frames),
        "--workers": ("data.num_workers", workers),
        "--backbone-weights": ("model.backbone_weights", backbone_weights),
        "--init-weights": ("training.init_weights", init_weights),
        "--vocabulary": ("training.init_vocabulary", vocabulary),
        "--track": ("training.track", track),
    }
    given = {option: (key, value) for option, (key, value) in given.items() if value is not None}
    if resume is not None and name is not None:
        raise UsageError("--name with --resume, which continues the run", "remove --name, or remove --resume")
    _refuse_double_settings(settings or (), {key: option for option, (key, _) in given.items()})
    changes = [*(settings or []), *(f"{key}={_as_yaml(value)}" for key, value in given.values())]
    from cslr_cli.training.run.folder import RunFolder  # imports pydantic, which --help does not need

    with _report_error_once():
        if resume is not None:
            task = _resumed_task(RunFolder.existing(resume), changes, config, device)
        else:
            task = _new_task(config or _DEFAULT_CONFIG, changes, runs_dir, name, device)
        try:
            result = _train_on_devices(task)
        except KeyboardInterrupt as error:
            run = RunFolder(task.path)
            if not run.config.is_file():
                raise
            what = "continue from the last save" if run.last.is_file() else "nothing was saved yet; start it again"
            raise KeyboardInterrupt(f"{what}: cslr train --resume {quote(str(task.path))}") from error
    if result is None:
        return  # the first process prints the result
    if as_json:
        document: TrainingDocument = {
            "schema_version": 1,
            "run": str(task.path),
            "best": result.best.figures(),
            "checkpoint": str(result.run.best),
        }
        print_json(document)
    else:
        print_result(_result_table(result))


@dataclass(frozen=True)
class _Task:
    """The task of each process of a training.

    Attributes:
        recipe: configuration of the training.
        path: folder of the run.
        device: value of `--device`.
        resume: whether to continue an existing run.
        batch_may_grow: whether the user did not set the batch size, so that it may grow to one clip per process.
        verbosity: what the first process prints.
        corpus: corpus of a resumed run that was found; None for the corpus of the recipe.
    """

    recipe: Config
    path: Path
    device: str
    resume: bool
    batch_may_grow: bool
    verbosity: Verbosity = field(default_factory=verbosity)
    corpus: FoundCorpus | None = None


def _resumed_task(run: RunFolder, changes: Sequence[str], config: str | None, device: str) -> _Task:
    from cslr_cli.training.run.resuming import load_resumed_run

    resumed = load_resumed_run(run, changes, config)
    return _Task(resumed.config, run.path, device, resume=True, batch_may_grow=False, corpus=resumed.corpus)


def _new_task(config: str, changes: Sequence[str], runs_dir: Path, name: str | None, device: str) -> _Task:
    from cslr_cli.config import is_shipped_config, load_recipe
    from cslr_cli.training.run.resuming import setting_keys

    recipe = load_recipe(config, changes)
    in_own_file = not is_shipped_config(config) and "batch_size" in recipe.training.model_fields_set
    may_grow = not in_own_file and "training.batch_size" not in setting_keys(changes)
    return _Task(recipe, runs_dir / _run_name(name, config), device, resume=False, batch_may_grow=may_grow)


def _train_on_devices(task: _Task) -> TrainingResult | None:
    """Train in this process, or in one process per device; None in a process that is not the first."""
    from cslr_cli.model.device import resolve_devices
    from cslr_cli.training.distributed.launch import launch
    from cslr_cli.training.distributed.ranks import was_launched

    if was_launched():
        return _train_in_this_process(task)
    devices = resolve_devices(task.device)
    return _train_in_this_process(task) if len(devices) == 1 else launch(_train_in_this_process, task, len(devices))


def _train_in_this_process(task: _Task) -> TrainingResult | None:
    """Train with the processes that this one was launched with; only the first uses the screen."""
    from cslr_cli.model.device import resolve_device, resolve_process_device
    from cslr_cli.training.batches import grow_batch_to_world_size
    from cslr_cli.training.distributed.ranks import join_process_group, local_rank_and_size, was_launched
    from cslr_cli.training.loop import train as train_network

    device = (
        resolve_process_device(task.device, *local_rank_and_size()) if was_launched() else resolve_device(task.device)
    )
    with use_verbosity(task.verbosity), join_process_group(device) as ranks:
        recipe = grow_batch_to_world_size(task.recipe, ranks.world_size) if task.batch_may_grow else task.recipe
        corpus = None if task.corpus is None else task.corpus.corpus
        if not ranks.is_first:
            train_network(recipe, task.path, device=device, resume=task.resume, ranks=ranks, corpus=corpus)
            return None
        if task.corpus is not None:
            options.report_corpus(task.corpus)
        with shown_progress() as progress:
            observer = _ScreenObserver(progress, recipe.training.epochs, _describe_grown_batch(task.recipe, recipe))
            return train_network(
                recipe,
                task.path,
                device=device,
                resume=task.resume,
                observer=observer,
                ranks=ranks,
                corpus=corpus,
            )


class _ScreenObserver(TrainingObserver):
    """Shows the reports of a training on standard error.

    Args:
        progress: shows the progress bar.
        num_epochs: epochs of the whole training.
        remark: warning to show below the outline; None for no warning.
    """

    def __init__(self, progress: ProgressCallback, num_epochs: int, remark: str | None) -> None:
        self._progress, self._num_epochs, self._remark = progress, num_epochs, remark

    def on_start(self, outline: TrainingOutline) -> None:
        print_remarks(table(["training", ""], outline.rows, left=(0, 1)))
        if self._remark is not None:
            LOGGER.warning("%s", self._remark)
            print_note(self._remark)

    def on_estimate(self, seconds: float) -> None:
        print_note(f"estimated duration: {_rough_duration(seconds)}")

    def on_progress(self, progress: Progress) -> None:
        self._progress(progress)

    def on_epoch(self, record: EpochRecord) -> None:
        print_note(epoch_line(record, self._num_epochs))

    def on_warning(self, text: str, log_text: str | None = None) -> None:
        print_note(text)


def _describe_grown_batch(recipe: Config, grown: Config) -> str | None:
    """Return the warning that the batch is larger than in the recipe; None if it is not."""
    before, now = recipe.training.batch_size, grown.training.batch_size
    if now == before:
        return None
    return (
        f"warning: batch of {now} clips instead of {before}, one per process; the recipe's learning rate of "
        f"{recipe.optimizer.lr:g} is for {before}\n"
        f"hint: set the learning rate by --set optimizer.lr=…, or the batch by --set training.batch_size=…"
    )


@contextmanager
def _report_error_once() -> Iterator[None]:
    """Let only the first failing process report its error: the others fail for the same reason, or because of it."""
    try:
        yield
    except CslrError as error:
        from cslr_cli.training.distributed.interruption import stop_requested
        from cslr_cli.training.distributed.launch import wait_for_launcher
        from cslr_cli.training.distributed.ranks import is_first_to_fail

        if not is_first_to_fail():
            if stop_requested(error):
                raise typer.Exit(error.exit_status) from error
            wait_for_launcher()  # returns if no launcher ends this process
        raise


def _result_table(result: TrainingResult) -> RenderableType:
    best = result.best
    seconds = sum(record.seconds or 0.0 for record in result.history)
    rows = [
        ["best WER on dev", f"{best.wer:.1f} % (epoch {best.epoch})"],
        ["epochs", str(len(result.history))],
        ["time", duration(seconds)],
        ["checkpoint", str(result.run.best)],
        ["next", f"cslr evaluate {result.run.best}"],
    ]
    return table(["training", ""], rows)


def _rough_duration(seconds: float) -> str:
    """Format an estimated duration: `16 h 20 min`, `25 min` or `40 s`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _refuse_double_settings(settings: Sequence[str], options_by_key: Mapping[str, str]) -> None:
    """Raise UsageError if `--set` and an option of the same meaning are both given.

    Args:
        settings: values of `--set`.
        options_by_key: given options by the keys that they set.
    """
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key in options_by_key:
            raise UsageError(
                f"{options_by_key[key]} and --set {setting} are the same setting", "remove one of the two options"
            )


def _run_name(name: str | None, config: str) -> str:
    if name is None:
        return Path(config).stem
    if Path(name).name != name:
        raise UsageError(f"--name {name}: not the name of a folder", "use --runs-dir FOLDER for a run in another place")
    return name


def _as_yaml(value: object) -> str:
    """Format a value for `--set`; quotes, because a path may look like a number or contain a #."""
    return json.dumps(os.path.join(os.curdir, value) if isinstance(value, Path) else value, ensure_ascii=False)


def epoch_line(record: EpochRecord, num_epochs: int) -> str:
    """Format the figures of an epoch as one line."""
    loss = record.losses.get("loss")
    parts = [f"epoch {record.epoch}/{num_epochs}", "no step" if loss is None else f"loss {loss:.3f}"]
    if record.wer is not None:
        parts.append(f"dev WER {record.wer:.1f} % (convolution {record.conv_wer:.1f} %)")
    parts += [f"{record.clips_per_second:.1f} clips/s", duration(record.seconds or 0.0)]
    if record.skipped_clips:
        names = ", ".join(record.skipped_clips)
        parts.append(f"{len(record.skipped_clips)} clips skipped, loss not finite: {names}")
    return ", ".join(parts)
