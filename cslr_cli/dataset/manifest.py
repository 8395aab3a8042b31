"""The prepared corpus: one folder of plain files that training and evaluation read.

corpus.yaml                 description; written last, so a corpus that has it is complete
train.jsonl dev.jsonl …     one `Sample` per line, one file per split
vocabulary.txt              GLOSS<tab>COUNT; line n is the gloss with id n
references/{split}.stm      references for scoring
frames/{split}/{sample_id}.zip, or a folder of that name: the pictures, in order
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from cslr_cli.dataset.fingerprint import CorpusFingerprint
from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.errors import FAULTS_SHOWN, DataError
from cslr_cli.files import write_text
from cslr_cli.media.options import MAX_FPS, MIN_FPS, FitMode, Interpolation
from cslr_cli.scoring.normalisation import PROTOCOLS
from cslr_cli.untrusted import MAX_FRAME_SIDE, abbreviate, read_text, read_yaml
from cslr_cli.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
CORPUS_FILE = "corpus.yaml"
VOCABULARY_FILE = "vocabulary.txt"
# Describes an unfinished preparation; `corpus.yaml` replaces it in the end.
PROGRESS_FILE = ".preparing.json"
DEFAULT_FRAME_SIZE = 256  # height and width of prepared frames in all published recipes, pixels
NO_FRAMES = "none"  # the layout of a corpus that was prepared without frames


class NotPreparedError(DataError):
    """A folder has other contents than a prepared corpus."""


@dataclass(frozen=True)
class SplitCounts:
    """The size of a split.

    Attributes:
        clips: number of samples in the manifest.
        frames: number of frames of all clips; None if they have not been counted.
        glosses: number of glosses of all clips, each occurrence counted.
    """

    clips: int
    frames: int | None
    glosses: int


@dataclass(frozen=True)
class CorpusInfo:
    """The contents of `corpus.yaml`.

    Attributes:
        name: name of the corpus on the command line.
        protocol: name of the scoring protocol.
        fps: frames per second.
        frame_size: height and width of the prepared frames, pixels.
        interpolation: how frames were resized.
        layout: `zip` or `folder`: how the frames of a clip are stored; `none` if the corpus has no frames.
        image_format: format of the pictures, `png` or `jpeg`.
        source: release folder that the corpus was prepared from, relative to the folder of the corpus.
        annotations: 16 hexadecimal digits that differ where the annotations differ.
        splits: size of each split.
        references: origin of each split's references, in words.
        fit: how frames became squares.
        image_quality: JPEG quality, 1 to 100; None for PNG.
        vocabulary_splits: splits whose glosses are in the vocabulary.
        original_size: width and height of most frames before they became squares; None if unknown.
        format_version: version of the folder's format.
    """

    name: str
    protocol: str
    fps: float
    frame_size: int
    interpolation: Interpolation
    layout: str
    image_format: str
    source: str
    annotations: str
    splits: Mapping[str, SplitCounts]
    references: Mapping[str, str]
    fit: FitMode = "stretch"
    image_quality: int | None = None
    vocabulary_splits: tuple[str, ...] = SPLITS
    original_size: tuple[int, int] | None = None
    format_version: int = FORMAT_VERSION

    def to_yaml(self) -> str:
        """The contents of `corpus.yaml`."""
        lists: dict[str, list[Any]] = {"vocabulary_splits": list(self.vocabulary_splits)}
        if self.original_size is not None:
            lists["original_size"] = list(self.original_size)
        values = {**dataclasses.asdict(self), **lists}
        first = {"format_version": values.pop("format_version")}
        return yaml.safe_dump(first | values, sort_keys=False, allow_unicode=True)

    @classmethod
    def read(cls, path: Path) -> CorpusInfo:
        """Read a `corpus.yaml`.

        Raises:
            DataError: the file cannot be read, has another format version, or has invalid values.
        """
        try:
            values = read_yaml(path)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        hint = "expected the corpus.yaml that cslr prepare writes; prepare the corpus again"
        version = values.get("format_version") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise DataError(f"{path}: not the description of a prepared corpus", hint)
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: format version {version}, but this version of cslr reads format version {FORMAT_VERSION}",
                "use the version of cslr that prepared the corpus, or prepare it again",
            )
        values = with_new_keys(values)
        try:
            return _parse_info(values)
        except ValueError as error:
            raise DataError(f"{path}: {error}", hint) from error

    def range_faults(self) -> list[str]:
        """Return the values out of range; frames of such a size or rate would take unbounded memory."""
        limits: dict[str, tuple[float, float]] = {"fps": (MIN_FPS, MAX_FPS), "frame_size": (1, MAX_FRAME_SIDE)}
        faults = [
            f"{name} is {getattr(self, name)!r}"
            for name, (smallest, largest) in limits.items()
            if not smallest <= getattr(self, name) <= largest
        ]
        if self.protocol not in PROTOCOLS:
            faults.append(f"protocol is {self.protocol!r}, expected one of {', '.join(PROTOCOLS)}")
        if self.original_size is not None and not all(1 <= side <= MAX_FRAME_SIDE for side in self.original_size):
            faults.append(f"original_size is {list(self.original_size)}")
        return faults


@dataclass(frozen=True)
class PreparedCorpus:
    """A prepared corpus on disk; `PreparedCorpus.open` opens one.

    Attributes:
        path: folder of the corpus.
        info: contents of its `corpus.yaml`.
    """

    path: Path
    info: CorpusInfo

    @classmethod
    def open(cls, path: Path | str) -> PreparedCorpus:
        """Open the prepared corpus in a folder."""
        path = Path(path)
        command = f"prepare it with: {_prepare_command(path)}"
        if not path.exists():
            meant = Path("prepared") / path
            hint = f"did you mean {meant}?" if (meant / CORPUS_FILE).is_file() else command
            raise DataError(f"{path}: no prepared corpus here; the folder does not exist", hint)
        if not path.is_dir():
            raise DataError(f"{path}: this is a file, not the folder of a prepared corpus", command)
        if not (path / CORPUS_FILE).is_file():
            if (path / "frames").is_dir() or (path / PROGRESS_FILE).is_file():
                raise DataError(
                    f"{path}: the preparation of this corpus is not finished",
                    f"continue it with the same command: {_prepare_command(path)}",
                )
            raise _not_prepared(path, command)
        _log.debug("corpus in %s", path)
        return cls(path, CorpusInfo.read(path / CORPUS_FILE))

    @property
    def name(self) -> str:
        """Name of the corpus on the command line."""
        return self.info.name

    @property
    def protocol(self) -> str:
        """Name of the scoring protocol."""
        return self.info.protocol

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.info.fps

    @property
    def frame_size(self) -> int:
        """Height and width of the frames, pixels."""
        return self.info.frame_size

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the corpus, `train` first."""
        return tuple(split for split in SPLITS if split in self.info.splits)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The glosses with their ids."""
        return Vocabulary.read(self.path / VOCABULARY_FILE)

    @cached_property
    def fingerprint(self) -> CorpusFingerprint:
        """Hashes of vocabulary and splits, by which a checkpoint recognises its corpus."""
        return CorpusFingerprint.of(self.vocabulary, {split: self.samples(split) for split in self.splits})

    def samples(self, split: str) -> tuple[Sample, ...]:
        """Read the manifest of a split."""
        return tuple(Sample.from_json(line, where) for where, line in self._manifest_lines(split))

    def readable_samples(self, split: str) -> tuple[list[Sample], list[str]]:
        """Read the valid lines of a split's manifest; return their samples, and the faults of the other lines."""
        self._check_split(split)
        samples: list[Sample] = []
        faults: list[str] = []
        try:
            lines = self._manifest_lines(split)
        except DataError as error:
            return samples, [error.message]
        for where, line in lines:
            try:
                samples.append(Sample.from_json(line, where))
            except DataError as error:
                faults.append(error.message)
        return samples, faults

    def _manifest_lines(self, split: str) -> list[tuple[str, str]]:
        """Return the lines of a manifest that are not empty, each with its position."""
        path = samples_path(self.path, self._check_split(split))
        try:
            lines = read_text(path).split("\n")
        except OSError as error:
            raise DataError(f"{path}: the manifest cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text, byte {error.start} ({error.reason})") from error
        return [(f"{path}:{number}", line) for number, line in enumerate(lines, start=1) if line]

    def references(self, split: str) -> Path:
        """Path of the STM file of a split."""
        return references_path(self.path, self._check_split(split))

    def frames_path(self, sample: Sample) -> Path:
        """Path of a sample's frames, for `open_frames`.

        Raises:
            DataError: the corpus was prepared without frames.
        """
        if self.info.layout == NO_FRAMES:
            raise DataError(
                f"{self.path}: this corpus was prepared without frames",
                "add them: repeat the cslr prepare command without --no-frames",
            )
        return self.path / sample.frames

    def _check_split(self, split: str) -> str:
        if split not in self.splits:
            raise DataError(
                f"{self.path}: {self.name} has no {split} split", f"its splits are {', '.join(self.splits)}"
            )
        return split


