"""What is in a checkpoint file, of whatever origin: read with no code run and no damage overlooked."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cslr_cli.errors import CheckpointError
from cslr_cli.files import atomic_file

EXPECTED = "expected a file that `cslr train` or `cslr convert` wrote"

# How files begin that torch wrote before version 1.6: a number, pickled.
_OLD_FORMAT = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """The dictionary in a file that `torch.save` wrote.

    Nothing in the file is run: it may hold tensors, plain values, and numpy's numbers and arrays.

    Raises:
        CheckpointError: no such file, one that torch did not write, a damaged one, or one that
            holds anything else; with what to do about it.
    """
    _check_is_file(path)
    if not _is_old_format(path):
        _check_is_whole(path)
    try:
        with torch.serialization.safe_globals([(value, name) for name, value in PLAIN_GLOBALS.items()]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds other things than tensors and plain values; it was not opened, and nothing in it was run",
            EXPECTED,
        ) from error
    except Exception as error:  # a zip of something else makes the unpickler raise anything
        raise CheckpointError(f"{path}: not a checkpoint", EXPECTED) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a checkpoint of cslr", EXPECTED)
    return content


def _check_is_file(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint", "`cslr train` writes them to runs/NAME/best.pt")
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint", f"perhaps {path / 'best.pt'}")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path}: may not be read", "check the rights of the file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: an empty file", EXPECTED)


def _is_old_format(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_OLD_FORMAT)) == _OLD_FORMAT


def _check_is_whole(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: not a checkpoint, or one that was cut off", f"{EXPECTED}, whole")
    if _is_damaged(path):
        raise CheckpointError(f"{path}: the file is damaged", "take another copy of it, or `last.pt` of the same run")


def _is_damaged(path: Path) -> bool:
    """Whether the file's own checksums say so; torch does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        return True  # headers that contradict each other; RuntimeError: an unknown packing


def write_checkpoint_file(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values, whole or not at all.

    Raises:
        CheckpointError: they cannot be written; what stood under `path` before is still there.
    """
    try:
        with atomic_file(path) as unfinished, open(unfinished, "wb") as file:
            torch.save(dict(content), file)
    except (OSError, RuntimeError) as error:
        # Some releases of torch tell a full disk by a RuntimeError raised while the OSError is handled.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise CheckpointError(
            f"{path}: cannot be written ({cause.strerror or cause})",
            "make room or mend the rights; the checkpoints written before are whole",
        ) from error


# Pickles as data

# Numpy's codes: truth values, whole numbers, fractions, text, bytes, and Python's own objects.
_PLAIN_TYPES = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdUSO"]


class ForbiddenContentError(pickle.UnpicklingError):
    """A pickle asks for something else than plain values; it was not given it."""


def _dtype(code: str, *_: object) -> np.dtype[Any]:
    """A number type; a copy, for the pickle goes on to set its byte order."""
    dtype = np.dtype(code, False, True) if isinstance(code, str) else None
    if dtype is None or type(dtype) not in _PLAIN_TYPES:
        raise ForbiddenContentError(f"an array of {code!r}")
    return dtype


def _empty_array(*_: object) -> np.ndarray[Any, Any]:
    """An array, for the pickle to set shape and contents of."""
    array: np.ndarray[Any, Any] = np.ndarray((0,), np.int8)
    return array


def _number(dtype: np.dtype[Any], content: bytes) -> Any:
    """A single number of numpy, as Python's."""
    return np.frombuffer(content, dtype, count=1)[0].item()


# What pickles call it -> what they get.
PLAIN_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _empty_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _number for core in ("core", "_core")},
    # Not called by their names; but a reader may ask whether what it has made is of a plain type.
    **{f"{dtype.__module__}.{dtype.__qualname__}": dtype for dtype in _PLAIN_TYPES},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" == "_codecs.encode":  # how older protocols write bytes
            return _encode
        if f"{module}.{name}" not in PLAIN_GLOBALS:
            raise ForbiddenContentError(f"{module}.{name}")
        return PLAIN_GLOBALS[f"{module}.{name}"]


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ForbiddenContentError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


def load_plain_pickle(content: bytes) -> Any:
    """Read a pickle of plain values.

    Raises:
        ForbiddenContentError: there is something else in it; nothing of it was run.
        Exception: of many kinds, where the content is damaged or no pickle.
    """
    for opcode, argument, _ in pickletools.genops(content):
        # Room is made for as many values as a place in the memo says: damage to it would fill the memory.
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(content):
            raise ForbiddenContentError(f"value number {argument} in {len(content)} bytes")
    return _PlainUnpickler(io.BytesIO(content)).load()


# Tensors of a network


def find_weight_faults(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with tensors where others are expected: names and shapes, a line each."""
    return [
        *(f"missing: {name}" for name in expected if name not in found),
        *(f"left over: {name}" for name in found if name not in expected),
        *(
            f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ),
    ]


def non_finite_warnings(weights: Mapping[str, Tensor]) -> list[str]:
    """A warning that names the tensors with values that are no numbers, or infinite; none where all are well."""
    spoilt = [name for name, value in weights.items() if value.is_floating_point() and not _is_finite(value)]
    if not spoilt:
        return []
    return [f"not all weights are finite numbers, and what the network says may be nothing: {', '.join(spoilt)}"]


def _is_finite(value: Tensor) -> bool:
    # A sum takes a fiftieth of the time; it can be infinite where no summand is, but hardly ever.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
