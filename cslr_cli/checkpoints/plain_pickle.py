"""Pickles from outside, read as data: numbers, text, lists, dictionaries and numpy arrays of them.

A pickle is a program, and what it may call decides what it can do. The functions that stand here
are all that is ever called for one: they make empty arrays, number types and single numbers.
Numpy's own are not used, so that it does not matter which version of numpy wrote the pickle.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

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