def samples_path(corpus: Path, split: str) -> Path:
    """Path of the manifest of a split in a prepared corpus."""
    return corpus / f"{split}.jsonl"


def references_path(corpus: Path, split: str) -> Path:
    """Path of the references of a split in a prepared corpus."""
    return corpus / "references" / f"{split}.stm"


def write_samples(corpus: Path, split: str, samples: Iterable[Sample]) -> None:
    """Write the manifest of a split; the file appears only when it is complete."""
    write_text(samples_path(corpus, split), "".join(f"{sample.to_json()}\n" for sample in samples))


def _not_prepared(path: Path, command: str) -> DataError:
    """Make the error for a folder that is not a prepared corpus; list the prepared corpora in it, if any."""
    below = sorted(str(found.parent) for depth in ("*", "*/*") for found in path.glob(f"{depth}/{CORPUS_FILE}"))
    if below:
        message = f"{path}: not a prepared corpus, but a folder of prepared corpora"
        return DataError(message, f"name one of them: {', '.join(below[:FAULTS_SHOWN])}")
    return NotPreparedError(f"{path}: not a prepared corpus; the folder has no {CORPUS_FILE}", command)


def _prepare_command(path: Path) -> str:
    """Return the command that prepares a corpus in `path`."""
    name = path.name if path.parent.name == "prepared" else "CORPUS"
    is_default = path.parent == Path("prepared")
    return f"cslr prepare {name}" + ("" if is_default else f" --output {quote(str(path))}")


def with_new_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a `corpus.yaml` with today's keys; version 0.1 wrote `aspect` for `fit`."""
    return {"fit" if key == "aspect" else key: value for key, value in values.items()}


def _parse_info(values: dict[str, Any]) -> CorpusInfo:
    """Build the description of a corpus from the values of a `corpus.yaml`.

    Raises:
        ValueError: values are missing, unknown, of another type or out of range; the message lists all.
    """
    from pydantic import TypeAdapter, ValidationError  # takes long to import

    faults = [f"{key} is unknown" for key in sorted(map(str, values.keys() - _FIELD_NAMES))]
    try:
        # As JSON, lists may stand for tuples although numbers may not be text.
        info = TypeAdapter(CorpusInfo).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
        faults += [] if wrong else ["its values are not those of a corpus"]  # such as invalid Unicode
        faults += [f"{key} is {abbreviate(values[key])}" if key in values else f"{key} is missing" for key in wrong]
    else:
        faults += info.range_faults()
    if faults:
        raise ValueError("; ".join(sorted(faults)))
    return info


_FIELD_NAMES = {field.name for field in dataclasses.fields(CorpusInfo)}
