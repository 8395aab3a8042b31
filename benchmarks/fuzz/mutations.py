"""Small random changes of files: of their bytes, of their lines and numbers, and of the values in them.

A change is a function of a number, so that a case is a list of numbers. Leaving numbers out gives smaller cases.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Sequence
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
_EXTREMES = (
    *(b"0", b"-1", b"-0.0", b"1e999", b"1e-320", b"nan", b"inf", b"-inf", b"0x10", b"1_000", b"007", b"1,5", b"+1"),
    *(b"4294967296", b"9223372036854775808", b"1e18", b"1000000", b"9" * 400, b"9" * 5000, "٣".encode(), b"true"),
)
_NOT_UTF_8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf", b"\xe4\xf6\xfc")
# Characters between the parts of the formats: where a file is cut off most often.
_BOUNDARIES = re.compile(
    rb"[\n,;|\t:{}\[\]]|PK\x01\x02|PK\x03\x04|PK\x05\x06|IDAT|IEND|\xff[\xc0-\xfe]|RIFF|LIST|idx1|\."
)
_MAX_BYTES = 2**24  # of repeated lines
_RUN_LENGTHS = (100, 10_000, 1_000_000)


def change_bytes(content: bytes, seed: int) -> bytes:
    """Change bytes: flip, replace, remove, repeat, insert, cut off; or change the lines, numbers or encoding."""
    rng = random.Random(seed)
    return rng.choice(_CHANGES)(content, rng)


def _place(content: bytes, rng: random.Random) -> int:
    return rng.randrange(len(content) + 1)


def _length(rng: random.Random) -> int:
    return rng.choice((1, 1, 2, 4, 8, 64, 512))


def _flip(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    at, length = _place(content, rng), _length(rng)
    return content[:at] + rng.randbytes(length) + content[at + length :]


def _remove(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + content[at + _length(rng) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    at, length = _place(content, rng), _length(rng)
    return content[:at] + content[at : at + length] * rng.choice((2, 3, 50)) + content[at + length :]


def _cut_off(content: bytes, rng: random.Random) -> bytes:
    return content[: _place(content, rng)]


def _cut_off_between_parts(content: bytes, rng: random.Random) -> bytes:
    places = [place for match in _BOUNDARIES.finditer(content) for place in match.span()]
    return content[: rng.choice(places)] if places else content


def _insert(content: bytes, rng: random.Random) -> bytes:
    at, piece = _place(content, rng), rng.choice(_PIECES)
    return content[:at] + piece + content[at + rng.choice((0, len(piece))) :]


def _insert_run(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    signs = (b"\x00", b"a", b" ", b"\n", b"9", b",", b"[", b"(", b"\xff", content[at : at + 1] or b"x")
    return content[:at] + rng.choice(signs) * rng.choice(_RUN_LENGTHS) + content[at:]


def _swap(content: bytes, rng: random.Random) -> bytes:
    one, two, three, four = sorted(_place(content, rng) for _ in range(4))
    return content[:one] + content[three:four] + content[two:three] + content[one:two] + content[four:]


def _change_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines[at]
    often = min(2000, _MAX_BYTES // (len(line) + 1))  # a case must not need more memory than what it tries
    lines[at : at + 1] = rng.choice(([line] * 2, [line] * often, [], [lines[other]], [line * often], [b"", b"", line]))
    return b"\n".join(lines)


def _change_number(content: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", content))
    if not numbers:
        return content
    start, end = rng.choice(numbers).span()
    return content[:start] + rng.choice(_EXTREMES) + content[end:]


def _change_encoding(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(10)
    if kind < 3:
        return content.decode("utf-8", "replace").encode(("utf-16", "utf-16-be", "utf-32")[kind])
    if kind < 6:
        return content.replace(b"\n", (b"\r\n", b"\r", "\u2028".encode())[kind - 3])
    if kind == 6:
        return b"\xef\xbb\xbf" + content
    if kind == 7:
        return content.upper()
    at = _place(content, rng)
    return content[:at] + (rng.choice(_NOT_UTF_8) if kind == 8 else b"\x00") + content[at:]


_OTHER_FILES = (b"", b"\n", b"\x00" * 5000, b"PK\x05\x06" + bytes(18), b"null", b"[]", b"{}", b"[{}]", b"..", b"0")


def _replace_all(content: bytes, rng: random.Random) -> bytes:
    return rng.choice(_OTHER_FILES) if rng.randrange(2) else rng.randbytes(len(content))


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _overwrite, _remove, _repeat, _cut_off, _insert, _insert),
    *(_cut_off_between_parts, _insert_run, _swap, _change_lines, _change_number, _change_number, _change_encoding),
    _replace_all,
)


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
        third = current // 3 if isinstance(current, int) else current / 3  # a large integer has no quotient
        holder[key] = rng.choice((current * 1000, -current, current + 1, third, str(current)[:5000], bool(current)))
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
