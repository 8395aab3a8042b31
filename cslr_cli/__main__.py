"""Entry point of `cslr` and `python -m cslr_cli`."""

from __future__ import annotations

import gc
import sys

from cslr_cli.errors import EXIT_KEYBOARD_INTERRUPT

# Number of new objects before a garbage collection. Importing torch creates some hundred thousand objects, none of
# them garbage; with Python's default of 700, these collections take an eighth of a second.
_GC_THRESHOLD = 5000


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(_GC_THRESHOLD)
    try:
        from cslr_cli.cli.app import app  # imported here, so that Ctrl-C during imports shows no traceback

        app(prog_name="cslr")
    except KeyboardInterrupt:
        sys.exit(EXIT_KEYBOARD_INTERRUPT)


if __name__ == "__main__":
    main()
