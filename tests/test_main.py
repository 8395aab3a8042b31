from __future__ import annotations

import subprocess
import sys

from cslr_cli import __main__ as entry_point
from cslr_cli.errors import EXIT_KEYBOARD_INTERRUPT

# Ctrl-C comes while Python runs a destructor, where it ignores exceptions.
IGNORED = """
import signal, sys, time, types

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def app(prog_name):
    Dying()
    print("ignored", flush=True)
    time.sleep(60)

sys.modules["cslr_cli.cli.app"] = types.SimpleNamespace(app=app)
from cslr_cli.__main__ import main
main()
"""


def test_an_ignored_ctrl_c_comes_again() -> None:
    done = subprocess.run([sys.executable, "-c", IGNORED], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (130, "ignored\n", "")


def test_the_entry_point_imports_nothing_of_the_package_before_it_handles_ctrl_c() -> None:
    program = "import runpy, sys; runpy.run_module('cslr_cli.__main__', run_name='entry'); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("cslr_cli.")}
    assert loaded <= {"cslr_cli.__main__", "cslr_cli.renamed_modules", "cslr_cli.version"}  # the package's own
    assert entry_point._EXIT_KEYBOARD_INTERRUPT == EXIT_KEYBOARD_INTERRUPT
