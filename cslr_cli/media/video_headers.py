"""Read from the headers of a video file what OpenCV does not report.

These are the colour matrix, whether the file is truncated, and the length of an MP4 after its edits. A damaged or
unknown header yields no values.

A colour matrix is a number of ITU-T H.273, table 4, which all containers and codecs use: 1 is BT.709, 5 and 6 are
BT.601.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Boxes or elements within another one that are read; a fragmented video of ten hours has 72,000.
_MAX_PARTS = 100_000
_MAX_POSITION = 2**62  # that a file can be read from; a damaged length may state more

# Number of an unspecified matrix.
_UNSPECIFIED = 2
# Length of the fields before the boxes of a visual sample entry, ISO/IEC 14496-12, 12.1.3.
_SAMPLE_ENTRY_FIELDS = 78
_LIST_FIELDS = 8  # length of the fields of a sample description: version, flags and the number of entries

# Elements of Matroska, RFC 9559, that lead to the colour matrix of a track; clusters contain the frames.
_EBML, _SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x1A45DFA3, 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_COLOUR, _MATRIX, _CLUSTER = 0x55B0, 0x55B1, 0x1F43B675

# Profiles of H.264 whose headers state the subsampling of colours, 7.3.2.1.1 of the standard.
_PROFILES_WITH_CHROMA = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
_H264_HEADER = 7  # type of a unit that is a sequence parameter set
_EXTENDED_ASPECT = 255


@dataclass(frozen=True)
class ContainerHeader:
    """The statements of a container that OpenCV does not report.

    Attributes:
        is_cut_off: whether an MP4, MOV or AVI is truncated; False for other formats.
        seconds: length after edits of an MP4 or MOV that has edits, seconds; else None.
        matrix: colour matrix; None if the container states none.
    """

    is_cut_off: bool = False
    seconds: float | None = None
    matrix: int | None = None


def read_container_header(path: Path) -> ContainerHeader:
    """Read the header of a container; raise an OSError if the file cannot be read."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        beginning = file.read(12)
        if beginning[:4] == b"RIFF":
            return ContainerHeader(is_cut_off=int.from_bytes(beginning[4:8], "little") + 8 > size)
        if beginning[4:8] == b"ftyp":
            return _mp4_header(file, size)
        if int.from_bytes(beginning[:4], "big") == _EBML:
            return ContainerHeader(matrix=_none_if_unspecified(_matroska_matrix(file, size)))
    return ContainerHeader()


# MP4 and MOV: boxes within boxes, each with its length and a name of four letters


def _mp4_header(file: BinaryIO, size: int) -> ContainerHeader:
    is_cut_off = any(end > size for _, _, end in _iterate_boxes(file, 0, size))
    track = next((track for track in _find_boxes(file, (0, size), "moov", "trak") if _is_video(file, track)), None)
    if track is None:
        return ContainerHeader(is_cut_off)
    matrix = _none_if_unspecified(_mp4_matrix(file, track))
    return ContainerHeader(is_cut_off, _edited_seconds(file, size, track), matrix)


