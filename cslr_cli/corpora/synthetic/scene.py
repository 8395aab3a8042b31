"""The scene of a clip: camera, background, light, sensor and idle motion; drawn at random for each clip."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.corpora.synthetic.body import FRAME_HEIGHT, FRAME_WIDTH, Projection
from cslr_cli.corpora.synthetic.lexicon import Array
from cslr_cli.corpora.synthetic.signer import Colour, Garment, Signer

_SHOULDER_HEIGHT = 116.0  # pixels from the top of the frame
_SHIFT_PIXELS = (5.0, 4.0)  # largest shift of the camera, sideways and up or down
_ZOOM = 0.03
_NUM_NOISE_FIELDS = 6  # used cyclically: a new field for every frame would take longer than the drawing
_NOISE_LEVELS = (0.4, 1.0)  # standard deviation of the sensor's noise, grey levels

_BACKGROUND_COLOURS: tuple[Colour, ...] = (
    (150, 156, 164),
    (112, 120, 132),
    (176, 182, 178),
    (96, 112, 104),
    (134, 150, 172),
    (84, 90, 108),
    (160, 168, 150),
)


@dataclass(frozen=True)
class Scene:
    """Everything visible in a clip except the signing.

    Attributes:
        projection: position and size of the body in the frame.
        background: uint8 (FRAME_HEIGHT, FRAME_WIDTH, 3), RGB.
        garment: clothes of the signer.
        light: factors on red, green and blue of the signer.
        sensor_fields: int16 (_NUM_NOISE_FIELDS, FRAME_HEIGHT, FRAME_WIDTH, 3), added to finished frames: a
            gradient of light from one side, and noise.
        sway: (T, 2), movement of the body, units.
        head_motion: (T, 2), movement of the head relative to the body, units.
        mouth: (T,), opening of the mouth, 0 to 1.
        blinks: bool (T,), True while the eyes are shut.
    """

    projection: Projection
    background: NDArray[np.uint8]
    garment: Garment
    light: tuple[float, float, float]
    sensor_fields: NDArray[np.int16]
    sway: Array
    head_motion: Array
    mouth: Array
    blinks: NDArray[np.bool_]

    def lit(self, colour: Colour) -> Colour:
        """Return a colour in the light of this scene."""
        red, green, blue = np.clip(np.multiply(colour, self.light), 0, 255).tolist()
        return red, green, blue

    def sensor_field(self, frame: int) -> NDArray[np.int16]:
        """Return the values to add to a frame, int16 (FRAME_HEIGHT, FRAME_WIDTH, 3)."""
        field: NDArray[np.int16] = self.sensor_fields[frame % len(self.sensor_fields)]
        return field


def make_scene(signer: Signer, num_frames: int, rng: np.random.Generator) -> Scene:
    """Draw the random scene of a clip of `num_frames` frames."""
    shift = rng.uniform(-1, 1, 2) * _SHIFT_PIXELS
    origin = (FRAME_WIDTH / 2 + shift[0], _SHOULDER_HEIGHT + shift[1])
    brightness, warmth = rng.uniform(0.86, 1.12), rng.uniform(-0.05, 0.05)
    return Scene(
        projection=Projection(origin, signer.size * rng.uniform(1 - _ZOOM, 1 + _ZOOM)),
        background=_background(brightness, rng),
        garment=signer.wardrobe[int(rng.integers(len(signer.wardrobe)))],
        light=(brightness * (1 + warmth), brightness, brightness * (1 - warmth)),
        sensor_fields=_sensor_fields(rng),
        sway=_wander(num_frames, 2, rng) * (0.035, 0.015),
        head_motion=_wander(num_frames, 2, rng) * (0.03, 0.025),
        mouth=np.clip(_wander(num_frames, 1, rng)[:, 0], 0, 1),
        blinks=np.convolve(rng.random(num_frames) < 0.012, np.ones(3), mode="same") > 0,
    )


def _wander(num_frames: int, num_axes: int, rng: np.random.Generator) -> Array:
    """Draw a slow smooth movement (T, num_axes) between about -1 and 1."""
    time = np.arange(num_frames)[:, None]
    periods, phases = rng.uniform(15, 60, (2, num_axes)), rng.uniform(0, 2 * np.pi, (2, num_axes))
    waves = np.sin(2 * np.pi * time[..., None] / periods.T + phases.T)  # (T, num_axes, 2)
    wandering: Array = waves.mean(axis=-1)
    return wandering


def _background(brightness: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a wall that gets darker to one side, sometimes with a panel."""
    wall = _BACKGROUND_COLOURS[int(rng.integers(len(_BACKGROUND_COLOURS)))]
    colour = brightness * (np.array(wall) + rng.normal(0, 8, 3))
    x = np.linspace(-0.5, 0.5, FRAME_WIDTH)
    y = np.linspace(-0.5, 0.5, FRAME_HEIGHT)[:, None]
    slope = rng.uniform(-0.22, 0.22, 2)
    picture: Array = (1 + slope[0] * x + slope[1] * y)[..., None] * colour
    if rng.random() < 0.5:
        left, width = int(rng.uniform(-30, FRAME_WIDTH - 30)), int(rng.uniform(40, 110))
        picture[:, max(left, 0) : left + width] *= rng.uniform(0.82, 1.15)
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5))
    wall_pixels: NDArray[np.uint8] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return wall_pixels


def _sensor_fields(rng: np.random.Generator) -> NDArray[np.int16]:
    """Draw noise in blocks of 2×2 pixels, which survive video compression better and keep PNG files small."""
    size = (_NUM_NOISE_FIELDS, FRAME_HEIGHT // 2, FRAME_WIDTH // 2, 1)
    noise = np.rint(rng.normal(0, rng.uniform(*_NOISE_LEVELS), size))
    noise = np.repeat(np.repeat(noise, 2, axis=1), 2, axis=2)
    fall = np.rint(rng.uniform(-14, 14) * np.linspace(-1, 1, FRAME_WIDTH))
    fields: NDArray[np.int16] = np.broadcast_to(noise + fall[:, None], (*noise.shape[:3], 3)).astype(np.int16)
    return fields
