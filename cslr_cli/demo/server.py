"""Serves the page: its address, its start, and the removal of uploads."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from cslr_cli.demo.checkpoint_menu import CheckpointMenu
from cslr_cli.demo.request_limits import RequestLimits, limited_connections
from cslr_cli.demo.service import DemoService, Limits
from cslr_cli.errors import CslrError, MissingPackageError, UsageError, extra_hint

_KEPT_SECONDS = 1800  # an upload and its files are then removed, even if the page is still open
_CLEANUP_INTERVAL = 300  # seconds between two removals


@dataclass(frozen=True)
class Address:
    """The address of the page.

    Attributes:
        host: name or number of the network interface; `127.0.0.1` is only reachable from this computer.
        port: port on that interface.
        share: whether the page is also served through Gradio's public servers.
    """

    host: str = "127.0.0.1"
    port: int = 7862
    share: bool = False

    @property
    def warnings(self) -> list[str]:
        """Warnings about who else can open the page."""
        messages = []
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            messages.append(
                f"--host {self.host}: anyone who can reach this computer over the network can open the page and send "
                "videos; there is no password"
            )
        if self.share:
            messages.append(
                "--share: anyone with the link can open the page and send videos; there is no password, and uploads "
                "pass through the servers of gradio.live"
            )
        return messages


@contextmanager
def serve_page(
    checkpoints: CheckpointMenu, address: Address, limits: Limits | None = None, examples: Sequence[Path] = ()
) -> Iterator[str]:
    """Serve the page during the block; all files of the page are removed at the end.

    Args:
        checkpoints: the checkpoints to choose from.
        address: the address of the page.
        limits: limits of the page.
        examples: videos to try.

    Yields:
        The URL of the page; with `share` a second line with the public one.

    Raises:
        MissingPackageError: Gradio is not installed.
        CslrError: the public link cannot be made.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="cslr-demo-") as name:
        folder = Path(name).resolve()
        answers = folder / "made"
        answers.mkdir()
        # Gradio reads these when it is imported, and at each upload.
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise MissingPackageError("the demo needs Gradio, which is not installed", extra_hint("demo")) from error
        from cslr_cli.demo.page import build_page

        # Neither the visitor nor the owner of the page can avoid this warning.
        warnings.filterwarnings("ignore", message="Video does not have browser-compatible", module="gradio")
        service = DemoService(checkpoints, answers, limits)
        page = build_page(service, _copy_examples(examples, folder / "examples"))
        page.delete_cache = (_CLEANUP_INTERVAL, _KEPT_SECONDS)
        local_url, public_url = _launch(page, address, limits, folder)
        try:
            if address.share and not public_url:
                raise CslrError(
                    "--share: the public link could not be created",
                    "check that this computer can reach gradio.live, or remove --share",
                )
            with _regular_cleanup(service), limited_connections(page.server):
                yield "\n".join(filter(None, [local_url, public_url]))
        finally:
            page.close(verbose=False)


def _launch(page: Any, address: Address, limits: Limits, folder: Path) -> tuple[str, str | None]:
    """Start Gradio's server and return the local and the public URL."""
    from gradio.themes import Default
    from starlette.middleware import Middleware

    from cslr_cli.demo.hidden_paths import HiddenPaths
    from cslr_cli.demo.page import HEAD, STYLE

    upload_bytes = limits.megabytes * 10**6
    request_limits = Middleware(
        RequestLimits, folder=folder, upload_bytes=upload_bytes, folder_bytes=limits.uploads * upload_bytes
    )

    # The fonts of other themes are loaded from the network.
    theme = Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    with redirect_stdout(StringIO()):  # standard output is for results
        _, local_url, public_url = page.launch(
            server_name=f"[{address.host}]" if ":" in address.host else address.host,  # brackets as in a URL
            server_port=address.port,
            share=address.share,
            max_file_size=f"{limits.megabytes}mb",
            prevent_thread_lock=True,
            quiet=True,
            enable_monitoring=False,  # Gradio would print at each request for it, and show the use of the page
            ssr_mode=False,
            theme=theme,
            css=STYLE,
            head=HEAD,
            footer_links=[],
            app_kwargs={"middleware": [request_limits, Middleware(HiddenPaths, folder=folder)]},
        )
    return local_url, public_url


def _copy_examples(videos: Sequence[Path], folder: Path) -> list[Path]:
    """Copy the examples to a folder from which Gradio may serve them; their names may be equal."""
    copies = [folder / str(number) / video.name for number, video in enumerate(videos, start=1)]
    for video, copy in zip(videos, copies, strict=True):
        copy.parent.mkdir(parents=True)
        shutil.copyfile(video, copy)
    return copies


@contextmanager
def _regular_cleanup(service: DemoService) -> Iterator[None]:
    """Remove the files of old uploads every `_CLEANUP_INTERVAL` seconds; Gradio removes only the uploads."""
    ended = threading.Event()

    def clean_up() -> None:
        while not ended.wait(_CLEANUP_INTERVAL):
            service.remove_unused(_KEPT_SECONDS)

    thread = threading.Thread(target=clean_up, name="clean-up", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def check_port(address: Address) -> None:
    """Check that the host is an address of this computer and that the port is free."""
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise UsageError(f"--host {address.host}: unknown host", "use 127.0.0.1, 0.0.0.0 or a name") from error
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise _translate_bind_error(address, error) from error


def _translate_bind_error(address: Address, error: OSError) -> CslrError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"--port {address.port}: in use by another program",
            f"use another port, for example --port {address.port + 1}, or stop that program",
        )
    if error.errno == errno.EACCES:
        return UsageError(f"--port {address.port}: permission denied", "use a port from 1024 to 65535")
    return UsageError(f"--host {address.host}: {error.strerror}", "use an address of this computer")
