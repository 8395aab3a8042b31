"""`ClipPlan`: which frames of a prepared clip are read, and how each is cropped, flipped, recoloured and scaled.

A picture is a frame after these steps, as the network sees it. Frames and pictures stay uint8 (T, H, W, 3), RGB; the
network converts them to floats on its device. `cslr_cli.dataset.augmentation` draws the random plans of training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cslr_cli.config import DataConfig
from cslr_cli.errors import DataError
from cslr_cli.media.frame_source import Frame

Frames = NDArray[np.uint8]
# Below this crop / frame, the crop was probably made for smaller frames. Published: 224 / 256 = 0.875.
_MIN_CROP_SHARE = 0.7
# Weights of red, green and blue in the grey value (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class ColourChange:
    """A change of colour, the same for all frames of a clip; a factor of 1 changes nothing.

    Attributes:
        brightness: factor on every value.
        contrast: factor on the distance from middle grey.
        saturation: factor on the distance from a pixel's own grey.
        balance: factor on each of red, green and blue.
    """

    brightness: float
    contrast: float
    saturation: float
    balance: tuple[float, float, float]

    def apply(self, frames: Frames) -> Frames:
        """Recolour frames (…, H, W, 3); values are clipped to 0…255.

        All four factors together are one affine map of the colours, applied in one product.
        """
        grey = np.outer(np.ones(3, np.float32), LUMA) * (1 - self.saturation)
        matrix = grey + np.eye(3, dtype=np.float32) * self.saturation
        matrix = np.diag(np.array(self.balance, np.float32)) @ matrix * (self.contrast * self.brightness)
        offset = 127.5 * (1 - self.contrast) * self.brightness
        # astype truncates; adding 0.5 rounds.
        changed = frames.astype(np.float32) @ matrix.T.astype(np.float32) + np.float32(offset + 0.5)
        recoloured: Frames = changed.clip(0, 255).astype(np.uint8)
        return recoloured


@dataclass(frozen=True)
class ClipPlan:
    """The frames of a clip to read, and what to do with them; made before a frame is decoded.

    Attributes:
        indices: frames to read, in order; one may occur several times.
        top: first row of the crop.
        left: first column of the crop.
        mirrored: whether the clip is flipped from left to right.
        colours: the change of colour, or None.
    """

    indices: tuple[int, ...]
    top: int
    left: int
    mirrored: bool = False
    colours: ColourChange | None = None


def make_evaluation_plan(num_frames: int, frame_size: int, config: DataConfig) -> ClipPlan:
    """Plan an evaluation: every `frame_interval`-th frame, from the first on, cropped to the middle."""
    margin = max_crop_offset(frame_size, config.crop_size) // 2
    return ClipPlan(tuple(range(0, num_frames, config.frame_interval)), margin, margin)


def max_crop_offset(frame_size: int, crop_size: int) -> int:
    """Return the largest distance, in pixels, of the crop from the left and upper edge."""
    if crop_size > frame_size:
        raise DataError(
            f"data.crop_size is {crop_size} pixels, more than the {frame_size} pixels of the prepared frames",
            "choose a smaller crop, or prepare the corpus with larger frames",
        )
    return frame_size - crop_size


def scale_crop(config: DataConfig, frame_size: int) -> DataConfig:
    """Scale a crop to frames of another size than it was made for; the network's input keeps its size.

    The crop gets the nearest size that leaves equal margins on both sides of the frame.

    Returns:
        The same configuration if the frames have the size that the crop is for, or `config.frame_size` is None.
    """
    if config.frame_size in (None, frame_size):
        return config
    scaled = config.crop_size * frame_size / config.frame_size
    crop_size = frame_size - 2 * round((frame_size - scaled) / 2)
    resize_to = None if crop_size == config.input_size else config.input_size
    sizes = {"frame_size": frame_size, "crop_size": crop_size, "resize_to": resize_to, "image_scale": 1.0}
    return config.model_copy(update=sizes)


def describe_crop_change(before: DataConfig, now: DataConfig) -> str:
    """Describe what `scale_crop` has changed."""
    resized = f"resized to {now.input_size} pixels" if now.input_size != now.crop_size else "not resized"
    return (
        f"the crop of the recipe is {before.crop_size} of {before.frame_size} pixels, but the corpus has frames of "
        f"{now.frame_size} pixels: the crop is now {now.crop_size} pixels, {resized}"
    )


def small_crop_warning(config: DataConfig, frame_size: int) -> str | None:
    """Return a warning if the network sees only a small part of the frames by a crop that was not made for them."""
    if config.frame_size == frame_size or config.crop_size >= _MIN_CROP_SHARE * frame_size:
        return None
    percent = 100 * (config.crop_size / frame_size) ** 2
    return (
        f"the network sees only the middle {percent:.0f} % of each frame: its crop is {config.crop_size} of "
        f"{frame_size} pixels (data.crop_size)"
    )


def apply_clip_plan(frames: Iterable[Frame], plan: ClipPlan, config: DataConfig) -> Frames:
    """Crop, flip, scale and recolour the frames of `plan.indices`; return the pictures that the network sees.

    Returns:
        uint8 (T, input_size, input_size, 3), contiguous.
    """
    shape = (config.input_size, config.input_size)
    pictures = np.empty((len(plan.indices), *shape, 3), np.uint8)
    rows, columns = slice(plan.top, plan.top + config.crop_size), slice(plan.left, plan.left + config.crop_size)
    for picture, frame in zip(pictures, frames, strict=True):
        seen = frame[rows, columns]
        if plan.mirrored:
            seen = cast("Frame", cv2.flip(seen, 1))
        if config.input_size != config.crop_size:
            # Pillow's default filter for colour pictures (bicubic), as the published code uses it.
            seen = np.asarray(Image.fromarray(seen).resize(shape))
        picture[...] = seen if plan.colours is None else plan.colours.apply(seen)
    return pictures
