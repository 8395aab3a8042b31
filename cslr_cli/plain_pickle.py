"""Read pickles of any origin as data: plain values and numpy arrays only, and no code from the file is run."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Numpy's type codes: booleans, integers, floats, text, bytes, and Python objects.
_PLAIN_KINDS = frozenset("?bBhHiIlLqQefdUSO")


class ForbiddenContentError(pickle.UnpicklingError):
    """A pickle contains something other than plain values."""


class _PlainType:
    """Stands for `numpy.dtype` in a pickle: numpy's own reader of a type believes any size and flags.

    Attributes:
        dtype: the type; only its byte order can be set.
    """

    def __init__(self, code: str, *_: object) -> None:
        dtype = np.dtype(code) if isinstance(code, str) else None
        if dtype is None or dtype.char not in _PLAIN_KINDS:
            raise ForbiddenContentError(f"an array of {code!r}")
        self.dtype: np.dtype[Any] = dtype

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _PlainArray(np.ndarray[Any, Any]):
    """Stands for `numpy.ndarray` in a pickle: numpy's own reader of an array reads beyond a list that is too short."""

    def __new__(cls, *_: object) -> _PlainArray:
        """Return an empty array, of which the pickle then sets shape and content."""
        return super().__new__(cls, (0,), np.int8)

    def __setstate__(self, state: Any) -> None:
        _, shape, plain, is_fortran, content = state
        size = math.prod(_length(side) for side in shape)
        expected = size if plain.dtype.hasobject else size * plain.dtype.itemsize
        if type(content) is not (list if plain.dtype.hasobject else bytes) or not size <= len(content) == expected:
            raise ForbiddenContentError(f"an array of shape {shape} without its values")
        super().__setstate__((1, tuple(shape), plain.dtype, bool(is_fortran), content))


def _length(side: Any) -> int:
    if type(side) is not int or side < 0:
        raise ForbiddenContentError(f"an array of length {side!r}")
    return side


def _make_array(*_: object) -> _PlainArray:
    return _PlainArray()


def _number(plain: _PlainType, content: bytes) -> Any:
    """Convert a numpy scalar to a Python number."""
    return np.frombuffer(content, plain.dtype, count=1)[0].item()


# Replacement by the name in the pickle.
PLAIN_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": _PlainArray,
    "numpy.dtype": _PlainType,
    **{f"numpy.{core}.multiarray._reconstruct": _make_array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _number for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" == "_codecs.encode":  # older protocols write bytes this way
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
        ForbiddenContentError: it contains something else; no code in it was run.
        Exception: of many kinds, if the content is damaged or not a pickle.
    """
    for opcode, argument, _ in pickletools.genops(content):
        # The unpickler allocates memory up to this index; a damaged index would exhaust the memory.
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(content):
            raise ForbiddenContentError(f"value number {argument} in {len(content)} bytes")
    return _PlainUnpickler(io.BytesIO(content)).load()
