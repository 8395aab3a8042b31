"""CSL-Daily: sentences of everyday life in Chinese Sign Language, by ten signers (USTC)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cslr_cli.corpora.annotation_files import SampleCollector
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths, find_root
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.frame_source import shorten_list
from cslr_cli.plain_pickle import ForbiddenContentError, load_plain_pickle
from cslr_cli.untrusted import MAX_TEXT_BYTES, UntrustedDataError, abbreviate, count_values, read_bytes

_MAP_COLUMNS = ("index", "name", "length", "gloss", "char", "word", "postag")
_SPLIT_COLUMNS = ("name", "split")
_MAP, _SPLIT_FILE = "video_map.txt", "split_1.txt"
# Pickles with the same annotation; v2 corrects v1.
_PICKLES = ("csl2020ct_v2.pkl", "csl2020ct_v1.pkl")
_PICKLE_TEXTS = ("label_gloss", "label_char", "label_word", "label_postag")
_MAX_PICKLE_VALUES = 20_000_000  # numbers, texts and lists; 20,654 clips have about 2 million
_FRAMES_DIR = "frames_512x512"
# The split file of the release lacks it; published systems train on it.
_CLIP_WITHOUT_SPLIT = "S000007_P0003_T00"

_LAYOUT = f"""\
CSL-Daily/
├── {_MAP} or {_PICKLES[0]}, and {_SPLIT_FILE}
│                                           (here, in sentence/ or in sentence_label/, or elsewhere: --annotations)
└── sentence/{_FRAMES_DIR}/NAME/*.jpg   (or NAME.zip, NAME.mp4; or in another folder: sentence-crop/NAME.mp4)"""


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
    published_clips: Mapping[str, int] = field(default_factory=lambda: {"train": 18401, "dev": 1077, "test": 1176})

    def read(self, paths: ReleasePaths) -> Release:
        """Find the release and read its annotations."""
        root, folders = self._find_root(paths)
        collector = self.make_collector()
        video_map = self.find_annotation(paths, folders, [_MAP, *_PICKLES], collector)
        split_file = self.find_annotation(paths, folders, [_SPLIT_FILE], collector)
        if video_map is not None and split_file is not None:
            split_of = self._read_splits(split_file, collector)
            self._read_map(video_map, split_file, split_of, collector)
            self.locate_clips(root, paths, dict.fromkeys(self.splits, _FRAMES_DIR), collector)
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
        if root is None:  # other folders of frames, or none
            root = paths.source if labels is None else labels.parent if labels.name == "sentence_label" else labels
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
        read = _read_table if path.suffix == ".txt" else _read_pickle
        for where, row in read(path, collector):
            name = row["name"]
            if name not in split_of:
                without_split.append(name)
            split, _ = split_of.get(name, ("train", where))
            found[split].append((_sample(row, split), where))
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


def _read_table(path: Path, collector: SampleCollector) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of `video_map.txt` with their positions."""
    for where, fields in collector.read_table(path, _MAP_COLUMNS):
        yield where, dict(zip(_MAP_COLUMNS, fields, strict=True))


def _read_pickle(path: Path, collector: SampleCollector) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the clips of `csl2020ct_v1.pkl` or `csl2020ct_v2.pkl` as rows of `video_map.txt`, with their positions."""
    try:
        content = load_plain_pickle(read_bytes(path, max_bytes=MAX_TEXT_BYTES))
        count_values(content, _plain_parts, max_values=_MAX_PICKLE_VALUES)
    except OSError as error:
        collector.add_fault(str(path), f"cannot be read ({error.strerror})")
        return
    except UntrustedDataError as error:
        collector.add_fault(str(path), error.message)
        return
    except ForbiddenContentError as error:
        collector.add_fault(str(path), f"contains objects other than plain values ({error}); no code in it was run")
        return
    except Exception:  # a damaged pickle can raise anything
        collector.add_fault(str(path), "not a pickle, or an incomplete one")
        return
    clips = content.get("info") if isinstance(content, dict) else None
    if not isinstance(clips, list) or not clips:
        collector.add_fault(str(path), "it has no list 'info' of clips")
        return
    for number, clip in enumerate(clips):
        where = f"{path}: info[{number}]"
        row = _row_of_clip(clip)
        if row is None:
            expected = ", ".join(("name", *_PICKLE_TEXTS))
            collector.add_fault(where, f"not a clip: {abbreviate(clip)}; expected a dictionary with {expected}")
        else:
            yield where, row


def _plain_parts(value: Any) -> Any:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, (list, tuple, set)) else ()


def _row_of_clip(clip: Any) -> dict[str, str] | None:
    """Convert a clip of the pickle to a row of `video_map.txt`; None if values are missing or of another type."""
    if not isinstance(clip, dict) or not isinstance(clip.get("name"), str):
        return None
    texts = [_joined(clip.get(key)) for key in _PICKLE_TEXTS]
    if texts[0] is None:
        return None
    row = {"name": clip["name"].strip(), **dict(zip(_MAP_COLUMNS[3:], (text or "" for text in texts), strict=True))}
    return row | {key: str(clip[key]) for key in ("length", "signer", "time") if isinstance(clip.get(key), (int, str))}


def _joined(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return " ".join(value) if isinstance(value, list) and all(isinstance(text, str) for text in value) else None


def _sample(row: Mapping[str, str], split: str) -> Sample:
    name = row["name"]
    signer = re.search(r"_(P\d+)_", name)  # SENTENCE_PERSON_TIME
    fields = {"characters": "char", "words": "word", "parts_of_speech": "postag", "length": "length", "time": "time"}
    return Sample(
        sample_id=name,
        split=split,
        frames=f"{_FRAMES_DIR}/{name}",
        num_frames=None,
        signer=signer[1] if signer else row.get("signer"),
        glosses=tuple(row["gloss"].split()),
        translation="".join(row["char"].split()) or None,  # the annotation has a space after every character
        fields={key: row[column] for key, column in fields.items() if row.get(column)},
    )
