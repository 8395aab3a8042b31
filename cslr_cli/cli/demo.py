"""`cslr demo`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import print_error, print_note

_PAGE = "The page"
_LIMITS = "What visitors may ask for"


def demo(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CHECKPOINT", help="To choose from. Default: the best one of every run."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Who can open it: 127.0.0.1, this computer alone.", rich_help_panel=_PAGE)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where.", rich_help_panel=_PAGE)] = 7862,
    share: Annotated[
        bool, typer.Option("--share", help="Make a public link through gradio.live.", rich_help_panel=_PAGE)
    ] = False,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            "--example", help="Video to offer; repeatable. Default: those of the quickstart.", rich_help_panel=_PAGE
        ),
    ] = None,
    max_megabytes: Annotated[
        int, typer.Option("--max-size", min=1, help="Megabytes of an upload.", rich_help_panel=_LIMITS)
    ] = 200,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", min=1, help="Seconds of a video.", rich_help_panel=_LIMITS)
    ] = 60.0,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Recognitions at a time; others wait.", rich_help_panel=_LIMITS)
    ] = 1,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
    runs_dir: options.RunsDir = Path("runs"),
) -> None:
    """Open a web page that recognises videos: upload or record one, and see its glosses on a time line.

    Needs the extra `demo`. The page is for this computer alone unless `--host` or `--share` opens it.
    Uploads are removed after half an hour, and all of them at the end.
    """
    from cslr_cli.demo import Limits, build_checkpoint_menu
    from cslr_cli.demo.server import Address, check_port, serve_page
    from cslr_cli.errors import UsageError
    from cslr_cli.model.device import resolve_device

    address = Address(host, port, share)
    check_port(address)
    missing = [path for path in examples or () if not path.is_file()]
    if missing:
        raise UsageError(f"--example {missing[0]}: no such file")
    if not examples:
        examples = sorted(runs_dir.glob("*/example*.mp4"), key=lambda video: (video.parent, video.stem))
    menu = build_checkpoint_menu(checkpoints or [], runs_dir, device=resolve_device(device), precision=precision.value)
    for name, message in menu.broken.items():
        print_error(f"{name}: not offered: {message}", kind="warning")
    for warning in address.warnings:
        print_error(warning, kind="warning")
    limits = Limits(megabytes=max_megabytes, seconds=max_seconds, jobs=jobs)
    # A service manager sends SIGTERM: handle it like Ctrl-C, so that the page's files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serve_page(menu, address, limits, examples) as urls:
            print(urls, flush=True)
            print_note("Ctrl-C ends it")
            threading.Event().wait()
    except KeyboardInterrupt:
        print_note("ended; its files are removed")
