"""`cslr quickstart`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_result, shown_progress, table
from cslr_cli.cli.evaluate import results_json, results_table
from cslr_cli.cli.train import epoch_line

if TYPE_CHECKING:
    from cslr_cli.quickstart import QuickstartResult, Stage


def quickstart(device: options.Device = "auto", as_json: options.Json = False) -> None:
    """Everything once, in minutes, on a CPU: draw a corpus, prepare, train, evaluate, recognise.

    Works in the current folder, and needs no data set. Called again, it goes on from what is there.
    Each step names the command that it stands for.
    """
    started = time.monotonic()
    print_note("A small signed corpus will be drawn and learned; on two CPU cores it takes about five minutes.")
    from cslr_cli.config import load_config
    from cslr_cli.model.device import resolve_device
    from cslr_cli.quickstart import CONFIG, STAGES
    from cslr_cli.quickstart import quickstart as run_quickstart

    epochs = load_config(CONFIG).training.epochs

    def announce(stage: Stage) -> None:
        print_note(f"\n{stage.number}/{len(STAGES)}  {stage.title}\n     $ {stage.command}")

    with shown_progress() as progress:
        result = run_quickstart(
            device=resolve_device(device),
            on_stage=announce,
            on_epoch=lambda record: print_note(f"     {epoch_line(record, epochs)}"),
            progress=progress,
        )
    seconds = time.monotonic() - started
    print_note(f"\nDone in {duration(seconds)}.\n")
    if as_json:
        print_json(_as_json(result, seconds))
        return
    print_result(results_table(result.results))
    signed, recognised = " ".join(result.example.glosses), result.recognition.text
    print_result(table(["example", ""], [["signed", signed], ["recognised", recognised]]))
    print_result(table(["made", "where"], [[what, str(where)] for what, where in result.made]))


def _as_json(result: QuickstartResult, seconds: float) -> dict[str, object]:
    return {
        "seconds": seconds,
        "splits": results_json(result.results),
        "example": {"signed": list(result.example.glosses), "recognised": result.recognition.text.split()},
        "made": {what: str(where) for what, where in result.made},
    }
