"""What a corpus reader is: it finds a release on disk and says which clips are in it.

A reader knows the release's folders and annotation files and nothing else: not how frames are
resized, not what a prepared corpus looks like, not how glosses are numbered. All of that is done in
one place, `cslr_cli.corpora.preparation`, for every corpus. A further corpus is a further reader and a line
in the registry (`cslr_cli.corpora`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation import AnnotationError, Fault, LeftOut, SampleCollector
from cslr_cli.corpora.lookup import ReleasePlaces, find_file, recognise_release
from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.errors import DataError
from cslr_cli.media.frame_source import list_folder
from cslr_cli.media.options import Segment


@dataclass(frozen=True)
class Release:
    """What a reader has found in a release; no picture has been opened for it.

    Attributes:
        root: the folder that the samples' `frames` are relative to.
        samples: the usable clips, split by split and in the order of the annotation; `num_frames` is None.
        official_references: STM files with the references, by split; they may hold more clips.
        left_out: clips of the annotation that are not among the samples.
        segments: for clips that are a part of a longer video, by their names, which part.
        faults: what is wrong with the annotation and has to be mended before anything is prepared.
        hint: how.
        notes: what the user should know though nothing is wrong.
    """

    root: Path
    samples: tuple[Sample, ...]
    official_references: Mapping[str, Path] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    segments: Mapping[str, Segment] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    hint: str | None = None
    notes: tuple[str, ...] = ()

    def check(self) -> Release:
        """Give the release back if it has no faults.

        Raises:
            AnnotationError: it has; all of them are told at once.
        """
        if self.faults:
            raise AnnotationError(self.faults, self.hint)
        return self


@dataclass(frozen=True)
class CorpusReader(ABC):
    """Reads one corpus' release.

    Attributes:
        name: what the command line calls the corpus.
        title: what people call it.
        fps: frame rate of its pictures, frames a second.
        protocol: name of the scoring protocol that its published figures rest on.
        layout: a drawing of the release's folders, for messages.
        frame_pattern: which files in a clip's folder are its frames; empty where a clip may be anything.
        splits: the splits that it has.
        unusable: clips known to be unusable, each with the reason.
        reference_names: what its STM files are called, `{split}` for the split's name.
    """

    name: str
    title: str
    fps: float
    protocol: str
    layout: str
    frame_pattern: str
    splits: tuple[str, ...] = SPLITS
    unusable: Mapping[str, str] = field(default_factory=dict)
    reference_names: tuple[str, ...] = ("{split}.stm",)

    @property
    def default_source(self) -> Path:
        """Where the release lies if the user says nothing."""
        return Path("dataset") / self.name

    @property
    def default_output(self) -> Path:
        """Where the prepared corpus goes if the user says nothing."""
        return Path("prepared") / self.name

    @abstractmethod
    def read(self, places: ReleasePlaces) -> Release:
        """Find the release, and read its annotations.

        Returns:
            What is in it, with everything that is wrong with its annotations.

        Raises:
            DataError: there is no such release in these places.
        """

    def not_found(self, source: Path) -> DataError:
        """The error for a `source` in which this release is not."""
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
        self, places: ReleasePlaces, folders: Sequence[Path], names: Sequence[str], collector: SampleCollector
    ) -> Path | None:
        """Find an annotation file in the release, or else where the user says that annotations are.

        Args:
            places: where to look.
            folders: of the release, in which the file may be.
            names: what it may be called, relative to those folders.
            collector: gets a fault where the file is in neither place, and a note where it is in both.
        """
        found = find_file(folders, names)
        if places.annotations is None:
            if found is None:
                collector.add_fault(str(folders[0] / names[0]), "not there")
                collector.add_hint(self.expected_layout)
                collector.add_hint("if it lies elsewhere, say where with --annotations DIR")
            return found
        given = find_file([places.annotations], names)
        if found is None and given is None:
            collector.add_fault(str(folders[0] / names[0]), f"not there, nor is it in {places.annotations}")
            collector.add_hint(self.expected_layout)
        if found is not None and given is not None and not found.samefile(given):
            collector.notes.append(f"{found} was read, which is in the release, and not {given}")
        return found or given

    @property
    def expected_layout(self) -> str:
        """The layout of the release as a part of a message."""
        return f"expected this layout of {self.title}:\n{self.layout}"

    def find_references(
        self, places: ReleasePlaces, folders: Sequence[Path], collector: SampleCollector
    ) -> dict[str, Path]:
        """The STM files with the references, by split: those that the user has named, else the release's own.

        Args:
            places: where to look first.
            folders: of the release, in which they may be; none where the release has no such files.
            collector: gets a fault where the user has named a folder and there are none in it.
        """
        names = {split: [name.format(split=split) for name in self.reference_names] for split in self.splits}
        own = {split: find_file(folders, names[split]) for split in self.splits}
        given: dict[str, Path | None] = {}
        if places.references is not None:
            given = {split: find_file([places.references], names[split]) for split in self.splits}
            if not any(given.values()):
                sought = ", ".join(name.rpartition("/")[2] for split in self.splits for name in names[split])
                collector.add_fault(str(places.references), f"there are no references; files sought: {sought}")
        found = {split: given.get(split) or own[split] for split in self.splits}
        return {split: path for split, path in found.items() if path is not None}

    def as_found(
        self,
        root: Path,
        collector: SampleCollector,
        references: Mapping[str, Path],
        segments: Mapping[str, Segment] | None = None,
    ) -> Release:
        """Put together what was found in a release."""
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
