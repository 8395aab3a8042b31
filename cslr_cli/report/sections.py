"""What a report is made of: sections, which are sets of clips with one system's hypotheses or two systems'."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.scoring import Breakdown, Comparison, GroupScore, Score, TimedGloss, break_down, compare
from cslr_cli.scoring.breakdown import score_group


@dataclass(frozen=True)
class System:
    """Hypotheses of one origin, scored.

    Attributes:
        name: what the report calls them: a head of the network, a file.
        score: their alignments with the references.
    """

    name: str
    score: Score


@dataclass(frozen=True)
class ClipFacts:
    """What is known of a clip beside its glosses.

    Attributes:
        seconds: how long it is.
        frames: its pictures, a file or a folder; the page links to them if they are there.
        recognised: what the first system recognised, as decoded and with its times.
    """

    seconds: float | None = None
    frames: Path | None = None
    recognised: Sequence[TimedGloss] | None = None


@dataclass(frozen=True)
class Section:
    """A set of clips with what was recognised in them.

    Attributes:
        name: of the split or of the file.
        systems: one, or two to be compared, scored against the same references. The first one is broken down.
        clips: facts of clips by their names; any may be left out.
        training_glosses: what the first system has seen in training; None if that is not known.
        facts: further figures and settings, in words.
        beside: further scores of the same clips, of which the report says the word error rate alone.
    """

    name: str
    systems: Sequence[System]
    clips: Mapping[str, ClipFacts] = field(default_factory=dict)
    training_glosses: Collection[str] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    beside: Sequence[System] = ()

    @property
    def seconds(self) -> dict[str, float]:
        """How long clips are, where that is known."""
        return {name: facts.seconds for name, facts in self.clips.items() if facts.seconds is not None}


@dataclass(frozen=True)
class Analysis:
    """A section with every figure that the report shows.

    Attributes:
        section: what was analysed.
        breakdown: of the first system.
        totals: all clips together, for each system.
        beside: the same for each further score, with its name.
        comparison: of the second system with the first; None where there is but one.
    """

    section: Section
    breakdown: Breakdown
    totals: tuple[GroupScore, ...]
    beside: tuple[GroupScore, ...]
    comparison: Comparison | None


def analyse(section: Section) -> Analysis:
    """Make all figures of a section.

    Raises:
        ScoringError: two systems were scored on different clips.
    """
    first, *others = section.systems
    comparison = compare(first.score, others[0].score) if others else None
    breakdown = break_down(first.score, section.seconds, section.training_glosses)
    totals = (breakdown.total, *(score_group("all", other.score.clips) for other in others))
    beside = tuple(score_group(system.name, system.score.clips) for system in section.beside)
    return Analysis(section, breakdown, totals, beside, comparison)
