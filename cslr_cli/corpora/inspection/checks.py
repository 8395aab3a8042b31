"""Checks of the manifests and the vocabulary of a prepared corpus; each yields findings."""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cslr_cli.dataset.manifest import CORPUS_FILE, PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import CslrError, DataError
from cslr_cli.scoring.transcripts import read_stm
from cslr_cli.temporal_plan import TemporalPlan
from cslr_cli.vocabulary import Vocabulary

Samples = Mapping[str, Sequence[Sample]]

_UNUSUAL = 4  # how far the seconds per gloss of a clip may be from the median, as a factor


@dataclass(frozen=True)
class Finding:
    """A fault or a remarkable fact of a corpus.

    Attributes:
        kind: kind of the finding, for programs, such as `missing_frames`.
        breaks_training: whether it stops training or evaluation, or makes their results wrong.
        what: description, one sentence.
        details: affected clips, glosses or lines.
    """

    kind: str
    breaks_training: bool
    what: str
    details: tuple[str, ...] = ()


def check_splits(corpus: PreparedCorpus, samples: Samples) -> Iterator[Finding]:
    """Check that train and dev have clips, and that the counts in `corpus.yaml` are those of the manifests."""
    for split in ("train", "dev"):
        if not samples.get(split):
            why = "training needs it" if split == "train" else "training needs it to choose the best epoch"
            yield Finding("empty_split", True, f"no clip of {split}: {why}")
    differing = tuple(
        f"{split}: {CORPUS_FILE} says {corpus.info.splits[split].clips} clips, the manifest has {len(clips)}"
        for split, clips in samples.items()
        if corpus.info.splits[split].clips != len(clips)
    )
    if differing:
        yield Finding("counts_differ", True, f"{CORPUS_FILE} and the manifests disagree", differing)
    misplaced = tuple(
        f"{sample.sample_id}: in the manifest of {split}, but its split is {sample.split!r}"
        for split, clips in samples.items()
        for sample in clips
        if sample.split != split
    )
    if misplaced:
        what = f"clips in the manifest of a wrong split: {len(misplaced)}"
        yield Finding("wrong_split", True, what, misplaced)


def check_duplicates(samples: Samples) -> Iterator[Finding]:
    """Check that no name of a clip and no path of frames occurs twice."""
    for kind, what in (("sample_id", "names of clips"), ("frames", "frames of clips")):
        places: dict[str, list[str]] = {}
        for split, clips in samples.items():
            for sample in clips:
                places.setdefault(getattr(sample, kind), []).append(split)
        twice = tuple(f"{name}: {', '.join(splits)}" for name, splits in places.items() if len(splits) > 1)
        if twice:
            yield Finding(f"duplicate_{kind}", True, f"{what} that occur more than once: {len(twice)}", twice)


def check_vocabulary(vocabulary: Vocabulary, corpus: PreparedCorpus, samples: Samples) -> Iterator[Finding]:
    """Check that the vocabulary is sorted, and that it counts every gloss at least as often as the manifests."""
    counts: Counter[str] = Counter()
    for split in corpus.info.vocabulary_splits:
        counts.update(gloss for sample in samples.get(split, ()) for gloss in sample.glosses)
    missing = tuple(f"{gloss} ({count})" for gloss, count in sorted(counts.items()) if gloss not in vocabulary)
    if missing:
        what = f"glosses of the manifests missing from the vocabulary: {len(missing)}"
        yield Finding("not_in_vocabulary", True, what, missing)
    listed = dict(zip(vocabulary.glosses, vocabulary.counts, strict=True))
    # The vocabulary also counts clips that could not be read, which are in no manifest.
    fewer = tuple(
        f"{gloss}: {listed[gloss]} in the vocabulary, {count} in the manifests"
        for gloss, count in sorted(counts.items())
        if listed.get(gloss, count) < count
    )
    if fewer:
        what = f"glosses that occur more often than the vocabulary says: {len(fewer)}"
        yield Finding("counts_differ", False, what, fewer)
    unused = tuple(sorted(listed.keys() - counts.keys()))
    if unused:
        yield Finding("unused_glosses", False, f"glosses of the vocabulary that no clip has: {len(unused)}", unused)
    if list(vocabulary.glosses) != sorted(vocabulary.glosses):
        yield Finding("unsorted_vocabulary", False, "the vocabulary is not sorted by code points")


def check_spelling(vocabulary: Vocabulary) -> Iterator[Finding]:
    """Find glosses that differ only in upper and lower case, or in the width of their characters."""
    spellings: dict[str, list[str]] = {}
    for gloss in vocabulary.glosses:
        spellings.setdefault(unicodedata.normalize("NFKC", gloss).casefold(), []).append(gloss)
    counts = dict(zip(vocabulary.glosses, vocabulary.counts, strict=True))
    similar = [glosses for glosses in spellings.values() if len(glosses) > 1]
    if similar:
        what = f"groups of glosses that differ only in case or width: {len(similar)}; each is a class of its own"
        details = (", ".join(f"{gloss} ({counts[gloss]})" for gloss in glosses) for glosses in similar)
        yield Finding("similar_glosses", False, what, tuple(details))


