"""Make sentences of glosses from the tiers of a document."""

from __future__ import annotations

import fnmatch
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from cslr_cli.choices import SignerOrigin
from cslr_cli.corpora.annotation_files import Fault
from cslr_cli.corpora.transcripts.transcript import GLOSS_TIER, AnnotationDocument, Tier, TimedText, TranscriptError
from cslr_cli.errors import UsageError, did_you_mean
from cslr_cli.untrusted import normalize_label

DEFAULT_PAUSE = 1.0  # seconds
# Part of a pause that belongs to the clips before and after it: signs begin and end with the movement to and from rest.
_MARGIN_SECONDS = 0.25


@dataclass(frozen=True)
class SentenceOptions:
    """How sentences are made from the tiers of documents.

    Attributes:
        tiers: names of the tiers of glosses, with the wildcards `*` and `?`; empty for `glosses`, or the only tier.
        sentence_tier: name of the tier with one annotation per sentence; None for pauses, or for the parent tier.
        media: number of the video among those that a document names, from 1.
        signer_from: where the name of the signer is.
        pause: time without a gloss that ends a sentence, in seconds.
    """

    tiers: tuple[str, ...] = ()
    sentence_tier: str | None = None
    media: int = 1
    signer_from: SignerOrigin = "participant"
    pause: float = DEFAULT_PAUSE

    def __post_init__(self) -> None:
        faults = []
        if self.media < 1:
            faults.append(f"--media {self.media}: expected 1 or more")
        if not (math.isfinite(self.pause) and self.pause > 0):
            faults.append(f"--pause {self.pause:g}: expected more than 0 seconds")
        if self.signer_from not in get_args(SignerOrigin):
            faults.append(f"--signer-from {self.signer_from}: expected one of {', '.join(get_args(SignerOrigin))}")
        if faults:
            raise UsageError("\n".join(faults))


@dataclass(frozen=True)
class AnnotatedSentence:
    """A sentence of a recording.

    Attributes:
        start: start in seconds.
        end: end in seconds.
        glosses: its glosses in order.
        signer: name of the signer; None if it is unknown.
        translation: text of the sentence in its own tier; None without one.
    """

    start: float
    end: float
    glosses: tuple[str, ...]
    signer: str | None
    translation: str | None = None


@dataclass
class SentenceCounts:
    """What was changed or left out while sentences were made, for notes.

    Attributes:
        counts: number of glosses per description.
        division: number of documents per way of dividing them into sentences.
    """

    counts: Counter[str] = field(default_factory=Counter)
    division: Counter[str] = field(default_factory=Counter)


def make_sentences(
    transcript: AnnotationDocument, options: SentenceOptions, counts: SentenceCounts
) -> list[AnnotatedSentence]:
    """Make the sentences of a document, signer by signer.

    Args:
        transcript: the document.
        options: tiers, signers and the division into sentences.
        counts: receives what was changed or left out.

    Raises:
        TranscriptError: the document lacks the tiers.
    """
    patterns = options.tiers or (_default_tier(transcript),)
    chosen: dict[str, tuple[Tier, str | None]] = {}  # tiers of glosses with their signers
    for pattern in patterns:
        found = [tier for tier in transcript.tiers if _matches(tier, pattern)]
        if not found:
            raise TranscriptError([_missing_tier(transcript, pattern)])
        for tier in found:
            chosen.setdefault(tier.name, (tier, _signer(transcript, tier, pattern, options)))
    by_signer: dict[str | None, list[Tier]] = {}
    for tier, signer in chosen.values():
        by_signer.setdefault(signer, []).append(tier)
    sentences = []
    for signer, tiers in by_signer.items():
        sentences += _sentences_of_signer(transcript, tiers, signer, options, counts)
    return sentences


def _default_tier(transcript: AnnotationDocument) -> str:
    """Return the tier that `cslr predict` writes, or the only one with annotations."""
    if any(_matches(tier, GLOSS_TIER) for tier in transcript.tiers):
        return GLOSS_TIER
    filled = [tier.name for tier in transcript.tiers if tier.annotations]
    if len(filled) == 1:
        return glob_literal(filled[0])
    raise TranscriptError([_missing_tier(transcript, GLOSS_TIER)])


