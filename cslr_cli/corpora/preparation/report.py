"""The report of a preparation: what the corpus contains, and which clips are left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import NotRequired, TypedDict

from cslr_cli.corpora import CorpusReader, Fault, LeftOutClip
from cslr_cli.dataset.manifest import SplitCounts
from cslr_cli.dataset.sample import Sample
from cslr_cli.documents import format_json
from cslr_cli.files import real_path, relative_path

REPORT_FILE = "prepare-report.json"


class PreparationDocument(TypedDict):
    """The result of a preparation: `prepare-report.json`, and with `output` what `cslr prepare --json` prints.

    If faults of the release have prevented the preparation, the file has only `corpus`, `left_out`, `expected_layout`
    and `faults`.

    Attributes:
        schema_version: version of this document.
        corpus: name of the corpus.
        output: folder of the prepared corpus; only on standard output.
        splits: size of each split.
        num_glosses: number of glosses in the vocabulary.
        left_out: clips of the annotation that are not in the corpus, each with the reason.
        unseen_glosses: for each held-out split, the glosses that are not in train, and how often they occur.
        references: origin of each split's references.
        notes: messages about things that are not errors.
        warnings: things that you should probably change, for example an empty split.
        expected_layout: expected layout of the release, if clips have no frames; else null.
        faults: faults of this copy of the release.
    """

    schema_version: Literal[1]
    corpus: str
    output: NotRequired[str]
    splits: NotRequired[Mapping[str, SplitCounts]]
    num_glosses: NotRequired[int]
    left_out: Sequence[LeftOutClip]
    unseen_glosses: NotRequired[Mapping[str, Mapping[str, int]]]
    references: NotRequired[Mapping[str, str]]
    notes: NotRequired[Sequence[str]]
    warnings: NotRequired[Sequence[str]]
    expected_layout: str | None
    faults: Sequence[Fault]


class ShardLeftOutClip(TypedDict):
    """A clip of a shard that could not be prepared.

    Attributes:
        sample_id: name of the clip.
        split: split of the clip.
        reason: reason.
    """

    sample_id: str
    split: str
    reason: str


class ShardDocument(TypedDict):
    """The result of preparing one shard: what `cslr prepare --shard N/COUNT --json` prints.

    Attributes:
        schema_version: version of this document.
        output: folder of the prepared corpus.
        corpus: name of the corpus.
        shard: the shard, such as `3/16`.
        clips: number of finished clips of this shard.
        frames: number of their frames.
        left_out: clips of this shard that could not be prepared, each with the reason.
    """

    schema_version: Literal[1]
    output: str
    corpus: str
    shard: str
    clips: int
    frames: int
    left_out: list[ShardLeftOutClip]


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

    def document(self) -> PreparationDocument:
        """Make the document of the report, without values that differ between calls."""
        return {
            "schema_version": 1,
            "corpus": self.corpus,
            "splits": self.splits,
            "num_glosses": self.num_glosses,
            "left_out": self.left_out,
            "unseen_glosses": self.unseen_glosses,
            "references": self.references,
            "notes": self.notes,
            "warnings": self.warnings,
            "expected_layout": self.expected_layout,
            "faults": [Fault(f"{clip.split} clip {clip.sample_id}", clip.reason) for clip in self.faults],
        }

    def to_json(self) -> str:
        """Format the document as JSON."""
        return format_json(self.document(), indent=2)


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

    def document(self) -> ShardDocument:
        """Make the document of the report."""
        return {
            "schema_version": 1,
            "output": str(self.output),
            "corpus": self.corpus,
            "shard": self.shard,
            "clips": self.num_clips,
            "frames": self.num_frames,
            "left_out": [
                {"sample_id": clip.sample_id, "split": clip.split, "reason": clip.reason} for clip in self.left_out
            ],
        }


def select_faulty(left_out: Iterable[LeftOutClip]) -> tuple[LeftOutClip, ...]:
    """Select the clips left out because this copy of the release has faults."""
    return tuple(clip for clip in left_out if not clip.expected)


def format_faults_json(corpus: CorpusReader, faults: Sequence[Fault], left_out: Sequence[LeftOutClip]) -> str:
    """Format the report on a release that was not prepared because of its faults as JSON."""
    document: PreparationDocument = {
        "schema_version": 1,
        "corpus": corpus.name,
        "left_out": left_out,
        "expected_layout": corpus.layout,
        "faults": faults,
    }
    return format_json(document, indent=2)


def shorten_paths(text: str, folders: Iterable[Path]) -> str:
    """Replace absolute paths of folders in JSON text by paths relative to the current folder.

    Args:
        text: JSON.
        folders: folders that the text may name; only absolute ones are replaced.
    """
    paths = {path for folder in folders for path in (folder, real_path(folder))}
    absolute = {str(path) for path in paths if path.is_absolute() and path != path.parent}
    for path in sorted(absolute, key=len, reverse=True):  # the innermost folder first
        written, shortened = (json.dumps(part, ensure_ascii=False)[1:-1] for part in (path, relative_path(path)))
        text = shortened.join(re.split(rf"{re.escape(written)}(?![\w.-])", text))
    return text


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
