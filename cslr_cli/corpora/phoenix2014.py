"""PHOENIX2014, the multi-signer half: weather forecasts in German Sign Language (RWTH Aachen)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation import SampleCollector, is_inside
from cslr_cli.corpora.lookup import ReleasePlaces, find_root
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.dataset.sample import Sample

FRAMES_DIR = "features/fullFrame-210x260px"
_COLUMNS = ("id", "folder", "signer", "annotation")
_MULTISIGNER = "phoenix-2014-multisigner"

_LAYOUT = f"""\
phoenix2014-release/{_MULTISIGNER}/
├── annotations/manual/{{train,dev,test}}.corpus.csv
├── {FRAMES_DIR}/{{train,dev,test}}/ID/1/*.png
└── evaluation/phoenix2014-groundtruth-{{dev,test}}.stm   (where there)"""


def _unusable() -> dict[str, str]:
    return {
        "13April_2011_Wednesday_tagesschau_default-14": (
            "known to be unusable in every copy of PHOENIX2014; published systems leave it out too"
        )
    }


@dataclass(frozen=True)
class Phoenix2014(CorpusReader):
    """Reads a PHOENIX2014 release, or anything that has its layout.

    Attributes:
        release_folders: what the release's folders are called, the outermost first.
        annotation_name: what its annotation files are called, `{split}` for the split's name.
        frame_homes: folders, relative to the innermost one, in which its frames may be.
    """

    name: str = "phoenix2014"
    title: str = "PHOENIX2014"
    fps: float = 25.0
    protocol: str = "phoenix2014"
    layout: str = _LAYOUT
    frame_pattern: str = "*.png"
    unusable: Mapping[str, str] = field(default_factory=_unusable)
    reference_names: tuple[str, ...] = ("evaluation/phoenix2014-groundtruth-{split}.stm", "{split}.stm")
    release_folders: tuple[str, ...] = ("phoenix2014-release", _MULTISIGNER)
    annotation_name: str = "annotations/manual/{split}.corpus.csv"
    frame_homes: tuple[str, ...] = (".",)

    def read(self, places: ReleasePlaces) -> Release:
        """Find the release, and read its annotations.

        Returns:
            What is in it, with everything that is wrong with its annotations.

        Raises:
            DataError: there is no such release in these places.
        """
        root = self._find_root(places)
        collector = SampleCollector(self.unusable)
        for split in self.splits:
            name = self.annotation_name.format(split=split)
            path = self.find_annotation(places, [root], [name], collector)
            frames = self._find_frames(root, split, places, collector)
            if path is not None:
                self._read_split(path, split, frames, collector)
        homes = [root / home for home in self.frame_homes]
        references = self.find_references(places, homes, collector)
        if collector.faults:
            collector.add_hint(f"expected lines of the form {'|'.join(_COLUMNS)}, with ID/1/*.png for the folder")
        return self.as_found(root, collector, references)

    def _find_root(self, places: ReleasePlaces) -> Path:
        marks = [self.annotation_name.format(split=split) for split in self.splits]
        root = find_root(places.source, self.release_folders, marks)
        if root is None and places.annotations is not None:
            # The annotations are elsewhere: what is left to know the release by is its frames.
            homes = [f"{home}/{FRAMES_DIR}" for home in self.frame_homes]
            root = find_root(places.source, self.release_folders, homes)
            if root is None and not places.need_frames:
                root = places.source
        if root is None:
            raise self.not_found(places.source)
        return root

    def _find_frames(self, root: Path, split: str, places: ReleasePlaces, collector: SampleCollector) -> str:
        """The folder of a split's frames, relative to `root`."""
        folders = [os.path.normpath(f"{home}/{FRAMES_DIR}/{split}") for home in self.frame_homes]
        found = next((folder for folder in folders if os.path.isdir(root / folder)), None)
        if found is None and places.need_frames:
            collector.add_fault(str(root / folders[0]), "not there")
            collector.add_hint(self.expected_layout)
        return found or folders[0]

    def _read_split(self, path: Path, split: str, frames: str, collector: SampleCollector) -> None:
        for where, (sample_id, pattern, signer, annotation) in collector.table(path, _COLUMNS):
            folder, slash, _ = pattern.rpartition("/")  # ID/1/*.png -> ID/1
            if not slash or not is_inside(folder):
                collector.add_fault(where, f"{pattern!r} is no folder of pictures below {frames}")
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
