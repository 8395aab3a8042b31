"""The page in a real browser."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.demo import DemoService, build_checkpoint_menu
from cslr_cli.demo.service import Answer
from tests.training.processes import free_port

PATIENCE = 240_000  # milliseconds; enough for a busy machine
WIDTH = "document.documentElement.scrollWidth"
TABLE = "document.querySelector('.cslr-answer table')"
REPOSITORY = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs the extra `demo`"),
]

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="needs Chromium and Playwright"
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cslr_cli", "demo", *(str(argument) for argument in arguments)]


def environment(temporary: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(temporary),
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="module")
def served(runs: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page's address, and the folder that its temporary files are in; checks that they are removed."""
    temporary = tmp_path_factory.mktemp("temporary")
    with free_port() as port:
        arguments = command("--port", port, "--runs-dir", runs, "--example", clip, "--max-seconds", 20)
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(temporary)
        )
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        yield address, temporary
        made = list(temporary.iterdir())
        process.terminate()
        _, errors = process.communicate()
    assert made
    assert process.returncode == 0, errors
    assert "broken: left out of the page" in errors
    assert not list(temporary.glob("cslr-demo-*")), "uploads should be gone"


class Visitor:
    """A visitor with the page open, and everything that the server sent."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.texts: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("response", self._keep)

    def _keep(self, response: Any) -> None:
        kind = response.headers.get("content-type", "")
        if kind.startswith(("application/json", "text/html", "text/plain")):
            self.texts.append(response.url)
            try:
                self.texts.append(response.text())
            except Exception as error:  # the browser no longer has it
                self.texts.append(str(error))

    def upload(self, file: Path) -> None:
        self.page.set_input_files("#video input[type=file]", str(file))
        self.page.wait_for_selector("#video video")

    def recognise(self) -> str:
        self.page.click("#recognise-video")
        self.page.wait_for_selector(".cslr-answer, .cslr-fault")
        return str(self.page.inner_text(".cslr-answer, .cslr-fault"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        context = browser.new_context()  # one for all tests: the files of the page are fetched once
        context.set_default_timeout(PATIENCE)
        yield context
        browser.close()


@pytest.fixture
def visit(browser: Any, served: tuple[str, Path]) -> Iterator[Callable[..., Visitor]]:
    pages = []

    def open_page(width: int = 1200, height: int = 900) -> Visitor:
        page = browser.new_page()
        page.set_viewport_size({"width": width, "height": height})
        pages.append(page)
        visitor = Visitor(page)
        page.goto(served[0])
        page.wait_for_selector("#recognise-video")
        return visitor

    yield open_page
    for page in pages:
        page.close()


def test_an_unexpected_error_is_logged_and_hidden_from_the_visitor(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from cslr_cli.demo.page import _replace_answer

    def failing() -> Answer:
        raise ValueError(f"{tmp_path}/secret")

    state, message, *_ = _replace_answer(None, failing)
    assert state is None
    assert "unexpected error on the server" in message
    assert str(tmp_path) not in message
    assert f"ValueError: {tmp_path}/secret" in caplog.text


def test_a_new_answer_removes_the_files_of_the_last_one(runs: Path, clip: Path, tmp_path: Path) -> None:
    from cslr_cli.demo.page import _replace_answer

    service = DemoService(build_checkpoint_menu([], runs, device=torch.device("cpu")), tmp_path)
    first = service.recognize_video(clip, "first")
    second = _replace_answer(first, lambda: service.recognize_video(clip, "first"))[0]
    assert list(tmp_path.iterdir()) == [second.folder]


@in_a_browser
def test_a_visitor_uploads_a_video_and_reads_its_glosses(
    visit: Callable[..., Visitor], clip: Path, runs: Path, served: tuple[str, Path]
) -> None:
    from cslr_cli.recognizer import Recognizer

    visitor = visit()
    assert visitor.page.inner_text(".cslr-broken").startswith("broken cannot be used")
    visitor.page.click("#network input")
    visitor.page.click("ul[role=listbox] >> text=first")
    visitor.upload(clip)
    text = visitor.recognise()

    expected = Recognizer.load(runs / "first" / "best.pt", device="cpu").recognize(clip)
    assert text.splitlines()[0] == expected.text
    assert visitor.page.locator(".cslr-block").count() == len(expected.glosses)

    with visitor.page.expect_download() as download:
        visitor.page.click("#json")
    assert [timed["gloss"] for timed in json.loads(Path(download.value.path()).read_text())["glosses"]] == [
        timed.gloss for timed in expected.glosses
    ]

    # No path of the server is visible, and nothing is loaded from other servers.
    everything = "\n".join([*visitor.texts, *visitor.requests, visitor.page.content()])
    assert str(served[1]) not in everything
    assert "cslr-demo-" not in everything
    assert str(runs.parent) not in everything
    assert all(request.startswith((served[0], "blob:", "data:")) for request in visitor.requests)
    assert visitor.page.request.get(f"{served[0]}monitoring").status == 403, "the usage page must be off"


@in_a_browser
def test_a_click_on_a_gloss_of_an_example_moves_the_player_there(visit: Callable[..., Visitor], clip: Path) -> None:
    visitor = visit()
    page = visitor.page
    page.click(".gallery button, .gallery-item")
    page.wait_for_selector("#video video")
    visitor.recognise()
    with page.expect_download() as download:
        page.click("#srt")
    assert download.value.suggested_filename == f"{clip.stem}.srt"
    page.wait_for_function("[...document.querySelectorAll('video')].some(v => v.offsetParent && v.duration)")
    block = page.locator(".cslr-block").last
    start = float(block.get_attribute("data-start"))
    block.click()
    page.wait_for_function(
        f"[...document.querySelectorAll('video')].some(v => Math.abs(v.currentTime - {start}) < 0.05)"
    )
    assert page.locator(".cslr-block.cslr-now").count() >= 1


@in_a_browser
def test_the_page_fits_a_phone_and_shows_an_error_for_a_text_file_named_mp4(
    visit: Callable[..., Visitor], clip: Path, tmp_path: Path, served: tuple[str, Path]
) -> None:
    fake = tmp_path / "fake.mp4"
    fake.write_text("no video at all")
    visitor = visit(width=390, height=844)
    visitor.upload(fake)
    text = visitor.recognise()
    assert text.startswith("fake.mp4: ")
    assert "/" not in text
    assert visitor.page.evaluate(WIDTH) <= 390

    visitor.page.click("#video [aria-label=Clear]")
    visitor.upload(clip)
    visitor.page.click("#recognise-video")
    visitor.page.wait_for_selector(".cslr-answer")
    assert visitor.page.evaluate(WIDTH) <= 390
    assert visitor.page.evaluate("(table => table.scrollWidth - table.parentElement.clientWidth)(" + TABLE + ")") <= 0
