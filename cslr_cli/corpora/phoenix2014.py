"""PHOENIX2014: weather forecasts in German Sign Language (RWTH Aachen).

A release has two halves: the usual multi-signer one, and the signer-independent one (SI5), whose train split has all
signers but the fifth, and whose dev and test splits have only the fifth. The synthetic corpus has the same layout.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation_files import SampleCollector, is_inside_release
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample

FRAMES_DIR = "features/fullFrame-210x260px"
_COLUMNS = ("id", "folder", "signer", "annotation")
_MULTISIGNER = "phoenix-2014-multisigner"
_SI5 = "phoenix-2014-signerindependent-SI5"

_LAYOUT = f"""\
phoenix2014-release/{_MULTISIGNER}/
├── annotations/manual/{{train,dev,test}}.corpus.csv
├── {FRAMES_DIR}/{{train,dev,test}}/ID/1/*.png   (or ID.zip, ID.mp4; or videos/{{train,dev,test}}/ID.mp4)
└── evaluation/phoenix2014-groundtruth-{{dev,test}}.stm   (optional)"""

_SI5_LAYOUT = f"""\
phoenix2014-release/
├── {_SI5}/annotations/manual/{{train,dev,test}}.SI5.corpus.csv
└── {_MULTISIGNER}/
    ├── {FRAMES_DIR}/{{train,dev,test}}/ID/1/*.png   (or in {_SI5})
    └── evaluation/phoenix2014-groundtruth-{{dev,test}}.stm   (optional)"""


def _unusable() -> dict[str, str]:
    return {
        "13April_2011_Wednesday_tagesschau_default-14": (
            "known to be unusable in every copy of PHOENIX2014; published systems leave it out too"
        )
    }


@dataclass(frozen=True)
class Phoenix2014(CorpusReader):
    """The multi-signer half of PHOENIX2014, or a corpus with the same layout.

    Attributes:
        release_folders: names of the release's nested folders, the outermost first.
        annotation_name: path of its annotation files, `{split}` for the name of the split.
        frame_homes: folders, relative to the innermost release folder, that may contain the folder of frames.
    """

    name: str = "phoenix2014"
    title: str = "PHOENIX2014"
    fps: float = 25.0
    protocol: str = "phoenix2014"
    layout: str = _LAYOUT
    frame_pattern: str = "*.png"
    original_size: tuple[int, int] | None = (210, 260)
    vocabulary_size: int | None = 1295
    release_marks: tuple[str, ...] = ("annotations/manual/train.corpus.csv",)
    annotation_header: str = "|".join(_COLUMNS)
    published_clips: Mapping[str, int] = field(default_factory=lambda: {"train": 5671, "dev": 540, "test": 629})
    unusable: Mapping[str, str] = field(default_factory=_unusable)
    reference_names: tuple[str, ...] = ("evaluation/phoenix2014-groundtruth-{split}.stm", "{split}.stm")
    release_folders: tuple[str, ...] = ("phoenix2014-release", _MULTISIGNER)
    annotation_name: str = "annotations/manual/{split}.corpus.csv"
    frame_homes: tuple[str, ...] = (".",)

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its annotations."""
        root = self._find_root(paths)
        collector = self.make_collector()
        for split in self.splits:
            name = self.annotation_name.format(split=split)
            path = self.find_annotation(paths, [root], [name], collector)
            if path is not None:
                self._read_split(path, split, self._find_frames(root, split), collector)
        self.locate_clips(root, paths, {split: self._find_frames(root, split) for split in self.splits}, collector)
        homes = [root / home for home in self.frame_homes]
        references = self.find_references(paths, homes, collector)
        if collector.faults:
            collector.add_hint(f"expected lines of the form {'|'.join(_COLUMNS)}, with a folder such as ID/1/*.png")
        return self.make_release(root, collector, references)

    def _find_root(self, paths: ReleasePaths) -> Path:
        marks = [self.annotation_name.format(split=split) for split in self.splits]
        root = find_root(paths.source, self.release_folders, marks)
        if root is None and paths.annotations is not None:
            # The annotations are elsewhere: find the release by its frames.
            homes = [f"{home}/{FRAMES_DIR}" for home in self.frame_homes]
            root = find_root(paths.source, self.release_folders, homes)
            if root is None and (paths.source.is_dir() or not paths.need_frames):
                root = paths.source  # its frames may be elsewhere, as videos
        if root is None:
            raise self.release_not_found(paths.source)
        return root

    def _find_frames(self, root: Path, split: str) -> str:
        """Find the folder of a split's frames, relative to `root`; without one, return the first possible folder."""
        folders = [os.path.normpath(f"{home}/{FRAMES_DIR}/{split}") for home in self.frame_homes]
        return next((folder for folder in folders if os.path.isdir(root / folder)), folders[0])

    def _read_split(self, path: Path, split: str, frames: str, collector: SampleCollector) -> None:
        for where, (sample_id, pattern, signer, annotation) in collector.read_table(path, _COLUMNS):
            folder, slash, _ = pattern.rpartition("/")  # ID/1/*.png -> ID/1
            if not slash or not is_inside_release(folder):
                collector.add_fault(where, f"{pattern!r} is not a folder of pictures below {frames}")
                continue
            sample = Sample(
                sample_id=sample_id,
                split=split,
                frames=f"{frames}/{folder}",
                num_frames=None,
                signer=signer or None,
                glosses=tuple(annotation.split()),  # two spaces between glosses occur
            )
            collector.add(sample, where)


@dataclass(frozen=True)
class Phoenix2014SI5(Phoenix2014):
    """The signer-independent part: it has annotations only; frames and references are in the multi-signer part."""

    name: str = "phoenix2014-si5"
    title: str = "PHOENIX2014's signer-independent part (SI5)"
    layout: str = _SI5_LAYOUT
    vocabulary_size: int | None = None
    published_clips: Mapping[str, int] = field(default_factory=dict)
    release_marks: tuple[str, ...] = ("annotations/manual/*.SI5.corpus.csv",)
    release_folders: tuple[str, ...] = ("phoenix2014-release", _SI5)
    annotation_name: str = "annotations/manual/{split}.SI5.corpus.csv"
    frame_homes: tuple[str, ...] = (".", f"../{_MULTISIGNER}", _MULTISIGNER)
