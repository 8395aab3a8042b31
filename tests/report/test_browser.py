"""The page in Chromium, where that and playwright are installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cslr_cli.report import Section, System, analyse, write_report
from cslr_cli.scoring import Reference
from tests.report.conftest import LargeReport
from tests.report.sections import scored, two_systems, with_hostile_names

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")


PATIENCE = 240_000  # milliseconds for what takes one on a machine that has nothing else to do


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()


class Opened:
    """A page in the browser, with what it complained of and whom it asked."""

    def __init__(self, browser: Any, path: Path, width: int = 1200, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE)
        self.page = context.new_page()
        self._metrics = context.new_cdp_session(self.page)
        self._metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def work(self) -> float:
        """Processor seconds that the page has taken so far."""
        metrics = self._metrics.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    def clips(self) -> list[str]:
        found: list[str] = self.page.locator(".split:visible .clip b").all_inner_texts()
        return found

    def search(self, text: str) -> list[str]:
        self.page.locator(".split:visible input").fill(text)
        return self.clips()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_complaint_and_fits_the_screen(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    opened = Opened(browser, write_report(tmp_path, [two_systems()], title="T"), width, scheme)
    assert opened.clips() == ["clip-1", "clip-2", "clip-3"]
    assert opened.complaints == []
    assert len(opened.asked) == 1  # the page itself
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_clips_are_found_by_name_signer_gloss_and_confusion(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_report(tmp_path, [two_systems()], title="T"))
    assert opened.search("clip-2") == ["clip-2"]
    assert opened.search("signer02 regen") == ["clip-3"]
    assert opened.search("föhn") == ["clip-2"]
    assert opened.search('"WIN"') == []  # a whole gloss
    assert opened.search('"wind"') == ["clip-1", "clip-2"]
    assert opened.search("schnee -> regen") == ["clip-1"]
    assert opened.search("regen → schnee") == []
    assert "0 of 3 clips" in opened.page.locator("[role=status]").inner_text()


def test_a_gloss_with_an_arrow_or_quotation_marks_leads_to_its_clips(browser: Any, tmp_path: Path) -> None:
    references = (Reference("first", ("IX->1", 'A"B"C', '"Q"')), Reference("second", ("IX", "Q")))
    hypotheses = {"first": ["IX->2", 'A"B"C', '"Q"'], "second": ["IX", "Q"]}
    analysis = analyse(Section("dev", [System("ours", scored(hypotheses, references))]))
    opened = Opened(browser, write_report(tmp_path, [analysis], title="T"))
    for details in opened.page.locator("details").all()[-2:]:
        details.locator("summary").click()
        for link in details.locator("tbody button").all():
            expected = ["second"] if link.inner_text() in ("IX", "Q") else ["first"]
            link.click()
            assert opened.clips() == expected, link.inner_text()
    assert opened.search("ix->1 -> ix->2") == opened.search("IX->1") == ["first"]


def test_clips_are_filtered_by_their_errors_and_by_who_wins(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_report(tmp_path, [two_systems()], title="T"))
    chosen = {}
    choice = opened.page.locator(".split:visible select").first
    for value in ("wrong", "right", "unseen", "differs", "first", "second"):
        choice.select_option(value)
        chosen[value] = opened.clips()
    assert chosen == {
        "wrong": ["clip-1", "clip-2"],
        "right": ["clip-3"],
        "unseen": ["clip-2"],
        "differs": ["clip-1", "clip-3"],
        "first": ["clip-3"],
        "second": ["clip-1"],
    }


def test_errors_are_marked_by_letters_and_colour(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_report(tmp_path, [two_systems()], title="T"))
    texts = opened.page.locator(".clip").nth(0).locator(".alignment").nth(0).locator("li").all_inner_texts()
    assert [text.split() for text in texts] == [
        ["signed", "recognised"],
        ["REGEN", "REGEN"],
        ["SCHNEE", "REGEN", "S"],
        ["WIND", "WIND"],
    ]
    texts = opened.page.locator(".clip").nth(1).locator("li").all_inner_texts()
    assert [text.split() for text in texts][1:] == [["WIND", "WIND"], ["FÖHN", "–", "D"]]


def test_tables_are_sorted_by_a_click_and_lead_to_the_clips(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_report(tmp_path, [two_systems()], title="T"))
    glosses = opened.page.locator("details").last
    glosses.locator("summary").click()
    first_cells = glosses.locator("tbody tr td:first-child")
    glosses.locator("th button", has_text="gloss").click()
    assert first_cells.all_inner_texts() == ["FÖHN", "REGEN", "SCHNEE", "WIND", "今天"]
    glosses.locator("th button", has_text="precision").click()  # 100, 100, 66.7, and undefined at the end
    assert first_cells.all_inner_texts()[2:] == ["REGEN", "FÖHN", "SCHNEE"]
    first_cells.nth(2).locator("button").click()
    assert opened.clips() == ["clip-1", "clip-3"]


def test_sections_are_chosen_one_at_a_time(browser: Any, tmp_path: Path) -> None:
    analyses = [two_systems(), with_hostile_names()]
    opened = Opened(browser, write_report(tmp_path, analyses, title="T"))
    assert len(opened.clips()) == 3
    opened.page.locator(".sections a").nth(1).click()
    assert len(opened.clips()) == 2
    assert opened.page.locator(".split:visible h2").inner_text() == "<u>dev</u>"


def test_names_that_are_markup_do_nothing_in_a_browser(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, write_report(tmp_path, [with_hostile_names()], title="<script>alert(1)</script>"))
    for details in opened.page.locator("details").all():
        details.locator("summary").click()
    opened.search("<script>")
    assert opened.complaints == []
    assert len(opened.asked) == 1
    assert opened.page.locator("main script, main img, main svg[onload]").count() == 0
    assert "<script>alert('gloss')</script>" in opened.page.locator(".clip").first.inner_text()


def test_ten_thousand_clips_open_and_are_searched_in_moments(browser: Any, large_report: LargeReport) -> None:
    opened = Opened(browser, large_report.page)
    assert opened.work() < 5
    assert len(opened.clips()) == 40  # and more when asked
    opened.page.locator(".explorer .more").click()
    assert len(opened.clips()) == 80
    before = opened.work()
    assert opened.search("clip_09999") == ["clip_09999"]
    assert opened.work() - before < 3
