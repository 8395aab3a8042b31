"""The training corpus of a checkpoint: what a checkpoint stores about it, and where it is found again.

Files store the path of the corpus relative to their own folder, so that a moved or copied project keeps working, and
hashes of its contents, so that a different corpus is noticed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from cslr_cli.config import DataConfig
from cslr_cli.corpora.registry import CORPORA, open_prepared_corpus
from cslr_cli.dataset.fingerprint import CorpusFingerprint
from cslr_cli.dataset.manifest import CORPUS_FILE, PreparedCorpus
from cslr_cli.errors import DataError
from cslr_cli.files import relative_path
from cslr_cli.media.frame_fit import FrameFit
from cslr_cli.media.options import MAX_FPS, MIN_FPS, FitMode, Interpolation
from cslr_cli.untrusted import MAX_FRAME_SIDE
from cslr_cli.vocabulary import Vocabulary


@dataclass(frozen=True)
class CorpusOrigin:
    """Facts about the training corpus that are needed to use the network.

    Attributes:
        name: name of the corpus in `cslr prepare`.
        path: path of the prepared corpus; empty if unknown. In a checkpoint without fingerprint, as it was stored.
        protocol: name of the scoring protocol.
        fps: frame rate that the network expects, frames per second.
        frame_size: side of the prepared frames, pixels; pictures are resized to it before the crop.
        interpolation: interpolation of this resize.
        fit: treatment of pictures that are not square.
        original_size: width and height before the resize, pixels; None if unknown.
        fingerprint: hashes of vocabulary and splits; None in checkpoints of version 0.1.
    """

    name: str
    path: str
    protocol: str
    fps: float
    frame_size: int
    interpolation: Interpolation = "lanczos"
    fit: FitMode = "stretch"
    original_size: tuple[int, int] | None = None
    fingerprint: CorpusFingerprint | None = None

    @classmethod
    def from_corpus(cls, corpus: PreparedCorpus) -> CorpusOrigin:
        """Collect the facts from a prepared corpus."""
        return cls(
            name=corpus.name,
            path=os.path.abspath(corpus.path),
            protocol=corpus.protocol,
            fps=corpus.fps,
            frame_size=corpus.frame_size,
            interpolation=corpus.info.interpolation,
            fit=corpus.info.fit,
            original_size=corpus.info.original_size,
            fingerprint=corpus.fingerprint,
        )

    def with_relative_path(self) -> CorpusOrigin:
        """Return the origin with a path relative to the current folder, for the user; a path of version 0.1 stays."""
        if self.fingerprint is None or not self.path:
            return self
        return dataclasses.replace(self, path=relative_path(self.path))

    def check_frame_size(self, corpus: PreparedCorpus) -> None:
        """Raise a `DataError` if a prepared corpus has frames of another size than in training."""
        if corpus.frame_size != self.frame_size:
            raise DataError(
                f"{corpus.path}: frames have {corpus.frame_size} pixels, "
                f"but the checkpoint was trained on {self.frame_size} pixels",
                f"prepare the corpus with --size {self.frame_size}",
            )

    def frame_fit(self, config: DataConfig, frame_fit: FitMode = "crop") -> FrameFit:
        """Return the transformation of frames of any shape to network input.

        Args:
            config: crop and scale of the training.
            frame_fit: treatment of frames with another aspect ratio than the corpus.
        """
        original_size = self.original_size
        if original_size is None and self.name in CORPORA:  # an old checkpoint without this value
            original_size = CORPORA[self.name].original_size
        return FrameFit(self.frame_size, config, self.interpolation, self.fit, original_size, frame_fit)


FrameSide = Annotated[int, Field(ge=1, le=MAX_FRAME_SIDE)]


class StoredFingerprint(BaseModel):
    """A `CorpusFingerprint` in a file."""

    model_config = ConfigDict(strict=True)

    vocabulary: str
    splits: dict[str, str]


class StoredCorpus(BaseModel):
    """A `CorpusOrigin` in a file: its path is relative to the folder of the file."""

    model_config = ConfigDict(strict=True)

    name: str
    path: str
    protocol: str
    fps: Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
    frame_size: FrameSide
    interpolation: Interpolation = "lanczos"
    fit: FitMode = Field("stretch", validation_alias=AliasChoices("fit", "aspect"))  # aspect: version 0.1
    original_size: tuple[FrameSide, FrameSide] | None = None
    fingerprint: StoredFingerprint | None = None  # missing in files of version 0.1, whose path is absolute

    def to_origin(self, folder: Path) -> CorpusOrigin:
        """Return the origin as stored in a file in `folder`."""
        values = self.model_dump(exclude={"fingerprint"})
        if self.fingerprint is None:
            return CorpusOrigin(**values)
        if self.path:
            values["path"] = os.path.normpath(os.path.join(os.path.abspath(folder), self.path))
        fingerprint = CorpusFingerprint(self.fingerprint.vocabulary, self.fingerprint.splits)
        return CorpusOrigin(**values, fingerprint=fingerprint)


def store_origin(origin: CorpusOrigin, vocabulary: Vocabulary, folder: Path) -> dict[str, Any]:
    """Return the plain values of an origin for a file in `folder`, without an absolute path.

    An origin without fingerprint, from version 0.1, gets that of the network's vocabulary.
    """
    stored = dataclasses.replace(
        origin,
        path=relative_path(origin.path, folder) if origin.path else "",
        fingerprint=origin.fingerprint or CorpusFingerprint.of(vocabulary),
    )
    return dataclasses.asdict(stored)


def read_origin(values: Mapping[str, Any] | None, folder: Path) -> CorpusOrigin | None:
    """Return the origin that `store_origin` gave for a JSON file in `folder`; None if the values are not one."""
    try:
        return StoredCorpus.model_validate_json(json.dumps(values)).to_origin(folder)
    except ValidationError:
        return None


@dataclass(frozen=True)
class FoundCorpus:
    """The corpus of a checkpoint, as it was found on this machine.

    Attributes:
        corpus: prepared corpus.
        rule: why this one, for the user.
        differences: what differs from the corpus of the training: `vocabulary`, `split dev`; empty if nothing does,
            or if the checkpoint has no fingerprint.
    """

    corpus: PreparedCorpus
    rule: str
    differences: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """A warning if the corpus differs from that of the training."""
        if not self.differences:
            return []
        return [f"{self.corpus.path}: differs from the corpus of the training: {', '.join(self.differences)}"]


def find_corpus(origin: CorpusOrigin, given: Path | None = None, run: Path | None = None) -> FoundCorpus:
    """Find the corpus of a checkpoint: `given`, else the stored relative path, else `prepared/NAME`.

    A checkpoint of version 0.1 stores no relative path. If its run is in `PROJECT/runs/`, `PROJECT/prepared/NAME` takes
    its place, and the last choice is the absolute path that it stores.

    Args:
        origin: what the checkpoint stores about its corpus.
        given: folder that the user has named with `--corpus`.
        run: folder of the checkpoint; None if unknown.

    Raises:
        DataError: there is no corpus in any of these folders, or the given one cannot be read.
    """
    if given is not None:
        return _compare(origin, open_prepared_corpus(given), "--corpus")
    places = dict(_find_places(origin, run))
    existing = [place for place in places if place.is_dir()]
    complete = [place for place in existing if (place / CORPUS_FILE).is_file()]
    for place in [*complete, *existing]:  # an unfinished corpus is an error, unless another place has a finished one
        return _compare(origin, open_prepared_corpus(place), places[place])
    searched = dict.fromkeys(str(place.absolute()) for place in places)  # often the same folder
    raise DataError(
        f"{' and '.join(searched)}: cannot find the corpus that the network was trained on",
        f"name its folder with --corpus, or prepare it: cslr prepare {origin.name} --size {origin.frame_size}",
    )


def _find_places(origin: CorpusOrigin, run: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield the folders in which the corpus may be, and the rule for each, in the order of preference."""
    prepared = Path("prepared") / origin.name
    if origin.fingerprint is not None and origin.path:
        place = _shorten(Path(origin.path))
        yield place, "stored relative path"
        if place == prepared:
            return
    elif run is not None:
        place = _shorten(Path(os.path.abspath(run)).parent.parent / prepared)
        if place != prepared:
            yield place, "prepared/NAME next to the folder of the runs"
    yield prepared, "prepared/NAME in the current folder"
    if origin.fingerprint is None and Path(origin.path) != prepared:
        yield Path(origin.path), "stored absolute path of an old checkpoint"


def _shorten(path: Path) -> Path:
    """Return an absolute path relative to the current folder if it is below it, for messages and reports."""
    relative = Path(relative_path(path))
    return path if relative.parts[:1] == (os.pardir,) else relative


def _compare(origin: CorpusOrigin, corpus: PreparedCorpus, rule: str) -> FoundCorpus:
    differences = [] if origin.fingerprint is None else origin.fingerprint.differences(corpus.fingerprint)
    return FoundCorpus(corpus, rule, tuple(differences))
