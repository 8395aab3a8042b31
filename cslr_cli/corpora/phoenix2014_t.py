"""PHOENIX2014-T: weather forecasts cut into sentences, each with its German translation (RWTH Aachen)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation_files import SampleCollector, is_inside_release
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample

_COLUMNS = ("name", "video", "start", "end", "speaker", "orth", "translation")
_FRAMES_DIR = "features/fullFrame-210x260px"
_ANNOTATION = "annotations/manual/PHOENIX-2014-T.{split}.corpus.csv"

_LAYOUT = f"""\
PHOENIX-2014-T/
├── {_ANNOTATION.format(split="{train,dev,test}")}
└── {_FRAMES_DIR}/{{train,dev,test}}/ID/*.png   (or ID/1/*.png)
or, instead of folders of pictures, zips or videos: ID.zip, ID.mp4, also in videos/{{train,dev,test}}/"""


@dataclass(frozen=True)
class Phoenix2014T(CorpusReader):
    """PHOENIX2014-T; the frames of a clip may be in its folder or in a folder `1` below it."""

    name: str = "phoenix2014-T"
    title: str = "PHOENIX2014-T"
    fps: float = 25.0
    protocol: str = "phoenix2014"
    layout: str = _LAYOUT
    frame_pattern: str = "*.png"
    original_size: tuple[int, int] | None = (210, 260)
    vocabulary_size: int | None = 1115
    release_marks: tuple[str, ...] = (_ANNOTATION.format(split="*"),)
    annotation_header: str = "|".join(_COLUMNS)
    published_clips: Mapping[str, int] = field(default_factory=lambda: {"train": 7096, "dev": 519, "test": 642})

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its annotations."""
        root = self._find_root(paths)
        collector = self.make_collector()
        for split in self.splits:
            path = self.find_annotation(paths, [root], [_ANNOTATION.format(split=split)], collector)
            if path is not None:
                self._read_split(path, split, collector)
        self.locate_clips(root, paths, {split: f"{_FRAMES_DIR}/{split}" for split in self.splits}, collector)
        references = self.find_references(paths, [], collector)
        if collector.faults:
            collector.add_hint(f"expected lines of the form {'|'.join(_COLUMNS)}, with a video such as ID/*.png")
        return self.make_release(root, collector, references)

    def _find_root(self, paths: ReleasePaths) -> Path:
        marks = [_ANNOTATION.format(split=split) for split in self.splits]
        root = find_root(paths.source, ("PHOENIX-2014-T",), marks)
        if root is None and paths.annotations is not None:
            # The annotations are elsewhere: find the release by its frames.
            root = find_root(paths.source, ("PHOENIX-2014-T",), [_FRAMES_DIR])
            if root is None and (paths.source.is_dir() or not paths.need_frames):
                root = paths.source  # its frames may be elsewhere, as videos
        if root is None:
            raise self.release_not_found(paths.source)
        return root

    def _read_split(self, path: Path, split: str, collector: SampleCollector) -> None:
        frames = f"{_FRAMES_DIR}/{split}"
        for where, (sample_id, video, start, end, speaker, orth, translation) in collector.read_table(path, _COLUMNS):
            folder, slash, _ = video.rpartition("/")  # ID/*.png -> ID
            if not slash or not is_inside_release(folder):
                collector.add_fault(where, f"{video!r} is not a folder of pictures below {frames}")
                continue
            sample = Sample(
                sample_id=sample_id,
                split=split,
                frames=f"{frames}/{folder.removesuffix('/1')}",  # the frames may be there or in a folder `1` in it
                num_frames=None,
                signer=speaker or None,
                glosses=tuple(orth.split()),
                translation=translation or None,
                fields={key: value for key, value in (("start", start), ("end", end)) if value not in ("", "-1")},
            )
            collector.add(sample, where)
