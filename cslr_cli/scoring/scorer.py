"""Scoring of hypotheses against references: one alignment per clip; all counts are computed from the alignments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cslr_cli.choices import MissingHypotheses
from cslr_cli.errors import ScoringError
from cslr_cli.scoring.alignment import AlignedPair, Counts, align, count, fold_case
from cslr_cli.scoring.gloss_network import align_network, align_optional, build_gloss_network, is_optional
from cslr_cli.scoring.normalisation import ScoringProtocol
from cslr_cli.scoring.transcripts import EMPTY_HYPOTHESIS, Reference

_MAX_NAMES = 20


@dataclass(frozen=True)
class ClipScore:
    """The alignment of one clip.

    Attributes:
        sample_id: name of the clip.
        signer: name of the signer; None if unknown.
        pairs: alignment of the normalised hypothesis with the reference. An optional gloss that only one side has is
            correct, and the other side is None.
        tokens: glosses and alternatives of the reference as written; None without alternatives.
        labels: categories of the clip.
        recording: name of the recording that the clip is a segment of; None if it is no segment.
    """

    sample_id: str
    signer: str | None
    pairs: tuple[AlignedPair, ...]
    tokens: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    recording: str | None = None

    @cached_property
    def counts(self) -> Counts:
        """Counts of the operations; `counts.wer` is None for an empty reference."""
        return count(self.pairs)

    @property
    def reference(self) -> tuple[str, ...]:
        """Glosses of the reference; with alternatives, those of the reading that is nearest to the hypothesis."""
        return tuple(pair.reference for pair in self.pairs if pair.reference is not None)

    @property
    def hypothesis(self) -> tuple[str, ...]:
        """Glosses of the normalised hypothesis; `[EMPTY]` if it had none, except for a segment."""
        return tuple(pair.hypothesis for pair in self.pairs if pair.hypothesis is not None)


@dataclass(frozen=True)
class Score:
    """The alignments of all clips.

    Attributes:
        protocol: scoring protocol that normalised the hypotheses.
        clips: one per reference, in the same order.
        missing: names of the clips without hypothesis, which were scored as empty.
        optional_glosses: whether glosses in parentheses were optional.
        ignored: names of the clips and segments that the references exclude from scoring.
    """

    protocol: ScoringProtocol
    clips: tuple[ClipScore, ...]
    missing: tuple[str, ...] = ()
    optional_glosses: bool = False
    ignored: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> Counts:
        """The operations of all clips."""
        return sum((clip.counts for clip in self.clips), Counts())

    @property
    def wer(self) -> float:
        """Word error rate of all clips together, in percent."""
        wer = self.counts.wer
        assert wer is not None  # `score` requires a reference gloss
        return wer


def score(
    references: Sequence[Reference],
    hypotheses: Mapping[str, Sequence[str]],
    protocol: ScoringProtocol,
    missing: MissingHypotheses = "error",
    *,
    optional_glosses: bool = False,
) -> Score:
    """Align each hypothesis with its reference.

    Example:
        >>> from cslr_cli import score
        >>> from cslr_cli.scoring import Reference, find_protocol
        >>> references = [Reference("clip-1", ("MORGEN", "REGEN"))]
        >>> score(references, {"clip-1": ["REGEN"]}, find_protocol("plain")).wer
        50.0

    A hypothesis without glosses, before or after normalisation, becomes the one gloss `[EMPTY]`, as in published
    systems: the sum of errors is the same, but one deletion becomes a substitution. An empty hypothesis for an empty
    reference stays empty, which is correct. Glosses recognised in a clip with an empty reference are insertions; the
    word error rate of such a clip is undefined (None). The hypothesis of a segment of a recording stays empty, as for
    sclite.

    Args:
        references: one reference per clip; never normalised.
        hypotheses: decoded glosses of each clip, by its name, in any order.
        protocol: scoring protocol that normalises the hypotheses.
        missing: what to do if `hypotheses` lacks clips: `error` raises, `empty` scores them as empty hypotheses.
        optional_glosses: whether glosses in parentheses, `(A)`, are optional: correct if only one side has them, as
            with sclite's option -D. Otherwise the parentheses are a part of the gloss.

    Raises:
        ScoringError: no reference has a gloss; a clip has two references; a hypothesis has no reference, or (with
            `error`) a reference no hypothesis; or there are no hypotheses.
    """
    known = _check_references(references)
    if not hypotheses:
        raise ScoringError(
            "nothing to score: there are no hypotheses",
            "use one line per recognised gloss, and [EMPTY] as the only gloss of a clip without glosses",
        )
    unknown = [sample_id for sample_id in hypotheses if sample_id not in known]
    if unknown:
        raise ScoringError(
            f"{format_clips(unknown)} a hypothesis but no reference",
            f"use the same clip names in both files; {_unknown_clips_hint(unknown, known)}",
        )
    absent = [name for name, each in known.items() if name not in hypotheses and not each.is_ignored]
    if absent and missing == "error":
        raise ScoringError(
            f"{format_clips(absent)} a reference but no hypothesis",
            "add a hypothesis for each clip, or use --missing empty to score these clips as empty hypotheses",
        )
    clips = []
    for reference in references:
        if reference.is_ignored:
            continue
        hypothesis = protocol.normalise(hypotheses.get(reference.sample_id, ()))
        if not hypothesis and _needs_empty_mark(reference, optional_glosses):
            hypothesis = (EMPTY_HYPOTHESIS,)
        pairs = _align(reference, hypothesis, optional_glosses)
        clips.append(
            ClipScore(
                reference.sample_id, reference.signer, pairs, reference.tokens, reference.labels, reference.recording
            )
        )
    ignored = tuple(reference.sample_id for reference in references if reference.is_ignored)
    return Score(protocol, tuple(clips), tuple(absent), optional_glosses, ignored)


def _align(reference: Reference, hypothesis: Sequence[str], optional_glosses: bool) -> tuple[AlignedPair, ...]:
    if reference.tokens is not None:
        return align_network(build_gloss_network(reference.tokens), hypothesis, optional=optional_glosses)
    if optional_glosses:
        return align_optional(reference.glosses, hypothesis)
    return align(reference.glosses, hypothesis)


def _needs_empty_mark(reference: Reference, optional_glosses: bool) -> bool:
    """Return whether an empty hypothesis becomes `[EMPTY]`: where something must be signed, but not in segments."""
    if reference.recording is not None or reference.tokens is not None:
        return False
    return bool(reference.glosses) and not (optional_glosses and any(map(is_optional, reference.glosses)))


def _check_references(references: Sequence[Reference]) -> dict[str, Reference]:
    """Check the references, and return them by name."""
    if not any(reference.glosses and not reference.is_ignored for reference in references):
        what = "all references are empty" if references else "there are no references"
        raise ScoringError(f"nothing to score: {what}", "use references with at least one gloss")
    known: dict[str, Reference] = {}
    twice = []
    for reference in references:
        if reference.sample_id in known:
            twice.append(reference.sample_id)
        known[reference.sample_id] = reference
    if twice:
        raise ScoringError(f"{format_clips(twice)} more than one reference", "keep one reference per clip")
    return known


def _unknown_clips_hint(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Return a hint about names without reference; tools around sclite write names in lower case."""
    original_names = {fold_case(sample_id): sample_id for sample_id in known}
    for sample_id in unknown:
        if fold_case(sample_id) in original_names:
            return f"{sample_id} and {original_names[fold_case(sample_id)]} differ in case"
    return "check that both are of the same split"


def format_clips(sample_ids: Sequence[str]) -> str:
    """Format `3 clips (a, b, c) have` for a message, with the first names and the number of the others."""
    names = ", ".join(sample_ids[:_MAX_NAMES])
    num_more = len(sample_ids) - _MAX_NAMES
    if num_more > 0:
        names = f"{names} and {num_more} more"
    return f"1 clip ({names}) has" if len(sample_ids) == 1 else f"{len(sample_ids)} clips ({names}) have"
