"""The page as text. How it looks and answers in a browser is in test_browser."""

from __future__ import annotations

import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from cslr_cli.report import ClipFacts, Section, System, analyse, write_report
from cslr_cli.report.plots import Bar, bar_plot, rate_plot, shorten
from cslr_cli.scoring import Reference
from cslr_cli.scoring.breakdown import break_down
from tests.report.conftest import LargeReport
from tests.report.sections import OURS, REFERENCES, scored, two_systems, with_hostile_names


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += data


def page_of(folder: Path, *analyses: object) -> str:
    return write_report(folder, analyses, title="The <title>").read_text(encoding="utf-8")  # type: ignore[arg-type]


def data_of(page: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: list[dict[str, object]] = json.loads(found[1])
    return data


def test_the_page_asks_nothing_of_any_network(tmp_path: Path) -> None:
    page = page_of(tmp_path, two_systems())
    elements = Elements(page).elements
    assert {tag for tag, _ in elements} & {"link", "img", "iframe", "object", "embed", "video", "base"} == set()
    assert [attributes for tag, attributes in elements if tag == "script" and "src" in attributes] == []
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    policy = next(each for tag, each in elements if tag == "meta" and each.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    analysis = with_hostile_names()
    page = page_of(tmp_path, analysis)
    parsed = Elements(page)
    harmless = Elements(page_of(tmp_path, two_systems()))
    assert [tag for tag, _ in parsed.elements].count("script") == [tag for tag, _ in harmless.elements].count("script")
    assert {tag for tag, _ in parsed.elements} <= {tag for tag, _ in harmless.elements}
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    for text in ("The <title>", "<u>dev</u>", "<i>ours</i>", "theirs & co", "<em>fact", "{{title}}<em>"):
        assert text in parsed.text
    (section,) = data_of(page)
    assert section["glosses"] == list(dict.fromkeys(gloss for clip in _glosses(analysis) for gloss in clip))
    assert section["signers"] == ["<b>signer</b>", "s2"]


def _glosses(analysis: object) -> list[list[str]]:
    """Each clip's glosses in the order in which the page numbers them."""
    systems = analysis.section.systems  # type: ignore[attr-defined]
    return [
        [gloss for pair in clip.pairs for gloss in (pair.reference, pair.hypothesis) if gloss is not None]
        for system in systems
        for clip in system.score.clips
    ]


def test_the_data_of_the_page_give_back_every_alignment(tmp_path: Path) -> None:
    analysis = two_systems()
    (section,) = data_of(page_of(tmp_path, analysis))
    glosses, clips = section["glosses"], section["clips"]
    assert isinstance(glosses, list)
    assert isinstance(clips, dict)
    for system, alignments in zip(analysis.section.systems, clips["pairs"], strict=True):
        for clip, flat in zip(system.score.clips, alignments, strict=True):
            named = [None if number < 0 else glosses[number] for number in flat]
            assert named == [gloss for pair in clip.pairs for gloss in (pair.reference, pair.hypothesis)]


def test_glosses_that_differ_only_in_case_are_marked_equal(tmp_path: Path) -> None:
    score = scored({"a": ["regen", "WIND"]}, (Reference("a", ("REGEN", "WIND")),))
    (section,) = data_of(page_of(tmp_path, analyse(Section("dev", [System("ours", score)]))))
    assert (section["glosses"], section["same"]) == (["REGEN", "regen", "WIND"], [0, 0, 2])
    (section,) = data_of(page_of(tmp_path, two_systems()))
    assert section["same"] is None


def test_frames_that_are_there_are_linked_from_where_the_page_lies(tmp_path: Path) -> None:
    frames = tmp_path / "prepared" / "a corpus #1" / "clip-1.zip"
    frames.parent.mkdir(parents=True)
    frames.write_bytes(b"")
    clips = {"clip-1": ClipFacts(frames=frames), "clip-2": ClipFacts(frames=frames.with_name("gone.zip"))}
    (section,) = data_of(page_of(tmp_path / "runs" / "one", two_systems(clips)))
    assert isinstance(section["clips"], dict)
    assert section["clips"]["frames"] == ["../../prepared/a%20corpus%20%231/clip-1.zip", None, None]


def test_of_two_systems_the_page_says_whose_errors_are_broken_down(tmp_path: Path) -> None:
    alone = analyse(Section("dev", [System("ours", scored({"a": ["X"]}, (Reference("a", ("REGEN",)),)))]))
    assert "Errors of ours" in Elements(page_of(tmp_path, two_systems())).text
    assert "Errors of" not in Elements(page_of(tmp_path, alone)).text


def test_several_sections_have_a_chooser_and_one_has_none(tmp_path: Path) -> None:
    links = [
        each.get("href")
        for tag, each in Elements(page_of(tmp_path, two_systems(), two_systems())).elements
        if tag == "a"
    ]
    assert links == ["#s0", "#s1"]
    assert [tag for tag, _ in Elements(page_of(tmp_path, two_systems())).elements if tag == "a"] == []


def test_a_section_without_errors_says_so_instead_of_drawing_plots(tmp_path: Path) -> None:
    perfect = scored({each.sample_id: list(each.glosses) for each in REFERENCES})
    page = page_of(tmp_path, analyse(Section("dev", [System("ours", perfect)])))
    assert "No errors." in page
    assert "<svg" not in page


def test_plots_are_well_formed_and_say_the_figures() -> None:
    breakdown = break_down(scored(OURS))
    svg = ElementTree.fromstring(rate_plot(breakdown.by_signer, "signer"))
    texts = [element.text for element in svg.iter("text")]
    assert {"Signer01", "33.3", "Signer02", "25.0"} <= set(texts)
    titles = [element.text for element in svg.iter("title")]
    assert "Signer01: 33.3 % of 3 glosses in 1 clips" in titles
    bars = ElementTree.fromstring(bar_plot([Bar(("A", "<B>"), 6), Bar(("C",), 3)], "what", "sub"))
    long, short = (float(rect.attrib["width"]) for rect in bars.iter("rect"))
    assert long == pytest.approx(2 * short, rel=0.01)
    assert "A → <B>" in [element.text for element in bars.iter("text")]


@pytest.mark.parametrize(
    ("texts", "width", "shown"),
    [
        ("REGEN", 44, "REGEN"),
        ("REGENSCHAUER", 55, "REGEN…"),
        ("今天天气", 48, "今天天气"),
        ("今天天气", 40, "今天…"),
        ("REGENSCHAUER → NORD", 170, "REGENSCHAUER → NORD"),
        ("REGENSCHAUER → NORD", 130, "REGENSC… → NORD"),
        ("NORD → REGENSCHAUER", 130, "NORD → REGENSC…"),
        ("REGENSCHAUER → ZEIGEN-BILDSCHIRM", 130, "REGE… → ZEIG…"),
    ],
)
def test_labels_are_shortened_by_their_width_both_glosses_of_a_confusion_alike(
    texts: str, width: float, shown: str
) -> None:
    assert " → ".join(shorten(tuple(texts.split(" → ")), width)) == shown


def test_ten_thousand_clips_of_two_systems_make_a_page_of_a_few_megabytes_in_seconds(large_report: LargeReport) -> None:
    assert large_report.seconds < 10
    assert large_report.page.stat().st_size < 5e6
