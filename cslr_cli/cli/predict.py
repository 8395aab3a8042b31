"""`cslr predict`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.checkpoints import open_for_use
from cslr_cli.cli.console import print_error, print_json, print_note
from cslr_cli.errors import CslrError, UsageError

if TYPE_CHECKING:
    from cslr_cli.recognition import Recognition


def predict(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO…", help="Video files, or folders or zips of pictures.")
    ],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Default: the best one of the newest run.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames a second of the source; pictures are taken to have the corpus' rate."),
    ] = None,
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
    decoder: options.Decoder = None,
    beam_width: options.BeamWidth = None,
    keep_repeats: options.KeepRepeats = False,
    num_best: Annotated[int | None, typer.Option("--nbest", min=1, help="Hypotheses in the JSON output.")] = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Recognise the glosses of a video.

    Prints them in order, a line a video; with `--json` also their times, confidences and the n-best
    list. Several videos: a bad one is named and passed over, and the exit status is 1.
    """
    from cslr_cli.config import changed_decoding
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer

    path = checkpoint or _newest_checkpoint(runs_dir)
    loaded = open_for_use(path, vocabulary)
    recognizer = Recognizer(
        loaded,
        device=resolve_device(device),
        precision=precision.value,
        decoding=changed_decoding(
            loaded.config.decoding,
            decoder=None if decoder is None else decoder.value,
            beam_width=beam_width,
            keep_repeats=keep_repeats or None,
            num_best=num_best,
        ),
    )
    failed = False
    for video in videos:
        try:
            recognition = recognizer.recognize(video, fps)
        except UsageError:
            raise  # wrong for all of them alike
        except CslrError as error:
            print_error(str(error))
            failed = True
            continue
        if as_json:
            print_json(_as_json(recognition))
        else:
            print(recognition.text if len(videos) == 1 else f"{video}\t{recognition.text}")
    if failed:
        raise typer.Exit(1)


def _newest_checkpoint(runs_dir: Path) -> Path:
    from cslr_cli.training.tracking import newest_run

    run = newest_run(runs_dir)
    if run is None:
        raise UsageError(
            f"{runs_dir}: there is no run with a checkpoint here",
            "name one by --checkpoint, or train one: cslr quickstart, or cslr train",
        )
    print_note(f"checkpoint: {run.best}")
    return run.best


def _as_json(recognition: Recognition) -> dict[str, Any]:
    return {
        "source": recognition.source,
        "glosses": [dataclasses.asdict(timed) for timed in recognition.glosses],
        "score": recognition.score,
        "num_frames": recognition.num_frames,
        "fps": recognition.fps,
        "duration": recognition.duration,
        "nbest": [
            {"glosses": [timed.gloss for timed in alternative.glosses], "score": alternative.score}
            for alternative in recognition.nbest
        ],
    }
