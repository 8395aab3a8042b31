"""`cslr`, also as `python -m cslr_cli`."""

from __future__ import annotations

import gc
import sys

# New objects after which Python looks for garbage: importing torch makes some hundred thousand, and none is any.
# With Python's own 700 the looking takes an eighth of a second.
_NEW_OBJECTS = 5000


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(_NEW_OBJECTS)
    try:
        from cslr_cli.cli.app import app  # within reach of Ctrl-C: no traceback while it is imported

        app(prog_name="cslr")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
