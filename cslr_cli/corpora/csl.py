"""CSL: a hundred sentences in Chinese Sign Language, each signed five times by fifty people (USTC)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora.annotation_files import SampleCollector, is_inside_release
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.frame_source import list_folder

# Number of clips per split that are tried, to find the folder that the paths of the split files are relative to.
_NUM_CLIPS_TRIED = 5

_LAYOUT = """\
CSL/
├── train.txt, dev.txt                   (or elsewhere: --annotations)
└── CSL_Continuous/VIDEO/*.jpg           (as in the lines of the split files)"""


@dataclass(frozen=True)
class CSL(CorpusReader):
    """CSL: one folder of JPEGs per video, and split files with lines `path/of/video|gloss gloss …`."""

    name: str = "csl"
    title: str = "CSL"
    fps: float = 30.0
    protocol: str = "csl"
    layout: str = _LAYOUT
    frame_pattern: str = "*.jpg"
    original_size: tuple[int, int] | None = (1280, 720)
    vocabulary_size: int | None = 179
    release_marks: tuple[str, ...] = ("CSL_Continuous",)
    splits: tuple[str, ...] = ("train", "dev")

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its split files."""
        if not paths.source.is_dir() and (paths.need_frames or paths.annotations is None):
            raise self.release_not_found(paths.source)
        folder = find_root(paths.source, ("CSL",), ["train.txt", "dev.txt"])
        if folder is None and paths.annotations is None:
            raise self.release_not_found(paths.source)
        collector = self.make_collector()
        rows = {}
        for split in self.splits:
            path = self.find_annotation(paths, [folder or paths.source], [f"{split}.txt"], collector)
            lines = [] if path is None else collector.read_lines(path)
            rows[split] = list(collector.split_rows(lines, 2))
        root, num_dropped = paths.source, 0
        if paths.need_frames:
            videos = [video for split_rows in rows.values() for _, (video, _) in split_rows[:_NUM_CLIPS_TRIED]]
            root, num_dropped = self._find_frames(paths.source, videos, collector)
        for split, split_rows in rows.items():
            _add_split(split_rows, split, num_dropped, collector)
        references = self.find_references(paths, [], collector)
        if collector.faults:
            collector.add_hint("expected lines of the form path/of/video|GLOSS GLOSS …")
        return self.make_release(root, collector, references)

    def _find_frames(self, source: Path, videos: Iterable[str], collector: SampleCollector) -> tuple[Path, int]:
        """Find the folder that the videos' paths are relative to, after dropping some of their first parts.

        Returns:
            The folder, and the number of dropped parts.
        """
        tried = [video for video in videos if is_inside_release(video)]
        for video in tried:
            parts = video.split("/")
            for num_dropped in range(len(parts)):
                root = find_root(source, ("CSL",), ["/".join(parts[num_dropped:])])
                if root is not None:
                    return root, num_dropped
        if tried:
            pattern = source / tried[0] / self.frame_pattern
            collector.add_fault(str(pattern), f"no frame matches this pattern; {source} holds {list_folder(source)}")
            collector.add_hint(self.expected_layout)
        return source, 0


def _add_split(rows: Iterable[tuple[str, list[str]]], split: str, num_dropped: int, collector: SampleCollector) -> None:
    for where, (video, annotation) in rows:
        if not is_inside_release(video):
            collector.add_fault(where, f"{video!r} is not a folder of pictures in the release")
            continue
        parts = video.split("/")
        sample = Sample(
            sample_id=parts[-1],
            split=split,
            frames="/".join(parts[num_dropped:]),
            num_frames=None,
            signer=None,  # not in the split files
            glosses=tuple(annotation.split()),
        )
        collector.add(sample, where)
