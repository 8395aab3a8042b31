"""`inspect_corpus` counts the contents of a prepared corpus and checks them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from cslr_cli.corpora.inspection import checks, frame_checks
from cslr_cli.corpora.inspection.checks import Finding
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.dataset.manifest import CorpusInfo
from cslr_cli.dataset.sample import Sample
from cslr_cli.processes import available_cores
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.temporal_plan import TemporalPlan

_NUM_BINS = 10
_COUNT_BINS = (0, 1, 2, 5, 10, 100)  # first number of occurrences of each bin


@dataclass(frozen=True)
class SplitContents:
    """The contents of a split.

    Attributes:
        clips: number of clips.
        lengths: number of frames of each clip whose frames have been counted.
        gloss_counts: number of occurrences of each gloss.
        signers: number of clips of each signer; empty if the corpus does not name signers.
        glosses_per_clip: number of glosses of each clip.
        frames_per_gloss: frames per gloss of each clip with glosses whose frames have been counted.
    """

    clips: int
    lengths: tuple[int, ...]
    gloss_counts: Mapping[str, int]
    signers: Mapping[str, int]
    glosses_per_clip: tuple[int, ...]
    frames_per_gloss: tuple[float, ...]

    @classmethod
    def from_samples(cls, samples: Sequence[Sample]) -> SplitContents:
        """Count the contents of some samples."""
        return cls(
            clips=len(samples),
            lengths=tuple(sample.num_frames for sample in samples if sample.num_frames is not None),
            gloss_counts=Counter(gloss for sample in samples for gloss in sample.glosses),
            signers=Counter(sample.signer for sample in samples if sample.signer is not None),
            glosses_per_clip=tuple(len(sample.glosses) for sample in samples),
            frames_per_gloss=tuple(
                sample.num_frames / len(sample.glosses)
                for sample in samples
                if sample.num_frames is not None and sample.glosses
            ),
        )

    @property
    def frames(self) -> int | None:
        """Frames of all clips; None if some have not been counted."""
        return sum(self.lengths) if len(self.lengths) == self.clips else None

    @property
    def glosses(self) -> int:
        """Glosses of all clips, each occurrence counted."""
        return sum(self.glosses_per_clip)

    def hours(self, fps: float) -> float | None:
        """Length of all clips in hours; None if their frames have not been counted."""
        return None if self.frames is None else self.frames / fps / 3600


class NumberSummary(TypedDict):
    """Minimum, median, mean and maximum of some numbers."""

    min: float
    median: float
    mean: float
    max: float


class SplitDocument(TypedDict):
    """The contents of a split.

    Attributes:
        clips: number of clips.
        frames: frames of all clips; null if some have not been counted.
        hours: length of all clips in hours; null if their frames have not been counted.
        glosses: glosses of all clips, each occurrence counted.
        different_glosses: number of different glosses.
        signers: number of clips of each signer; empty if the corpus does not name signers.
        frames_per_clip: frames of the clips whose frames have been counted.
        glosses_per_clip: glosses of the clips.
        seconds_per_gloss: length of the clips in seconds, divided by their glosses.
        gloss_counts: number of occurrences of each gloss.
    """

    clips: int
    frames: int | None
    hours: float | None
    glosses: int
    different_glosses: int
    signers: dict[str, int]
    frames_per_clip: NumberSummary | None
    glosses_per_clip: NumberSummary | None
    seconds_per_gloss: NumberSummary | None
    gloss_counts: dict[str, int]


class CountBin(TypedDict):
    """Glosses that occur about equally often.

    Attributes:
        first: smallest number of occurrences.
        last: largest number of occurrences; null for no limit.
        glosses: number of glosses of the vocabulary that occur that often, by split.
    """

    first: int
    last: int | None
    glosses: dict[str, int]


class LengthBin(TypedDict):
    """A bin of the histogram of clip lengths.

    Attributes:
        first: shortest length of the bin, frames.
        last: longest length of the bin, frames.
        clips: number of clips of each split.
    """

    first: int
    last: int
    clips: dict[str, int]


class CorpusDocument(TypedDict):
    """The contents and the faults of a prepared corpus: what `cslr inspect CORPUS --json` prints.

    Attributes:
        schema_version: version of this document.
        path: folder of the corpus.
        name: name of the corpus.
        protocol: name of the scoring protocol.
        fps: frames per second.
        frame_size: height and width of the frames in pixels.
        num_glosses: number of glosses in the vocabulary; null if the file cannot be read.
        splits: contents of each split.
        length_histogram: histogram of clip lengths.
        gloss_frequencies: number of glosses by their number of occurrences.
        breaks_training: whether a finding stops training or evaluation, or makes their results wrong.
        findings: findings of all checks; those that break training come first.
    """

    schema_version: Literal[1]
    path: str
    name: str
    protocol: str
    fps: float
    frame_size: int
    num_glosses: int | None
    splits: dict[str, SplitDocument]
    length_histogram: list[LengthBin]
    gloss_frequencies: list[CountBin]
    breaks_training: bool
    findings: Sequence[Finding]


@dataclass(frozen=True)
class CorpusInspection:
    """The contents and the faults of a prepared corpus.

    Attributes:
        path: folder of the corpus.
        info: contents of its `corpus.yaml`.
        num_glosses: number of glosses in its vocabulary; None if the file cannot be read.
        splits: contents of each split.
        findings: findings of all checks; those that break training come first.
    """

    path: Path
    info: CorpusInfo
    num_glosses: int | None
    splits: Mapping[str, SplitContents]
    findings: tuple[Finding, ...]

    @property
    def breaks_training(self) -> bool:
        """Whether a finding stops training or evaluation, or makes their results wrong."""
        return any(finding.breaks_training for finding in self.findings)

    def length_histogram(self) -> list[tuple[int, int, dict[str, int]]]:
        """Histogram of clip lengths: first and last length of each bin, and the number of clips per split."""
        lengths = [length for contents in self.splits.values() for length in contents.lengths]
        if not lengths:
            return []
        first, last = min(lengths), max(lengths)
        width = max(1, -(-(last - first + 1) // _NUM_BINS))
        starts = range(first, last + 1, width)
        counts = {split: Counter((n - first) // width for n in part.lengths) for split, part in self.splits.items()}
        return [
            (start, start + width - 1, {split: count[place] for split, count in counts.items()})
            for place, start in enumerate(starts)
        ]

    def gloss_frequencies(self) -> list[CountBin]:
        """Count the glosses of all splits by how often they occur in each split."""
        glosses = set().union(*(contents.gloss_counts for contents in self.splits.values()))
        bins: list[CountBin] = []
        for first, last in zip(_COUNT_BINS, [*(start - 1 for start in _COUNT_BINS[1:]), None], strict=True):
            numbers = {
                split: sum(
                    first <= contents.gloss_counts.get(gloss, 0)
                    and (last is None or contents.gloss_counts.get(gloss, 0) <= last)
                    for gloss in glosses
                )
                for split, contents in self.splits.items()
            }
            bins.append({"first": first, "last": last, "glosses": numbers})
        return bins

    def to_dict(self) -> CorpusDocument:
        """The values that `--json` prints."""
        return {
            "schema_version": 1,
            "path": str(self.path),
            "name": self.info.name,
            "protocol": self.info.protocol,
            "fps": self.info.fps,
            "frame_size": self.info.frame_size,
            "num_glosses": self.num_glosses,
            "splits": {split: self._split_dict(contents) for split, contents in self.splits.items()},
            "length_histogram": [
                {"first": first, "last": last, "clips": clips} for first, last, clips in self.length_histogram()
            ],
            "gloss_frequencies": self.gloss_frequencies(),
            "breaks_training": self.breaks_training,
            "findings": self.findings,
        }

    def _split_dict(self, contents: SplitContents) -> SplitDocument:
        return {
            "clips": contents.clips,
            "frames": contents.frames,
            "hours": contents.hours(self.info.fps),
            "glosses": contents.glosses,
            "different_glosses": len(contents.gloss_counts),
            "signers": dict(sorted(contents.signers.items())),
            "frames_per_clip": summarize(contents.lengths),
            "glosses_per_clip": summarize(contents.glosses_per_clip),
            "seconds_per_gloss": summarize([frames / self.info.fps for frames in contents.frames_per_gloss]),
            "gloss_counts": dict(sorted(contents.gloss_counts.items())),
        }


def summarize(numbers: Sequence[float]) -> NumberSummary | None:
    """Return minimum, median, mean and maximum; None without numbers."""
    if not numbers:
        return None
    return {
        "min": min(numbers),
        "median": statistics.median(numbers),
        "mean": statistics.fmean(numbers),
        "max": max(numbers),
    }


def inspect_corpus(
    path: Path,
    *,
    plan: TemporalPlan,
    frame_interval: int = 1,
    read_frames: bool = True,
    workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> CorpusInspection:
    """Count the contents of a prepared corpus and check them.

    Args:
        path: folder of the corpus.
        plan: temporal plan of the network, which decides which clips are too short.
        frame_interval: every n-th frame is read.
        read_frames: whether every frame is decoded; otherwise only the first of each clip.
        workers: number of processes; by default the number of cores that this process may use.
        progress: called after every clip.
    """
    corpus = open_prepared_corpus(path)
    samples, findings = checks.check_manifests(corpus)
    vocabulary, vocabulary_findings = checks.check_vocabulary_file(corpus)
    findings += vocabulary_findings
    findings += chain(
        checks.check_splits(corpus, samples),
        checks.check_duplicates(samples),
        checks.check_references(corpus, samples),
        checks.check_lengths(samples, plan, frame_interval),
    )
    if vocabulary is not None:
        findings += checks.check_vocabulary(vocabulary, corpus, samples)
        findings += checks.check_spelling(vocabulary)
        findings += checks.check_unseen_glosses(vocabulary, samples)
    findings += checks.check_sentences(samples)
    findings += checks.check_gloss_lengths(samples, corpus.fps)
    findings += checks.check_signers(samples)
    findings += frame_checks.check_frames(
        corpus, samples, decode_all=read_frames, workers=workers or available_cores(), progress=progress
    )
    return CorpusInspection(
        path=path,
        info=corpus.info,
        num_glosses=None if vocabulary is None else len(vocabulary.glosses),
        splits={split: SplitContents.from_samples(clips) for split, clips in samples.items()},
        findings=tuple(sorted(findings, key=lambda finding: not finding.breaks_training)),
    )
