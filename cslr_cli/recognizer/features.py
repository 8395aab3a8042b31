"""Compute a network's features of clips and write them to files for other models; see `docs/features.md`.

Axes: T frames of a clip, P frames with padding, T' steps, C features of a frame, D features of a step.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
from cslr_cli.untrusted import UntrustedDataError, read_json

# Describes the network whose features a folder contains.
DESCRIPTION_FILE = "features.json"
# Arrays of many clips: the arrays of the clips, joined; and names of texts, with their names in the file of a clip.
_JOINED_ARRAYS = ("frame_features", "frame_times", "step_features", "step_times")
_JOINED_TEXTS = {"sample_ids": "sample_id", "glosses": "glosses", "signers": "signer"}


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
        fingerprint: text that no other network has.
    """

    schema_version: Literal[1]
    checkpoint: str
    network: str
    corpus: str
    fps: float
    frames_per_step: int
    frame_feature_size: int
    step_feature_size: int
    fingerprint: str


def _describe_network(recognizer: Recognizer, checkpoint: Path | str) -> FeaturesDescription:
    plan = recognizer.network.plan
    return {
        "schema_version": 1,
        "checkpoint": relative_path(checkpoint),
        "network": recognizer.checkpoint.config.model.name,
        "corpus": recognizer.checkpoint.corpus.name,
        "fps": recognizer.network_fps,
        "frames_per_step": plan.stride,
        "frame_feature_size": recognizer.network.backbone.num_features,
        "step_feature_size": recognizer.network.temporal.num_features,
        "fingerprint": recognizer.checkpoint.describe(),
    }


def describes_same_network(recognizer: Recognizer, folder: Path) -> bool:
    """Return whether `features.json` of a folder, if it exists, is about this network."""
    try:
        found = read_json(folder / DESCRIPTION_FILE)
    except FileNotFoundError:
        return True
    except (OSError, UntrustedDataError):
        return False
    own = {name: value for name, value in _describe_network(recognizer, "").items() if name != "checkpoint"}
    # Version 0.1 wrote neither a fingerprint nor a version of the document.
    return isinstance(found, dict) and all(found.get(name, value) == value for name, value in own.items())


def write_description(recognizer: Recognizer, checkpoint: Path | str, folder: Path) -> None:
    """Write `features.json`: the network of the features, and the rates of their frames and steps."""
    description = _describe_network(recognizer, checkpoint)
    try:
        write_text(folder / DESCRIPTION_FILE, format_json(description, indent=2) + "\n")
    except OSError as error:
        raise _translate_write_error(folder / DESCRIPTION_FILE, error) from error


def join_features(clips: Sequence[Path], path: Path) -> tuple[int, int]:
    """Join the files of single clips, in order, to one `.npz` of many clips; one array at a time is in memory.

    Args:
        clips: files that `write_features` has written, at least one.
        path: file to write; it appears only when it is complete.

    Returns:
        The numbers of frames and steps.
    """
    try:
        with atomic_file(path) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
            num_rows = {name: _join_arrays(archive, name, clips) for name in _JOINED_ARRAYS}
            for name, own_name in _JOINED_TEXTS.items():
                values = (np.load(clip)[own_name] for clip in clips)
                _write_array(archive, name, np.array([" ".join(value.flat) for value in values], dtype=np.str_))
            for name, array_name in (("frame_starts", "frame_times"), ("step_starts", "step_times")):
                _write_array(archive, name, np.concatenate([[0], np.cumsum(num_rows[array_name])]).astype(np.int64))
    except OSError as error:
        raise _translate_write_error(path, error) from error
    return sum(num_rows["frame_times"]), sum(num_rows["step_times"])


def _join_arrays(archive: zipfile.ZipFile, name: str, clips: Sequence[Path]) -> list[int]:
    """Write an array (sum of n, width) of the arrays (n, width) of clips; return each n."""
    shapes, dtypes = zip(*(_read_header(clip, name) for clip in clips), strict=True)
    num_rows = [shape[0] for shape in shapes]
    header = {"descr": npy_format.dtype_to_descr(dtypes[0]), "fortran_order": False}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        npy_format.write_array_header_1_0(entry, {**header, "shape": (sum(num_rows), shapes[0][1])})
        for clip in clips:
            entry.write(np.ascontiguousarray(np.load(clip)[name]).tobytes())
    return num_rows


def _read_header(clip: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array without reading it."""
    with zipfile.ZipFile(clip) as archive, archive.open(f"{name}.npy") as entry:
        npy_format.read_magic(entry)
        shape, _, dtype = npy_format.read_array_header_1_0(entry)
        return shape, dtype


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        npy_format.write_array(entry, array, allow_pickle=False)


def _translate_write_error(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{error.filename or path}: cannot be written ({error.strerror or error})",
        "fix this, or choose another place with --output",
    )
