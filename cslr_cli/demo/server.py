"""Serving the page: the port, the limits of what is taken in, and what is removed at the end."""

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

from cslr_cli.demo.networks import Networks
from cslr_cli.demo.service import DemoService, Limits
from cslr_cli.errors import CslrError, MissingPackageError, UsageError

# Seconds after which an upload, and what was made of it, is removed, the page open or not.
_KEPT_SECONDS = 1800
# How often such are looked for, seconds.
_TIDYING_INTERVAL = 300


@dataclass(frozen=True)
class Address:
    """Where the page is to be had.

    Attributes:
        host: name or number of the network interface; `127.0.0.1` is for this computer alone.
        port: of it.
        share: also through Gradio's public servers.
    """

    host: str = "127.0.0.1"
    port: int = 7862
    share: bool = False

    @property
    def warnings(self) -> list[str]:
        """What this address opens to others, in plain words."""
        told = []
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            told.append(
                f"--host {self.host}: everybody who can reach this computer over the network can send it videos, "
                "without a password"
            )
        if self.share:
            told.append(
                "--share: anybody with the link, anywhere, can send videos to this computer, without a password; "
                "what they send passes through the servers of gradio.live"
            )
        return told


@contextmanager
def serve(
    networks: Networks, address: Address, limits: Limits | None = None, examples: Sequence[Path] = ()
) -> Iterator[str]:
    """Serve the page as long as the block lasts; every file that was made for it is removed at the end.

    Args:
        networks: the checkpoints to choose from.
        address: where.
        limits: what a visitor may ask for.
        examples: videos to try.

    Yields:
        The address to open, or two, one a line, where it is shared.

    Raises:
        MissingPackageError: Gradio is not installed.
        CslrError: there is no public link to share.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="cslr-demo-") as name:
        folder = Path(name).resolve()
        made = folder / "made"
        made.mkdir()
        # Read when Gradio is imported, and at each upload.
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        gradio = _import_gradio()
        from starlette.middleware import Middleware

        from cslr_cli.demo import page as pages
        from cslr_cli.demo.hidden_paths import HiddenPaths

        # Nothing that whoever runs the page could do better.
        warnings.filterwarnings("ignore", message="Video does not have browser-compatible", module="gradio")
        service = DemoService(networks, made, limits)
        page = pages.build_page(service, _copied(examples, folder / "examples"))
        page.delete_cache = (_TIDYING_INTERVAL, _KEPT_SECONDS)
        system_fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
        with redirect_stdout(StringIO()):  # ours is for results
            _, local, shared = page.launch(
                server_name=f"[{address.host}]" if ":" in address.host else address.host,  # as in an address of a page
                server_port=address.port,
                share=address.share,
                max_file_size=f"{limits.megabytes}mb",
                prevent_thread_lock=True,
                quiet=True,
                enable_monitoring=False,  # who asks for it makes Gradio print, and its figures are nobody's business
                ssr_mode=False,
                theme=gradio.themes.Default(**system_fonts),  # those of other themes come from the network
                css=pages.STYLE,
                head=pages.HEAD,
                footer_links=[],
                app_kwargs={"middleware": [Middleware(HiddenPaths, folder=folder)]},
            )
        try:
            if address.share and not shared:
                raise CslrError(
                    "--share: no public link could be made",
                    "it needs a way to gradio.live; without --share the page is for this computer alone",
                )
            with _tidied(service):
                yield "\n".join(filter(None, [local, shared]))
        finally:
            page.close(verbose=False)


def _copied(videos: Sequence[Path], folder: Path) -> list[Path]:
    """The examples where Gradio may serve them from, under their names, which need not differ."""
    copies = [folder / str(number) / video.name for number, video in enumerate(videos, start=1)]
    for video, copy in zip(videos, copies, strict=True):
        copy.parent.mkdir(parents=True)
        shutil.copyfile(video, copy)
    return copies


@contextmanager
def _tidied(service: DemoService) -> Iterator[None]:
    """Remove what was made of uploads when its time is over: Gradio sees to the uploads themselves only."""
    ended = threading.Event()

    def tidy() -> None:
        while not ended.wait(_TIDYING_INTERVAL):
            service.tidy(_KEPT_SECONDS)

    thread = threading.Thread(target=tidy, name="tidy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _import_gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise MissingPackageError(
            "the demo needs Gradio, which is not installed", "pip install 'cslr[demo]'"
        ) from error
    return gradio


def check_port(address: Address) -> None:
    """See that nobody listens there, before anything is loaded.

    Raises:
        UsageError: the port is taken, or the host is none of this computer's.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise UsageError(f"--host {address.host}: no such host", "expected 127.0.0.1, 0.0.0.0 or a name") from error
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address.host, address.port))
        except OSError as error:
            raise _why_not(address, error) from error


def _why_not(address: Address, error: OSError) -> CslrError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"--port {address.port}: another program listens there already",
            f"choose another one, for example --port {address.port + 1}, or stop that program",
        )
    if error.errno == errno.EACCES:
        return UsageError(f"--port {address.port}: not for you", "choose one of 1024 or more")
    return UsageError(f"--host {address.host}: {error.strerror}", "expected an address of this computer")
