"""Options of a preparation, and shards of its clips."""

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

_Clip = TypeVar("_Clip")


@dataclass(frozen=True)
class PreparationOptions(ClipFormat):
    """How a corpus is prepared.

    Attributes:
        strict: whether a clip that cannot be prepared is an error, instead of being left out.
        frames: whether frames are written; otherwise only manifests, vocabulary and references.
        frame_counts: without frames, a file with one line per clip: its name and the number of its frames;
            None leaves the numbers unknown.
        vocabulary_splits: splits whose glosses get ids. Other glosses stay in the references and are never
            recognised.
    """

    strict: bool = False
    frames: bool = True
    frame_counts: Path | None = None
    vocabulary_splits: tuple[str, ...] = SPLITS

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [split for split in self.vocabulary_splits if split not in SPLITS]
        if unknown:
            raise UsageError(f"unknown split {', '.join(unknown)}", f"the splits are {', '.join(SPLITS)}")
        if "train" not in self.vocabulary_splits:
            raise UsageError(
                "the splits of the vocabulary do not include train", "add train, the split that the network learns from"
            )
        if self.frames and self.frame_counts is not None:
            raise UsageError("--frame-counts needs --no-frames", "remove --frame-counts: frames are counted anyway")

    @property
    def clip_format(self) -> ClipFormat:
        """The format of the clips' files."""
        names = [field.name for field in dataclasses.fields(ClipFormat)]
        return ClipFormat(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Shard:
    """One of several parts of the clips of a corpus, which several machines prepare at the same time.

    Attributes:
        number: number of this shard, from 1.
        count: number of shards.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse a shard such as `3/16`."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {text}: not a shard", "give its number, from 1, and the number of shards: 3/16")
        return shard

    def select(self, clips: Sequence[_Clip]) -> Sequence[_Clip]:
        """Select the clips of this shard: every `count`-th, so that each shard gets long and short ones."""
        return clips[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
