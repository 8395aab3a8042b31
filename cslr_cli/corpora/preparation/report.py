"""The report of a preparation: what the corpus contains, and which clips are left out."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora import CorpusReader, Fault, LeftOutClip
from cslr_cli.dataset.manifest import SplitCounts
from cslr_cli.dataset.sample import Sample

REPORT_FILE = "prepare-report.json"


@dataclass(frozen=True)
class PreparationReport:
    """The result of a preparation.

    Attributes:
        corpus: name of the corpus.
        output: folder of the prepared corpus.
        splits: size of each split.
        num_glosses: number of glosses in the vocabulary.
        left_out: clips of the annotation that are not in the corpus, each with the reason.
        unseen_glosses: for each held-out split, the glosses that are not in train, and how often they occur.
        references: origin of each split's references, for the user.
        notes: messages for the user about things that are not errors.
        warnings: things that the user should probably change.
        expected_layout: expected layout of the release, if clips have no frames; else None.
        clips_finished_before: number of clips that an earlier call had written.
    """

    corpus: str
    output: Path
    splits: Mapping[str, SplitCounts]
    num_glosses: int
    left_out: tuple[LeftOutClip, ...]
    unseen_glosses: Mapping[str, Mapping[str, int]]
    references: Mapping[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    expected_layout: str | None
    clips_finished_before: int

    @property
    def faults(self) -> tuple[LeftOutClip, ...]:
        """The clips left out because this copy of the release has faults."""
        return select_faulty(self.left_out)

    def to_json(self) -> str:
        """Format the report as JSON, without values that differ between calls."""
        values = dataclasses.asdict(self)
        del values["output"], values["clips_finished_before"]
        return _as_json({**values, "faults": _as_faults(self.left_out)})


@dataclass(frozen=True)
class ShardReport:
    """The result of preparing one shard.

    Attributes:
        corpus: name of the corpus.
        output: folder of the prepared corpus.
        shard: the shard, such as `3/16`.
        num_clips: number of finished clips of this shard.
        num_frames: number of their frames.
        left_out: clips of this shard that could not be prepared, each with the reason.
        expected_layout: expected layout of the release, if clips have no frames; else None.
        clips_finished_before: number of clips that an earlier call had written.
    """

    corpus: str
    output: Path
    shard: str
    num_clips: int
    num_frames: int
    left_out: tuple[LeftOutClip, ...]
    expected_layout: str | None
    clips_finished_before: int

    @property
    def faults(self) -> tuple[LeftOutClip, ...]:
        """The clips left out because this copy of the release has faults."""
        return select_faulty(self.left_out)


def select_faulty(left_out: Iterable[LeftOutClip]) -> tuple[LeftOutClip, ...]:
    """Select the clips left out because this copy of the release has faults."""
    return tuple(clip for clip in left_out if not clip.expected)


def format_faults_json(corpus: CorpusReader, faults: Sequence[Fault], left_out: Sequence[LeftOutClip]) -> str:
    """Format the report on a release that was not prepared because of its faults as JSON."""
    return _as_json(
        {
            "corpus": corpus.name,
            "left_out": [dataclasses.asdict(clip) for clip in left_out],
            "expected_layout": corpus.layout,
            "faults": [dataclasses.asdict(fault) for fault in faults],
        }
    )


def count_sample_glosses(samples: Iterable[Sample]) -> Counter[str]:
    """Count how often each gloss is signed."""
    return Counter(gloss for sample in samples for gloss in sample.glosses)


def count_split(samples: Sequence[Sample]) -> SplitCounts:
    """Count the clips, frames and glosses of a split; frames are None unless all clips are counted."""
    lengths = [sample.num_frames for sample in samples]
    counted = [length for length in lengths if length is not None]
    return SplitCounts(
        clips=len(samples),
        frames=sum(counted) if len(counted) == len(lengths) else None,
        glosses=sum(len(sample.glosses) for sample in samples),
    )


def find_unseen_glosses(prepared: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, int]]:
    """Find the glosses of each held-out split that are not in train, and count them."""
    learned = count_sample_glosses(prepared.get("train", ()))
    unseen = {}
    for split, samples in prepared.items():
        if split != "train":
            counts = count_sample_glosses(samples)
            unseen[split] = {gloss: counts[gloss] for gloss in sorted(counts.keys() - learned.keys())}
    return unseen


def _as_faults(left_out: Iterable[LeftOutClip]) -> list[dict[str, str]]:
    return [{"where": f"{clip.split} clip {clip.sample_id}", "what": clip.reason} for clip in select_faulty(left_out)]


def _as_json(values: Mapping[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2)
