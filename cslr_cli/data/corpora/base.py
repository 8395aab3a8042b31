"""What a corpus reader is: it finds a release on disk and says which clips are in it.

A reader knows the release's folders and annotation files and nothing else: not how frames are
resized, not what a prepared corpus looks like, not how glosses are numbered. All of that is done in
one place, `cslr_cli.preparation`, for every corpus. A further corpus is a further reader and a line
in the registry (`cslr_cli.data.corpora`).
"""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.data.frame_source import folder_contents
from cslr_cli.data.sample import Sample
from cslr_cli.errors import DataError

# Faults of a release that an error message shows one by one; the others are only counted.
FAULTS_SHOWN = 10

# Releases that people have on their disks, and a file or folder by which each is recognised.
_MARKS = (
    ("PHOENIX2014-T", "annotations/manual/PHOENIX-2014-T.*.corpus.csv"),
    ("PHOENIX2014's signer-independent half (SI5)", "annotations/manual/*.SI5.corpus.csv"),
    ("PHOENIX2014", "annotations/manual/train.corpus.csv"),
    ("CSL-Daily", "frames_512x512"),
    ("CSL-Daily", "video_map.txt"),
    ("a prepared corpus", "corpus.yaml"),
)
_FOLDERS_LOOKED_AT = 50  # on each level, when guessing what a folder holds


@dataclass(frozen=True)
class LeftOut:
    """A clip that does not go into the prepared corpus.

    Attributes:
        sample_id: its name.
        split: the split it would have been in.
        reason: why, in words for the user.
        expected: the corpus is known to have this clip unusable, so that leaving it out is right;
            otherwise something is wrong with this copy of the release.
    """

    sample_id: str
    split: str
    reason: str
    expected: bool = False


@dataclass(frozen=True)
class Release:
    """What a reader has found in a release; no picture has been opened for it.

    Attributes:
        root: the folder that the samples' `frames` are relative to.
        samples: the usable clips, split by split and in the order of the annotation; `num_frames` is None.
        official_references: the STM files that come with the release, by split; they may hold more clips.
        left_out: clips of the annotation that are not among the samples.
    """

    root: Path
    samples: tuple[Sample, ...]
    official_references: Mapping[str, Path] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class CorpusReader(ABC):
    """Reads one corpus' release.

    Attributes:
        name: what the command line calls the corpus.
        title: what people call it.
        fps: frame rate of its pictures, frames a second.
        protocol: name of the scoring protocol that its published figures rest on.
        layout: a drawing of the release's folders, for messages.
        unusable: clips known to be unusable, each with the reason.
    """

    name: str
    title: str
    fps: float
    protocol: str
    layout: str
    unusable: Mapping[str, str]

    @property
    def default_source(self) -> Path:
        """Where the release lies if the user says nothing."""
        return Path("dataset") / self.name

    @property
    def default_output(self) -> Path:
        """Where the prepared corpus goes if the user says nothing."""
        return Path("prepared") / self.name

    @abstractmethod
    def read(self, source: Path) -> Release:
        """Find the release in or below `source`, and read its annotations.

        Raises:
            DataError: it is not there, not whole, or its annotations have faults; all are told at once.
        """

    def not_found(self, source: Path) -> DataError:
        """The error for a `source` in which this release is not."""
        expected = (
            f"expected this layout of {self.title}, in the folder or one or two levels below:\n{self.layout}"
        )
        if not source.exists():
            message = f"{source}: there is no such folder"
            return DataError(message, f"{expected}\nsay where the release is with --source")
        if not source.is_dir():
            return DataError(f"{source}: this is a file, not the folder of a release", expected)
        other = recognise_release(source)
        looks_like = [f"this looks like {other}"] if other else []
        contents = f"the folder holds {folder_contents(source)}"
        hint = "\n".join([*looks_like, expected, contents])
        return DataError(f"{source}: no release of {self.title} in this folder", hint)


