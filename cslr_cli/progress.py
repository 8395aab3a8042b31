"""How the core tells whoever called it how far it is; the core itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """How far one stage of the work is.

    Attributes:
        stage: what is being done, a few words: `prepare train`, `epoch 3`.
        done: units finished so far in this stage.
        total: units in all.
        figures: numbers worth showing beside the bar, by name: `{"loss": 1.9}`.
    """

    stage: str
    done: int
    total: int
    figures: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """The callback for callers that do not want to be told."""
