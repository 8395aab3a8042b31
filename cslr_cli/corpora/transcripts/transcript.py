"""`AnnotationDocument`: the tiers of an annotation document, whatever its format, and where its videos are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from cslr_cli.corpora.annotation_files import Fault
from cslr_cli.corpora.clip_locations import DiskNames

# Tier that `cslr predict` writes, and the only tier of formats without tiers.
GLOSS_TIER = "glosses"


@dataclass(frozen=True)
class TimedText:
    """An annotation.

    Attributes:
        start: start in seconds.
        end: end in seconds, not before the start.
        text: its text, which may be empty.
    """

    start: float
    end: float
    text: str

    @property
    def middle(self) -> float:
        """The middle in seconds."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Tier:
    """A tier of a document.

    Attributes:
        name: name of the tier.
        annotations: annotations by their start; those that start together are in the order of the document.
        participant: person that the tier is about; None if the document does not say.
        parent: name of the tier that this tier divides or describes; None for an independent tier.
    """

    name: str
    annotations: tuple[TimedText, ...]
    participant: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class MediaLink:
    """A video that a document names.

    Attributes:
        paths: paths of the video, the most reliable first; relative ones start at the document's folder.
        offset: time in the video at the start of the document's time line, in seconds.
    """

    paths: tuple[str, ...]
    offset: float = 0.0


@dataclass(frozen=True)
class AnnotationDocument:
    """An annotation document.

    Attributes:
        path: its file.
        tiers: its tiers.
        media: videos that it names, in order.
        sentence_tier: tier that divides the recording into sentences, if the format says so; None otherwise.
        where: position in messages, if a file has several documents.
    """

    path: Path
    tiers: tuple[Tier, ...]
    media: tuple[MediaLink, ...] = ()
    sentence_tier: str | None = None
    where: str = ""

    @property
    def name(self) -> str:
        """Name of the document in messages."""
        return self.where or str(self.path)


class TranscriptError(Exception):
    """A document cannot be read; `faults` says why, with positions."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def sort_by_start(annotations: Iterable[TimedText]) -> tuple[TimedText, ...]:
    """Sort annotations by their start; those that start together keep their order."""
    return tuple(sorted(annotations, key=lambda annotation: annotation.start))


def find_media(transcript: AnnotationDocument, number: int, folders: Sequence[Path]) -> tuple[Path, float] | None:
    """Find a video of a document: one that it names, or else a video, zip or folder with its name.

    Args:
        transcript: the document.
        number: number of the video among those that the document names, from 1.
        folders: folders in which the video may be: that of the document first.

    Returns:
        The path, and the time in the video at the start of the time line in seconds; None if there is no video.
    """
    if number <= len(transcript.media):
        link = transcript.media[number - 1]
        for path in _candidates(link, folders):
            linked = _find_on_disk(path)
            if linked is not None:
                return linked, link.offset
    if number > 1:
        return None
    offset = transcript.media[0].offset if transcript.media else 0.0
    for folder in folders:
        names = DiskNames(folder)
        stem = transcript.path.name
        while "." in stem:  # talk.de.srt: talk.de, then talk
            stem = stem.rpartition(".")[0]
            found = names.find_clip(stem)
            if found is not None and (folder / found) != transcript.path:
                return folder / found, offset
    return None


def _find_on_disk(path: Path) -> Path | None:
    """Find a file by its path in any Unicode form; a relative path stays relative if possible."""
    if path.exists():
        return path
    absolute = Path(os.path.abspath(path))
    found = DiskNames(Path(absolute.anchor)).find(absolute.relative_to(absolute.anchor).as_posix())
    return None if found is None else Path(absolute.anchor, found)


def _candidates(link: MediaLink, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the places where a linked video may be: as linked, then with the same name in the folders."""
    names = []
    for text in link.paths:
        for spelling in dict.fromkeys((text, unquote(text))):
            path = spelling.removeprefix("file://").replace("\\", "/")
            if path.startswith("//"):
                path = "/" + path.lstrip("/")
            if not path or "\0" in path:
                continue
            yield folders[0] / path
            names.append(PurePosixPath(path).name)
    yield from (folder / name for folder in folders for name in dict.fromkeys(names) if name)
