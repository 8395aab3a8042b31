"""PHOENIX2014-T: the weather forecasts cut into sentences, each with its German translation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora.annotation import SampleCollector, is_inside
from cslr_cli.corpora.lookup import ReleasePlaces, find_root
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.dataset.sample import Sample

_COLUMNS = ("name", "video", "start", "end", "speaker", "orth", "translation")
_FRAMES_DIR = "features/fullFrame-210x260px"
_ANNOTATION = "annotations/manual/PHOENIX-2014-T.{split}.corpus.csv"

_LAYOUT = f"""\
PHOENIX-2014-T/
├── {_ANNOTATION.format(split="{train,dev,test}")}
└── {_FRAMES_DIR}/{{train,dev,test}}/ID/*.png   (or ID/1/*.png)"""


@dataclass(frozen=True)
class Phoenix2014T(CorpusReader):
    """Reads a PHOENIX2014-T release; the frames of a clip may lie in its folder or in a folder `1` in that."""

    name: str = "phoenix2014-T"
    title: str = "PHOENIX2014-T"
    fps: float = 25.0
    protocol: str = "phoenix2014"
    layout: str = _LAYOUT
    frame_pattern: str = "*.png"

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
            path = self.find_annotation(places, [root], [_ANNOTATION.format(split=split)], collector)
            frames = f"{_FRAMES_DIR}/{split}"
            if places.need_frames and not os.path.isdir(root / frames):
                collector.add_fault(str(root / frames), "not there")
                collector.add_hint(self.expected_layout)
            if path is not None:
                self._read_split(path, split, root, collector)
        references = self.find_references(places, [], collector)
        if collector.faults:
            collector.add_hint(f"expected lines of the form {'|'.join(_COLUMNS)}, with ID/*.png for the video")
        return self.as_found(root, collector, references)

    def _find_root(self, places: ReleasePlaces) -> Path:
        marks = [_ANNOTATION.format(split=split) for split in self.splits]
        root = find_root(places.source, ("PHOENIX-2014-T",), marks)
        if root is None and places.annotations is not None:
            # The annotations are elsewhere: what is left to know the release by is its frames.
            root = find_root(places.source, ("PHOENIX-2014-T",), [_FRAMES_DIR])
            if root is None and not places.need_frames:
                root = places.source
        if root is None:
            raise self.not_found(places.source)
        return root

    def _read_split(self, path: Path, split: str, root: Path, collector: SampleCollector) -> None:
        frames = f"{_FRAMES_DIR}/{split}"
        for where, (sample_id, video, _, _, speaker, orth, translation) in collector.table(path, _COLUMNS):
            folder, slash, _ = video.rpartition("/")  # ID/*.png -> ID
            if not slash or not is_inside(folder):
                collector.add_fault(where, f"{video!r} is no folder of pictures below {frames}")
                continue
            sample = Sample(
                sample_id=sample_id,
                split=split,
                frames=_clip_folder(root, f"{frames}/{folder}"),
                num_frames=None,
                signer=speaker or None,
                glosses=tuple(orth.split()),
                translation=translation or None,
            )
            collector.add(sample, where)


def _clip_folder(root: Path, folder: str) -> str:
    """Where the frames really are: some releases say `ID/1` and have `ID`, and some the other way round."""
    outer = folder.removesuffix("/1")
    return f"{outer}/1" if os.path.isdir(root / outer / "1") else outer
