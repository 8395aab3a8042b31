"""Compute a network's features of clips and write them to files for other models; see `docs/features.md`.

Axes: T frames of a clip, P frames with padding, T' steps, C features of a frame, D features of a step.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from typing_extensions import TypedDict

from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.documents import format_json
from cslr_cli.errors import DataError
from cslr_cli.files import atomic_file, relative_path, write_text
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.recognizer.recognizer import Recognizer
from cslr_cli.recognizer.segmentation import iterate_frame_features

# Describes the network whose features a folder contains.
DESCRIPTION_FILE = "features.json"


@dataclass(frozen=True)
class ClipFeatures:
    """The features of one clip.

    Attributes:
        sample_id: name of the clip.
        frame_features: float32 (T, C), features of the backbone, before the temporal layers.
        frame_times: float64 (T, 2), start and end of each frame, seconds.
        step_features: float32 (T', D), features of the temporal convolution, before the LSTM.
        step_times: float64 (T', 2), start and end of each step, seconds.
        glosses: annotated glosses; empty if unknown.
        signer: name of the signer; empty if unknown.
        warnings: faults of the source that did not prevent reading it.
    """

    sample_id: str
    frame_features: NDArray[np.float32]
    frame_times: NDArray[np.float64]
    step_features: NDArray[np.float32]
    step_times: NDArray[np.float64]
    glosses: tuple[str, ...] = ()
    signer: str = ""
    warnings: tuple[str, ...] = ()


def extract_features(recognizer: Recognizer, clip: ClipReader, sample: Sample | None = None) -> ClipFeatures:
    """Compute the features of a clip of any length.

    Args:
        recognizer: recognizer whose network computes the features.
        clip: reader that `recognizer.open` returned, of which nothing has been read.
        sample: sample of a corpus; None for a video.

    Raises:
        MediaError: the clip cannot be read, or is shorter than the network's minimum.
    """
    network, plan = recognizer.network, recognizer.network.plan
    with clip:
        chunks = list(iterate_frame_features(clip.read_ahead(), network, recognizer.device, recognizer.inference))
    plan.check_length(clip.num_pictures, clip.name)
    padded = torch.cat(chunks)  # (P, C)
    with recognizer.inference():
        # (P, C) -> (1, C, P) -> (1, D, T') -> (T', D)
        steps = network.temporal(padded.T[None], [len(padded)]).features[0].T
    edges = clip.edges()
    return ClipFeatures(
        sample_id=clip.name if sample is None else sample.sample_id,
        frame_features=padded[plan.left_padding :][: clip.num_pictures].float().cpu().numpy(),
        frame_times=np.stack([edges[:-1], edges[1:]], axis=1),
        step_features=steps.float().cpu().numpy(),
        step_times=np.array(plan.step_spans(edges.tolist())),
        glosses=() if sample is None else sample.glosses,
        signer="" if sample is None else sample.signer or "",
        warnings=clip.warnings,
    )


def sample_features(recognizer: Recognizer, corpus: PreparedCorpus, sample: Sample) -> ClipFeatures:
    """Compute the features of a clip of a prepared corpus, like `extract_features`."""
    recognizer.checkpoint.corpus.check_frame_size(corpus)
    return extract_features(recognizer, recognizer.open(corpus.frames_path(sample)), sample)


def write_features(features: ClipFeatures, path: Path) -> None:
    """Write the features of one clip to an `.npz`, which appears only when it is complete."""
    arrays: dict[str, NDArray[Any]] = {
        "sample_id": np.array(features.sample_id),
        "frame_features": features.frame_features,
        "frame_times": features.frame_times,
        "step_features": features.step_features,
        "step_times": features.step_times,
        "glosses": np.array(features.glosses, dtype=np.str_),
        "signer": np.array(features.signer),
    }
    try:
        with atomic_file(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
            for name, array in arrays.items():
                _write_array(archive, name, array)
    except OSError as error:
        raise _translate_write_error(path, error) from error


class FeaturesDescription(TypedDict):
    """The network of a folder of features: `features.json`.

    Attributes:
        schema_version: version of this document.
        checkpoint: path of the checkpoint.
        network: name of the network.
        corpus: name of the corpus that it was trained on.
        fps: frames per second.
        frames_per_step: number of frames between two output steps.
        frame_feature_size: size of a frame's feature.
        step_feature_size: size of a step's feature.
    """

    schema_version: Literal[1]
    checkpoint: str
    network: str
    corpus: str
    fps: float
    frames_per_step: int
    frame_feature_size: int
    step_feature_size: int


def write_description(recognizer: Recognizer, checkpoint: Path | str, folder: Path) -> None:
    """Write `features.json`: the network of the features, and the rates of their frames and steps."""
    plan = recognizer.network.plan
    description: FeaturesDescription = {
        "schema_version": 1,
        "checkpoint": relative_path(checkpoint),
        "network": recognizer.checkpoint.config.model.name,
        "corpus": recognizer.checkpoint.corpus.name,
        "fps": recognizer.network_fps,
        "frames_per_step": plan.stride,
        "frame_feature_size": recognizer.network.backbone.num_features,
        "step_feature_size": recognizer.network.temporal.num_features,
    }
    try:
        write_text(folder / DESCRIPTION_FILE, format_json(description, indent=2) + "\n")
    except OSError as error:
        raise _translate_write_error(folder / DESCRIPTION_FILE, error) from error


class FeaturesFile:
    """An `.npz` with the features of many clips, of which one at a time is in memory.

    Use it in a `with`; the file appears under its name when the block ends without an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays: dict[str, _ArrayFile] = {}
        self._clips: list[ClipFeatures] = []  # with empty feature arrays
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # for the array files

    def add(self, features: ClipFeatures) -> None:
        """Append a clip."""
        arrays: Mapping[str, NDArray[Any]] = {
            "frame_features": features.frame_features,
            "frame_times": features.frame_times,
            "step_features": features.step_features,
            "step_times": features.step_times,
        }
        try:
            if self._folder is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._folder = tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".unfinished")
                self._arrays = {name: _ArrayFile(Path(self._folder.name) / name) for name in arrays}
            for name, array in arrays.items():
                self._arrays[name].append(array)
        except OSError as error:
            raise _translate_write_error(self.path, error) from error
        empty = np.empty((0, 0), np.float32), np.empty((0, 2))
        self._clips.append(ClipFeatures(features.sample_id, *empty, *empty, features.glosses, features.signer))

    def __enter__(self) -> FeaturesFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._folder is None:
            return
        with self._folder:
            if kind is None:
                self._write()

    def _write(self) -> None:
        texts: Mapping[str, Sequence[str]] = {
            "sample_ids": [clip.sample_id for clip in self._clips],
            "glosses": [" ".join(clip.glosses) for clip in self._clips],
            "signers": [clip.signer for clip in self._clips],
        }
        starts = {"frame_starts": "frame_times", "step_starts": "step_times"}
        try:
            with atomic_file(self.path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
                for name, array_file in self._arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        array_file.write_to(entry)
                for name, values in texts.items():
                    _write_array(archive, name, np.array(values, dtype=np.str_))
                for name, array_name in starts.items():
                    lengths = self._arrays[array_name].lengths
                    _write_array(archive, name, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        except OSError as error:
            raise _translate_write_error(self.path, error) from error


class _ArrayFile:
    """A two-dimensional array that grows in a new file."""

    def __init__(self, path: Path) -> None:
        self.lengths: list[int] = []
        self._path = path
        self._width = 0
        self._dtype: np.dtype[Any] = np.dtype(np.float32)

    def append(self, array: NDArray[Any]) -> None:
        """Append rows (n, width)."""
        self.lengths.append(len(array))
        self._width, self._dtype = array.shape[1], array.dtype
        with open(self._path, "ab") as file:
            file.write(np.ascontiguousarray(array).tobytes())

    def write_to(self, entry: IO[bytes]) -> None:
        """Write all rows as an `.npy` file."""
        shape = (sum(self.lengths), self._width)
        header = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(entry, header)
        with open(self._path, "rb") as file:
            shutil.copyfileobj(file, entry)


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        npy_format.write_array(entry, array, allow_pickle=False)


def _translate_write_error(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{error.filename or path}: cannot be written ({error.strerror or error})",
        "fix this, or choose another place with --output",
    )
