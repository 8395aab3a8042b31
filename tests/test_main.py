from __future__ import annotations

import subprocess
import sys

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
