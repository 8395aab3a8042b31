"""`cslr`, also as `python -m cslr_cli`."""

from __future__ import annotations

from cslr_cli.cli.app import app


def main() -> None:
    """Run the command line and exit with its status."""
    app(prog_name="cslr")


if __name__ == "__main__":
    main()
