"""Results on disk, as commands handle them: options, notes, and what to do after an interruption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from cslr_cli.choices import ExistingFiles
from cslr_cli.cli.command import StoppedBySignalError, TerminatedError
from cslr_cli.cli.console import print_note
from cslr_cli.errors import UsageError
from cslr_cli.result_files import MarkedFolder, ResultPlan, find_file_faults, raise_output_faults

# Options that do not change the content of a result, or that its record names in another way.
_NOT_RECORDED = {"output", "render", "save_logits", "preview", "strip", "plot", "sheet", "overwrite", "skip_existing"}
_NOT_RECORDED |= {"as_json", "quiet", "verbose", "device", "workers", "corpus", "split", "sample_id"}
_NOT_RECORDED |= {"checkpoint", "runs_dir", "single_file", "format_name"}


def existing_files(overwrite: bool, skip_existing: bool) -> ExistingFiles:
    """Return what happens to existing files, by `--overwrite` and `--skip-existing`."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite with --skip-existing", "remove one of the two options")
    return "overwrite" if overwrite else "skip" if skip_existing else "refuse"


def recorded_options(context: typer.Context) -> dict[str, str]:
    """Return the options of a command that its results depend on, as text by name; without those at their default."""
    recorded = {}
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.param_type_name != "option" or parameter.name in _NOT_RECORDED:
            continue
        if value not in (None, False, [], ()) and value != parameter.default:
            recorded[parameter.opts[0]] = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return recorded


def print_kept_results(plan: ResultPlan) -> None:
    """Print how many results are kept, if any."""
    if plan.num_done:
        print_note(f"kept {plan.num_done} of {plan.num_inputs} results, which are finished")


def plan_folder(
    context: typer.Context,
    path: Path,
    inputs: Sequence[Path | str],
    names: Iterable[str],
    *,
    optional: Iterable[str] = (),
) -> MarkedFolder:
    """Plan the folder of a command's `--output`, by its `--overwrite` and `--skip-existing`; say if it is kept.

    Args:
        context: context of the command.
        path: the folder.
        inputs: inputs of the command.
        names: names of the files that it writes.
        optional: names of further files that it may write.

    Raises:
        UsageError: the folder has files that may not be replaced, or cannot be written.
    """
    existing = existing_files(context.params["overwrite"], context.params["skip_existing"])
    command, recorded = str(context.command.name), recorded_options(context)
    folder = MarkedFolder.plan(command, path, inputs, names, existing, recorded, optional=optional)
    raise_output_faults(folder.find_faults("--output"))
    if folder.is_done:
        print_note(f"kept {path}, which is finished")
    return folder


def plan_file(context: typer.Context, option: str, path: Path, inputs: Sequence[Path]) -> bool:
    """Check the only file that a command writes; return whether to write it, or say that it is kept.

    Raises:
        UsageError: the file exists and may not be replaced, or it cannot be written.
    """
    existing = existing_files(context.params["overwrite"], context.params["skip_existing"])
    raise_output_faults(find_file_faults(option, path, inputs, existing))
    is_kept = path.exists() and existing == "skip"
    if is_kept:
        print_note(f"kept {path}, which exists")
    return not is_kept


@contextmanager
def keep_finished_results(plan: ResultPlan) -> Iterator[None]:
    """After Ctrl-C or SIGTERM during the block, say what is finished and how to continue.

    Raises:
        KeyboardInterrupt: Ctrl-C, with a text to print.
        StoppedBySignalError: SIGTERM.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_describe_progress(plan)) from error
    except TerminatedError as error:
        raise StoppedBySignalError(_describe_progress(plan)) from error


def _describe_progress(plan: ResultPlan) -> str:
    if not plan.has_outputs or not plan.num_done:
        return ""
    return f"{plan.num_done} of {plan.num_inputs} results are finished; continue with --skip-existing"
