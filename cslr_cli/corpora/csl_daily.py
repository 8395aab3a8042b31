"""CSL-Daily: sentences of everyday life in Chinese Sign Language, by ten signers (USTC)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora.annotation_files import SampleCollector
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.frame_source import shorten_list

_MAP_COLUMNS = ("index", "name", "length", "gloss", "char", "word", "postag")
_SPLIT_COLUMNS = ("name", "split")
_MAP, _SPLIT_FILE = "video_map.txt", "split_1.txt"
_FRAMES_DIR = "frames_512x512"
# The split file of the release lacks it; published systems train on it.
_CLIP_WITHOUT_SPLIT = "S000007_P0003_T00"

_LAYOUT = f"""\
CSL-Daily/
├── {_MAP}, {_SPLIT_FILE}              (here, in sentence/ or in sentence_label/, or elsewhere: --annotations)
└── sentence/{_FRAMES_DIR}/NAME/*.jpg"""


@dataclass(frozen=True)
class CSLDaily(CorpusReader):
    """CSL-Daily: one table of all clips, and one table with the split of each clip."""

    name: str = "csl-daily"
    title: str = "CSL-Daily"
    fps: float = 30.0
    protocol: str = "csl-daily"
    layout: str = _LAYOUT
    frame_pattern: str = "*.jpg"
    original_size: tuple[int, int] | None = (512, 512)
    vocabulary_size: int | None = 2000
    release_marks: tuple[str, ...] = (_FRAMES_DIR, _MAP)
    annotation_header: str = "|".join(_MAP_COLUMNS)

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its annotations."""
        root, folders = self._find_root(paths)
        collector = self.make_collector()
        if paths.need_frames and not (root / _FRAMES_DIR).is_dir():
            collector.add_fault(str(root / _FRAMES_DIR), "folder not found")
            collector.add_hint(self.expected_layout)
        video_map = self.find_annotation(paths, folders, [_MAP], collector)
        split_file = self.find_annotation(paths, folders, [_SPLIT_FILE], collector)
        if video_map is not None and split_file is not None:
            split_of = self._read_splits(split_file, collector)
            self._read_map(video_map, split_file, split_of, collector)
        references = self.find_references(paths, [], collector)
        if collector.faults:
            collector.add_hint(f"expected lines of the form {'|'.join(_MAP_COLUMNS)} in {_MAP}")
            collector.add_hint(
                f"expected lines of the form {'|'.join(_SPLIT_COLUMNS)}, with train, dev or test, in {_SPLIT_FILE}"
            )
        return self.make_release(root, collector, references)

    def _find_root(self, paths: ReleasePaths) -> tuple[Path, list[Path]]:
        """Find the folder that contains the folder of frames, and the folders that may contain the annotation."""
        names = ("CSL-Daily", "sentence")
        root = find_root(paths.source, names, [_FRAMES_DIR])
        labels = find_root(paths.source, ("CSL-Daily", "sentence_label"), [_MAP, _SPLIT_FILE])
        if root is None and labels is None and (paths.need_frames or paths.annotations is None):
            raise self.release_not_found(paths.source)
        root = root or paths.source / "sentence"
        folders = [labels or root, root, root / "..", root / ".." / "sentence_label", paths.source]
        return root, folders

    def _read_splits(self, path: Path, collector: SampleCollector) -> dict[str, tuple[str, str]]:
        """Read the split of each clip, and the position of that line, by clip name."""
        split_of: dict[str, tuple[str, str]] = {}
        for where, (name, split) in collector.read_table(path, _SPLIT_COLUMNS):
            if split not in self.splits:
                collector.add_fault(where, f"unknown split {split!r}; expected one of {', '.join(self.splits)}")
            elif name in split_of:
                collector.add_fault(where, f"duplicate clip {name!r}, first in {split_of[name][1]}")
            else:
                split_of[name] = split, where
        return split_of

    def _read_map(
        self, path: Path, split_file: Path, split_of: dict[str, tuple[str, str]], collector: SampleCollector
    ) -> None:
        found: dict[str, list[tuple[Sample, str]]] = {split: [] for split in self.splits}
        without_split = []
        names = set()
        for where, (_, name, _, gloss, characters, _, _) in collector.read_table(path, _MAP_COLUMNS):
            if name not in split_of:
                without_split.append(name)
            split, _ = split_of.get(name, ("train", where))
            found[split].append((_sample(name, split, gloss, characters), where))
            names.add(name)
        for samples in found.values():
            for sample, where in samples:
                collector.add(sample, where)
        for name, (_, where) in split_of.items():
            if names and name not in names:
                collector.add_fault(where, f"clip {name!r} is not in {path.name}")
        if without_split:
            known = " (as in every copy of CSL-Daily)" if without_split == [_CLIP_WITHOUT_SPLIT] else ""
            collector.notes.append(
                f"clips without a split in {split_file}, added to train: {shorten_list(without_split)}{known}"
            )


def _sample(name: str, split: str, gloss: str, characters: str) -> Sample:
    signer = re.search(r"_(P\d+)_", name)  # SENTENCE_PERSON_TIME
    return Sample(
        sample_id=name,
        split=split,
        frames=f"{_FRAMES_DIR}/{name}",
        num_frames=None,
        signer=signer[1] if signer else None,
        glosses=tuple(gloss.split()),
        translation="".join(characters.split()) or None,  # the annotation has a space after every character
    )
