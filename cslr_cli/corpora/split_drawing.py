"""Dividing the clips of one's own corpus among train, dev and test, at random but repeatably."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cslr_cli.dataset.sample import SPLITS
from cslr_cli.errors import UsageError

UNITS = ("clip", "signer")


@dataclass(frozen=True)
class SplitDrawing:
    """How clips are divided among the splits.

    Attributes:
        shares: parts of `train`, `dev` and `test`, in any unit: (80, 10, 10). A split of share 0 gets none.
        unit: `clip`, each for itself, or `signer`: all clips of a signer go to one split, so that dev
            and test tell how well signers are recognised whom training has never seen.
        seed: another one divides otherwise.

    Raises:
        UsageError: a value is none of these; all that are wrong are named.
    """

    shares: tuple[float, float, float] = (80, 10, 10)
    unit: str = "clip"
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if not all(share >= 0 and math.isfinite(share) for share in self.shares) or self.shares[0] <= 0:
            faults.append(f"--split-shares {self.shares_text}: expected none below 0, and more than 0 for train")
        if self.unit not in UNITS:
            faults.append(f"--split-by {self.unit}: expected one of {', '.join(UNITS)}")
        if faults:
            raise UsageError("\n".join(faults))

    @classmethod
    def parse_shares(cls, text: str) -> tuple[float, float, float]:
        """Read shares as the command line has them: `80,10,10`, for train, dev and test.

        Raises:
            UsageError: these are not three numbers.
        """
        try:
            train, dev, test = (float(part) for part in text.replace("/", ",").split(","))
        except ValueError as error:
            raise UsageError(
                f"--split-shares {text}: not the shares of the splits",
                "expected three numbers, for train, dev and test: 80,10,10",
            ) from error
        return train, dev, test

    @property
    def shares_text(self) -> str:
        """The shares as the command line has them."""
        return ",".join(f"{share:g}" for share in self.shares)

    def draw(self, signers: Mapping[str, str | None]) -> dict[str, str]:
        """Give each clip a split.

        Which split follows from the seed and the names, not from the order of the clips.

        Args:
            signers: for each clip, by its name, who signs in it.

        Returns:
            For each clip its split. Every split with a share gets something if there is enough to divide.

        Raises:
            ValueError: the unit is `signer`, and a clip has none.
        """
        if self.unit == "clip":
            return self._divide({clip: [clip] for clip in signers})
        clips_of: dict[str, list[str]] = {}
        for clip, signer in signers.items():
            if signer is None:
                raise ValueError(f"clip {clip} has no signer")
            clips_of.setdefault(signer, []).append(clip)
        return self._divide(clips_of)

    def _divide(self, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Give each group of clips to the split that lacks most of what is its due."""
        num_clips = sum(map(len, groups.values()))
        due = {split: num_clips * share / sum(self.shares) for split, share in zip(SPLITS, self.shares, strict=True)}
        order = sorted(groups, key=self._random_key)
        split_of: dict[str, str] = {}
        given: Counter[str] = Counter()
        wanting = [split for split in SPLITS if due[split] > 0]
        for place, group in enumerate(order):
            left = len(order) - place
            empty = [split for split in wanting if not given[split]]  # the last groups are kept for these
            candidates = empty if len(empty) >= left else wanting
            split = max(candidates, key=lambda name: due[name] - given[name])
            given[split] += len(groups[group])
            split_of.update(dict.fromkeys(groups[group], split))
        return split_of

    def _random_key(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {name}".encode()).digest()