@dataclass(frozen=True)
class AnnotationLine:
    """A line of an annotation file, with where it stands for messages (`file:line`)."""

    where: str
    text: str


def read_annotation_lines(path: Path) -> list[AnnotationLine]:
    """Read the lines of an annotation file that are not blank.

    A byte-order mark and Windows line ends are tolerated.

    Raises:
        DataError: the file cannot be read, or is not UTF-8 text; the line is named.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: not UTF-8 text (byte 0x{error.object[error.start]:02x})",
            f"expected UTF-8; if the file is in Latin-1: iconv -f LATIN1 -t UTF-8 {path.name}",
        ) from error
    # Not splitlines: that parts lines at characters which may stand in a translation.
    lines = enumerate(text.split("\n"), start=1)
    return [AnnotationLine(f"{path}:{number}", line.rstrip("\r")) for number, line in lines if line.strip()]


class SampleCollector:
    """Gathers the clips of a release, those left out, and all that is wrong with the annotation."""

    def __init__(self, unusable: Mapping[str, str]) -> None:
        self.samples: list[Sample] = []
        self.left_out: list[LeftOut] = []
        self.faults: list[str] = []
        self._unusable = unusable
        self._seen: dict[str, str] = {}

    def add_fault(self, where: str, what: str) -> None:
        """Note something that is wrong with the annotation."""
        self.faults.append(f"{where}: {what}")

    def add(self, sample: Sample, where: str) -> None:
        """Take a clip in, or note why not: its name is no name, occurs twice, or nothing is signed in it."""
        sample_id = sample.sample_id
        if not is_plain_name(sample_id):
            self.add_fault(where, f"{sample_id!r} cannot be the name of a clip (it becomes a file name)")
        elif sample.signer is not None and not is_plain_name(sample.signer):
            self.add_fault(
                where, f"{sample.signer!r} cannot be the name of a signer (it has spaces or slashes)"
            )
        elif sample_id in self._seen:
            self.add_fault(where, f"clip {sample_id!r} was there already ({self._seen[sample_id]})")
        elif sample_id in self._unusable:
            self.left_out.append(LeftOut(sample_id, sample.split, self._unusable[sample_id], expected=True))
        elif not sample.glosses:
            self.left_out.append(LeftOut(sample_id, sample.split, f"{where}: no glosses in the annotation"))
        else:
            self.samples.append(sample)
        self._seen.setdefault(sample_id, where)

    def raise_faults(self, hint: str) -> None:
        """Raise a DataError that tells all faults noted so far, if there are any."""
        if self.faults:
            raise DataError(gathered(self.faults), hint)


def is_plain_name(text: str) -> bool:
    """Whether `text` can be a file name and a field of an STM line: no spaces, no slashes, not hidden."""
    return re.fullmatch(r"[^\s./\\\0;][^\s/\\\0]*", text) is not None


def is_inside(path: str) -> bool:
    """Whether a path of an annotation stays below the folder that it is relative to."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def gathered(faults: list[str]) -> str:
    """Tell faults, one a line: the first few, and how many more there are."""
    more = len(faults) - FAULTS_SHOWN
    return "\n".join([*faults[:FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def recognise_release(folder: Path) -> str | None:
    """Guess which release lies in `folder` or up to two levels below it; None if it looks like none."""
    for level in range(3):
        for below in _folders_below(folder, level):
            for title, mark in _MARKS:
                if next(below.glob(mark), None) is not None:
                    return title
    return None


def _folders_below(folder: Path, level: int) -> Iterator[Path]:
    """The folders exactly `level` levels below `folder`, at most a handful on each."""
    if level == 0:
        yield folder
        return
    children = (entry for entry in itertools.islice(folder.iterdir(), _FOLDERS_LOOKED_AT) if entry.is_dir())
    for child in children:
        yield from _folders_below(child, level - 1)
