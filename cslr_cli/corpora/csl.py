"""CSL: a hundred sentences in Chinese Sign Language, each signed five times by fifty people (USTC)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora.annotation import SampleCollector, is_inside
from cslr_cli.corpora.lookup import ReleasePlaces, find_root
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.frame_source import list_folder

# Clips whose folders are sought to find out where in the release the split files' paths begin.
_CLIPS_TRIED = 5

_LAYOUT = """\
CSL/
├── train.txt, dev.txt                   (or elsewhere: --annotations)
└── CSL_Continuous/VIDEO/*.jpg           (as the lines of the split files have it)"""


@dataclass(frozen=True)
class CSL(CorpusReader):
    """Reads CSL: a folder of JPEGs a video, and split files of lines `path/of/video|gloss gloss …`."""

    name: str = "csl"
    title: str = "CSL"
    fps: float = 30.0
    protocol: str = "csl"
    layout: str = _LAYOUT
    frame_pattern: str = "*.jpg"
    splits: tuple[str, ...] = ("train", "dev")

    def read(self, places: ReleasePlaces) -> Release:
        """Find the release, and read its split files.

        Returns:
            What is in it, with everything that is wrong with its annotations.

        Raises:
            DataError: there is no such release in these places.
        """
        if not places.source.is_dir() and (places.need_frames or places.annotations is None):
            raise self.not_found(places.source)
        folder = find_root(places.source, ("CSL",), ["train.txt", "dev.txt"])
        if folder is None and places.annotations is None:
            raise self.not_found(places.source)
        collector = SampleCollector(self.unusable)
        rows = {}
        for split in self.splits:
            path = self.find_annotation(places, [folder or places.source], [f"{split}.txt"], collector)
            lines = [] if path is None else collector.lines(path)
            rows[split] = list(collector.rows(lines, 2))
        root, dropped = places.source, 0
        if places.need_frames:
            videos = [video for split_rows in rows.values() for _, (video, _) in split_rows[:_CLIPS_TRIED]]
            root, dropped = self._find_frames(places.source, videos, collector)
        for split, split_rows in rows.items():
            _add_split(split_rows, split, dropped, collector)
        references = self.find_references(places, [], collector)
        if collector.faults:
            collector.add_hint("expected lines of the form path/of/video|gloss gloss …")
        return self.as_found(root, collector, references)

    def _find_frames(self, source: Path, videos: Iterable[str], collector: SampleCollector) -> tuple[Path, int]:
        """The folder in which the paths of the videos begin, and how many of their first parts to leave out for it."""
        tried = [video for video in videos if is_inside(video)]
        for video in tried:
            parts = video.split("/")
            for dropped in range(len(parts)):
                root = find_root(source, ("CSL",), ["/".join(parts[dropped:])])
                if root is not None:
                    return root, dropped
        if tried:
            pattern = source / tried[0] / self.frame_pattern
            collector.add_fault(str(pattern), f"no frame matches this pattern; {source} holds {list_folder(source)}")
            collector.add_hint(self.expected_layout)
        return source, 0


def _add_split(rows: Iterable[tuple[str, list[str]]], split: str, dropped: int, collector: SampleCollector) -> None:
    for where, (video, annotation) in rows:
        if not is_inside(video):
            collector.add_fault(where, f"{video!r} is no folder of pictures inside the release")
            continue
        parts = video.split("/")
        sample = Sample(
            sample_id=parts[-1],
            split=split,
            frames="/".join(parts[dropped:]),
            num_frames=None,
            signer=None,  # the split files do not say
            glosses=tuple(annotation.split()),
        )
        collector.add(sample, where)
