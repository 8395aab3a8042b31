"""Decode pictures of every common kind, and resize frames."""

from __future__ import annotations

import importlib
import io
import struct
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

import cv2
import numpy as np
from PIL import Image, ImageOps

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, bgr_to_rgb
from cslr_cli.media.options import FitMode, Interpolation
from cslr_cli.media.png import PNG_SIGNATURE, decode_plain_png

_OPENCV_INTERPOLATIONS: Final[Mapping[Interpolation, int]] = {
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
    "linear": cv2.INTER_LINEAR,
}

# Largest accepted frame, pixels: 8192×8192. A frame of 10,000×10,000 pixels takes 300 MB of memory.
MAX_PIXELS: Final = 2**26
_TOO_LARGE_HINT = "make the picture smaller: networks see a few hundred pixels per side"
_JPEG_SIGNATURE = b"\xff\xd8"
# Bytes from the beginning of a PNG in which it states that it is animated.
_PNG_HEADER_BYTES = 1024


def decode_picture(data: bytes, name: str) -> Frame:
    """Decode a picture file.

    Args:
        data: contents of the file.
        name: name of the picture in error messages.

    Returns:
        uint8 (H, W, 3), RGB, without transparency, rotated and mirrored by the file's orientation tag. Of 16 bits, the
        upper 8 are kept.

    Raises:
        MediaError: the file is empty, truncated, damaged, animated, or not a picture.
    """
    if not data:
        raise MediaError(f"{name}: the picture is empty (0 bytes)")
    _check_header(data, name)
    # PNG and JPEG are the formats of prepared corpora, and OpenCV decodes them faster than Pillow.
    if data.startswith(PNG_SIGNATURE):
        if b"IEND" not in data[-64:]:
            raise MediaError(f"{name}: the picture is cut off")
        plain = decode_plain_png(data)
        if plain is not None:
            return plain
        has_more = b"eXIf" in data or b"acTL" in data[:_PNG_HEADER_BYTES]  # an orientation, or an animation
        return _decode_by_pillow(data, name) if has_more else _decode_by_opencv(data, name)
    if data.startswith(_JPEG_SIGNATURE):
        # Some versions of OpenCV silently fill the missing part of a JPEG with grey.
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise MediaError(f"{name}: the picture is cut off")
        return _decode_by_pillow(data, name) if _is_cmyk_jpeg(data) else _decode_by_opencv(data, name)
    return _decode_by_pillow(data, name)


def _decode_by_opencv(data: bytes, name: str) -> Frame:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # larger than OpenCV is willing to decode
        raise MediaError(f"{name}: cannot be read as a picture ({error.err})") from error
    if picture is None:
        raise MediaError(f"{name}: cannot be read as a picture; the file is damaged, or not a picture")
    return bgr_to_rgb(picture)


def _decode_by_pillow(data: bytes, name: str) -> Frame:
    try:
        with _open_by_pillow(data) as picture:
            num_pictures = getattr(picture, "n_frames", 1)
            if num_pictures > 1:
                raise MediaError(
                    f"{name}: holds {num_pictures} pictures",
                    "an animation is a clip of its own: use the path of the file",
                )
            return _to_rgb(ImageOps.exif_transpose(picture), name)
    except MediaError:
        raise
    except Exception as error:  # Pillow's readers raise what Python's functions raise
        hint = "install pillow-heif: pip install pillow-heif" if name.lower().endswith((".heic", ".heif")) else None
        message = f"{name}: cannot be read as a picture; the file is damaged, cut off, or not a picture"
        raise MediaError(message, hint) from error


def _open_by_pillow(data: bytes) -> Image.Image:
    if data[4:8] == b"ftyp":  # HEIC, which a package of its own reads
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
    return Image.open(io.BytesIO(data))


def _to_rgb(picture: Image.Image, name: str) -> Frame:
    if picture.mode.startswith("I"):  # grey of 16 bits, which Pillow would clip to 255
        grey = np.asarray(picture).astype(np.int64)
        return np.repeat((grey.clip(0, 2**16 - 1) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise MediaError(f"{name}: its pixels are fractional numbers", "convert it to 8 or 16 bits")
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # otherwise Pillow prints a warning
    return np.asarray(picture.convert("RGB"))


def check_frame_size_limit(width: int, height: int, name: str) -> None:
    """Raise a MediaError if a frame has more than `MAX_PIXELS` pixels, which take too much memory."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"{name}: {width}×{height} pixels are too large to be read", _TOO_LARGE_HINT)


def _check_header(data: bytes, name: str) -> None:
    """Raise a MediaError if a picture is too large according to its header, before it is decoded."""
    size = _png_size(data) or _jpeg_size(data) or _header_size(data, name)
    if size is not None:
        check_frame_size_limit(*size, name)


# PNG and JPEG are the formats of prepared corpora. Pillow takes 50 µs for a header, a fifth of decoding the picture.


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG; None for anything else."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG with plain segments up to the frame header; None for anything else."""
    at = _jpeg_frame_header(data)
    if at is None:
        return None
    height, width = struct.unpack(">HH", data[at + 5 : at + 9])
    return width, height


def _jpeg_frame_header(data: bytes) -> int | None:
    """Return the position of a JPEG's frame header; None if other than plain segments come before it."""
    if not data.startswith(_JPEG_SIGNATURE):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:  # without a length, or padding
            return None
        if marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame header: SOF0 to SOF15
            return at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _is_cmyk_jpeg(data: bytes) -> bool:
    """Return whether a JPEG has four channels."""
    at = _jpeg_frame_header(data)
    return at is not None and len(data) > at + 9 and data[at + 9] == 4


def _header_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height as Pillow reads them from a header; None for a header that is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(f"{name}: the picture is too large to be read", _TOO_LARGE_HINT) from error
    except Exception:  # Pillow's readers raise what Python's functions raise (struct.error, OverflowError, …)
        return None  # decoding reports the fault


def resize_frame(frame: Frame, size: int, interpolation: Interpolation = "lanczos", fit: FitMode = "stretch") -> Frame:
    """Resize a frame to a square.

    Args:
        frame: uint8 (H, W, 3).
        size: height and width of the result, pixels.
        interpolation: interpolation of pixels; the published systems use `lanczos`.
        fit: way in which the frame becomes a square; the published systems use `stretch`.

    Returns:
        uint8 (size, size, 3).
    """
    method = _OPENCV_INTERPOLATIONS[interpolation]
    height, width = frame.shape[:2]
    if fit == "stretch" or height == width:
        return cast("Frame", cv2.resize(frame, (size, size), interpolation=method))
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = frame[top : top + side, left : left + side]
        return cast("Frame", cv2.resize(middle, (size, size), interpolation=method))
    longer = max(height, width)
    new_height, new_width = max(1, round(size * height / longer)), max(1, round(size * width / longer))
    padded = np.zeros((size, size, 3), np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    padded[top : top + new_height, left : left + new_width] = cv2.resize(
        frame, (new_width, new_height), interpolation=method
    )
    return padded
