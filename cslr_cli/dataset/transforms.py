"""From the frames of a prepared clip to what the network sees: which frames, which part, which way round.

Frames are uint8 (T, H, W, 3), RGB, all the way; the network makes floats of them on its device.
Every random choice is drawn from the generator that is passed in, before a frame is read, so that
only the frames that a clip needs are decoded.
"""

from __future__ import annotations

import math

import numpy as np

from cslr_cli.config import DataConfig
from cslr_cli.media.clip_plan import ClipPlan, ColourChange, crop_room


def resampled_indices(num_frames: int, config: DataConfig, rng: np.random.Generator) -> list[int]:
    """Temporal augmentation as published: a new length, then that many frames drawn at random, sorted.

    The length is `int(T · U(1 - s, 1 + s))`, clamped, rounded up to a multiple of 4; the frames are
    drawn without replacement if there are enough of them, else with.
    """
    scale = rng.uniform(1 - config.temporal_scale, 1 + config.temporal_scale)
    length = max(int(num_frames * scale), config.min_clip_frames)
    if config.max_clip_pictures is not None:
        length = min(length, config.max_clip_pictures)
    length = math.ceil(length / 4) * 4
    return sorted(rng.choice(num_frames, length, replace=length > num_frames).tolist())


def training_plan(num_frames: int, frame_size: int, config: DataConfig, rng: np.random.Generator) -> ClipPlan:
    """Random crop, flip, temporal resampling and colours for one pass over a training clip."""
    room = crop_room(frame_size, config.crop_size)
    # As published, training begins with any of the first n frames, so that it sees all of them.
    first = rng.integers(min(config.frame_interval, num_frames)) if config.frame_interval > 1 else 0
    indices = np.arange(first, num_frames, config.frame_interval)
    top, left = (int(value) for value in rng.integers(0, room + 1, size=2))
    mirrored = bool(rng.random() < config.flip_probability)
    if config.temporal_scale:
        indices = indices[resampled_indices(len(indices), config, rng)]
    elif config.max_clip_pictures is not None and len(indices) > config.max_clip_pictures:
        indices = np.sort(rng.choice(indices, config.max_clip_pictures, replace=False))
    colours = _random_colours(config.colour_jitter, rng) if config.colour_jitter else None
    return ClipPlan(tuple(indices.tolist()), top, left, mirrored, colours)


def _random_colours(strength: float, rng: np.random.Generator) -> ColourChange:
    brightness, contrast, saturation = (float(value) for value in rng.uniform(1 - strength, 1 + strength, size=3))
    red, green, blue = (float(value) for value in rng.uniform(1 - strength / 2, 1 + strength / 2, size=3))
    return ColourChange(brightness, contrast, saturation, (red, green, blue))
