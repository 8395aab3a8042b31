"""Tables of errors, computed from the alignments of one `Score`."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cslr_cli.scoring.alignment import CountFigures, Counts
from cslr_cli.scoring.bootstrap import Interval, IntervalFigures, rate_interval, sum_by_group
from cslr_cli.scoring.gloss_counts import (
    Confusion,
    GlossCounts,
    UnseenGlosses,
    count_confusions,
    count_glosses,
    count_unseen,
    fold_glosses,
)
from cslr_cli.scoring.scorer import ClipScore, Score
from cslr_cli.scoring.transcripts import UNKNOWN_SIGNER

Group = TypeVar("Group", bound=Hashable)

MAX_BINS = 7  # of lengths; the last is open
_ROUND_WIDTHS = (1, 2, 3, 5)  # of a bin, times a power of ten
_NEARLY_ALL = 0.97  # of the clips lie in the bins before the open one


class GroupFigures(CountFigures):
    """The score of a group of clips in a document.

    Attributes:
        percent: the counts in percent of the reference glosses, by name; null without reference glosses.
        clips: number of clips.
        clips_with_errors: number of clips with at least one error.
        interval_by_clip: bootstrap interval of the word error rate, clips drawn; null if all draws would be equal.
        interval_by_signer: the same with signers drawn; null with only one signer or an unknown signer.
    """

    percent: dict[str, float | None]
    clips: int
    clips_with_errors: int
    interval_by_clip: IntervalFigures | None
    interval_by_signer: IntervalFigures | None


@dataclass(frozen=True)
class GroupScore:
    """The score of a group of clips.

    Attributes:
        name: name of the group.
        clips: number of clips.
        clips_with_errors: number of clips with at least one error.
        counts: counts of the alignments.
        by_clip: bootstrap interval of the word error rate, clips drawn.
        by_signer: the same with signers drawn; None with only one signer or an unknown signer.
    """

    name: str
    clips: int
    clips_with_errors: int
    counts: Counts
    by_clip: Interval | None
    by_signer: Interval | None

    def as_dict(self) -> GroupFigures:
        """Return the counts and the other figures for JSON."""
        counts = self.counts
        numbers = (counts.correct, counts.substitutions, counts.deletions, counts.insertions)
        names = ("correct", "substitutions", "deletions", "insertions")
        return {
            **counts.as_dict(),
            "percent": dict(zip(names, map(counts.percent, numbers), strict=True)),
            "clips": self.clips,
            "clips_with_errors": self.clips_with_errors,
            "interval_by_clip": None if self.by_clip is None else self.by_clip.as_dict(),
            "interval_by_signer": None if self.by_signer is None else self.by_signer.as_dict(),
        }


@dataclass(frozen=True)
class Breakdown:
    """All tables of a score.

    Attributes:
        total: score of all clips.
        by_signer: scores by signer, sorted by name; empty if no signer is known.
        by_label: scores by category, sorted by name, as in sclite's report `lur`; empty without categories. A clip can
            be in several categories.
        by_clip_length: scores by clip length, short clips first; empty if lengths are unknown.
        by_reference_length: scores by number of reference glosses.
        confusions: confusions, most frequent first.
        glosses: counts of each reference or recognised gloss, sorted by code points.
        unseen: reference glosses that are not in train; None if the training glosses are unknown.
        worst: clips with errors, most errors first, then shortest reference first.
    """

    total: GroupScore
    by_signer: tuple[GroupScore, ...]
    by_label: tuple[GroupScore, ...]
    by_clip_length: tuple[GroupScore, ...]
    by_reference_length: tuple[GroupScore, ...]
    confusions: tuple[Confusion, ...]
    glosses: tuple[GlossCounts, ...]
    unseen: UnseenGlosses | None
    worst: tuple[ClipScore, ...]


def break_down(
    scored: Score,
    seconds: Mapping[str, float] | None = None,
    training_glosses: Collection[str] | None = None,
    label_titles: Mapping[str, str] | None = None,
) -> Breakdown:
    """Compute all tables of a score.

    Args:
        scored: score with the alignments.
        seconds: lengths of clips by name; `by_clip_length` has only clips with a length.
        training_glosses: glosses of the training split, normalised or as annotated.
        label_titles: titles of categories, by their names.
    """
    clips = scored.clips
    seen = None if training_glosses is None else fold_glosses(training_glosses, scored.protocol)
    glosses = count_glosses(clips, seen)
    timed = [clip for clip in clips if seconds and clip.sample_id in seconds]
    return Breakdown(
        total=score_group("all", clips),
        by_signer=_by_signer(clips),
        by_label=_by_label(clips, label_titles or {}),
        by_clip_length=_by_seconds(timed, [(seconds or {})[clip.sample_id] for clip in timed]),
        by_reference_length=_by_glosses(clips),
        confusions=count_confusions(clips, glosses),
        glosses=glosses,
        unseen=None if seen is None else count_unseen(clips, seen),
        worst=_sort_by_errors(clips),
    )


def score_group(name: str, clips: Sequence[ClipScore]) -> GroupScore:
    """Score a group of clips, with the intervals of the word error rate."""
    counts = [clip.counts for clip in clips]
    errors, references = [each.errors for each in counts], [each.references for each in counts]
    signers = [clip.signer for clip in clips]
    by_signer = None
    if None not in signers and len(set(signers)) > 1:
        sums = sum_by_group(signers, list(zip(errors, references, strict=True)))
        by_signer = rate_interval(sums[:, 0], sums[:, 1], "signer")
    return GroupScore(
        name,
        len(clips),
        sum(number > 0 for number in errors),
        sum(counts, Counts()),
        rate_interval(errors, references),
        by_signer,
    )


def _by_signer(clips: Sequence[ClipScore]) -> tuple[GroupScore, ...]:
    if all(clip.signer is None for clip in clips):
        return ()
    groups = _group_clips(clips, [clip.signer or UNKNOWN_SIGNER for clip in clips])
    return tuple(score_group(signer, groups[signer]) for signer in sorted(groups))


def _by_label(clips: Sequence[ClipScore], titles: Mapping[str, str]) -> tuple[GroupScore, ...]:
    """Score categories; as for sclite, upper and lower case of their names are equal."""
    members: dict[str, list[ClipScore]] = {}
    names: dict[str, str] = {}
    for clip in clips:
        for folded in dict.fromkeys(label.lower() for label in clip.labels):
            members.setdefault(folded, []).append(clip)
        for label in clip.labels:
            names.setdefault(label.lower(), label)
    shown = {label.lower(): f"{label} ({title})" for label, title in titles.items() if title != label}
    return tuple(score_group(shown.get(folded, names[folded]), members[folded]) for folded in sorted(members))


def _by_glosses(clips: Sequence[ClipScore]) -> tuple[GroupScore, ...]:
    """Score bins of 1 to `width` glosses and so on, and one bin of empty references."""
    lengths = [clip.counts.references for clip in clips]
    width = round(_bin_width(lengths, smallest=1))
    last = MAX_BINS - 1
    groups = _group_clips(clips, [min(math.ceil(length / width) - 1, last) for length in lengths])

    def name(place: int) -> str:
        low, high = place * width + 1, (place + 1) * width
        if place < 0:
            return "0"
        if place == last and max(lengths) > high:
            return f"{low} and more"
        return f"{low}–{high}" if width > 1 else f"{low}"

    return tuple(score_group(name(place), groups[place]) for place in sorted(groups))


def _by_seconds(clips: Sequence[ClipScore], seconds: Sequence[float]) -> tuple[GroupScore, ...]:
    """Score bins of 0 to less than `width` seconds and so on."""
    if not clips:
        return ()
    width = _bin_width(seconds, smallest=0.1)
    last = MAX_BINS - 1
    groups = _group_clips(clips, [min(math.floor(length / width), last) for length in seconds])

    def name(place: int) -> str:
        low, high = place * width, (place + 1) * width
        return f"{low:g} s and more" if place == last and max(seconds) >= high else f"{low:g}–{high:g} s"

    return tuple(score_group(name(place), groups[place]) for place in sorted(groups))


def _bin_width(lengths: Sequence[float], smallest: float) -> float:
    """Return the smallest round width such that nearly all lengths are below the open bin."""
    ordered = sorted(lengths)
    long_length = ordered[min(len(ordered) - 1, int(_NEARLY_ALL * len(ordered)))]
    power = smallest
    while True:
        for digit in _ROUND_WIDTHS:
            if digit * power * (MAX_BINS - 1) >= long_length:
                return digit * power
        power *= 10


def _group_clips(clips: Sequence[ClipScore], groups: Sequence[Group]) -> dict[Group, list[ClipScore]]:
    members: dict[Group, list[ClipScore]] = {}
    for clip, group in zip(clips, groups, strict=True):
        members.setdefault(group, []).append(clip)
    return members


def _sort_by_errors(clips: Sequence[ClipScore]) -> tuple[ClipScore, ...]:
    with_errors = [clip for clip in clips if clip.counts.errors]
    return tuple(sorted(with_errors, key=lambda clip: (-clip.counts.errors, clip.counts.references, clip.sample_id)))
