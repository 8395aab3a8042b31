"""`TranscriptCorpus`: your own corpus from a folder of annotation documents and their videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cslr_cli.corpora.annotation_files import SampleCollector
from cslr_cli.corpora.own_corpus import OwnCorpus, Row
from cslr_cli.corpora.release_paths import ReleasePaths
from cslr_cli.corpora.transcripts.elan import read_elan
from cslr_cli.corpora.transcripts.other_formats import read_recognitions, read_subtitles, read_textgrid
from cslr_cli.corpora.transcripts.sentences import AnnotatedSentence, SentenceCounts, SentenceOptions, make_sentences
from cslr_cli.corpora.transcripts.transcript import AnnotationDocument, TranscriptError, find_media
from cslr_cli.dataset.manifest import CORPUS_FILE
from cslr_cli.errors import DataError
from cslr_cli.media.frame_source import list_folder, shorten_list

# Readers by suffix; of several documents with one name, the first format is read.
_READERS: dict[str, Callable[[Path], list[AnnotationDocument]]] = {
    ".eaf": lambda path: [read_elan(path)],
    ".textgrid": lambda path: [read_textgrid(path)],
    ".json": read_recognitions,
    ".jsonl": read_recognitions,
    ".vtt": lambda path: [read_subtitles(path)],
    ".srt": lambda path: [read_subtitles(path)],
}
_FORMATS = list(_READERS)
# JSON that commands of cslr write beside their results.
_OTHER_FILES = {"ledger.jsonl", "features.json", "prepare-report.json", "report.json"}

_LAYOUT = """\
videos/
├── talk.eaf, talk.mp4              (ELAN; the video beside it, or linked in the document)
├── lecture.TextGrid, lecture.mp4   (Praat)
├── news.srt, news.mp4              (subtitles of glosses; also .vtt)
└── week.json, week.mp4             (what cslr predict wrote)"""


@dataclass(frozen=True)
class TranscriptCorpus(OwnCorpus):
    """Reads a folder of annotation documents: each sentence of glosses is a clip of the video.

    Attributes:
        transcripts: folder of documents, or one document.
        options: tiers, videos, signers and sentences.
    """

    title: str = "the folder of documents"
    layout: str = _LAYOUT
    input_name: ClassVar[str] = "documents"
    transcripts: Path = field(default=Path())
    options: SentenceOptions = field(default_factory=SentenceOptions)

    @property
    def default_source(self) -> Path:
        """The folder of the documents."""
        return self.transcripts.parent if self.transcripts.is_file() else self.transcripts

    def check_input(self) -> None:
        """Raise an error if there are no documents."""
        if not self.transcripts.exists():
            raise DataError(
                f"{self.transcripts}: no such file or folder", f"expected documents like this:\n{self.layout}"
            )
        if not self._find_documents(SampleCollector({})):
            holds = "" if self.transcripts.is_file() else f"; the folder holds {list_folder(self.transcripts)}"
            formats = ".eaf, .TextGrid, .srt, .vtt, .json or .jsonl"
            raise DataError(
                f"{self.transcripts}: no annotation documents ({formats}){holds}",
                f"expected documents like this:\n{self.layout}",
            )

    def find_rows(self, paths: ReleasePaths, collector: SampleCollector) -> Iterator[Row]:
        """Yield the sentences of all documents; documents that cannot be read are added as faults."""
        counts = SentenceCounts()
        several_media = 0
        for document in self._find_documents(collector):
            try:
                transcripts = _READERS[document.suffix.lower()](document)
            except TranscriptError as error:
                collector.faults += error.faults
                continue
            for transcript in transcripts:
                several_media += len(transcript.media) > 1
                try:
                    sentences = make_sentences(transcript, self.options, counts)
                except TranscriptError as error:
                    collector.faults += error.faults
                    if any("no tier" in fault.what for fault in error.faults):
                        collector.add_hint(
                            "name the tier of the glosses with --tier, and that of the sentences with "
                            "--sentence-tier; both may contain *"
                        )
                    continue
                if sentences:
                    yield from self._rows_of(transcript, sentences, paths, collector)
                else:
                    collector.notes.append(f"{transcript.name}: no glosses in its tiers")
        for how, number in counts.division.items():
            collector.notes.append(f"sentences from {how}: {number} documents")
        for what, number in counts.counts.items():
            if number:
                collector.notes.append(f"{what}: {number}")
        if several_media and self.options.media == 1:
            collector.notes.append(
                f"documents with several videos: {several_media}; the first video is used, --media 2 uses the second"
            )

    def _find_documents(self, collector: SampleCollector) -> list[Path]:
        """Find the documents in the folder and below it, sorted; add a note about those with the same name."""
        if self.transcripts.is_file():
            return [self.transcripts] if self.transcripts.suffix.lower() in _READERS else []
        found: dict[Path, list[Path]] = {}
        for folder, folders, files in os.walk(self.transcripts):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if CORPUS_FILE in files:
                folders.clear()  # a prepared corpus
                continue
            for name in files:
                path = Path(folder, name)
                if path.suffix.lower() in _READERS and not name.startswith(".") and name not in _OTHER_FILES:
                    found.setdefault(path.with_suffix(""), []).append(path)
        documents, others = [], []
        for paths in found.values():
            first, *rest = sorted(paths, key=lambda path: (_FORMATS.index(path.suffix.lower()), path))
            documents.append(first)
            others += [f"{path.name} (read: {first.name})" for path in rest]
        if others:
            collector.notes.append(f"documents with the name of another one, not read: {shorten_list(sorted(others))}")
        return sorted(documents)

    def _rows_of(
        self,
        transcript: AnnotationDocument,
        sentences: list[AnnotatedSentence],
        paths: ReleasePaths,
        collector: SampleCollector,
    ) -> Iterator[Row]:
        folder = transcript.path.parent
        # The same folder below --source, if the videos are in another place than the documents.
        elsewhere = paths.source / os.path.relpath(folder, self.default_source)
        media = find_media(transcript, self.options.media, [folder, elsewhere, paths.source])
        if media is None and paths.need_frames:
            collector.add_fault(transcript.name, self._describe_missing_media(transcript))
            collector.add_hint("if the videos are in another folder than the documents, name it with --source")
            return
        video, offset = (None, 0.0) if media is None else media
        # The clip is named after the document; a file with several documents names their videos.
        document = transcript.path
        name = document if not transcript.where or video is None else document.with_name(video.name)
        inside = _relative(name, self.default_source)
        has_several_signers = len({sentence.signer for sentence in sentences}) > 1
        for number, sentence in enumerate(sentences, start=1):
            start, end = (
                f"{max(0.0, time + offset):.3f}".rstrip("0").rstrip(".") for time in (sentence.start, sentence.end)
            )
            values = {
                "path": inside,
                "glosses": " ".join(sentence.glosses),
                "signer": sentence.signer or "",
                "translation": sentence.translation or "",
                "start": start,
                "end": end,
            }
            if has_several_signers:
                stem = "_".join(inside.rpartition(".")[0].split())
                values["id"] = f"{stem}-{sentence.signer or 'unknown'}-{start}-{end}"
            yield Row(
                f"{transcript.name}: sentence {number} at {sentence.start:.2f} s",
                {key: value for key, value in values.items() if value},
                frames=inside if video is None else _relative(video, paths.source),
            )

    def _describe_missing_media(self, transcript: AnnotationDocument) -> str:
        number, linked = self.options.media, len(transcript.media)
        if number > 1 and number > linked:
            return f"--media {number}: the document names {linked} videos"
        stem = transcript.path.with_suffix("").name
        named = f"the video {transcript.media[number - 1].paths[0]!r} that it names was not found" if linked else ""
        beside = f"no video, zip or folder {stem!r} is beside it"
        return f"{named}, and {beside}" if named else beside


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or the absolute path if it is on another drive of Windows."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.absolute().as_posix()
