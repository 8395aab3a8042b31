"""Animated pictures, each of which is a clip: which files they are, and how WebP files are read.

FFmpeg decodes animated GIF and PNG files like videos. It shows only the first picture of a WebP file, so Pillow reads
those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, WebPImagePlugin

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource
from cslr_cli.media.pictures import check_frame_size_limit
from cslr_cli.media.png import PNG_SIGNATURE

_HEADER_BYTES = 256  # hold the mark of an animation
_WEBP_ANIMATION = 0x02
_SHORTEST_SECONDS: Final = 0.01  # shorter ones are shown longer by browsers, too
_USUAL_SECONDS: Final = 0.1  # what browsers show for a picture without a duration


def is_animated(path: Path) -> bool:
    """Return whether a GIF, PNG or WebP file has several pictures; False for other and for damaged files."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(_HEADER_BYTES)
        if beginning.startswith(b"GIF8"):
            with GifImagePlugin.GifImageFile(path) as image:
                return int(getattr(image, "n_frames", 1)) > 1
    except Exception:  # Pillow's readers raise what Python's functions raise; opening the file reports the fault
        return False
    if beginning.startswith(PNG_SIGNATURE):
        return b"acTL" in beginning
    is_extended_webp = beginning[:4] == b"RIFF" and beginning[8:16] == b"WEBPVP8X"
    return is_extended_webp and bool(beginning[20] & _WEBP_ANIMATION)


def is_webp(path: Path) -> bool:
    """Return whether a file begins like a WebP file."""
    with open(path, "rb") as file:
        beginning = file.read(12)
    return beginning[:4] == b"RIFF" and beginning[8:] == b"WEBP"


class AnimationFrames(FrameSource):
    """The pictures of an animated WebP file, over black where they are transparent.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)

    @property
    def num_frames(self) -> int:
        """Number of pictures."""
        return len(self.timestamps)

    @property
    def fps(self) -> float | None:
        """Average frames per second; None for a single picture."""
        times = self.timestamps
        return float((len(times) - 1) / times[-1]) if len(times) > 1 else None

    @cached_property
    def timestamps(self) -> NDArray[np.float64]:
        """Display time of each picture, seconds after the first, float64 (T,)."""
        with self._open() as image:
            durations = [0.0]
            for number in range(_num_pictures(image)):
                self._go_to(image, number)
                seconds = float(image.info.get("duration", 0)) / 1000
                durations.append(seconds if seconds >= _SHORTEST_SECONDS else _USUAL_SECONDS)
        return np.cumsum(durations[:-1])

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        with self._open() as image:
            for index in indices:
                name = self._go_to(image, index)
                picture = image.convert("RGBA")
                black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
                yield name, np.asarray(Image.alpha_composite(black, picture).convert("RGB"))

    @contextmanager
    def _open(self) -> Iterator[Image.Image]:
        try:
            image = WebPImagePlugin.WebPImageFile(self.path)
        except Exception as error:  # Pillow's readers raise what Python's functions raise
            raise MediaError(f"{self.path}: the picture is damaged or cut off") from error
        with image:
            check_frame_size_limit(*image.size, f"{self.path}")
            yield image

    def _go_to(self, image: Image.Image, number: int) -> str:
        name = f"{self.path}, frame {number}"
        try:
            image.seek(number)
            image.load()
        except Exception as error:  # Pillow's readers raise what Python's functions raise
            raise MediaError(f"{name}: cannot be decoded") from error
        return name


def _num_pictures(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))
