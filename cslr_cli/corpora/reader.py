"""`CorpusReader`: every fact of one corpus, such as its frame rate, and the reading of its release.

The values are in the module of each corpus, for example `phoenix2014.py`. A reader finds a release on disk and lists
its clips. `cslr_cli.corpora.preparation` does the rest for every corpus: resizing frames, numbering glosses, writing
the prepared corpus. To add a corpus, write a subclass in a new module and add one line to `registry.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cslr_cli.corpora.annotation_files import AnnotationError, Fault, LeftOutClip, SampleCollector
from cslr_cli.corpora.archives import describe_unusable_source
from cslr_cli.corpora.clip_locations import locate_clips
from cslr_cli.corpora.release_paths import SEARCHED_LEVELS, ReleasePaths, find_file, folders_below
from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.errors import DataError
from cslr_cli.media.frame_source import list_folder
from cslr_cli.media.options import Segment


class ReleaseNotFoundError(DataError):
    """A folder does not hold the expected release."""


@dataclass(frozen=True)
class Release:
    """The clips of a release, as its annotation lists them; no picture has been opened.

    Attributes:
        root: folder that the samples' `frames` are relative to.
        samples: usable clips, split by split and in the order of the annotation; `num_frames` is None.
        official_references: STM file of each split that has one; it may contain more clips.
        left_out: clips of the annotation that are not among the samples.
        segments: segment of the video for each clip that is a part of a longer video, by clip name.
        faults: errors of the annotation that must be fixed before the release can be prepared.
        hint: how to fix them, or None.
        notes: messages for the user about things that are not errors.
        unknown_headers: first line of each annotation file that does not have the expected first line, by path.
        drawing: how splits were drawn at random; None if they are given.
    """

    root: Path
    samples: tuple[Sample, ...]
    official_references: Mapping[str, Path] = field(default_factory=dict)
    left_out: tuple[LeftOutClip, ...] = ()
    segments: Mapping[str, Segment] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    hint: str | None = None
    notes: tuple[str, ...] = ()
    unknown_headers: Mapping[str, str] = field(default_factory=dict)
    drawing: str | None = None

    def check(self) -> Release:
        """Return the release; raise an AnnotationError that lists all faults if it has any."""
        if self.faults:
            raise AnnotationError(self.faults, self.hint)
        return self


@dataclass(frozen=True)
class CorpusReader(ABC):
    """The facts of one corpus, and the reading of its release.

    Attributes:
        name: name on the command line.
        title: name in messages.
        fps: frame rate, frames per second.
        protocol: scoring protocol of the published results, a name in `cslr_cli.scoring.normalisation.PROTOCOLS`.
        layout: drawing of the release's folders, for messages.
        frame_pattern: glob of the frames in a clip's folder; empty if clips may also be zips or videos.
        original_size: width and height of the frames before preparation, pixels; None if they vary.
        vocabulary_size: number of glosses in the published vocabulary; None without one.
        release_marks: globs of files and folders, relative to the release's root, that identify the release.
        annotation_header: first line of the annotation files; empty if they have no such line.
        splits: splits of the corpus.
        published_clips: number of clips of each split in the published corpus; empty if it is unknown.
        unusable: clips known to be unusable, each with the reason.
        reference_names: names of the STM files, `{split}` for the name of the split.
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
    published_clips: Mapping[str, int] = field(default_factory=dict)
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
        """Find the release and read its annotations; faults of the annotations are part of the result.

        Raises:
            ReleaseNotFoundError: these paths do not hold this release.
        """

    def make_collector(self) -> SampleCollector:
        """Make an empty collector for the clips of this release."""
        return SampleCollector(self.unusable)

    def release_not_found(self, source: Path) -> ReleaseNotFoundError:
        """Make the error for a `source` that does not hold this release."""
        where = f"in the folder or up to {SEARCHED_LEVELS} levels below"
        expected = f"expected this layout of {self.title}, {where}:\n{self.layout}"
        if not source.exists():
            hint = f"{expected}\nname the folder of the release with --source"
            return ReleaseNotFoundError(f"{source}: folder not found", hint)
        unusable = describe_unusable_source(source)
        if unusable is not None:
            return ReleaseNotFoundError(*unusable)
        if not source.is_dir():
            return ReleaseNotFoundError(f"{source}: this is a file, not the folder of a release", expected)
        hint = f"{expected}\nthe folder holds {list_folder(source)}"
        return ReleaseNotFoundError(f"{source}: no release of {self.title} in this folder", hint)

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
        given = None if paths.annotations is None else find_file([paths.annotations], names)
        if found is None and given is None:
            elsewhere = "" if paths.annotations is None else f", neither here nor in {paths.annotations}"
            collector.add_fault(str(folders[0] / names[0]), f"file not found{elsewhere}")
            collector.add_hint(self.expected_layout)
            if paths.annotations is None:
                collector.add_hint("if the file is in another folder, name that folder with --annotations DIR")
        if found is not None and given is not None and not found.samefile(given):
            collector.notes.append(f"{found} of the release was used instead of {given}")
        return found or given

    @property
    def expected_layout(self) -> str:
        """The layout of the release as part of a message."""
        return f"expected this layout of {self.title}:\n{self.layout}"

    def locate_clips(
        self, root: Path, paths: ReleasePaths, frame_folders: Mapping[str, str], collector: SampleCollector
    ) -> None:
        """Find the frames of the collected clips on disk; zips and videos stand for folders of pictures.

        Args:
            root: folder of the release.
            paths: folders that the user named.
            frame_folders: folder of the frames of each split, relative to `root`, for messages.
            collector: receives the paths, faults for splits without frames, and a note if clips are in another folder.
        """
        if not paths.need_frames:
            return
        located = locate_clips(root, collector.samples)
        collector.samples = located.samples
        # Missing clips are left out later; only a missing folder is a fault.
        missing = dict.fromkeys(frame_folders[split] for split in located.missing_splits)
        found = {sample.split for sample in located.samples} - set(located.missing_splits)
        usable = {frame_folders[split] for split in found}  # CSL-Daily has one folder for all splits
        for folder in missing:
            if folder not in usable and not (root / folder).is_dir():
                collector.add_fault(str(root / folder), "folder not found")
                collector.add_hint(self.expected_layout)
                for place in dict.fromkeys((paths.source, root, *folders_below(root, 1), (root / folder).parent)):
                    archive = describe_unusable_source(place) if place.is_dir() else None
                    if archive is not None:
                        collector.add_hint(f"{archive[0]}\n{archive[1]}")
        if located.folder is not None:
            collector.notes.append(f"frames are read from {located.folder or '.'}, a folder of {root}")

    def find_references(
        self, paths: ReleasePaths, folders: Sequence[Path], collector: SampleCollector
    ) -> dict[str, Path]:
        """Find the STM file of each split: in the folder that the user named, else in the release.

        Args:
            paths: folders that the user named.
            folders: folders of the release in which the files may be; empty if the release has no such files.
            collector: receives a fault if the folder that the user named has no such files.
        """
        names = {split: [name.format(split=split) for name in self.reference_names] for split in self.splits}
        own = {split: find_file(folders, names[split]) for split in self.splits}
        given: dict[str, Path | None] = {}
        if paths.references is not None:
            given = {split: find_file([paths.references], names[split]) for split in self.splits}
            if not any(given.values()):
                sought = ", ".join(name.rpartition("/")[2] for split in self.splits for name in names[split])
                collector.add_fault(str(paths.references), f"no references in this folder; files sought: {sought}")
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
            (*collector.notes, *collector.describe_normalized()),
            collector.unknown_headers,
        )
