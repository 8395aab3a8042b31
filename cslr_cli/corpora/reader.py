"""`CorpusReader`: every fact of one corpus, and the reading of its release.

A reader finds a release on disk and lists its clips. `cslr_cli.corpora.preparation` does the rest for every
corpus: resizing frames, numbering glosses, writing the prepared corpus. To add a corpus, write a subclass in a
module of its own and add one line to `cslr_cli.corpora.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation import AnnotationError, Fault, LeftOutClip, SampleCollector
from cslr_cli.corpora.release_paths import ReleasePaths, find_file, folders_below
from cslr_cli.dataset.manifest import CORPUS_FILE
from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.errors import DataError
from cslr_cli.media.frame_source import list_folder
from cslr_cli.media.options import Segment


@dataclass(frozen=True)
class Release:
    """The clips of a release, as its annotation lists them; no picture has been opened.

    Attributes:
        root: folder that the samples' `frames` are relative to.
        samples: usable clips, split by split and in the order of the annotation; `num_frames` is None.
        official_references: STM file of each split that has one; it may hold more clips.
        left_out: clips of the annotation that are not among the samples.
        segments: part of the video for each clip that is a part of a longer one, by clip name.
        faults: errors of the annotation that must be fixed before the release can be prepared.
        hint: how to fix them, or None.
        notes: messages for the user about things that are not errors.
    """

    root: Path
    samples: tuple[Sample, ...]
    official_references: Mapping[str, Path] = field(default_factory=dict)
    left_out: tuple[LeftOutClip, ...] = ()
    segments: Mapping[str, Segment] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    hint: str | None = None
    notes: tuple[str, ...] = ()

    def check(self) -> Release:
        """Return the release if it has no faults.

        Raises:
            AnnotationError: it has faults; the error lists all of them.
        """
        if self.faults:
            raise AnnotationError(self.faults, self.hint)
        return self


@dataclass(frozen=True)
class CorpusReader(ABC):
    """The facts of one corpus, and the reading of its release.

    Attributes:
        name: name on the command line.
        title: name in messages.
        fps: frame rate of its pictures, frames per second.
        protocol: name of the scoring protocol of its published figures.
        layout: drawing of the release's folders, for messages.
        frame_pattern: glob of the frames in a clip's folder; empty if a clip may be anything.
        original_size: width and height of its pictures before preparation, pixels; None if they vary.
        vocabulary_size: number of glosses in its published vocabulary; None if it has none.
        release_marks: globs of files and folders, relative to the release's root, that identify the release.
        annotation_header: first line of its annotation files, if they have one, else empty.
        splits: splits of the corpus.
        unusable: clips known to be unusable, each with the reason.
        reference_names: names of its STM files, `{split}` for the name of the split.
    """

    name: str
    title: str
    fps: float
    protocol: str
    layout: str
    frame_pattern: str
    original_size: tuple[int, int] | None = None
    vocabulary_size: int | None = None
    release_marks: tuple[str, ...] = ()
    annotation_header: str = ""
    splits: tuple[str, ...] = SPLITS
    unusable: Mapping[str, str] = field(default_factory=dict)
    reference_names: tuple[str, ...] = ("{split}.stm",)

    @property
    def default_source(self) -> Path:
        """Default folder of the release."""
        return Path("dataset") / self.name

    @property
    def default_output(self) -> Path:
        """Default folder of the prepared corpus."""
        return Path("prepared") / self.name

    @abstractmethod
    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its annotations.

        Returns:
            The clips of the release, and all faults of its annotations.

        Raises:
            DataError: these paths hold no such release.
        """

    def make_collector(self) -> SampleCollector:
        """Make an empty collector for the clips of this release."""
        headers: dict[str, str] = {}
        for reader in KNOWN_READERS.values():
            headers.setdefault(reader.annotation_header, reader.title)
        return SampleCollector(self.unusable, headers)

    def release_not_found(self, source: Path) -> DataError:
        """Make the error for a `source` that does not hold this release."""
        expected = f"expected this layout of {self.title}, in the folder or one or two levels below:\n{self.layout}"
        if not source.exists():
            message = f"{source}: there is no such folder"
            return DataError(message, f"{expected}\nsay where the release is with --source")
        if not source.is_dir():
            return DataError(f"{source}: this is a file, not the folder of a release", expected)
        other = recognise_release(source)
        looks_like = [f"this looks like {other}"] if other else []
        contents = f"the folder holds {list_folder(source)}"
        hint = "\n".join([*looks_like, expected, contents])
        return DataError(f"{source}: no release of {self.title} in this folder", hint)

    def find_annotation(
        self, paths: ReleasePaths, folders: Sequence[Path], names: Sequence[str], collector: SampleCollector
    ) -> Path | None:
        """Find an annotation file in the release, or else in the folder of annotations that the user named.

        Args:
            paths: folders that the user named.
            folders: folders of the release in which the file may be.
            names: possible names of the file, relative to those folders.
            collector: receives a fault if the file is in neither place, and a note if it is in both.
        """
        found = find_file(folders, names)
        if paths.annotations is None:
            if found is None:
                collector.add_fault(str(folders[0] / names[0]), "not there")
                collector.add_hint(self.expected_layout)
                collector.add_hint("if it lies elsewhere, say where with --annotations DIR")
            return found
        given = find_file([paths.annotations], names)
        if found is None and given is None:
            collector.add_fault(str(folders[0] / names[0]), f"not there, nor is it in {paths.annotations}")
            collector.add_hint(self.expected_layout)
        if found is not None and given is not None and not found.samefile(given):
            collector.notes.append(f"{found} was read, which is in the release, and not {given}")
        return found or given

    @property
    def expected_layout(self) -> str:
        """The layout of the release as part of a message."""
        return f"expected this layout of {self.title}:\n{self.layout}"

    def find_references(
        self, paths: ReleasePaths, folders: Sequence[Path], collector: SampleCollector
    ) -> dict[str, Path]:
        """Find the STM file of each split: in the folder that the user named, else in the release.

        Args:
            paths: folders that the user named.
            folders: folders of the release in which the files may be; empty if the release has no such files.
            collector: receives a fault if the user named a folder without such files.
        """
        names = {split: [name.format(split=split) for name in self.reference_names] for split in self.splits}
        own = {split: find_file(folders, names[split]) for split in self.splits}
        given: dict[str, Path | None] = {}
        if paths.references is not None:
            given = {split: find_file([paths.references], names[split]) for split in self.splits}
            if not any(given.values()):
                sought = ", ".join(name.rpartition("/")[2] for split in self.splits for name in names[split])
                collector.add_fault(str(paths.references), f"there are no references; files sought: {sought}")
        found = {split: given.get(split) or own[split] for split in self.splits}
        return {split: path for split, path in found.items() if path is not None}

    def make_release(
        self,
        root: Path,
        collector: SampleCollector,
        references: Mapping[str, Path],
        segments: Mapping[str, Segment] | None = None,
    ) -> Release:
        """Make a `Release` of the collected clips."""
        return Release(
            root,
            tuple(collector.samples),
            references,
            tuple(collector.left_out),
            segments or {},
            tuple(collector.faults),
            "\n".join(collector.hints) or None,
            tuple(collector.notes),
        )


# All published corpora by name. `cslr_cli.corpora.registry` fills it; readers need it here to recognise the release
# of another corpus.
KNOWN_READERS: dict[str, CorpusReader] = {}


def recognise_release(folder: Path) -> str | None:
    """Guess which release is in `folder` or up to two levels below it; None if none is recognised."""
    marks = [(reader.title, mark) for reader in KNOWN_READERS.values() for mark in reader.release_marks]
    marks.append(("a prepared corpus", CORPUS_FILE))
    for level in range(3):
        for candidate in folders_below(folder, level):
            for title, mark in marks:
                if next(candidate.glob(mark), None) is not None:
                    return title
    return None
