"""The report's page: one HTML file that contains its style, script and data, and needs no network.

Summary and plots are HTML. Tables and alignments are data; the page's script shows a screenful of them at a time, so
that ten thousand clips open as quickly as ten.
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
    """Return the page as HTML; arguments are those of `write_report`."""
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
    # In one pass, because inserted text may itself look like a placeholder.
    return _PLACE.sub(lambda place: parts[place[1]], _resource("page.html"))


def json_in_html(value: object) -> str:
    """Return JSON for a script element: no gloss can end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chooser(names: Sequence[str]) -> str:
    return "".join(f'<a href="#s{index}">{escape(name)}</a>' for index, name in enumerate(names))


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").rstrip()
