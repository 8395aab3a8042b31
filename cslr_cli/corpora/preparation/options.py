"""How a corpus is prepared, and which part of it by this call."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cslr_cli.corpora.preparation.clip_writer import ClipFormat
from cslr_cli.dataset.sample import SPLITS
from cslr_cli.errors import UsageError

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class PreparationOptions(ClipFormat):
    """How a corpus is prepared.

    Attributes:
        strict: a clip that cannot be prepared is an error, instead of being left out and counted.
        frames: write the frames; otherwise the manifest, the vocabulary and the references only.
        frame_counts: without frames, a file that says how many each clip has: its name and the number
            on a line; None leaves the numbers open.
        vocabulary_splits: the splits whose glosses get ids. Glosses of the others stay in the
            references, where they can only be missed.

    Raises:
        UsageError: a value is none of these; all that are wrong are named.
    """

    strict: bool = False
    frames: bool = True
    frame_counts: Path | None = None
    vocabulary_splits: tuple[str, ...] = SPLITS

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [split for split in self.vocabulary_splits if split not in SPLITS]
        if unknown:
            raise UsageError(f"{', '.join(unknown)}: no split", f"the splits are {', '.join(SPLITS)}")
        if "train" not in self.vocabulary_splits:
            raise UsageError("the vocabulary must have the glosses of train: they are what is learned")
        if self.frames and self.frame_counts is not None:
            raise UsageError("--frame-counts is for --no-frames; with frames, they are counted")

    @property
    def clip_format(self) -> ClipFormat:
        """The part that decides what the files of the clips look like."""
        names = [field.name for field in dataclasses.fields(ClipFormat)]
        return ClipFormat(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Shard:
    """One of several parts into which the clips of a corpus are divided, for machines that work side by side.

    Attributes:
        number: of this part, from 1.
        count: of the parts.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `3/16`.

        Raises:
            UsageError: this is no part of a whole.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {text}: not a part", "expected its number, from 1, and how many there are: 3/16")
        return shard

    def of(self, clips: Sequence[_Part]) -> Sequence[_Part]:
        """The clips of this part: every `count`-th, so that long and short ones fall on all parts alike."""
        return clips[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
