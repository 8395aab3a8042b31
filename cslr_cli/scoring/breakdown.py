"""What goes wrong, and where: tables that are all views of the alignments of one `Score`."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cslr_cli.scoring.alignment import Counts
from cslr_cli.scoring.bootstrap import Interval, rate_interval, summed_by
from cslr_cli.scoring.gloss_counts import (
    Confusion,
    GlossCounts,
    UnseenGlosses,
    count_confusions,
    count_glosses,
    count_unseen,
    seen_glosses,
)
from cslr_cli.scoring.scorer import ClipScore, Score
from cslr_cli.scoring.transcripts import UNKNOWN_SIGNER

Group = TypeVar("Group", bound=Hashable)

MAX_BINS = 7  # of lengths; the last is open
_ROUND_WIDTHS = (1, 2, 3, 5)  # of a bin, times a power of ten
_NEARLY_ALL = 0.97  # of the clips lie in the bins before the open one


@dataclass(frozen=True)
class Part:
    """Some of the clips, taken together.

    Attributes:
        name: what they have in common.
        clips: how many they are.
        clips_with_errors: how many of them have at least one error.
        counts: of their alignments.
        by_clip: the bootstrap interval of their word error rate, clips drawn.
        by_signer: the same, signers drawn with all of their clips; None where there is but one, or
            where not every clip's signer is known.
    """

    name: str
    clips: int
    clips_with_errors: int
    counts: Counts
    by_clip: Interval | None
    by_signer: Interval | None

    def as_dict(self) -> dict[str, object]:
        """The counts at the top, then the rest, for JSON."""
        counts = self.counts
        numbers = (counts.correct, counts.substitutions, counts.deletions, counts.insertions)
        names = ("correct", "substitutions", "deletions", "insertions")
        return {
            **counts.as_dict(),
            "percent": dict(zip(names, map(counts.percent, numbers), strict=True)),
            "clips": self.clips,
            "clips_with_errors": self.clips_with_errors,
            "interval_by_clip": self.by_clip and self.by_clip.as_dict(),
            "interval_by_signer": self.by_signer and self.by_signer.as_dict(),
        }


@dataclass(frozen=True)
class Breakdown:
    """All tables of one score.

    Attributes:
        total: all clips.
        by_signer: in order of their names; empty where no signer is known.
        by_clip_length: from short to long; empty where lengths are not known.
        by_reference_length: by the number of reference glosses.
        confusions: the most frequent first.
        glosses: every gloss that was signed or recognised, in order of code points.
        unseen: None where the glosses of the training are not known.
        worst: the clips with errors: those with the most first, and of those with as many, the shortest.
    """

    total: Part
    by_signer: tuple[Part, ...]
    by_clip_length: tuple[Part, ...]
    by_reference_length: tuple[Part, ...]
    confusions: tuple[Confusion, ...]
    glosses: tuple[GlossCounts, ...]
    unseen: UnseenGlosses | None
    worst: tuple[ClipScore, ...]


def break_down(
    scored: Score,
    seconds: Mapping[str, float] | None = None,
    training_glosses: Collection[str] | None = None,
) -> Breakdown:
    """Make every table of a score.

    Args:
        scored: the alignments.
        seconds: for clips by name, how long they are; a clip that is not in it is in no row by clip length.
        training_glosses: what the system has seen in training, normalised or as annotated.
    """
    clips = scored.clips
    seen = None if training_glosses is None else seen_glosses(training_glosses, scored.protocol)
    glosses = count_glosses(clips, seen)
    timed = [clip for clip in clips if seconds and clip.sample_id in seconds]
    return Breakdown(
        total=part("all", clips),
        by_signer=_by_signer(clips),
        by_clip_length=_by_seconds(timed, [(seconds or {})[clip.sample_id] for clip in timed]),
        by_reference_length=_by_glosses(clips),
        confusions=count_confusions(clips, glosses),
        glosses=glosses,
        unseen=None if seen is None else count_unseen(clips, seen),
        worst=_worst(clips),
    )


def part(name: str, clips: Sequence[ClipScore]) -> Part:
    """Some clips taken together, with the intervals of their word error rate."""
    counts = [clip.counts for clip in clips]
    errors, references = [each.errors for each in counts], [each.references for each in counts]
    signers = [clip.signer for clip in clips]
    by_signer = None
    if None not in signers and len(set(signers)) > 1:
        sums = summed_by(signers, list(zip(errors, references, strict=True)))
        by_signer = rate_interval(sums[:, 0], sums[:, 1], "signer")
    return Part(
        name,
        len(clips),
        sum(number > 0 for number in errors),
        sum(counts, Counts()),
        rate_interval(errors, references),
        by_signer,
    )


def _by_signer(clips: Sequence[ClipScore]) -> tuple[Part, ...]:
    if all(clip.signer is None for clip in clips):
        return ()
    groups = _grouped(clips, [clip.signer or UNKNOWN_SIGNER for clip in clips])
    return tuple(part(signer, groups[signer]) for signer in sorted(groups))


def _by_glosses(clips: Sequence[ClipScore]) -> tuple[Part, ...]:
    """Bins of 1 to `width` glosses and so on; clips with an empty reference in one of their own."""
    lengths = [clip.counts.references for clip in clips]
    width = round(_bin_width(lengths, smallest=1))
    last = MAX_BINS - 1
    groups = _grouped(clips, [min(math.ceil(length / width) - 1, last) for length in lengths])

    def name(place: int) -> str:
        low, high = place * width + 1, (place + 1) * width
        if place < 0:
            return "0"
        if place == last and max(lengths) > high:
            return f"{low} and more"
        return f"{low}–{high}" if width > 1 else f"{low}"

    return tuple(part(name(place), groups[place]) for place in sorted(groups))


def _by_seconds(clips: Sequence[ClipScore], seconds: Sequence[float]) -> tuple[Part, ...]:
    """Bins from 0 to less than `width` seconds and so on."""
    if not clips:
        return ()
    width = _bin_width(seconds, smallest=0.1)
    last = MAX_BINS - 1
    groups = _grouped(clips, [min(math.floor(length / width), last) for length in seconds])

    def name(place: int) -> str:
        low, high = place * width, (place + 1) * width
        return f"{low:g} s and more" if place == last and max(seconds) >= high else f"{low:g}–{high:g} s"

    return tuple(part(name(place), groups[place]) for place in sorted(groups))


def _bin_width(lengths: Sequence[float], smallest: float) -> float:
    """The least round width with which nearly all lengths lie in the bins before the open one."""
    ordered = sorted(lengths)
    nearly_longest = ordered[min(len(ordered) - 1, int(_NEARLY_ALL * len(ordered)))]
    power = smallest
    while True:
        for digit in _ROUND_WIDTHS:
            if digit * power * (MAX_BINS - 1) >= nearly_longest:
                return digit * power
        power *= 10


def _grouped(clips: Sequence[ClipScore], groups: Sequence[Group]) -> dict[Group, list[ClipScore]]:
    members: dict[Group, list[ClipScore]] = {}
    for clip, group in zip(clips, groups, strict=True):
        members.setdefault(group, []).append(clip)
    return members


def _worst(clips: Sequence[ClipScore]) -> tuple[ClipScore, ...]:
    wrong = [clip for clip in clips if clip.counts.errors]
    return tuple(sorted(wrong, key=lambda clip: (-clip.counts.errors, clip.counts.references, clip.sample_id)))