def _iterate_boxes(file: BinaryIO, first: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield the name, start of contents and end of each box between two positions."""
    for _ in range(_MAX_PARTS):
        if first + 8 > min(end, _MAX_POSITION):
            return
        file.seek(first)
        header = file.read(16)
        length, begin = int.from_bytes(header[:4], "big"), first + 8
        if length == 1:  # the length follows the name, in 8 bytes
            length, begin = int.from_bytes(header[8:16], "big"), first + 16
        if first + length < begin:  # the box reaches to the end of the file, or this is padding
            return
        yield header[4:8].decode("latin-1"), begin, first + length
        first += length


def _find_boxes(file: BinaryIO, box: tuple[int, int], *names: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the contents of all boxes with this path of names."""
    for name, begin, end in _iterate_boxes(file, *box):
        if name == names[0]:
            yield from _find_boxes(file, (begin, end), *names[1:]) if len(names) > 1 else [(begin, end)]


def _read_box(file: BinaryIO, box: tuple[int, int], *names: str, length: int) -> bytes:
    """Return the first bytes of the first box with this path of names; none without such a box."""
    for begin, end in _find_boxes(file, box, *names):
        file.seek(begin)
        return file.read(min(length, end - begin))
    return b""


def _is_video(file: BinaryIO, track: tuple[int, int]) -> bool:
    return _read_box(file, track, "mdia", "hdlr", length=12)[8:] == b"vide"


def _edited_seconds(file: BinaryIO, size: int, track: tuple[int, int]) -> float | None:
    """Return the length of a track after its edits, seconds; None without edits."""
    movie = _read_box(file, (0, size), "moov", "mvhd", length=24)
    edits = _read_box(file, track, "edts", "elst", length=1 << 16)
    try:
        (scale,) = struct.unpack_from(">I", movie, 20 if movie[0] == 1 else 12)
        entry = struct.Struct(">Qqi" if edits[0] == 1 else ">Iii")
        (count,) = struct.unpack_from(">I", edits, 4)
        shown = [entry.unpack_from(edits, 8 + entry.size * number)[:2] for number in range(count)]
    except (struct.error, IndexError):
        return None
    # An edit that begins at -1 is a pause before the video.
    length = sum(duration for duration, begin, *_ in shown if begin >= 0)
    return length / scale if length and scale else None


def _mp4_matrix(file: BinaryIO, track: tuple[int, int]) -> int | None:
    for begin, end in _find_boxes(file, track, "mdia", "minf", "stbl", "stsd"):
        for _, entry, entry_end in _iterate_boxes(file, begin + _LIST_FIELDS, end):
            colour = _read_box(file, (entry + _SAMPLE_ENTRY_FIELDS, entry_end), "colr", length=10)
            if colour[:4] in (b"nclx", b"nclc") and len(colour) == 10:
                return int.from_bytes(colour[8:10], "big")
    return None


# Matroska and WebM: elements within elements, each with a number and its length


def _matroska_matrix(file: BinaryIO, size: int) -> int | None:
    for begin, end in _find_elements(file, (0, size), _SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR, _MATRIX):
        file.seek(begin)
        return int.from_bytes(file.read(min(8, end - begin)), "big")
    return None


def _find_elements(file: BinaryIO, element: tuple[int, int], *names: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the contents of all elements with this path of names, up to the first cluster."""
    position, end = element
    for _ in range(_MAX_PARTS):
        if position >= min(end, _MAX_POSITION):
            return
        file.seek(position)
        name, name_length = _read_variable_number(file, keep_length=True)
        length, length_length = _read_variable_number(file, keep_length=False)
        begin = position + name_length + length_length
        if not (name_length and length_length) or name == _CLUSTER or begin > end:
            return
        # All bits of a length set: the element extends to the end of its parent.
        following = end if length == (1 << 7 * length_length) - 1 else min(end, begin + length)
        if name == names[0]:
            yield from _find_elements(file, (begin, following), *names[1:]) if len(names) > 1 else [(begin, following)]
        position = following


def _read_variable_number(file: BinaryIO, *, keep_length: bool) -> tuple[int, int]:
    """Read a number, the leading zeros of whose first byte encode its number of bytes; return both numbers."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, 0
    length = 9 - first[0].bit_length()
    number = int.from_bytes(first + file.read(length - 1), "big")
    return number if keep_length else number & ((1 << 7 * length) - 1), length


# H.264


def h264_matrix(description: bytes) -> int | None:
    """Return the colour matrix that a stream of H.264 states; None if it states none.

    Args:
        description: description of the stream, as in MP4 and Matroska (`avcC`), or units with start codes.
    """
    if description[:1] == b"\x01":
        header = description[8 : 8 + int.from_bytes(description[6:8], "big")]
    else:
        units = (unit for unit in description.split(b"\0\0\1")[1:] if unit and unit[0] & 31 == _H264_HEADER)
        header = next(units, b"")
    try:
        return _none_if_unspecified(_matrix_from_parameter_set(_BitReader(header[1:].replace(b"\0\0\3", b"\0\0"))))
    except IndexError:  # the header is truncated
        return None


class _BitReader:
    """Reads numbers from bytes bit by bit."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._position = 0

    def number(self, length: int) -> int:
        """Read the next `length` bits as a number; raise an IndexError if there are fewer."""
        end = self._position + length
        if end > len(self._bits):
            raise IndexError("no more bits")
        self._position, bits = end, self._bits[self._position : end]
        return int(bits or "0", 2)

    def golomb(self) -> int:
        """Read the next number in Exp-Golomb code: n zeros, a one, and n more bits."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def signed_golomb(self) -> int:
        """Read a signed number: odd codes are positive numbers, even codes negative ones."""
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _matrix_from_parameter_set(bits: _BitReader) -> int | None:
    """Parse a sequence parameter set, 7.3.2.1.1 and E.1.1 of H.264, up to the matrix."""
    profile = bits.number(24) >> 16
    bits.golomb()  # number of the parameter set
    if profile in _PROFILES_WITH_CHROMA:
        _skip_chroma(bits)
    bits.golomb()  # frame numbers
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.number(1)
        for _ in range(2):
            bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()  # reference frames
    bits.number(1)
    for _ in range(2):  # width and height
        bits.golomb()
    if not bits.number(1):  # interlaced
        bits.number(1)
    bits.number(1)
    if bits.number(1):  # cropping
        for _ in range(4):
            bits.golomb()
    return _matrix_from_usability_info(bits) if bits.number(1) else None


def _skip_chroma(bits: _BitReader) -> None:
    if bits.golomb() == 3:
        bits.number(1)
        num_lists = 12
    else:
        num_lists = 8
    for _ in range(2):  # depths
        bits.golomb()
    bits.number(1)
    if not bits.number(1):
        return
    for number in range(num_lists):
        if bits.number(1):
            _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: _BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last


def _matrix_from_usability_info(bits: _BitReader) -> int | None:
    if bits.number(1) and bits.number(8) == _EXTENDED_ASPECT:
        bits.number(32)
    if bits.number(1):  # overscan
        bits.number(1)
    if not bits.number(1):
        return None
    bits.number(4)  # video format, and whether the full range is used
    return bits.number(24) & 255 if bits.number(1) else None


def _none_if_unspecified(matrix: int | None) -> int | None:
    return None if matrix == _UNSPECIFIED else matrix
