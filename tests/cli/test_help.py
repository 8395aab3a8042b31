from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

from cslr_cli import __version__
from cslr_cli.cli.app import app
from tests.cli.conftest import REPOSITORY, Command, environment

COMMANDS = [str(command.name) for command in app.registered_commands]
# Processor time that help may take: so many times what a piece of Python takes to compile, which is some 15 ms where
# nothing else runs, and as much longer as help is on a machine whose cores are shared.
MOST = 30
TRIES = 6

# Asks for help as a user does, and says afterwards what it took and which modules are there.
PROGRAM = r"""
import json, os, sys, time
sys.argv = ["cslr", *sys.argv[1:]]
from cslr_cli.__main__ import main
try:
    main()
finally:
    sys.stdout.flush()
    used, modules = os.times(), sorted(sys.modules)
    pieces = []
    for _ in range(4):
        begun = time.process_time()
        compile("def f(a, b=1):\n    return [a * x for x in range(b) if x]\n" * 400, "a piece", "exec")
        pieces.append(time.process_time() - begun)
    print(json.dumps({"pieces": (used.user + used.system) / min(pieces), "modules": modules}), file=sys.stderr)
"""


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=["cslr", *COMMANDS])
def test_help_is_fast_and_does_not_import_torch(command: tuple[str, ...]) -> None:
    pieces = []
    for _ in range(TRIES):  # the best of some: the machine may be busy with something else
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *command, "--help"],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage: cslr" in done.stdout
        reported = json.loads(done.stderr)
        assert {"torch", "torchvision", "cv2", "matplotlib"} & set(reported["modules"]) == set()
        pieces.append(reported["pieces"])
        if pieces[-1] < MOST:
            return
    pytest.fail(f"--help took {min(pieces):.0f} times what a piece of Python takes to compile")


def parameters(command: str) -> list[Any]:
    """The arguments and options of a command, as its help shows them."""
    group: Any = get_command(app)
    registered = group.commands[command]
    context = registered.make_context(command, ["--help"], resilient_parsing=True)
    return [each for each in registered.get_params(context) if each.name != "help"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text_and_a_metavar(command: str) -> None:
    for parameter in parameters(command):
        name = parameter.opts[0]
        assert parameter.help, name
        assert parameter.help[0].isupper() or parameter.help.startswith("n-gram"), name
        assert parameter.help.endswith("."), name
        assert parameter.help.count("(default: ") <= 1, name
        assert parameter.help.lower().count("default") == parameter.help.count("(default: "), name
        if getattr(parameter, "is_flag", False):
            assert parameter.metavar == "", name
        elif name == "--device":
            assert parameter.metavar in ("auto|cpu|cuda|cuda:N|N", "auto|cpu|cuda|cuda:N|N|N,N")
        else:
            assert parameter.metavar, name
            assert parameter.metavar.isupper() or re.fullmatch(r"[\w-]+(\|[\w-]+)*", parameter.metavar), name
        if getattr(parameter, "multiple", False):
            assert parameter.help.endswith("Repeatable."), name


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_types(command: str, columns: int, cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    outcome = cslr(command, "--help")
    assert (outcome.status, outcome.stderr) == (0, "")
    for word in ("<", "[default", "TEXT", "INTEGER", "FLOAT", "BOOLEAN", "range", "{"):
        assert word not in outcome.stdout, word
    assert max(map(len, outcome.stdout.splitlines())) <= columns
    assert "cslr" in outcome.stdout.partition("Examples")[2]


def test_each_command_has_one_line_in_the_list(cslr: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = cslr("--help").stdout
    assert "<bool>" not in listed
    for info in app.registered_commands:
        assert f"{str(info.help).splitlines()[0]} " in listed, info.name


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(option: str, cslr: Command) -> None:
    outcome = cslr(option)
    assert (outcome.status, outcome.stdout) == (0, f"cslr {__version__}\n")


def test_help_followed_by_a_command_is_its_help(cslr: Command) -> None:
    for command in COMMANDS:
        outcome = cslr("help", command)
        assert (outcome.status, outcome.stderr) == (0, "")
        assert outcome.stdout == cslr(command, "--help").stdout
    assert cslr("help").stdout == cslr("--help").stdout
    unknown = cslr("help", "predikt")
    assert unknown.status == 2
    assert "predict" in unknown.stderr


def test_without_a_command_the_help_is_printed(cslr: Command) -> None:
    outcome = cslr()
    assert outcome.status in (0, 2)  # versions of Typer differ
    shown = outcome.stdout + outcome.stderr
    assert "Usage: cslr" in shown
    assert "cslr help COMMAND explains a command" in shown
    for panel in ("Start", "Data", "Train and evaluate", "Use a network", "Checkpoints"):
        assert panel in shown


def test_an_unknown_command_is_an_error(cslr: Command) -> None:
    outcome = cslr("trian")
    assert outcome.status == 2
    assert "trian" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_use_existing_options(command: str, cslr: Command) -> None:
    group = get_command(app)
    declared = {name for parameter in group.commands[command].params for name in parameter.opts}  # type: ignore[attr-defined]
    examples = group.commands[command].examples  # type: ignore[attr-defined]
    assert examples
    for example in examples:
        program, name, *arguments = shlex.split(example, comments=True)
        assert (program, name) == ("cslr", command)
        assert {argument for argument in arguments if argument.startswith("--")} - {"--"} <= declared
    printed = cslr(command, "--help").stdout
    assert all(example.split("  ")[0] in printed for example in examples)
