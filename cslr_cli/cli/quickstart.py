"""`cslr quickstart`."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any, cast

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_result, table, verbosity


def quickstart(context: typer.Context, device: options.Device = "auto", as_json: options.Json = False) -> None:
    """Run the whole pipeline on a small synthetic corpus.

    Draws and prepares the corpus, trains a network, evaluates it, recognises a video, and draws heat maps. It takes
    5 to 12 minutes on two idle CPU cores, and writes to the current folder. Each step is a command of cslr, which it
    prints and runs; with --json, the commands run with --json. If it is interrupted, run it again: it continues where
    it stopped.

    Examples:
        cslr quickstart
        cslr quickstart --device 0  # on the first GPU
    """
    started = time.monotonic()
    print_note("The quickstart takes 5 to 12 minutes on two idle CPU cores.")
    from cslr_cli.quickstart import NUM_STAGES, iterate_stages, make_document, written_files

    common = [f"--{verbosity()}"] if verbosity() != "normal" else []
    results: dict[int, Any] = {}
    for stage in iterate_stages(device, [*common, *(["--json"] if as_json else [])]):
        print_note(f"\n{stage.number}/{NUM_STAGES}  {stage.title}")
        for line in [*stage.notes, *([] if stage.command is None else [f"$ {stage.command_line}"])]:
            print_note(f"     {line}")
        if stage.command is not None:
            results[stage.number] = _run_command(context, stage.command, as_json=as_json)
    seconds = time.monotonic() - started
    print_note(f"\nDone in {duration(seconds)}.\n")
    if as_json:
        recognised = [timed["gloss"] for timed in results[4]["glosses"]]
        print_json(make_document(results[3], recognised, seconds))
    else:
        files = [[what, str(path)] for what, path in written_files().items()]
        print_result(table(["output", "path"], files, left=(0, 1)))


def _run_command(context: typer.Context, command: Sequence[str], *, as_json: bool) -> Any:
    """Run a command of `cslr` in this process; return what it prints with `--json`.

    Raises:
        typer.Exit: the command failed, and has reported why.
    """
    printed = io.StringIO()
    group = cast("Any", context.find_root().command)
    with redirect_stdout(printed) if as_json else nullcontext():
        status = group.main(list(command), prog_name="cslr", standalone_mode=False)
    if status:
        sys.stdout.write(printed.getvalue())  # the error object
        print_note("hint: to continue the quickstart, run the same command again: cslr quickstart")
        raise typer.Exit(status)
    return json.loads(printed.getvalue()) if as_json else None
