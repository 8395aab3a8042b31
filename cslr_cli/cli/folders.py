"""Folders that commands are to write to."""

from __future__ import annotations

from pathlib import Path

from cslr_cli.errors import UsageError


def refuse_file(output: Path | None) -> None:
    """Refuse an `--output` that is a file where a folder is to be; now, and not after the work.

    Raises:
        UsageError: it is one.
    """
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"--output {output}: a file, not a folder", "choose another name")
