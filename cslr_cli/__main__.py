"""`cslr`, also as `python -m cslr_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        from cslr_cli.cli.app import app  # within reach of Ctrl-C: no traceback while it is imported

        app(prog_name="cslr")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
