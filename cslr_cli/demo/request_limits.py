"""Limits of the web page's server: sizes of requests and uploads, and the time of slow connections.

The page is open to everyone who can reach it. Nothing that a visitor sends may fill the memory or the disk, or keep
connections from others.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from cslr_cli.demo.hidden_paths import App, Message, Receive, Send

_LOGGER = logging.getLogger(__name__)

MIB: Final = 2**20
MAX_MESSAGE_BYTES: Final = MIB  # a request without a file; the page's own have at most 200 kB (1000 pictures)
_SPARE_BYTES = 512 * MIB  # that uploads leave free on the disk
_RECEIVE_SECONDS = 30.0  # longest wait for the next part of a request
_MAX_CONNECTIONS = 256
_IDLE_SECONDS = 20.0  # age at which a connection that has sent no request is closed
_CHECK_INTERVAL = 5.0  # seconds between two checks of the connections


class _RefusedError(Exception):
    """A request is refused."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestLimits:
    """ASGI middleware that refuses requests that are too large, too slow, or do not fit on the disk.

    Args:
        app: the wrapped application.
        folder: folder of the uploads.
        upload_bytes: maximum size of one upload.
        folder_bytes: maximum size of all files in `folder`.
    """

    def __init__(self, app: App, folder: Path, upload_bytes: int, folder_bytes: int) -> None:
        self._app = app
        self._folder = folder
        self._upload_bytes = upload_bytes
        self._folder_bytes = folder_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, self._limited_receive(scope, receive), send_and_note)
        except _RefusedError as error:
            if not is_started:
                await _respond(send, error.status, error.reason)
        except OSError as error:  # a full disk; the server would print a traceback
            _LOGGER.warning("%s: %s", scope["path"], error.strerror or error)
            if not is_started:
                await _respond(send, 507, "the server cannot store this; try again later")

    def _limited_receive(self, scope: Message, receive: Receive) -> Receive:
        """Check what a request says about itself; return a `receive` that raises a `_RefusedError` at the limits."""
        headers = dict(scope["headers"])
        is_upload = headers.get(b"content-type", b"").startswith(b"multipart/form-data")
        limit = self._upload_bytes + MAX_MESSAGE_BYTES if is_upload else MAX_MESSAGE_BYTES  # and the form around it
        declared = headers.get(b"content-length", b"0")
        self._check_size(int(declared) if declared.isdigit() and len(declared) < 18 else 0, limit)
        if is_upload:
            self._check_space()
        received = 0
        is_complete = False

        async def receive_within_limits() -> Message:
            nonlocal received, is_complete
            if is_complete:  # what comes is that the visitor has left
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), _RECEIVE_SECONDS)
            except asyncio.TimeoutError as error:
                raise _RefusedError(408, "the request came too slowly") from error
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            self._check_size(received, limit)
            return message

        return receive_within_limits

    def _check_size(self, num_bytes: int, limit: int) -> None:
        if num_bytes > limit:
            raise _RefusedError(413, f"the request is larger than {limit // MIB} MiB")

    def _check_space(self) -> None:
        """Refuse an upload if all uploads together, or the disk, would become too full."""
        used = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        free = shutil.disk_usage(self._folder).free - _SPARE_BYTES
        if used + self._upload_bytes > self._folder_bytes or free < self._upload_bytes:
            raise _RefusedError(507, "the server has no space for another upload; try again in half an hour")


async def _respond(send: Send, status: int, reason: str) -> None:
    body = reason.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the rest of the request is not read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def limited_connections(server: Any) -> Iterator[None]:
    """Limit the connections of a server during the block, and close those that send no request.

    uvicorn waits without end for the first request of a connection.

    Args:
        server: running `uvicorn.Server`.
    """
    server.config.limit_concurrency = _MAX_CONNECTIONS
    first_seen: dict[Any, float] = {}
    ended = Event()

    def close_idle_connections() -> None:
        while not ended.wait(_CHECK_INTERVAL):
            now, connections = time.monotonic(), list(server.server_state.connections)
            for connection in first_seen.keys() - connections:
                del first_seen[connection]
            for connection in connections:
                has_request = getattr(connection, "cycle", None) is not None
                if not has_request and now - first_seen.setdefault(connection, now) > _IDLE_SECONDS:
                    connection.loop.call_soon_threadsafe(connection.transport.abort)

    thread = Thread(target=close_idle_connections, name="close idle connections", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
