"""Hides the server's temporary folder from browsers.

Gradio refers to an upload by its path on the server, in addresses and in messages to and from the page. The middleware
replaces that folder by an alias in responses, and the alias by the folder in requests.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# The alias of the folder; absolute because Gradio expects absolute paths.
ALIAS = "/uploads"
_TEXT_TYPES = (b"application/json", b"text/html", b"text/event-stream", b"text/plain")


class HiddenPaths:
    """ASGI middleware that replaces the path of one folder by an alias.

    Args:
        app: the wrapped application.
        folder: the folder whose path is hidden.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self._app = app
        self._folder = str(folder).encode()
        # Matches the alias only at the start of a path: other texts may also contain it.
        self._alias = re.compile(rb"(?<=[\"=])" + re.escape(ALIAS.encode()) + rb"(?=/)")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        restored = {**scope, "path": self._restore_folder(scope["path"].encode()).decode()}
        if scope.get("raw_path") is not None:
            restored["raw_path"] = self._restore_folder(scope["raw_path"])
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").startswith(b"application/json"):
            body = self._restore_folder(await _read_body(receive))
            restored["headers"] = _with_length(scope["headers"], len(body))
            receive = _replay_body(body, receive)
        await self._app(restored, receive, _AliasingSend(send, self._folder))

    def _restore_folder(self, text: bytes) -> bytes:
        return self._alias.sub(lambda _: self._folder, text)


class _AliasingSend:
    """Sends a response in which the alias replaces the folder."""

    def __init__(self, send: Send, folder: bytes) -> None:
        self._send = send
        self._folder = folder
        self._start: Message | None = None  # sent when the length of the text is known
        self._body = b""
        self._is_text = False
        self._is_stream = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            content_type = dict(message["headers"]).get(b"content-type", b"")
            self._is_text = content_type.startswith(_TEXT_TYPES)
            self._is_stream = not self._is_text or content_type.startswith(b"text/event-stream")
            if self._is_stream:
                await self._send(message)
            else:
                self._start = message
        elif message["type"] == "http.response.body" and self._is_text:
            await self._send_text(message)
        else:
            await self._send(message)

    async def _send_text(self, message: Message) -> None:
        text = message.get("body", b"")
        if self._is_stream:  # each message is one whole event
            await self._send({**message, "body": self._hide_folder(text)})
            return
        self._body += text
        if message.get("more_body"):
            return
        body = self._hide_folder(self._body)
        assert self._start is not None
        await self._send({**self._start, "headers": _with_length(self._start["headers"], len(body))})
        await self._send({"type": "http.response.body", "body": body})

    def _hide_folder(self, text: bytes) -> bytes:
        return text.replace(self._folder, ALIAS.encode())


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]


async def _read_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body first, and then the messages after it."""
    is_sent = False

    async def replay() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()  # the client disconnects
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
