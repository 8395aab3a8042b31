"""Progress reports of long operations, passed to a callback of the caller; the core itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Progress of one stage of the work.

    Attributes:
        stage: name of the stage, for example `prepare train` or `epoch 3`.
        done: number of finished units.
        total: number of all units.
        figures: numbers to show next to the progress bar, by name: `{"loss": 1.9}`.
    """

    stage: str
    done: int
    total: int
    figures: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """Ignore the progress: the default callback."""
