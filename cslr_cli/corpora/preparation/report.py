"""What has come of a preparation."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora import CorpusReader, Fault, LeftOut
from cslr_cli.dataset.manifest import SplitCounts
from cslr_cli.dataset.sample import Sample

REPORT_FILE = "prepare-report.json"


@dataclass(frozen=True)
class PreparationReport:
    """What a prepared corpus has become.

    Attributes:
        corpus: its name.
        output: its folder.
        splits: how much is in each split.
        num_glosses: different glosses in the vocabulary.
        left_out: clips of the annotation that are not in it, each with the reason.
        unseen_glosses: for each held-out split the glosses that training never sees, with how often
            they occur in it.
        references: for each split where its references come from, in words.
        notes: what the user should know though nothing is wrong.
        expected_layout: how the release should be laid out, where clips have no frames; else None.
        clips_finished_before: how many clips an earlier call had written already.
    """

    corpus: str
    output: Path
    splits: Mapping[str, SplitCounts]
    num_glosses: int
    left_out: tuple[LeftOut, ...]
    unseen_glosses: Mapping[str, Mapping[str, int]]
    references: Mapping[str, str]
    notes: tuple[str, ...]
    expected_layout: str | None
    clips_finished_before: int

    @property
    def faults(self) -> tuple[LeftOut, ...]:
        """The clips left out because something is wrong with this copy of the release."""
        return unexpected(self.left_out)

    def to_json(self) -> str:
        """The report without what differs from call to call: where it lies and how often it was begun."""
        values = dataclasses.asdict(self)
        del values["output"], values["clips_finished_before"]
        return _as_json({**values, "faults": _as_faults(self.left_out)})


@dataclass(frozen=True)
class PartReport:
    """What one part of a preparation has come to.

    Attributes:
        corpus: name of the corpus.
        output: its folder.
        shard: which part, `3/16`.
        num_clips: clips of this part that are finished.
        num_frames: frames of all of them.
        left_out: clips of this part that could not be prepared, each with the reason.
        expected_layout: how the release should be laid out, where clips have no frames; else None.
        clips_finished_before: how many clips an earlier call had written already.
    """

    corpus: str
    output: Path
    shard: str
    num_clips: int
    num_frames: int
    left_out: tuple[LeftOut, ...]
    expected_layout: str | None
    clips_finished_before: int

    @property
    def faults(self) -> tuple[LeftOut, ...]:
        """The clips left out because something is wrong with this copy of the release."""
        return unexpected(self.left_out)


def unexpected(left_out: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """The clips left out because something is wrong with this copy of the release."""
    return tuple(clip for clip in left_out if not clip.expected)


def faults_json(corpus: CorpusReader, faults: Sequence[Fault], left_out: Sequence[LeftOut]) -> str:
    """The report on a release whose annotation has faults, so that nothing was prepared."""
    return _as_json(
        {
            "corpus": corpus.name,
            "left_out": [dataclasses.asdict(clip) for clip in left_out],
            "expected_layout": corpus.layout,
            "faults": [dataclasses.asdict(fault) for fault in faults],
        }
    )


def gloss_counts(samples: Iterable[Sample]) -> Counter[str]:
    """How often each gloss is signed."""
    return Counter(gloss for sample in samples for gloss in sample.glosses)


def split_counts(samples: Sequence[Sample]) -> SplitCounts:
    """How much is in a split; its frames are counted if those of all its clips are."""
    lengths = [sample.num_frames for sample in samples]
    counted = [length for length in lengths if length is not None]
    return SplitCounts(
        clips=len(samples),
        frames=sum(counted) if len(counted) == len(lengths) else None,
        glosses=sum(len(sample.glosses) for sample in samples),
    )


def unseen_glosses(prepared: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, int]]:
    """For each held-out split the glosses that training never sees, with how often they occur in it."""
    learned = gloss_counts(prepared.get("train", ()))
    unseen = {}
    for split, samples in prepared.items():
        if split != "train":
            counts = gloss_counts(samples)
            unseen[split] = {gloss: counts[gloss] for gloss in sorted(counts.keys() - learned.keys())}
    return unseen


def _as_faults(left_out: Iterable[LeftOut]) -> list[dict[str, str]]:
    return [{"where": f"{clip.split} clip {clip.sample_id}", "what": clip.reason} for clip in unexpected(left_out)]


def _as_json(values: Mapping[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2)
