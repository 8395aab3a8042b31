"""The sections of a report: sets of clips with the hypotheses of one system or two."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cslr_cli.dataset.manifest import NO_FRAMES, PreparedCorpus
from cslr_cli.scoring import Breakdown, Comparison, GroupScore, Score, TimedGloss, break_down, compare
from cslr_cli.scoring.breakdown import score_group
from cslr_cli.scoring.views import Views, compute_views


@dataclass(frozen=True)
class System:
    """The score of one system.

    Attributes:
        name: name in the report, such as a head of the network or a file.
        score: alignments of the hypotheses with the references.
    """

    name: str
    score: Score


@dataclass(frozen=True)
class ClipFacts:
    """Facts about a clip.

    Attributes:
        seconds: length of the clip.
        frames: file or folder of its frames; the page links to it if it exists.
        recognised: glosses that the first system recognised, before normalisation, with times.
    """

    seconds: float | None = None
    frames: Path | None = None
    recognised: Sequence[TimedGloss] | None = None


@dataclass(frozen=True)
class Section:
    """A set of clips with the scores of one or two systems.

    Attributes:
        name: name of the split or of the file.
        systems: one system, or two to compare, scored on the same references. The tables are about the first one.
        clips: facts of clips, by name; may be incomplete.
        training_glosses: glosses of the first system's training split; None if unknown.
        facts: other facts as text, by name.
        further_systems: other scores of the same clips, of which the report shows only the word error rate.
        label_titles: titles of the categories of clips, by name.
        training_counts: number of occurrences of each gloss in the training split; None if unknown.
    """

    name: str
    systems: Sequence[System]
    clips: Mapping[str, ClipFacts] = field(default_factory=dict)
    training_glosses: Collection[str] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    further_systems: Sequence[System] = ()
    label_titles: Mapping[str, str] = field(default_factory=dict)
    training_counts: Mapping[str, int] | None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Lengths of the clips in seconds, as far as known."""
        return {name: facts.seconds for name, facts in self.clips.items() if facts.seconds is not None}

    @property
    def confidences(self) -> dict[str, float]:
        """Mean confidence of the recognised glosses of the clips, as far as known."""
        means = {}
        for name, facts in self.clips.items():
            values = [timed.confidence for timed in facts.recognised or () if timed.confidence is not None]
            if values:
                means[name] = math.fsum(values) / len(values)
        return means


@dataclass(frozen=True)
class Analysis:
    """A section with all figures of the report.

    Attributes:
        section: section that was analysed.
        breakdown: tables of the first system.
        totals: score of all clips for each system.
        further_scores: score of all clips for each further system.
        comparison: comparison of the second system with the first; None with only one system.
    """

    section: Section
    breakdown: Breakdown
    totals: tuple[GroupScore, ...]
    further_scores: tuple[GroupScore, ...]
    comparison: Comparison | None

    @cached_property
    def views(self) -> Views:
        """Further views of the first system; only the report needs them."""
        section = self.section
        return compute_views(section.systems[0].score, section.training_counts, section.confidences)


def analyse(section: Section) -> Analysis:
    """Compute all figures of a section; raises a ScoringError if two systems were scored on different clips."""
    first, *others = section.systems
    comparison = compare(first.score, others[0].score) if others else None
    breakdown = break_down(first.score, section.seconds, section.training_glosses, section.label_titles)
    totals = (breakdown.total, *(score_group("all", other.score.clips) for other in others))
    further_scores = tuple(score_group(system.name, system.score.clips) for system in section.further_systems)
    return Analysis(section, breakdown, totals, further_scores, comparison)


def collect_clip_facts(
    corpus: PreparedCorpus,
    splits: Iterable[str],
    recognised: Mapping[str, Sequence[TimedGloss]] | None = None,
) -> dict[str, ClipFacts]:
    """Collect the facts of all clips of some splits; `recognised` are the recognised glosses with times, by clip."""
    has_frames = corpus.info.layout != NO_FRAMES
    hypotheses = recognised or {}
    return {
        sample.sample_id: ClipFacts(
            seconds=None if sample.num_frames is None else sample.num_frames / corpus.fps,
            frames=corpus.frames_path(sample) if has_frames else None,
            recognised=hypotheses.get(sample.sample_id),
        )
        for split in splits
        for sample in corpus.samples(split)
    }


def collect_training_counts(corpus: PreparedCorpus) -> Counter[str] | None:
    """Count the glosses of the training split; None if the corpus has no such split."""
    if "train" not in corpus.splits:
        return None
    return Counter(gloss for sample in corpus.samples("train") for gloss in sample.glosses)


def collect_training_glosses(corpus: PreparedCorpus) -> frozenset[str] | None:
    """Collect the glosses of the training split; None if the corpus has no such split."""
    if "train" not in corpus.splits:
        return None
    return frozenset(gloss for sample in corpus.samples("train") for gloss in sample.glosses)
