"""Pictures of every kind are what Pillow's own functions make of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from cslr_cli.errors import MediaError
from cslr_cli.media.frames import open_frames
from cslr_cli.media.pictures import decode_picture

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (24, 36, 3), dtype=np.uint8)
# A smooth picture, which lossy formats keep.
RAMP = np.stack(np.meshgrid(np.arange(24) * 9, np.arange(36) * 6, indexing="ij"), axis=-1).astype(np.uint8)
SMOOTH = np.concatenate([RAMP, np.full((24, 36, 1), 60, np.uint8)], axis=2)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGBA").convert("RGB"))


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "JPEG2000", "BMP", "PPM", "GIF"]
if features.check("avif"):
    KINDS.append("AVIF")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_tag_turns_and_mirrors(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(SMOOTH), kind, exif=exif)
    decoded, expected = decode_picture(data, "0"), by_pillow(data)
    assert decoded.shape == expected.shape == ((24, 36, 3) if orientation < 5 else (36, 24, 3))
    assert np.abs(decoded.astype(int) - expected).mean() < 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read(kind: str) -> None:
    data = encoded(Image.fromarray(SMOOTH), kind)
    assert np.abs(decode_picture(data, "0").astype(int) - by_pillow(data)).mean() < 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "GIF"])
def test_each_form_of_pixels_is_read(kind: str, mode: str) -> None:
    try:
        data = encoded(Image.fromarray(SMOOTH).convert("RGBA").convert(mode), kind)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"{kind} has no {mode}")
    assert np.abs(decode_picture(data, "0").astype(int) - by_pillow(data)).mean() < 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_upper_bits_of_grey_of_16_bits_are_kept(kind: str) -> None:
    grey = (np.arange(24 * 36, dtype=np.uint16) * 75).reshape(24, 36)
    decoded = decode_picture(encoded(Image.fromarray(grey), kind), "0")
    np.testing.assert_array_equal(decoded[..., 0], grey >> 8)
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_off_is_an_error(kind: str, share: float) -> None:
    data = encoded(Image.fromarray(NOISE), kind)
    with pytest.raises(MediaError, match="talk/0001: "):
        decode_picture(data[: round(len(data) * share)], "talk/0001")


def test_an_animation_is_no_picture() -> None:
    first, second = Image.fromarray(NOISE), Image.fromarray(SMOOTH)
    for kind in ("GIF", "PNG", "WEBP"):
        data = encoded(first, kind, save_all=True, append_images=[second])
        with pytest.raises(MediaError, match="holds 2 pictures") as caught:
            decode_picture(data, "0")
        assert "use the path of the file" in str(caught.value.hint)


def test_a_picture_of_a_kind_that_needs_another_package_is_an_error_that_names_it() -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(MediaError, match=r"photo\.heic: cannot be read as a picture") as caught:
        decode_picture(heic, "photo.heic")
    assert "pillow-heif" in str(caught.value.hint)


def test_fractional_pixels_are_an_error() -> None:
    with pytest.raises(MediaError, match=r"0\.tif: its pixels are fractional numbers"):
        decode_picture(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "0.tif")


@pytest.mark.parametrize("suffix", [".tif", ".jp2", ".WEBP"])
def test_a_folder_of_other_pictures_is_a_clip(tmp_path: Path, suffix: str) -> None:
    for number in range(3):
        Image.fromarray(SMOOTH + np.uint8(number)).save(tmp_path / f"{number}{suffix}")
    frames = open_frames(tmp_path).read()
    assert np.abs(frames[2].astype(int) - frames[0]).mean() == pytest.approx(2, abs=1)
