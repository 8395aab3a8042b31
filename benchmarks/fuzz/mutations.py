"""Small random changes of files: of their bytes, and of the values in them.

A change is a function of a number, so that a case is a list of numbers. Leaving numbers out gives smaller cases.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

_PIECES = (
    *(b"\x00" * 8, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x80\x00\x00\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J"),
    *(b"9" * 5000, b"[" * 5000, b'{"a":' * 300, b"- " * 300, b"1e999", b"NaN", b"-1", b"\r", b"\t\t", b"\n\n"),
    *(b"&a [*a]", b"!!python/object/apply:os.system [ls]", b"*" * 40, b"|" * 40, b'"', b","),
    *("\u202e٣".encode(), "他".encode("gb18030")),
)
_NUMBERS = (0, 1, -1, 2, 255, 2**16, 2**31, 2**32 - 1, 2**63, 2**63 - 1, -(2**63), 10**400)
_FRACTIONS = (0.0, -0.0, 1e-300, 1e308, float("nan"), float("inf"), -1.5)
_TEXTS = (
    *("", "x" * 10_000, "../../etc/passwd", "\x1b]0;title\x07", "\ud800", "null", "a/b", "\x00"),
    *("٣", "e\u0301", " "),
)


def change_bytes(content: bytes, seed: int) -> bytes:
    """Change bytes at a random place: flip, replace, remove, repeat, insert, or cut the rest off."""
    rng = random.Random(seed)
    at = rng.randrange(len(content) + 1)
    length = rng.choice((1, 1, 2, 4, 8, 64, 512))
    kind = rng.randrange(7)
    if kind == 0 and content:
        at = min(at, len(content) - 1)
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + rng.randbytes(length) + content[at + length :]
    if kind == 2:
        return content[:at] + content[at + length :]
    if kind == 3:
        return content[:at] + content[at : at + length] * rng.choice((2, 3, 50)) + content[at + length :]
    if kind == 4:
        return content[:at]
    piece = rng.choice(_PIECES)
    return content[:at] + piece + content[at + (len(piece) if kind == 5 else 0) :]


def change_value(value: Any, seed: int) -> Any:
    """Change a copy of a nested value at a random place: replace, remove, rename, repeat, or nest."""
    rng = random.Random(seed)
    root = [copy.deepcopy(value)]
    holder, key = rng.choice(_places(root))
    current = holder[key]
    kind = rng.randrange(8)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice((*_TEXTS[:4], 3, key if not isinstance(key, str) else key + "2"))] = holder.pop(key)
    elif kind == 2:
        holder[key] = [current] * rng.choice((0, 1, 2, 30))
    elif kind == 3:
        for _ in range(rng.choice((1, 5, 80))):
            holder[key] = [holder[key]]
    elif kind == 4 and isinstance(current, (int, float)) and not isinstance(current, bool):
        holder[key] = rng.choice((current * 1000, -current, current + 1, current / 3, str(current), bool(current)))
    elif kind == 5 and isinstance(current, str) and current:
        at = rng.randrange(len(current))
        holder[key] = current[:at] + rng.choice(_TEXTS) + current[at:]
    else:
        holder[key] = copy.deepcopy(rng.choice((*_NUMBERS, *_FRACTIONS, *_TEXTS, None, True, [], {}, [[]], {"a": []})))
    return root[0]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return the places in a nested value, each as its list or dictionary and the index or key there."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for key in list(keys):
        found += _places(value[key])
    return found


def apply_changes(seed_input: Any, changes: Sequence[int]) -> Any:
    """Apply changes one after the other, to bytes or to a nested value."""
    for change in changes:
        seed_input = (change_bytes if isinstance(seed_input, bytes) else change_value)(seed_input, change)
    return seed_input
