"""The report's page: one file with its style, its script and its data inside, which needs no network.

The summary and the plots are written here; tables and alignments are data that the page's script shows,
a screenful at a time, so that ten thousand clips open as quickly as ten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from cslr_cli.report.page_data import section_data
from cslr_cli.report.sections import Analysis
from cslr_cli.report.summary import facts_html, section_html
from cslr_cli.version import __version__

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def page(analyses: Sequence[Analysis], folder: Path, *, title: str, facts: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        analyses: the sections, in order.
        folder: where the page will lie; its links are relative to it.
        title: its heading.
        facts: what holds for all sections, in words.
    """
    names = [analysis.section.name for analysis in analyses]
    parts = {
        "title": escape(title),
        "style": _resource("page.css"),
        "facts": facts_html(facts),
        "chooser": _chooser(names) if len(names) > 1 else "",
        "sections": "\n".join(section_html(analysis, index) for index, analysis in enumerate(analyses)),
        "version": __version__,
        "data": json_in_html([section_data(analysis, folder) for analysis in analyses]),
        "script": _resource("page.js"),
    }
    # In one pass: what is put in may itself look like a place.
    return _PLACE.sub(lambda place: parts[place[1]], _resource("page.html"))


def json_in_html(value: object) -> str:
    """JSON that may stand inside a script element: no gloss can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chooser(names: Sequence[str]) -> str:
    return "".join(f'<a href="#s{index}">{escape(name)}</a>' for index, name in enumerate(names))


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").rstrip()
