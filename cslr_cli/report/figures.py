"""The figures of scores as JSON documents: `report.json`, and what `cslr score --json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from typing_extensions import TypedDict

from cslr_cli.choices import ScoringTool
from cslr_cli.report.sections import Analysis, ClipFacts
from cslr_cli.scoring import ClipScore, Confusion, GlossCounts, GroupScore, TimedGloss
from cslr_cli.scoring.alignment import CountFigures, Operation
from cslr_cli.scoring.breakdown import GroupFigures
from cslr_cli.scoring.comparison import ComparisonFigures
from cslr_cli.scoring.gloss_counts import UnseenFigures
from cslr_cli.scoring.views import CurvePoint, SuffixFigures

MAX_PRINTED_CONFUSIONS = 20  # of `--json`; `report.json` has all of them


class GlossFigures(TypedDict):
    """The counts of one gloss, as in sclite's detailed report.

    Attributes:
        gloss: gloss, spelled as in the references or else as in the hypotheses.
        correct: times it was signed and recognised.
        substituted: times it was signed and another gloss recognised.
        deleted: times it was signed and nothing recognised.
        inserted: times it was recognised and nothing signed.
        falsely_recognised: times it was recognised and another gloss signed.
        seen: whether it occurs in training; null if unknown.
        references: times it was signed.
        hypotheses: times it was recognised.
        precision: percentage of its recognitions that are correct; null if it was never recognised.
        recall: percentage of its occurrences that were recognised; null if it was never signed.
    """

    gloss: str
    correct: int
    substituted: int
    deleted: int
    inserted: int
    falsely_recognised: int
    seen: bool | None
    references: int
    hypotheses: int
    precision: float | None
    recall: float | None


class AlignmentFigures(CountFigures):
    """The alignment of a clip with the hypothesis of one system.

    Attributes:
        pairs: places of the alignment: operation, reference gloss, recognised gloss.
    """

    pairs: list[tuple[Operation, str | None, str | None]]


class ClipFigures(TypedDict):
    """The alignments of a clip.

    Attributes:
        sample_id: name of the clip.
        signer: signer of the clip; null if unknown.
        seconds: length of the clip; null if unknown.
        recognised: glosses of the first system as decoded, with start and end in seconds; null if unknown.
        systems: alignment of each system, by its name.
    """

    sample_id: str
    signer: str | None
    seconds: float | None
    recognised: Sequence[TimedGloss] | None
    systems: dict[str, AlignmentFigures]


class SectionFigures(GroupFigures):
    """The figures of a section of a report; the totals are those of the first system.

    Attributes:
        protocol: name of the scoring protocol.
        missing: clips without a hypothesis, counted as empty ones.
        facts: other facts as text, by name.
        systems: totals of each system, by its name.
        beside: totals of further scores, such as greedy decoding, by name.
        comparison: comparison of two systems; null with one system.
        by_signer: totals by signer.
        by_label: totals by category of the references (`<…>` in an STM file).
        by_clip_length: totals by length of the clips.
        by_reference_length: totals by number of reference glosses.
        by_frequency: totals by number of occurrences of the glosses in training; empty if unknown.
        by_position: totals by position in the sentence.
        confidence_curve: word error rates of the most confident clips, from few to all; empty without confidences.
        suffix_confusions: confusions of glosses that differ only by a suffix.
        confusions: pairs of different glosses, most frequent first.
        glosses: counts of each gloss.
        unseen_glosses: reference glosses that are not in training; null if the training glosses are unknown.
        worst: clips with errors, most errors first.
        alignments: alignments of every clip.
    """

    protocol: str
    missing: list[str]
    facts: dict[str, str]
    systems: dict[str, GroupFigures]
    beside: dict[str, GroupFigures]
    comparison: ComparisonFigures | None
    by_signer: dict[str, GroupFigures]
    by_label: dict[str, GroupFigures]
    by_clip_length: dict[str, GroupFigures]
    by_reference_length: dict[str, GroupFigures]
    by_frequency: dict[str, GroupFigures]
    by_position: dict[str, GroupFigures]
    confidence_curve: Sequence[CurvePoint]
    suffix_confusions: SuffixFigures
    confusions: Sequence[Confusion]
    glosses: list[GlossFigures]
    unseen_glosses: UnseenFigures | None
    worst: list[str]
    alignments: list[ClipFigures]


class ReportDocument(TypedDict):
    """All figures of a report: `report.json`.

    Attributes:
        schema_version: version of this document.
        title: title of the report.
        facts: facts about all sections as text, by name, such as the checkpoint and the corpus.
        sections: figures of each section, by its name: a split, or a file of hypotheses.
    """

    schema_version: Literal[1]
    title: str
    facts: dict[str, str]
    sections: dict[str, SectionFigures]


class _OptionalScores(TypedDict, total=False):
    """The parts of a `ScoreDocument` that depend on the inputs.

    Attributes:
        unseen_glosses: reference glosses that are not in training; only with `--corpus`.
        systems: totals of both systems, by name; only with two systems.
        comparison: comparison of the two systems; only with two systems.
        labels: totals by category; only if the references have categories.
        ignored: clips and segments that the references exclude; only if there are any.
    """

    unseen_glosses: UnseenFigures
    systems: dict[str, GroupFigures]
    comparison: ComparisonFigures
    labels: dict[str, GroupFigures]
    ignored: list[str]


class ScoreDocument(GroupFigures, _OptionalScores):
    """The scores of hypotheses: what `cslr score --json` prints. The totals are those of the first system.

    Attributes:
        schema_version: version of this document.
        protocol: name of the scoring protocol.
        tool: scoring tool.
        missing: clips without a hypothesis, counted as empty ones.
        signers: totals by signer.
        confusions: most frequent pairs of different glosses.
    """

    schema_version: Literal[1]
    protocol: str
    tool: ScoringTool
    missing: list[str]
    signers: dict[str, GroupFigures]
    confusions: Sequence[Confusion]


def report_document(analyses: Sequence[Analysis], title: str, facts: Mapping[str, str]) -> ReportDocument:
    """Make the document of a report."""
    return {
        "schema_version": 1,
        "title": title,
        "facts": dict(facts),
        "sections": {analysis.section.name: _section_figures(analysis) for analysis in analyses},
    }


def score_document(analysis: Analysis, tool: ScoringTool) -> ScoreDocument:
    """Make the document of the scores of one system, or of two systems and their comparison."""
    breakdown, first = analysis.breakdown, analysis.section.systems[0].score
    optional: _OptionalScores = {}
    if breakdown.unseen:
        optional["unseen_glosses"] = breakdown.unseen.as_dict()
    if analysis.comparison:
        optional["systems"] = _system_figures(analysis)
        optional["comparison"] = analysis.comparison.as_dict()
    if breakdown.by_label:
        optional["labels"] = group_figures(breakdown.by_label)
    if first.ignored:
        optional["ignored"] = list(first.ignored)
    return {
        "schema_version": 1,
        **breakdown.total.as_dict(),
        "protocol": first.protocol.name,
        "tool": tool,
        "missing": list(first.missing),
        "signers": group_figures(breakdown.by_signer),
        "confusions": breakdown.confusions[:MAX_PRINTED_CONFUSIONS],
        **optional,
    }


def group_figures(groups: Sequence[GroupScore]) -> dict[str, GroupFigures]:
    """Return the figures of each group, by its name."""
    return {each.name: each.as_dict() for each in groups}


def clips_of_systems(analysis: Analysis) -> list[tuple[ClipScore, ...]]:
    """Return the alignments of each clip, one per system, in the order of the first system."""
    first, *others = (system.score.clips for system in analysis.section.systems)
    by_id = [{clip.sample_id: clip for clip in clips} for clips in others]
    return [(clip, *(clips[clip.sample_id] for clips in by_id)) for clip in first]


def _section_figures(analysis: Analysis) -> SectionFigures:
    section, breakdown, views = analysis.section, analysis.breakdown, analysis.views
    first = section.systems[0].score
    return {
        **breakdown.total.as_dict(),
        "protocol": first.protocol.name,
        "missing": list(first.missing),
        "facts": dict(section.facts),
        "systems": _system_figures(analysis),
        "beside": group_figures(analysis.further_scores),
        "comparison": None if analysis.comparison is None else analysis.comparison.as_dict(),
        "by_signer": group_figures(breakdown.by_signer),
        "by_label": group_figures(breakdown.by_label),
        "by_clip_length": group_figures(breakdown.by_clip_length),
        "by_reference_length": group_figures(breakdown.by_reference_length),
        "by_frequency": group_figures(views.by_frequency),
        "by_position": group_figures(views.by_position),
        "confidence_curve": views.confidence_curve,
        "suffix_confusions": views.suffix_confusions.as_dict(),
        "confusions": breakdown.confusions,
        "glosses": [_gloss_figures(row) for row in breakdown.glosses],
        "unseen_glosses": None if breakdown.unseen is None else breakdown.unseen.as_dict(),
        "worst": [clip.sample_id for clip in breakdown.worst],
        "alignments": [_clip_figures(analysis, clips) for clips in clips_of_systems(analysis)],
    }


def _system_figures(analysis: Analysis) -> dict[str, GroupFigures]:
    systems = zip(analysis.section.systems, analysis.totals, strict=True)
    return {system.name: total.as_dict() for system, total in systems}


def _gloss_figures(row: GlossCounts) -> GlossFigures:
    return {
        "gloss": row.gloss,
        "correct": row.correct,
        "substituted": row.substituted,
        "deleted": row.deleted,
        "inserted": row.inserted,
        "falsely_recognised": row.falsely_recognised,
        "seen": row.seen,
        "references": row.references,
        "hypotheses": row.hypotheses,
        "precision": row.precision,
        "recall": row.recall,
    }


def _clip_figures(analysis: Analysis, clips: Sequence[ClipScore]) -> ClipFigures:
    first, section = clips[0], analysis.section
    facts = section.clips.get(first.sample_id) or ClipFacts()
    return {
        "sample_id": first.sample_id,
        "signer": first.signer,
        "seconds": facts.seconds,
        "recognised": facts.recognised,
        "systems": {
            system.name: {
                **clip.counts.as_dict(),
                "pairs": [(pair.operation, pair.reference, pair.hypothesis) for pair in clip.pairs],
            }
            for system, clip in zip(section.systems, clips, strict=True)
        },
    }
