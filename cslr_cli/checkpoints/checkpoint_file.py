"""Safe reading and writing of checkpoint files of any origin: runs no code from the file and detects damage."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cslr_cli.errors import CheckpointError
from cslr_cli.files import atomic_file
from cslr_cli.plain_pickle import PLAIN_GLOBALS
from cslr_cli.untrusted import UntrustedDataError, count_values, open_zip, refuse_special_file

EXPECTED = "use a file that `cslr train` or `cslr convert` wrote"

# First bytes of files that torch wrote before version 1.6: a pickled number.
_OLD_FORMAT = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def read_checkpoint_file(path: Path, expected: str = EXPECTED) -> dict[str, Any]:
    """Read the dictionary in a file that `torch.save` wrote, without running code from the file.

    It takes no more memory than the file has bytes: compressed files are refused, and so are tensors without memory.

    Args:
        path: path of the file.
        expected: hint for another file.

    Raises:
        CheckpointError: the file is missing or damaged, or contains anything but a dictionary of tensors, plain values
            and numpy numbers and arrays. The hint says what to do.
    """
    _check_is_file(path, expected)
    if not _is_old_format(path):
        _check_is_whole(path, expected)
    try:
        with torch.serialization.safe_globals([(value, name) for name, value in PLAIN_GLOBALS.items()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: contains objects other than tensors and plain values; no code in it was run",
            expected,
        ) from error
    except Exception as error:  # other zip files can make the unpickler raise anything
        raise CheckpointError(f"{path}: not a checkpoint", expected) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: contains no named values", expected)
    try:
        count_values(content, _parts, max_values=_MAX_VALUES)
    except UntrustedDataError as error:
        raise CheckpointError(f"{path}: {error.message}", expected) from error
    return content


def _parts(value: Any) -> Iterable[Any]:
    """Return the values directly in a plain value; check tensors and integers."""
    if isinstance(value, Mapping):
        return chain(value.keys(), value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, Tensor):
        _check_tensor(value)
    elif isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        raise UntrustedDataError(f"a number of {value.bit_length()} bits")
    return ()


def _check_tensor(tensor: Tensor) -> None:
    """Raise an UntrustedDataError for a tensor that most operations do not support, or that has too little memory.

    A tensor can repeat its memory (a stride of 0): a copy of it would take more memory than the file.
    """
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
        raise UntrustedDataError("a tensor without plain values (meta, sparse or quantized)")
    if tensor.dtype not in _TENSOR_TYPES:
        raise UntrustedDataError(f"a tensor of type {tensor.dtype}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UntrustedDataError(f"a tensor of shape {tuple(tensor.shape)} without the memory for it")


def _check_is_file(path: Path, expected: str) -> None:
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "use a file of `cslr train`, such as runs/NAME/best.pt")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint", f"use a file in it, such as {path / 'best.pt'}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: permission denied", "fix the permissions of the file")
    try:
        refuse_special_file(path)
    except UntrustedDataError as error:
        raise CheckpointError(error.message, error.hint) from error
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: the file is empty", expected)


def _is_old_format(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_OLD_FORMAT)) == _OLD_FORMAT


def _check_is_whole(path: Path, expected: str) -> None:
    if not _is_zip(path):
        raise CheckpointError(f"{path}: not a checkpoint, or an incomplete one", f"{expected}, and copy all of it")
    if _is_compressed(path):
        raise CheckpointError(f"{path}: not a checkpoint: torch writes no compressed files", expected)
    if _is_damaged(path):
        raise CheckpointError(f"{path}: the file is damaged", "use another copy of it, or last.pt of the same run")


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # a damaged record at the end of the file
        return False


def _is_compressed(path: Path) -> bool:
    """Return whether the entries of a zip have more bytes than the file, so that it could take any amount of memory."""
    try:
        with open_zip(path) as archive:
            entries = archive.infolist()
    except UntrustedDataError:
        return False  # damaged, which is reported next
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return not stored or sum(entry.file_size for entry in entries) > path.stat().st_size


def _is_damaged(path: Path) -> bool:
    """Check the checksums in the file, which torch ignores."""
    try:
        with open_zip(path) as archive:
            return archive.testzip() is not None
    except UntrustedDataError:
        return True
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return True  # contradictory headers; RuntimeError: unknown compression


def write_checkpoint_file(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values atomically.

    Raises:
        CheckpointError: the file cannot be written; an older file at `path` stays unchanged.
    """
    try:
        with atomic_file(path) as unfinished, open(unfinished, "wb") as file:
            torch.save(dict(content), file)
    except (OSError, RuntimeError) as error:
        # Some releases of torch report a full disk by a RuntimeError, raised while they handle the OSError.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise CheckpointError(
            f"{path}: cannot be written ({cause.strerror or cause})",
            "free disk space or fix the permissions; older checkpoints are unchanged",
        ) from error


# Limits of a file's content.
_MAX_VALUES = 5_000_000  # numbers, texts, tensors and lists; a training of CorrNet with its optimizer has about 10,000
_MAX_INTEGER_BITS = 256  # states of random number generators have 128
_TENSOR_TYPES = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    }
)


# Tensors of a network


def find_weight_faults(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Compare names and shapes of tensors with the expected ones; return one line per fault."""
    return [
        *(f"missing: {name}" for name in expected if name not in found),
        *(f"unexpected: {name}" for name in found if name not in expected),
        *(
            f"{name} has shape {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ),
    ]


def non_finite_warnings(weights: Mapping[str, Tensor]) -> list[str]:
    """Return a warning that lists the tensors with NaN or infinite values, if there are any."""
    spoilt = [name for name, value in weights.items() if value.is_floating_point() and not _is_finite(value)]
    if not spoilt:
        return []
    return [f"weights contain NaN or infinity, so results may be meaningless: {', '.join(spoilt)}"]


def _is_finite(value: Tensor) -> bool:
    # A sum takes a fiftieth of the time. It is very rarely infinite although all its terms are finite.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
