"""PHOENIX2014, the multi-signer half: weather forecasts in German Sign Language (RWTH Aachen)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.data.corpora.base import (
    AnnotationLine,
    CorpusReader,
    Release,
    SampleCollector,
    gathered,
    is_inside,
    read_annotation_lines,
)
from cslr_cli.data.sample import SPLITS, Sample
from cslr_cli.errors import DataError

_FIELDS = ("id", "folder", "signer", "annotation")
_HEADER = "|".join(_FIELDS)
_FRAMES_DIR = "features/fullFrame-210x260px"
_RELEASE_DIRS = ("phoenix2014-release", "phoenix-2014-multisigner")

_LAYOUT = f"""\
{"/".join(_RELEASE_DIRS)}/
├── annotations/manual/{{train,dev,test}}.corpus.csv
├── {_FRAMES_DIR}/{{train,dev,test}}/ID/1/*.png
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

    `source` may be the folder that holds `annotations` and `features`, its parent, or its grandparent.
    """

    name: str = "phoenix2014"
    title: str = "PHOENIX2014"
    fps: float = 25.0
    protocol: str = "phoenix2014"
    layout: str = _LAYOUT
    unusable: Mapping[str, str] = field(default_factory=_unusable)

    def read(self, source: Path) -> Release:
        """Find the release in or below `source`, and read its annotations.

        Raises:
            DataError: it is not there, not whole, or its annotations have faults; all are told at once.
        """
        root = self._find_root(source)
        collector = SampleCollector(self.unusable)
        for split in SPLITS:
            self._read_split(root, split, collector)
        collector.raise_faults(f"expected lines of the form {_HEADER}, with ID/1/*.png for the folder")
        return Release(
            root,
            tuple(collector.samples),
            official_references={
                split: path
                for split in SPLITS
                if (path := root / f"evaluation/phoenix2014-groundtruth-{split}.stm").is_file()
            },
            left_out=tuple(collector.left_out),
        )

    def _find_root(self, source: Path) -> Path:
        for parts in ((), _RELEASE_DIRS[1:], _RELEASE_DIRS):
            root = source.joinpath(*parts)
            if any(_annotation_path(root, split).is_file() for split in SPLITS):
                break
        else:
            raise self.not_found(source)
        needed = [_annotation_path(root, split) for split in SPLITS]
        needed += [root / _FRAMES_DIR / split for split in SPLITS]
        missing = [f"{path}: not there" for path in needed if not path.exists()]
        if missing:
            raise DataError(gathered(missing), f"expected this layout of {self.title}:\n{self.layout}")
        return root

    def _read_split(self, root: Path, split: str, collector: SampleCollector) -> None:
        path = _annotation_path(root, split)
        lines = read_annotation_lines(path)
        if not lines:
            collector.add_fault(str(path), "the file is empty")
            return
        header, *rows = lines
        if header.text.strip() != _HEADER:
            collector.add_fault(header.where, f"the first line is {header.text!r} instead of {_HEADER!r}")
            return
        if not rows:
            collector.add_fault(str(path), "there are no clips in it")
        for row in rows:
            _read_row(row, split, collector)


def _annotation_path(root: Path, split: str) -> Path:
    return root / "annotations" / "manual" / f"{split}.corpus.csv"


def _read_row(row: AnnotationLine, split: str, collector: SampleCollector) -> None:
    fields = row.text.split("|")
    if len(fields) != len(_FIELDS):
        collector.add_fault(row.where, f"{len(fields)} fields instead of {len(_FIELDS)}: {row.text[:80]!r}")
        return
    sample_id, pattern, signer, annotation = (text.strip() for text in fields)
    folder, slash, _ = pattern.rpartition("/")  # ID/1/*.png -> ID/1
    if not slash or not is_inside(folder):
        collector.add_fault(row.where, f"{pattern!r} is no folder of pictures below {_FRAMES_DIR}/{split}")
        return
    sample = Sample(
        sample_id=sample_id,
        split=split,
        frames=f"{_FRAMES_DIR}/{split}/{folder}",
        num_frames=None,
        signer=signer or None,
        glosses=tuple(annotation.split()),  # two spaces between glosses occur
    )
    collector.add(sample, row.where)
