"""`cslr demo`."""

from __future__ import annotations

import functools
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.completion import complete_checkpoint
from cslr_cli.cli.console import print_error, print_note
from cslr_cli.cli.decoding import apply_decoding_options
from cslr_cli.cli.options import option

_PAGE = "Page"
_LIMITS = "Limits"


def demo(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CHECKPOINT",
            autocompletion=complete_checkpoint,
            help="Checkpoint files, runs (their best.pt) or names of models to choose from (default: the finished "
            "runs).",
        ),
    ] = None,
    host: Annotated[
        str,
        option(
            "--host",
            "Address of the page. 127.0.0.1: only this computer can open it; 0.0.0.0: all computers in the network.",
            "ADDRESS",
            _PAGE,
        ),
    ] = "127.0.0.1",
    port: Annotated[int, option("--port", "Port of the page.", "N", _PAGE, min=1, max=65535)] = 7862,
    share: Annotated[bool, option("--share", "Create a public link through gradio.live.", panel=_PAGE)] = False,
    examples: Annotated[
        list[Path] | None,
        option(
            "--example",
            "Example video on the page (default: the videos of the quickstart). Repeatable.",
            "VIDEO",
            _PAGE,
        ),
    ] = None,
    max_megabytes: Annotated[
        int, option("--max-size", "Maximum size of an upload in megabytes.", "N", _LIMITS, min=1)
    ] = 200,
    max_seconds: Annotated[
        float, option("--max-seconds", "Maximum duration of a video in seconds.", "SECONDS", _LIMITS, min=1)
    ] = 60.0,
    jobs: Annotated[
        int, option("--jobs", "Number of simultaneous recognitions; others wait.", "N", _LIMITS, min=1)
    ] = 1,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    runs_dir: options.RunsDir = Path("runs"),
    decoder: options.Decoder = None,
    lm: options.LanguageModel = None,
    lm_weight: options.LmWeight = None,
    gloss_bonus: options.GlossBonus = None,
    beam_width: options.BeamWidth = None,
    num_best: Annotated[
        int,
        option("--nbest", "Number of hypotheses per sentence, the best first.", "N", options.DECODING, min=1),
    ] = 5,
    keep_repeats: options.KeepRepeats = False,
) -> None:
    """Open a web page that recognises uploaded or recorded videos.

    Requires the extra `demo`: `pip install '.[demo]'` in the source folder. By default, only this computer can open
    the page. Uploads are deleted after half an hour, and all of them when the command ends.

    Examples:
        cslr demo
        cslr demo runs/phoenix2014/best.pt --port 8000
    """
    from cslr_cli.demo import Limits, build_checkpoint_menu
    from cslr_cli.demo.server import Address, check_port, serve_page
    from cslr_cli.errors import UsageError
    from cslr_cli.model.device import resolve_device

    address = Address(host, port, share)
    check_port(address)
    missing = [path for path in examples or () if not path.is_file()]
    if missing:
        raise UsageError(f"--example {missing[0]}: no such file", "use the path of a video")
    if not examples:
        examples = sorted(runs_dir.glob("*/example*.mp4"), key=lambda video: (video.parent, video.stem))
    change_decoding = functools.partial(
        apply_decoding_options,
        decoder=decoder,
        lm=lm,
        lm_weight=lm_weight,
        gloss_bonus=gloss_bonus,
        beam_width=beam_width,
        num_best=num_best,
        keep_repeats=keep_repeats or None,
    )
    menu = build_checkpoint_menu(
        checkpoints or [],
        runs_dir,
        device=resolve_device(device),
        precision=precision,
        change_decoding=change_decoding,
    )
    if lm is not None:
        menu.recognizer(menu.names[0])  # a language model that cannot be read is reported now, not to a visitor
    for name, message in menu.broken.items():
        print_error(f"{name}: left out of the page: {message}", kind="warning")
    for description in menu.descriptions:
        print_note(f"checkpoint: {description}")
    for warning in menu.warnings:
        print_error(warning, kind="warning")
    for warning in address.warnings:
        print_error(warning, kind="warning")
    limits = Limits(megabytes=max_megabytes, seconds=max_seconds, jobs=jobs)
    # A service manager sends SIGTERM: handle it like Ctrl-C, so that the page's files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serve_page(menu, address, limits, examples) as urls:
            print(urls, flush=True)
            print_note("press Ctrl-C to stop")
            threading.Event().wait()
    except KeyboardInterrupt:
        print_note("stopped; all uploads are deleted")
