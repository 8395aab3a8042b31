"""Requests that are too large, too slow, or do not fit on the disk are refused."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cslr_cli.demo import request_limits
from cslr_cli.demo.request_limits import MAX_MESSAGE_BYTES, MIB, RequestLimits, limited_connections

UPLOAD = [(b"content-type", b"multipart/form-data; boundary=x")]


class Request:
    """Sends a request through the limits to an app that reads all of it; keeps what the app read and the answer."""

    def __init__(self, folder: Path, app: Any = None, folder_bytes: int = 40 * MIB) -> None:
        self.read = 0
        self.sent: list[Any] = []
        self._limits = RequestLimits(app or self._app, folder, upload_bytes=8 * MIB, folder_bytes=folder_bytes)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            self.read += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def send(self, parts: Sequence[bytes], headers: list[Any] | None = None, delay: float = 0.0) -> int:
        """Return the status of the answer."""
        queue = list(parts)

        async def receive() -> Any:
            await asyncio.sleep(delay)
            return {"type": "http.request", "body": queue.pop(0), "more_body": bool(queue)}

        async def send(message: Any) -> None:
            self.sent.append(message)

        scope = {"type": "http", "path": "/", "headers": headers or []}
        asyncio.run(self._limits(scope, receive, send))
        status: int = self.sent[0]["status"]
        return status


def test_a_request_within_the_limits_reaches_the_app(tmp_path: Path) -> None:
    request = Request(tmp_path)
    assert request.send([b"x" * 1000] * 3) == 200
    assert request.read == 3000
    assert Request(tmp_path).send([bytes(MIB)] * 8, UPLOAD) == 200


def test_a_message_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    request = Request(tmp_path)
    assert request.send([bytes(MIB)] * 800, [(b"content-length", str(800 * MIB).encode())]) == 413
    assert request.read == 0
    request = Request(tmp_path)  # without a length: sent in parts
    assert request.send([bytes(MIB // 4)] * 800) == 413
    assert request.read <= MAX_MESSAGE_BYTES


def test_an_upload_has_a_limit_of_its_own(tmp_path: Path) -> None:
    assert Request(tmp_path).send([bytes(MIB)] * 20, UPLOAD) == 413
    assert Request(tmp_path).send([b""], [*UPLOAD, (b"content-length", str(20 * MIB).encode())]) == 413


def test_all_uploads_together_have_a_limit(tmp_path: Path) -> None:
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload" / "talk.mp4").write_bytes(bytes(33 * MIB))
    assert Request(tmp_path).send([b"x"], UPLOAD) == 507
    assert Request(tmp_path).send([b"x"]) == 200


def test_a_request_that_comes_too_slowly_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_RECEIVE_SECONDS", 0.05)
    assert Request(tmp_path).send([b"x"] * 3, delay=5.0) == 408


def test_a_full_disk_is_an_answer_and_no_traceback(tmp_path: Path) -> None:
    async def app(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    request = Request(tmp_path, app)
    assert request.send([b"x"]) == 507
    assert b"cannot store" in request.sent[1]["body"]


@contextmanager
def uvicorn_server() -> Iterator[tuple[Any, int]]:
    """A server of a page that says `done`, and its port."""
    uvicorn = pytest.importorskip("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        thread = Thread(target=lambda: server.run(sockets=[listening]))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield server, listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return connection.recv(4096)


def test_connections_without_a_request_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_IDLE_SECONDS", 0.2)
    monkeypatch.setattr(request_limits, "_CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(request_limits, "_MAX_CONNECTIONS", 20)
    with uvicorn_server() as (server, port), limited_connections(server):
        slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(30)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        for connection in slow:
            with connection:
                assert connection.recv(100) == b""  # closed by the server
        assert ask(port).startswith(b"HTTP/1.1 200")
