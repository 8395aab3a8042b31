"""Entry point of `cslr` and `python -m cslr_cli`."""

from __future__ import annotations

import gc
import signal
import sys
import threading

# Number of new objects before a garbage collection. Importing torch creates some hundred thousand objects, none of
# them garbage; with Python's default of 700, these collections take an eighth of a second.
_GC_THRESHOLD = 5000
# `errors.EXIT_KEYBOARD_INTERRUPT`, whose import Ctrl-C can interrupt.
_EXIT_KEYBOARD_INTERRUPT = 130
# Seconds after which an ignored Ctrl-C is sent again.
_REPEAT_SECONDS = 0.02


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(_GC_THRESHOLD)
    sys.unraisablehook = _repeat_ctrl_c
    try:
        from cslr_cli.cli.app import app  # imported here, so that Ctrl-C during imports shows no traceback

        app(prog_name="cslr")
    except KeyboardInterrupt:
        sys.exit(_EXIT_KEYBOARD_INTERRUPT)


def _repeat_ctrl_c(unraisable: sys.UnraisableHookArgs) -> None:
    """Send Ctrl-C again if Python has ignored it, because it came in a destructor or in a callback.

    A subclass of KeyboardInterrupt is a stop request that the training notices itself.
    """
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
    elif unraisable.exc_type is KeyboardInterrupt:
        timer = threading.Timer(_REPEAT_SECONDS, _send_ctrl_c)
        timer.daemon = True
        timer.start()


def _send_ctrl_c() -> None:
    if callable(signal.getsignal(signal.SIGINT)):  # not if the command is ending already
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


if __name__ == "__main__":
    main()
