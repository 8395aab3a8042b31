"""What the tests of preparation do again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.preparation import PreparationOptions, PreparationReport, prepare
from cslr_cli.errors import DataError
from cslr_cli.progress import Progress, ProgressCallback, no_progress

SMALL = PreparationOptions(frame_size=32)


def prepared(
    release: Path, output: Path, options: PreparationOptions = SMALL, progress: ProgressCallback = no_progress
) -> PreparationReport:
    """Prepare a PHOENIX2014 release in this process."""
    return prepare(Phoenix2014(), release, output, options, workers=1, progress=progress)


def refused(release: Path, output: Path, options: PreparationOptions = SMALL) -> DataError:
    """The error that preparing a release ends with."""
    with pytest.raises(DataError) as caught:
        prepared(release, output, options)
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def interrupt_after(num_clips: int) -> ProgressCallback:
    """A callback that stops the work after some clips, as Ctrl-C does."""

    def callback(progress: Progress) -> None:
        if progress.done == num_clips:
            raise KeyboardInterrupt

    return callback
