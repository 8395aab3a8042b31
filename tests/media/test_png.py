from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cslr_cli.errors import MediaError
from cslr_cli.media import png
from cslr_cli.media.pictures import decode_picture
from cslr_cli.media.png import decode_plain_png

Picture = NDArray[np.uint8]


def picture(height: int, width: int) -> Picture:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def paeth(left: int, above: int, corner: int) -> int:
    distances = [abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)]
    return (left, above, corner)[distances.index(min(distances))]


def written(pixels: Picture, filters: list[int], extra_rows: bytes = b"") -> bytes:
    """A PNG written by hand, as its specification has it: a filter for each row, byte for byte."""
    height, width, _ = pixels.shape
    raw = b""
    above = [0] * (3 * width)
    for row, row_filter in zip(pixels.reshape(height, 3 * width).tolist(), filters, strict=True):
        raw += bytes([row_filter])
        for place, value in enumerate(row):
            left, corner = (row[place - 3], above[place - 3]) if place >= 3 else (0, 0)
            guesses = (0, left, above[place], (left + above[place]) // 2, paeth(left, above[place], corner))
            raw += bytes([(value - guesses[row_filter]) % 256])
        above = row
    deflated = zlib.compress(raw + extra_rows)
    middle = len(deflated) // 2  # pixels may be spread over any number of chunks
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", deflated[:middle]) + chunk(b"IDAT", deflated[middle:])
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


@pytest.fixture(params=["isal", "zlib"])
def inflating(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either library that can inflate."""
    monkeypatch.setattr(png, "fast_zlib", zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib"))


@pytest.mark.usefixtures("inflating")
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (31, 17), (40, 64)])
@pytest.mark.parametrize("row_filter", [0, 1, 2])
def test_a_picture_with_one_filter_for_all_rows_is_decoded_exactly(height: int, width: int, row_filter: int) -> None:
    pixels = picture(height, width)
    data = written(pixels, [row_filter] * height)
    decoded = decode_plain_png(data)
    assert decoded is not None
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(io.BytesIO(data))))


def test_prepared_pictures_are_decoded_fast() -> None:
    pixels = picture(64, 48)
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    decoded = decode_plain_png(data.tobytes())
    assert decoded is not None
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("filters", [[3] * 24, [4] * 24, [1] * 20 + [2] * 4, [2] * 23 + [4], [0, 1, 2, 3, 4, 0] * 4])
def test_other_filters_are_left_to_opencv_and_decoded_correctly(filters: list[int]) -> None:
    pixels = picture(24, 20)
    data = written(pixels, filters)
    assert decode_plain_png(data) is None
    np.testing.assert_array_equal(decode_picture(data, "mixed.png"), pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_pictures_with_other_colours_are_left_to_opencv(mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(12, 10)).convert("L" if mode == "I;16" else mode).convert(mode).save(buffer, "PNG")
    assert decode_plain_png(buffer.getvalue()) is None
    assert decode_picture(buffer.getvalue(), "other.png").shape == (12, 10, 3)


def test_a_picture_with_an_orientation_tag_is_left_to_opencv() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(picture(12, 10)).save(buffer, "PNG", exif=exif)
    assert decode_plain_png(buffer.getvalue()) is None


@pytest.mark.usefixtures("inflating")
def test_a_damaged_picture_is_never_decoded_silently() -> None:
    data = written(picture(16, 16), [1] * 16)
    assert decode_plain_png(data) is not None
    pixels = range(data.index(b"IDAT") + 4, len(data) - 16)
    chunk_frames = range(data.rindex(b"IDAT") - 8, data.rindex(b"IDAT") + 4)  # sum, length and name between the two
    for place in pixels:
        if place not in chunk_frames:
            assert decode_plain_png(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]) is None, place
    for length in range(len(data) - 8):
        assert decode_plain_png(data[:length]) is None


@pytest.mark.usefixtures("inflating")
def test_a_picture_with_more_rows_than_its_header_states_is_refused_without_filling_memory() -> None:
    data = written(picture(4, 4), [0] * 4, extra_rows=bytes(50_000_000))
    assert decode_plain_png(data) is None


def test_a_picture_of_no_size_is_damaged() -> None:
    with pytest.raises(MediaError, match=r"none\.png"):
        decode_picture(written(np.zeros((0, 4, 3), np.uint8), []), "none.png")
