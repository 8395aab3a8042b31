"""`cslr quickstart`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_json, print_note, print_result, shown_progress, table
from cslr_cli.cli.evaluate import results_table
from cslr_cli.cli.train import epoch_line
from cslr_cli.progress import Progress, ProgressCallback
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.monitoring.observer import TrainingObserver

if TYPE_CHECKING:
    from cslr_cli.quickstart import Stage


def quickstart(device: options.Device = "auto", as_json: options.Json = False) -> None:
    """Run the whole pipeline on a small synthetic corpus.

    Draws and prepares the corpus, trains a network, evaluates it, recognises a video, and draws heat maps. It takes
    5 to 12 minutes on two idle CPU cores, writes to the current folder, and prints the command of each step. If it is
    interrupted, run it again: it continues where it stopped.

    Examples:
        cslr quickstart
        cslr quickstart --device 0  # on the first GPU
    """
    started = time.monotonic()
    print_note("The quickstart takes 5 to 12 minutes on two idle CPU cores.")
    from cslr_cli.config import load_config
    from cslr_cli.model.device import resolve_device
    from cslr_cli.quickstart import CONFIG, STAGES, quickstart_document
    from cslr_cli.quickstart import quickstart as run_quickstart

    epochs = load_config(CONFIG).training.epochs

    def announce(stage: Stage) -> None:
        print_note(f"\n{stage.number}/{len(STAGES)}  {stage.title}\n     $ {stage.command}")

    with shown_progress() as progress:
        result = run_quickstart(
            device=resolve_device(device),
            on_stage=announce,
            observer=_QuickstartObserver(progress, epochs),
        )
    seconds = time.monotonic() - started
    print_note(f"\nDone in {duration(seconds)}.\n")
    if as_json:
        print_json(quickstart_document(result, seconds))
        return
    print_result(results_table(result.results))
    signed, recognised = " ".join(result.example.glosses), result.recognition.text
    print_result(table(["example", ""], [["signed", signed], ["recognised", recognised]]))
    print_result(table(["output", "path"], [[what, str(where)] for what, where in result.made]))


class _QuickstartObserver(TrainingObserver):
    """Shows the progress bar, and one line per epoch."""

    def __init__(self, progress: ProgressCallback, num_epochs: int) -> None:
        self._progress, self._num_epochs = progress, num_epochs

    def on_progress(self, progress: Progress) -> None:
        self._progress(progress)

    def on_epoch(self, record: EpochRecord) -> None:
        print_note(f"     {epoch_line(record, self._num_epochs)}")