def check_unseen_glosses(vocabulary: Vocabulary, samples: Samples) -> Iterator[Finding]:
    """Find glosses of held-out splits that do not occur in train: they are never recognised."""
    learned = {gloss for sample in samples.get("train", ()) for gloss in sample.glosses}
    for split, clips in samples.items():
        if split == "train":
            continue
        counts = Counter(gloss for sample in clips for gloss in sample.glosses if gloss not in learned)
        if counts:
            without = sum(gloss not in vocabulary for gloss in counts)
            no_id = f", {without} of them not in the vocabulary" if without else ""
            yield Finding(
                "unseen_glosses",
                False,
                f"glosses of {split} that are not in train: {sum(counts.values())} ({len(counts)} distinct{no_id})",
                tuple(f"{gloss} ({count})" for gloss, count in sorted(counts.items())),
            )


def check_sentences(samples: Samples) -> Iterator[Finding]:
    """Find sentences of held-out clips that also occur in train: a network may memorise them."""
    learned = {sample.glosses: sample.sample_id for sample in reversed(samples.get("train", ()))}
    for split, clips in samples.items():
        if split == "train":
            continue
        equal = tuple(
            f"{sample.sample_id}: the same glosses as {learned[sample.glosses]}"
            for sample in clips
            if sample.glosses in learned
        )
        if equal:
            share = 100 * len(equal) / len(clips)
            what = f"clips of {split} whose sentence is also in train: {len(equal)} ({share:.1f} %)"
            yield Finding("equal_sentences", False, what, equal)


def check_lengths(samples: Samples, plan: TemporalPlan, frame_interval: int) -> Iterator[Finding]:
    """Find clips with fewer steps than CTC needs for their glosses, and clips too short for the network."""
    for split, clips in samples.items():
        impossible, unreadable = [], []
        for sample in clips:
            if sample.num_frames is None:
                continue
            num_frames = math.ceil(sample.num_frames / frame_interval)
            if num_frames < plan.min_frames:
                unreadable.append(f"{sample.sample_id}: {num_frames} frames")
            elif missing := sample.missing_steps(plan, frame_interval):
                num_steps = plan.num_steps(num_frames)
                needed = f"its {len(sample.glosses)} glosses need {num_steps + missing}"
                impossible.append(f"{sample.sample_id}: {num_frames} frames make {num_steps} steps, {needed}")
        if unreadable:
            what = f"clips of {split} shorter than the network's minimum of {plan.min_frames} frames: {len(unreadable)}"
            # Training skips them; an evaluation stops at a clip that cannot be recognised.
            yield Finding("too_short", split != "train", what, tuple(unreadable))
        if impossible:
            what = f"clips of {split} too short for CTC with their glosses: {len(impossible)}"
            yield Finding("too_short_for_glosses", False, what, tuple(impossible))


def check_references(corpus: PreparedCorpus, samples: Samples) -> Iterator[Finding]:
    """Check that every clip has a reference for scoring."""
    for split, clips in samples.items():
        path = corpus.references(split)
        try:
            known = {reference.sample_id for reference in read_stm(path)}
        except CslrError as error:
            yield Finding("references", True, f"the references of {split} cannot be read", (str(error),))
            continue
        missing = tuple(sample.sample_id for sample in clips if sample.sample_id not in known)
        if missing:
            what = f"clips of {split} missing from {path}: {len(missing)}"
            yield Finding("references", True, what, missing)


def check_gloss_lengths(samples: Samples, fps: float) -> Iterator[Finding]:
    """Find clips that are far longer or shorter per gloss than half of the others: times or glosses may be wrong."""
    per_gloss = {
        f"{split} clip {sample.sample_id}": sample.num_frames / fps / len(sample.glosses)
        for split, clips in samples.items()
        for sample in clips
        if sample.num_frames is not None and sample.glosses
    }
    if not per_gloss:
        return
    median = statistics.median(per_gloss.values())
    unusual = {name: seconds for name, seconds in per_gloss.items() if not 1 / _UNUSUAL <= seconds / median <= _UNUSUAL}
    if unusual:
        what = (
            f"clips with less than a quarter or more than four times the median of {median:.2f} seconds per gloss: "
            f"{len(unusual)}"
        )
        ordered = sorted(unusual.items(), key=lambda item: -abs(math.log(item[1] / median)))
        details = tuple(f"{name}: {seconds:.2f} seconds per gloss" for name, seconds in ordered)
        yield Finding("unusual_lengths", False, what, details)


def check_signers(samples: Samples) -> Iterator[Finding]:
    """Say whether the signers of held-out splits are also in train: their results are then those of known signers."""
    learned = {sample.signer for sample in samples.get("train", ())} - {None}
    for split, clips in samples.items():
        signers = {sample.signer for sample in clips if sample.signer is not None}
        if split != "train" and signers and learned:
            what = f"signers of {split} that are also in train: {len(signers & learned)} of {len(signers)}"
            yield Finding("known_signers", False, what)


def check_manifests(corpus: PreparedCorpus) -> tuple[dict[str, list[Sample]], list[Finding]]:
    """Read the samples of all splits; invalid lines of the manifests are findings."""
    samples: dict[str, list[Sample]] = {}
    findings = []
    for split in corpus.splits:
        found, faults = corpus.readable_samples(split)
        samples[split] = found
        if faults:
            what = f"invalid lines in the manifest of {split}: {len(faults)}"
            findings.append(Finding("manifest", True, what, tuple(faults)))
    return samples, findings


def check_vocabulary_file(corpus: PreparedCorpus) -> tuple[Vocabulary | None, list[Finding]]:
    """Read the vocabulary; an unreadable one is a finding."""
    try:
        return corpus.vocabulary, []
    except DataError as error:
        lines = tuple(error.message.splitlines())
        return None, [Finding("vocabulary", True, "the vocabulary cannot be read", lines)]
