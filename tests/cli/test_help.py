from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys

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
def test_help_is_there_at_once_and_without_torch(command: tuple[str, ...]) -> None:
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
        told = json.loads(done.stderr)
        assert {"torch", "torchvision", "cv2", "matplotlib"} & set(told["modules"]) == set()
        pieces.append(told["pieces"])
        if pieces[-1] < MOST:
            return
    pytest.fail(f"--help took {min(pieces):.0f} times what a piece of Python takes to compile")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(command: str, cslr: Command) -> None:
    (registered,) = (info for info in app.registered_commands if info.name == command)
    assert registered.callback is not None
    assert inspect.getdoc(registered.callback)
    for name, parameter in inspect.signature(registered.callback, eval_str=True).parameters.items():
        (option,) = parameter.annotation.__metadata__
        assert option.help, name
    outcome = cslr(command, "--help")
    assert outcome.status == 0
    assert outcome.stderr == ""


def test_the_version_is_printed(cslr: Command) -> None:
    outcome = cslr("--version")
    assert (outcome.status, outcome.stdout) == (0, f"cslr {__version__}\n")


def test_without_a_command_there_is_help(cslr: Command) -> None:
    outcome = cslr()
    assert outcome.status in (0, 2)  # versions of Typer differ
    shown = outcome.stdout + outcome.stderr
    assert "Usage: cslr" in shown
    for panel in ("Start", "Data", "Train and evaluate", "Use a network", "Checkpoints"):
        assert panel in shown


def test_a_command_that_is_not_there_is_wrong_usage(cslr: Command) -> None:
    outcome = cslr("trian")
    assert outcome.status == 2
    assert "trian" in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_a_command_use_options_that_it_has(command: str, cslr: Command) -> None:
    group = get_command(app)
    declared = {name for parameter in group.commands[command].params for name in parameter.opts}  # type: ignore[attr-defined]
    examples = group.commands[command].examples  # type: ignore[attr-defined]
    assert examples
    for example in examples:
        program, name, *arguments = shlex.split(example, comments=True)
        assert (program, name) == ("cslr", command)
        assert {argument for argument in arguments if argument.startswith("--")} <= declared
    printed = cslr(command, "--help").stdout
    assert all(example.split("  ")[0] in printed for example in examples)
    assert "<bool>" not in printed
    assert "range" not in printed
