"""Keeps the server's temporary folder out of everything that a browser is sent.

Gradio calls an upload by its path on the server, in addresses and in messages to the page and back.
Here that folder has another name on the way out, and its own again on the way in.
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

# What the folder is called outside. Absolute, for Gradio wants absolute paths.
ALIAS = "/uploads"
_TEXTS = (b"application/json", b"text/html", b"text/event-stream", b"text/plain")


class HiddenPaths:
    """ASGI middleware that gives one folder another name.

    Args:
        app: what it stands before.
        folder: whose name stays here.
    """

    def __init__(self, app: App, folder: Path) -> None:
        self._app = app
        self._inside = str(folder).encode()
        # Only at the beginning of a path: "/uploads" may stand anywhere in a text.
        self._alias = re.compile(rb"(?<=[\"=])" + re.escape(ALIAS.encode()) + rb"(?=/)")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        inside = {**scope, "path": self._inward(scope["path"].encode()).decode()}
        if scope.get("raw_path") is not None:
            inside["raw_path"] = self._inward(scope["raw_path"])
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").startswith(b"application/json"):
            body = self._inward(await _whole_body(receive))
            inside["headers"] = _with_length(scope["headers"], len(body))
            receive = _replay(body, receive)
        await self._app(inside, receive, _Outward(send, self._inside))

    def _inward(self, text: bytes) -> bytes:
        return self._alias.sub(lambda _: self._inside, text)


class _Outward:
    """Sends a response with the folder's other name in it."""

    def __init__(self, send: Send, inside: bytes) -> None:
        self._send = send
        self._inside = inside
        self._start: Message | None = None  # held back until the length of the text is known
        self._body = b""
        self._is_text = False
        self._streams = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._is_text = kind.startswith(_TEXTS)
            self._streams = not self._is_text or kind.startswith(b"text/event-stream")
            if self._streams:
                await self._send(message)
            else:
                self._start = message
        elif message["type"] == "http.response.body" and self._is_text:
            await self._send_text(message)
        else:
            await self._send(message)

    async def _send_text(self, message: Message) -> None:
        text = message.get("body", b"")
        if self._streams:  # an event at a time, whole
            await self._send({**message, "body": self._renamed(text)})
            return
        self._body += text
        if message.get("more_body"):
            return
        body = self._renamed(self._body)
        assert self._start is not None
        await self._send({**self._start, "headers": _with_length(self._start["headers"], len(body))})
        await self._send({"type": "http.response.body", "body": body})

    def _renamed(self, text: bytes) -> bytes:
        return text.replace(self._inside, ALIAS.encode())


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]


async def _whole_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()  # the client's going away
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
