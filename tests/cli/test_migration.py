"""`docs/migration.md` lists every name that version 0.1 had and this version has not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.main import get_command

from cslr_cli.cli.app import app
from cslr_cli.cli.renamed_options import RENAMED_OPTIONS
from cslr_cli.config import Config
from cslr_cli.media.options import RENAMED_PARAMETERS
from cslr_cli.recognizer import RENAMED_NAMES
from cslr_cli.renamed_modules import RENAMED_MODULES
from tests.cli.conftest import Command

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
FILES = Path(__file__).parents[1] / "data" / "version-0.1.0"
INTERFACE: dict[str, Any] = json.loads((FILES / "interface.json").read_text(encoding="utf-8"))
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def table(heading: str) -> list[tuple[str, ...]]:
    """The rows of the table below a heading; a row with several names in its first cell is several rows."""
    section = re.split(r"^#+ ", PAGE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [
        (name, *(cell.strip("`") for cell in cells[1:])) for cells in rows for name in re.findall("`(.+?)`", cells[0])
    ]


# The tables of the code


def test_the_page_lists_every_renamed_option() -> None:
    expected = set()
    for command, options in RENAMED_OPTIONS.items():
        for option in options:
            expected.add((command, option.old, option.new))
            expected |= {(command, f"{option.old} {old}", f"{option.new} {new}") for old, new in option.values.items()}
    assert set(table("Options")) == expected


def test_the_page_lists_every_renamed_module_name_and_parameter() -> None:
    assert set(table("Modules")) == set(RENAMED_MODULES.items())
    path = "cslr_cli.recognizer."
    names = {(f"{path}{old}", f"{path}{new}") for old, new in RENAMED_NAMES.items()}
    assert set(table("Names")) == names | {("Checkpoint.network()", "Checkpoint.build_network()")}
    parameters = {("ReadOptions", old, new) for old, new in RENAMED_PARAMETERS.items()}
    assert set(table("Parameters")) == parameters | {("Recognizer.recognize", "long", "segmentation")}


# What version 0.1 had


def current_options(command: str) -> dict[str, set[str]]:
    """The options of a command with their choices, if they have any."""
    found: dict[str, set[str]] = {}
    for parameter in COMMANDS[command].params:
        described = getattr(parameter, "type_descriptor", None) or parameter.type
        choices = set(map(str, getattr(described, "choices", None) or get_args(described)))
        found |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], choices)
    return found


@pytest.mark.parametrize("command", INTERFACE["options"])
def test_every_option_of_version_0_1_and_every_choice_exists_or_is_renamed(command: str) -> None:
    current, renamed = current_options(command), {option.old: option for option in RENAMED_OPTIONS.get(command, ())}
    for name, choices in INTERFACE["options"][command].items():
        option = renamed.get(name)
        new_name = name if option is None else option.new
        assert new_name in current, f"cslr {command} {name}"
        if choices and current[new_name]:
            values = {} if option is None else option.values
            assert {values.get(choice, choice) for choice in choices} <= current[new_name], f"cslr {command} {name}"


def test_every_configuration_key_of_version_0_1_exists_or_is_on_the_page() -> None:
    old = yaml.safe_load((FILES / "runs" / "tiny" / "config.yaml").read_text(encoding="utf-8"))
    keys = {f"{section}.{key}" for section, values in old.items() for key in values}
    current = {f"{section}.{key}" for section, values in Config() for key in type(values).model_fields}
    page = {row[0] for row in table("Configuration keys")}
    assert keys - current == page


def fields(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields of a JSON document; `*` stands for keys that are data."""
    if isinstance(value, dict):
        for key, each in value.items():
            name = f"{path}.{key if re.fullmatch('[a-z_]+', key) else '*'}"
            yield name
            yield from fields(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from fields(each, f"{path}[]")


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cslr: Command) -> dict[str, Any]:
    """The JSON documents of the present version, for the files of version 0.1.0."""
    work = tmp_path / "work"
    shutil.copytree(FILES, work)
    monkeypatch.chdir(work)
    clip = next(iter(sorted(Path("prepared/synthetic/frames/test").iterdir())))
    best, corpus = "runs/tiny/best.pt", "prepared/synthetic"

    def printed(*arguments: object) -> Any:
        outcome = cslr(*arguments, "--json")
        assert outcome.status == 0, outcome.stderr
        return json.loads(outcome.stdout)

    def written(pattern: str) -> Any:
        return json.loads(next(Path().glob(pattern)).read_text(encoding="utf-8"))

    found = {
        "evaluate --json": printed("evaluate", best, "--corpus", corpus, "--workers", 0),
        "report.json": written("runs/tiny/evaluation/**/report.json"),
        "dev.hypotheses.json": written("runs/tiny/evaluation/**/dev.hypotheses.json"),
        "inspect CORPUS --json": printed("inspect", corpus),
        "inspect CHECKPOINT --json": printed("inspect", best),
        "runs --json": printed("runs"),
        "predict --json": printed("predict", clip, "--checkpoint", best),
        "cam --json": printed("cam", clip, "--checkpoint", best),
        "features --json": printed("features", clip, "--checkpoint", best, "--output", "features"),
        "features.json": written("features/features.json"),
        "convert --json": printed("convert", best, "--to", "published", "--output", "published.pt"),
    }
    (stm,), (ctm,) = (list(Path("runs/tiny/evaluation").rglob(f"test.{kind}")) for kind in ("stm", "ctm"))
    return found | {"score --json": printed("score", stm, ctm)}


def test_every_json_field_of_version_0_1_exists_or_is_on_the_page(documents: dict[str, Any]) -> None:
    assert documents.keys() == INTERFACE["json_fields"].keys()
    missing = {
        (name, field)
        for name, old in INTERFACE["json_fields"].items()
        for field in set(old) - set(fields(documents[name]))
    }
    rows = table("JSON fields")
    assert {(name, old) for name, old, _ in rows} == missing
    for name, _, new in rows:
        assert new in set(fields(documents[name])), f"{name}: {new}"
