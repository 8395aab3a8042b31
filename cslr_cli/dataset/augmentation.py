"""The random choices of one pass over a training clip: frames, crop, flip and colours.

All of them are drawn before a frame is read, so that only the frames that the clip needs are decoded.
`cslr_cli.media.clip_plan` applies them.
"""

from __future__ import annotations

import math

import numpy as np

from cslr_cli.config import DataConfig
from cslr_cli.media.clip_plan import ClipPlan, ColourChange, max_crop_offset


def draw_training_plan(num_frames: int, frame_size: int, config: DataConfig, rng: np.random.Generator) -> ClipPlan:
    """Draw crop, flip, temporal augmentation and colours for one pass over a training clip."""
    max_offset = max_crop_offset(frame_size, config.crop_size)
    # As published: starting at any of the first n frames, training sees all frames in the course of its epochs.
    first = rng.integers(min(config.frame_interval, num_frames)) if config.frame_interval > 1 else 0
    indices = np.arange(first, num_frames, config.frame_interval)
    top, left = (int(value) for value in rng.integers(0, max_offset + 1, size=2))
    mirrored = bool(rng.random() < config.flip_probability)
    if config.temporal_scale:
        indices = indices[draw_temporal_augmentation(len(indices), config, rng)]
    elif config.max_clip_input_frames is not None and len(indices) > config.max_clip_input_frames:
        indices = np.sort(rng.choice(indices, config.max_clip_input_frames, replace=False))
    colours = _draw_colours(config.colour_jitter, rng) if config.colour_jitter else None
    return ClipPlan(tuple(indices.tolist()), top, left, mirrored, colours)


def draw_temporal_augmentation(num_frames: int, config: DataConfig, rng: np.random.Generator) -> list[int]:
    """Draw the frames of a clip at a random new length (`data.temporal_scale`), as published: sorted random frames.

    The frames are drawn without replacement if the clip has enough of them, otherwise with replacement.
    """
    scale = rng.uniform(1 - config.temporal_scale, 1 + config.temporal_scale)
    length = _augmented_length(num_frames, scale, config)
    return sorted(rng.choice(num_frames, length, replace=length > num_frames).tolist())


def max_augmented_length(num_frames: int, config: DataConfig) -> int:
    """Give the most frames that a training clip of `num_frames` prepared frames may have after augmentation."""
    num_frames = math.ceil(num_frames / config.frame_interval)
    if config.temporal_scale:
        return _augmented_length(num_frames, 1 + config.temporal_scale, config)
    return num_frames if config.max_clip_input_frames is None else min(num_frames, config.max_clip_input_frames)


def _augmented_length(num_frames: int, scale: float, config: DataConfig) -> int:
    """Scale a length, clamp it, and round it up to a multiple of 4."""
    length = max(int(num_frames * scale), config.min_clip_frames)
    if config.max_clip_input_frames is not None:
        length = min(length, config.max_clip_input_frames)
    return math.ceil(length / 4) * 4


def _draw_colours(strength: float, rng: np.random.Generator) -> ColourChange:
    brightness, contrast, saturation = (float(value) for value in rng.uniform(1 - strength, 1 + strength, size=3))
    red, green, blue = (float(value) for value in rng.uniform(1 - strength / 2, 1 + strength / 2, size=3))
    return ColourChange(brightness, contrast, saturation, (red, green, blue))