def glob_literal(name: str) -> str:
    """Return a pattern that matches only this name."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _matches(tier: Tier, pattern: str) -> bool:
    return tier.name == pattern or fnmatch.fnmatchcase(normalize_label(tier.name), normalize_label(pattern))


def _missing_tier(transcript: AnnotationDocument, pattern: str) -> Fault:
    names = [tier.name for tier in transcript.tiers]
    known = ", ".join(f"{tier.name!r} ({len(tier.annotations)})" for tier in transcript.tiers) or "none"
    question = did_you_mean(pattern, names)
    what = (
        f"no tier {pattern!r}; {f'{question} ' if question else ''}its tiers, with the number of annotations: {known}"
    )
    return Fault(transcript.name, what)


def _signer(transcript: AnnotationDocument, tier: Tier, pattern: str, options: SentenceOptions) -> str | None:
    """Return the signer of a tier of glosses."""
    origin = options.signer_from
    name: str | None = None
    if origin == "participant":
        name = tier.participant
    elif origin == "tier":
        name = _wildcard_text(tier.name, pattern) or tier.name
    elif origin == "file":
        name = transcript.path.stem
    elif origin == "folder":
        name = transcript.path.absolute().parent.name
    return "_".join(name.replace("/", " ").replace("\\", " ").split()) or None if name else None


def _wildcard_text(name: str, pattern: str) -> str:
    """Return what the wildcards of a pattern stand for in a name: `anna` for `anna_Gloss` and `*_Gloss`."""
    parts = re.split(r"([*?])", pattern)
    expressions = [{"*": "(.*)", "?": "(.)"}.get(part, re.escape(part)) for part in parts]
    match = re.fullmatch("".join(expressions), name, re.DOTALL)
    return "".join(match.groups()).strip(" _-") if match else ""


def _sentences_of_signer(
    transcript: AnnotationDocument,
    tiers: Sequence[Tier],
    signer: str | None,
    options: SentenceOptions,
    counts: SentenceCounts,
) -> list[AnnotatedSentence]:
    wanted = options.sentence_tier or transcript.sentence_tier
    if wanted is not None:
        divisions = _division_tiers(transcript, tiers, signer, wanted, options)
        if {tier.name for tier in divisions} == {tier.name for tier in tiers}:
            counts.division["each annotation is a sentence"] += 1
            annotations = [annotation for tier in tiers for annotation in tier.annotations]
            return [
                AnnotatedSentence(each.start, each.end, tuple(each.text.split()), signer)
                for each in sorted(annotations, key=lambda each: each.start)
            ]
        counts.division[f"tier {wanted!r}"] += 1
    else:
        parent = _dividing_ancestor(transcript, tiers)
        divisions = [] if parent is None else [parent]
        how = "tier {!r}, the parent of the glosses" if parent else "pauses of more than {:g} s"
        counts.division[how.format(parent.name if parent else options.pause)] += 1
    glosses = _merge_hands(tiers, counts)
    if not divisions:
        return _sentences_between_pauses(_split_at_pauses(glosses, options.pause), signer, counts)
    return _assign(glosses, [each for tier in divisions for each in tier.annotations], signer, counts)


def _division_tiers(
    transcript: AnnotationDocument, tiers: Sequence[Tier], signer: str | None, pattern: str, options: SentenceOptions
) -> list[Tier]:
    """Return the tiers of sentences of a signer: all that match, or those of this signer if there are any."""
    found = [tier for tier in transcript.tiers if _matches(tier, pattern)]
    if not found:
        raise TranscriptError([_missing_tier(transcript, pattern)])
    own = [tier for tier in found if signer is not None and _signer(transcript, tier, pattern, options) == signer]
    same = [tier for tier in found if tier.name in {each.name for each in tiers}]
    return same or own or found


def _dividing_ancestor(transcript: AnnotationDocument, tiers: Sequence[Tier]) -> Tier | None:
    """Return the nearest tier above a tier of glosses with an annotation of several glosses; None without one."""
    by_name = {tier.name: tier for tier in transcript.tiers}
    visited = set()
    name = tiers[0].parent
    while name in by_name and name not in visited:
        visited.add(name)
        parent = by_name[name or ""]
        middles = [gloss.middle for gloss in tiers[0].annotations]
        if any(sum(each.start <= middle < each.end for middle in middles) > 1 for each in parent.annotations):
            return parent
        name = parent.parent
    return None


def _merge_hands(tiers: Sequence[Tier], counts: SentenceCounts) -> list[TimedText]:
    """Merge the glosses of several tiers by time; a sign that is in the tiers of both hands counts once."""
    merged: dict[str, list[TimedText]] = {}
    for number, tier in enumerate(tiers):
        found = [gloss for gloss in tier.annotations if gloss.text]
        new = found
        if number:
            new = [each for each in found if not any(_overlap(each, other) for other in merged.get(each.text, ()))]
            counts.counts["signs that are in the tiers of both hands, counted once"] += len(found) - len(new)
        for gloss in new:
            merged.setdefault(gloss.text, []).append(gloss)
    return sorted((gloss for group in merged.values() for gloss in group), key=lambda gloss: (gloss.start, gloss.end))


def _overlap(one: TimedText, other: TimedText) -> bool:
    """Return whether two annotations share more than half of the shorter one."""
    overlap = min(one.end, other.end) - max(one.start, other.start)
    return overlap > 0.5 * min(one.end - one.start, other.end - other.start)


def _split_at_pauses(glosses: Sequence[TimedText], pause: float) -> list[list[TimedText]]:
    groups: list[list[TimedText]] = []
    end = -math.inf
    for gloss in glosses:
        if gloss.start - end > pause:
            groups.append([])
        groups[-1].append(gloss)
        end = max(end, gloss.end)
    return groups


def _assign(
    glosses: Sequence[TimedText], sentences: Sequence[TimedText], signer: str | None, counts: SentenceCounts
) -> list[AnnotatedSentence]:
    """Assign each gloss to the sentence that contains its middle."""
    ordered = sorted(sentences, key=lambda sentence: sentence.start)
    groups: list[list[TimedText]] = [[] for _ in ordered]
    place = 0
    for gloss in sorted(glosses, key=lambda gloss: gloss.middle):
        while place < len(ordered) and ordered[place].end <= gloss.middle:
            place += 1
        if place < len(ordered) and ordered[place].start <= gloss.middle:
            groups[place].append(gloss)
        else:
            counts.counts["glosses outside of all sentences, left out"] += 1
    return [
        AnnotatedSentence(
            sentence.start,
            sentence.end,
            _texts(sorted(group, key=lambda gloss: gloss.start), counts),
            signer,
            sentence.text or None,
        )
        for sentence, group in zip(ordered, groups, strict=True)
    ]


def _sentences_between_pauses(
    groups: Sequence[Sequence[TimedText]], signer: str | None, counts: SentenceCounts
) -> list[AnnotatedSentence]:
    """Make a sentence of each group of glosses, with a part of the pauses around it."""
    if not groups:
        return []
    starts = [group[0].start for group in groups]
    ends = [max(gloss.end for gloss in group) for group in groups]
    before = [starts[0], *(start - end for start, end in zip(starts[1:], ends, strict=False))]
    after = [*before[1:], math.inf]
    return [
        AnnotatedSentence(
            start - min(_MARGIN_SECONDS, gap if place == 0 else gap / 2),
            end + min(_MARGIN_SECONDS, next_gap / 2),
            _texts(group, counts),
            signer,
        )
        for place, (group, start, end, gap, next_gap) in enumerate(
            zip(groups, starts, ends, before, after, strict=True)
        )
    ]


def _texts(glosses: Sequence[TimedText], counts: SentenceCounts) -> tuple[str, ...]:
    """Return the texts of glosses; spaces in a gloss become hyphens, because spaces separate glosses."""
    counts.counts["glosses with spaces, which became hyphens"] += sum(" " in gloss.text for gloss in glosses)
    return tuple("-".join(gloss.text.split()) for gloss in glosses)
