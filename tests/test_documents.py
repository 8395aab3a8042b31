"""What README.md and docs/ say can be done, can be done: their commands, settings and links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.config import Config

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FILES = {"yaml", "md", "txt"}  # as in `corpus.yaml`, which is no setting
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)


def code_in(path: Path) -> list[str]:
    """The lines of the blocks of code of a document, and what stands in its text as code."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    block = re.compile(r"^```[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    lines = [line for found in block.findall(text) for line in found.splitlines()]
    return [*lines, *(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", block.sub("", text)))]


def commands_in(path: Path) -> list[list[str]]:
    """The calls of `cslr` in a document: the name of the command, and its arguments."""
    calls = [re.search(r"(?:^| )cslr ([a-z]+(?: [^;&|]*|$))", line) for line in code_in(path)]
    return [shlex.split(call[1].replace("…", ""), comments=True) for call in calls if call]


@documents
def test_every_command_has_the_options_that_a_document_gives_it(path: Path) -> None:
    for name, *arguments in commands_in(path):
        assert name in COMMANDS, f"cslr {name}"
        declared = {declaration for parameter in COMMANDS[name].params for declaration in parameter.opts}
        options = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} - {"--"}
        assert options <= declared, f"cslr {name}: {options - declared}"


@documents
def test_every_setting_that_a_document_names_is_one(path: Path) -> None:
    sections = {name: set(type(section).model_fields) for name, section in Config()}
    setting = re.compile(r"(?:^|--set '?)([a-z]+)\.([a-z_]+)(?==|$)")
    named = [found for code in code_in(path) for found in setting.findall(code)]
    for section, key in named:
        if section in sections:
            assert key in sections[section] | FILES, f"{section}.{key}"


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md"], ids=lambda path: path.stem
)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


def test_the_architecture_page_names_every_folder_of_the_package_and_no_other_module() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = page[page.index("## Modules") : page.index("Rules:")]
    package = REPOSITORY / "cslr_cli"
    known = {path.stem for path in package.rglob("*.py")} | {"cslr_cli"}
    folders = {path.parent.relative_to(package).as_posix() + "/" for path in package.rglob("*.py")} - {"./"}
    named = set(re.findall(r"`([a-z_/]+)`", modules))
    assert all(any(f"/{folder}".endswith(f"/{name}") for folder in folders) for name in named if name.endswith("/"))
    assert {folder for folder in folders if folder.count("/") == 1} <= named
    rows = [line for line in modules.splitlines() if line.startswith("|")]
    assert {name for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row)} <= known
