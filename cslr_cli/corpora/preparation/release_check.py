"""`check_release` says what a release has and lacks, in seconds and without preparing it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from cslr_cli.corpora import CorpusReader, Fault, LeftOutClip, Release, ReleasePaths, read_release
from cslr_cli.corpora.clip_locations import CLIP_SUFFIXES
from cslr_cli.corpora.preparation.report import count_sample_glosses, select_faulty
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import MediaError
from cslr_cli.files import relative_path
from cslr_cli.media.frames import open_frames

# Clips that are opened, spread over the release.
_NUM_CLIPS_OPENED = 3

FrameKind = Literal["folder", "zip", "video"]


class SplitCheck(TypedDict):
    """What a release has of a split.

    Attributes:
        clips: number of clips in the annotation.
        published: number of clips in the published corpus; null if it is unknown.
        found: number of clips whose folder, zip or video exists; null with `--no-frames`.
        glosses: number of glosses of all clips, each occurrence counted.
        signers: number of signers; 0 if the annotation does not name them.
    """

    clips: int
    published: int | None
    found: int | None
    glosses: int
    signers: int


class OpenedClip(TypedDict):
    """A clip that was opened as a sample.

    Attributes:
        path: path of its frames, relative to the folder of the release.
        frames: number of frames; null if it cannot be read.
        width: width of the first frame in pixels; null if it cannot be read.
        height: height of the first frame in pixels; null if it cannot be read.
        fps: frame rate that a video states, frames per second; null for pictures.
        fault: why it cannot be read; null if it can.
    """

    path: str
    frames: int | None
    width: int | None
    height: int | None
    fps: float | None
    fault: str | None


class ReleaseCheckDocument(TypedDict):
    """What `cslr prepare CORPUS --check --json` prints.

    Attributes:
        schema_version: version of this document.
        corpus: name of the corpus.
        source: folder of the release.
        splits: what the release has of each split.
        num_glosses: number of different glosses.
        known_num_glosses: number of glosses of the published vocabulary; null if there is none.
        frame_kinds: number of clips that are folders of pictures, zips and videos.
        opened: clips that were opened.
        left_out: clips of the annotation that `prepare` would leave out, each with the reason.
        faults: faults that would stop `prepare`.
        notes: messages about things that are not errors.
        expected_layout: expected layout of the release.
        complete: whether nothing is missing.
    """

    schema_version: Literal[1]
    corpus: str
    source: str
    splits: dict[str, SplitCheck]
    num_glosses: int
    known_num_glosses: int | None
    frame_kinds: dict[FrameKind, int]
    opened: list[OpenedClip]
    left_out: Sequence[LeftOutClip]
    faults: Sequence[Fault]
    notes: Sequence[str]
    expected_layout: str
    complete: bool


@dataclass(frozen=True)
class ReleaseCheck:
    """What a release has and lacks.

    Attributes:
        corpus: reader of the corpus.
        release: the release as its annotation lists it.
        missing: clips whose frames do not exist; empty if frames are not needed.
        kinds: number of clips of each kind of frames.
        opened: clips that were opened as samples.
        need_frames: whether frames were looked for.
    """

    corpus: CorpusReader
    release: Release
    missing: tuple[Sample, ...]
    kinds: dict[FrameKind, int]
    opened: tuple[OpenedClip, ...]
    need_frames: bool

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing and nothing would stop `prepare`."""
        unreadable = any(clip["fault"] is not None for clip in self.opened)
        return not (self.release.faults or self.missing or select_faulty(self.release.left_out) or unreadable)

    def document(self) -> ReleaseCheckDocument:
        """Make the document that `--json` prints."""
        release = self.release
        missing = Counter(sample.split for sample in self.missing)
        splits: dict[str, SplitCheck] = {}
        for split in self.corpus.splits:
            clips = [sample for sample in release.samples if sample.split == split]
            splits[split] = {
                "clips": len(clips),
                "published": self.corpus.published_clips.get(split),
                "found": len(clips) - missing[split] if self.need_frames else None,
                "glosses": sum(len(sample.glosses) for sample in clips),
                "signers": len({sample.signer for sample in clips} - {None}),
            }
        return {
            "schema_version": 1,
            "corpus": self.corpus.name,
            "source": relative_path(release.root),
            "splits": splits,
            "num_glosses": len(count_sample_glosses(release.samples)),
            "known_num_glosses": self.corpus.vocabulary_size,
            "frame_kinds": self.kinds,
            "opened": list(self.opened),
            "left_out": [
                *release.left_out,
                *(LeftOutClip(each.sample_id, each.split, f"no frames: {each.frames}") for each in self.missing),
            ],
            "faults": release.faults,
            "notes": release.notes,
            "expected_layout": self.corpus.layout,
            "complete": self.is_complete,
        }


def check_release(corpus: CorpusReader, paths: ReleasePaths) -> ReleaseCheck:
    """Read the annotation of a release, look for the frames of every clip, and open a few clips.

    Args:
        corpus: reader of the corpus.
        paths: places of the parts of the release.

    Raises:
        DataError: these paths do not hold this release; the hint says what was expected.
    """
    release = read_release(corpus, paths)
    if not paths.need_frames:
        return ReleaseCheck(corpus, release, (), {}, (), need_frames=False)
    found, missing = [], []
    kinds: Counter[FrameKind] = Counter()
    for sample in release.samples:
        path = release.root / sample.frames
        if os.path.exists(path):
            found.append(sample)
            suffix = path.suffix.lower()
            kinds["zip" if suffix == ".zip" else "video" if suffix in CLIP_SUFFIXES else "folder"] += 1
        else:
            missing.append(sample)
    chosen = found[:: max(1, len(found) // _NUM_CLIPS_OPENED)][:_NUM_CLIPS_OPENED]
    opened = tuple(_open_clip(release.root, sample.frames) for sample in chosen)
    return ReleaseCheck(corpus, release, tuple(missing), dict(kinds), opened, need_frames=True)


def _open_clip(root: Path, frames: str) -> OpenedClip:
    try:
        source = open_frames(root / frames)
        first = next(source.iterate([0]))
        return {
            "path": frames,
            "frames": source.num_frames,
            "width": first.shape[1],
            "height": first.shape[0],
            "fps": source.fps,
            "fault": None,
        }
    except MediaError as error:
        fault = error.message.removeprefix(f"{root / frames}: ")
        return {"path": frames, "frames": None, "width": None, "height": None, "fps": None, "fault": fault}
