"""Hypotheses against references: an alignment for each clip, and every figure as a view of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.alignment import AlignedPair, Counts, align, count, fold_case
from cslr_cli.scoring.normalisation import Protocol
from cslr_cli.scoring.transcripts import EMPTY_HYPOTHESIS, Reference

Missing = Literal["error", "empty"]

_NAMES_TOLD = 20


@dataclass(frozen=True)
class ClipScore:
    """One clip's alignment.

    Attributes:
        sample_id: the name of the clip.
        signer: who signs; None where that is not known.
        pairs: the alignment of the normalised hypothesis with the reference.
    """

    sample_id: str
    signer: str | None
    pairs: tuple[AlignedPair, ...]

    @cached_property
    def counts(self) -> Counts:
        """The operations of the alignment, counted; `counts.wer` is None for an empty reference."""
        return count(self.pairs)

    @property
    def reference(self) -> tuple[str, ...]:
        """The glosses that were signed."""
        return tuple(pair.reference for pair in self.pairs if pair.reference is not None)

    @property
    def hypothesis(self) -> tuple[str, ...]:
        """The glosses that were recognised, as scored: normalised, `[EMPTY]` where there were none."""
        return tuple(pair.hypothesis for pair in self.pairs if pair.hypothesis is not None)


@dataclass(frozen=True)
class Score:
    """The alignments of all clips of a set of references.

    Attributes:
        protocol: how the hypotheses were normalised.
        clips: one for each reference, in the references' order.
        missing: the clips for which no hypothesis was given, and `[EMPTY]` taken.
    """

    protocol: Protocol
    clips: tuple[ClipScore, ...]
    missing: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> Counts:
        """The operations of all clips."""
        return sum((clip.counts for clip in self.clips), Counts())

    @property
    def wer(self) -> float:
        """Word error rate of all clips together, in percent."""
        return 100 * self.counts.errors / self.counts.references


def score(
    references: Sequence[Reference],
    hypotheses: Mapping[str, Sequence[str]],
    protocol: Protocol,
    missing: Missing = "error",
) -> Score:
    """Align each hypothesis with its reference.

    A hypothesis that has no gloss, at first or after normalisation, is given the one gloss
    `[EMPTY]`, as the published systems do: the sum of the errors is the same, but one deletion
    becomes a substitution. The exception is an empty reference: there nothing is the right answer.
    What is recognised in a clip with an empty reference counts as insertions; the clip's own word
    error rate is undefined (None).

    Args:
        references: one for each clip; never normalised.
        hypotheses: glosses for each clip, by its name, in any order, as decoded.
        protocol: how hypotheses are normalised.
        missing: what to do about clips that `hypotheses` does not name: `error` refuses to score,
            `empty` takes them for clips in which nothing was recognised.

    Raises:
        ScoringError: there is no reference, or none with a gloss; a clip has two references; there
            are hypotheses for clips without reference, or, with `error`, none for some clips; there
            is no hypothesis at all, which is no recognition, and so an error with `empty` too.
    """
    known = _check_references(references)
    if not hypotheses:
        raise ScoringError(
            "nothing to score: there is no hypothesis",
            "expected a line for each recognised gloss; [EMPTY] as the one gloss of a clip says that there is none",
        )
    unknown = [sample_id for sample_id in hypotheses if sample_id not in known]
    if unknown:
        raise ScoringError(
            f"{told_clips(unknown)} a hypothesis and no reference",
            f"the names in both files must be the same; {_why_unknown(unknown, known)}",
        )
    absent = [sample_id for sample_id in known if sample_id not in hypotheses]
    if absent and missing == "error":
        raise ScoringError(
            f"{told_clips(absent)} a reference and no hypothesis",
            "give a hypothesis for each clip, or use --missing empty: nothing was recognised in these",
        )
    clips = (
        ClipScore(
            reference.sample_id,
            reference.signer,
            align(reference.glosses, _as_scored(hypotheses.get(reference.sample_id, ()), reference, protocol)),
        )
        for reference in references
    )
    return Score(protocol, tuple(clips), tuple(absent))


def published_python_score(scored: Score) -> Score:
    """The figure of the scorer in Python that the published code prints beside sclite's.

    It merges equal neighbours of the normalised hypotheses once more. Where a reference repeats a
    gloss or normalisation makes two the same, its figure is another than sclite's, mostly a lower
    one. Papers quote sclite's: this one is for following the published code's logs.
    """
    clips = tuple(
        replace(clip, pairs=align(clip.reference, [gloss for gloss, _ in itertools.groupby(clip.hypothesis)]))
        for clip in scored.clips
    )
    return replace(scored, clips=clips)


def _check_references(references: Sequence[Reference]) -> dict[str, Reference]:
    """The references by name, or what is wrong with them."""
    if not any(reference.glosses for reference in references):
        what = "all references are empty" if references else "there is no reference"
        raise ScoringError(f"nothing to score: {what}", "expected at least one clip with a reference gloss")
    known: dict[str, Reference] = {}
    twice = []
    for reference in references:
        if reference.sample_id in known:
            twice.append(reference.sample_id)
        known[reference.sample_id] = reference
    if twice:
        raise ScoringError(f"{told_clips(twice)} more than one reference", "expected one for each clip")
    return known


def _why_unknown(unknown: Iterable[str], known: Iterable[str]) -> str:
    """What may be wrong with names that no reference has; tools around sclite write them in lower case."""
    spelt = {fold_case(sample_id): sample_id for sample_id in known}
    for sample_id in unknown:
        if fold_case(sample_id) in spelt:
            return f"{sample_id} and {spelt[fold_case(sample_id)]} differ in case"
    return "are these the references of this split?"


def _as_scored(glosses: Sequence[str], reference: Reference, protocol: Protocol) -> tuple[str, ...]:
    """A hypothesis in the form in which it is aligned."""
    normalised = protocol.normalise(glosses)
    if normalised or not reference.glosses:
        return normalised
    return (EMPTY_HYPOTHESIS,)


def told_clips(sample_ids: Sequence[str]) -> str:
    """`3 clips (a, b, c) have`, for a message: the first few names, and how many more."""
    told = ", ".join(sample_ids[:_NAMES_TOLD])
    rest = len(sample_ids) - _NAMES_TOLD
    names = f"{told} and {rest} more" if rest > 0 else told
    return f"1 clip ({names}) has" if len(sample_ids) == 1 else f"{len(sample_ids)} clips ({names}) have"
