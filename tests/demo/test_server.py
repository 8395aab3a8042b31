"""The address of the page, its warnings, and the hidden paths."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cslr_cli.demo import CheckpointMenu
from cslr_cli.demo.server import Address, check_port, serve_page
from cslr_cli.errors import CslrError, MissingPackageError, UsageError

NONE = CheckpointMenu({}, {}, torch.device("cpu"))


def test_a_local_address_has_no_warning() -> None:
    assert Address().warnings == []


def test_an_address_open_to_others_has_warnings() -> None:
    open_to_all = Address(host="0.0.0.0", share=True).warnings
    assert any("over the network" in warning for warning in open_to_all)
    assert any("anyone with the link" in warning for warning in open_to_all)


def test_a_missing_extra_is_an_error_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_gradio(name: str, *rest: Any, **named: Any) -> Any:
        if name == "gradio":
            raise ImportError(name)
        return imported(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_gradio)
    with pytest.raises(MissingPackageError, match=r"pip install '\.\[demo\]'"), serve_page(NONE, Address(port=0)):
        pass


class FakePage:
    """A page that is not served; `launch` returns what Gradio returns without a connection to gradio.live."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}
        self.closed = False
        state = SimpleNamespace(connections=set())
        self.server = SimpleNamespace(config=SimpleNamespace(), server_state=state)

    def launch(self, **arguments: Any) -> tuple[None, str, None]:
        self.arguments = arguments
        return None, "http://127.0.0.1:1/", None

    def close(self, **_: Any) -> None:
        self.closed = True


@pytest.fixture
def fake_page(monkeypatch: pytest.MonkeyPatch) -> FakePage:
    pytest.importorskip("gradio")
    from cslr_cli.demo import page

    fake_page = FakePage()
    monkeypatch.setattr(page, "build_page", lambda *_: fake_page)
    return fake_page


def test_a_public_link_that_cannot_be_made_is_an_error(fake_page: FakePage) -> None:
    with pytest.raises(CslrError, match="public link could not be created"), serve_page(NONE, Address(share=True)):
        pass
    assert fake_page.closed


@pytest.mark.parametrize(("host", "host_in_url"), [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_gradio_gets_the_host_as_in_a_url(fake_page: FakePage, host: str, host_in_url: str) -> None:
    with serve_page(NONE, Address(host=host)):
        assert fake_page.arguments["server_name"] == host_in_url
    assert fake_page.closed


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: in use by another program"):
            check_port(Address(port=port))


def test_a_host_of_another_computer_is_refused() -> None:
    with pytest.raises(UsageError, match="--host"):
        check_port(Address(host="203.0.113.7", port=0))
    with pytest.raises(UsageError, match="unknown host"):
        check_port(Address(host="no.such.host.invalid", port=0))


def test_the_folder_is_hidden_in_responses_and_restored_in_requests(tmp_path: Path) -> None:
    import asyncio

    from cslr_cli.demo.hidden_paths import HiddenPaths

    inside = str(tmp_path / "secret")
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["body"])
        seen.append(scope["path"].encode())
        body = f'{{"path": "{inside}/clip.mp4"}}'.encode()
        start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": body[:10], "more_body": True})
        await send({"type": "http.response.body", "body": body[10:]})

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"data": "/uploads/clip.mp4", "text": "see /uploads/x"}'}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": "/gradio_api/file=/uploads/clip.mp4",
        "headers": [(b"content-type", b"application/json")],
    }
    asyncio.run(HiddenPaths(app, tmp_path / "secret")(scope, receive, send))
    assert seen == [
        f'{{"data": "{inside}/clip.mp4", "text": "see /uploads/x"}}'.encode(),
        f"/gradio_api/file={inside}/clip.mp4".encode(),
    ]
    body = b"".join(message.get("body", b"") for message in sent)
    assert body == b'{"path": "/uploads/clip.mp4"}'
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(body)).encode()


def test_events_of_a_stream_are_sent_at_once_with_the_alias(tmp_path: Path) -> None:
    import asyncio

    from cslr_cli.demo.hidden_paths import HiddenPaths

    inside = str(tmp_path / "secret")
    sent: list[Any] = []
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(2):
            await send({"type": "http.response.body", "body": f"data: {inside}/{number}".encode(), "more_body": True})
            seen.append(len(sent))

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(HiddenPaths(app, tmp_path / "secret")({"type": "http", "path": "/", "headers": []}, receive, send))
    assert seen == [2, 3]
    assert [message["body"] for message in sent[1:]] == [b"data: /uploads/0", b"data: /uploads/1"]
