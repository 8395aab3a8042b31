"""Joints of the arms, from the positions of the hands, and their projection to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.synthetic.lexicon import Array
from cslr_cli.corpora.synthetic.motion import Performance
from cslr_cli.corpora.synthetic.signer import Signer

assert Phoenix2014.original_size is not None
FRAME_WIDTH, FRAME_HEIGHT = Phoenix2014.original_size  # pixels
PALM_LENGTH = 0.42  # units of the body frame, from the wrist to the knuckles
_HAND_DEPTH = 0.8  # distance of the hands in front of the shoulders if the arm is long enough, units
_STRETCH = 0.985  # largest reach, fraction of the arm's length: a fully straight arm looks unnatural


@dataclass(frozen=True)
class Projection:
    """The projection of the body frame into the picture: position of its origin, and size of a unit, in pixels."""

    origin: tuple[float, float]
    unit: float

    def pixels(self, points: Array) -> Array:
        """Convert points (..., 2) of the picture's body frame to pixels; pixel (0, 0) covers coordinates 0 to 1."""
        seen: Array = np.array(self.origin) + self.unit * points
        return seen


@dataclass(frozen=True)
class Joints:
    """The arms in every frame, in the picture's body frame: x to the right, y down, 1 = one unit.

    Axes: T frames; 2 arms, the dominant one first; (x, y).

    Attributes:
        side: (2,), +1 for an arm on the right of the picture, -1 for one on the left.
        trunk: (T, 2), displacement of the whole body.
        shoulders: (T, 2, 2).
        elbows: (T, 2, 2).
        wrists: (T, 2, 2).
        hands: (T, 2, 2), centres of the palms.
        pointing: (T, 2), degrees from straight up, positive to the right of the picture.
    """

    side: Array
    trunk: Array
    shoulders: Array
    elbows: Array
    wrists: Array
    hands: Array
    pointing: Array


def find_joints(performance: Performance, signer: Signer, sway: Array) -> Joints:
    """Place shoulders, elbows and wrists for the hands of a clip."""
    # Seen from the front, the right hand is on the left of the picture.
    dominant_side = 1.0 if signer.left_handed else -1.0
    side = np.array([dominant_side, -dominant_side])
    pointing = np.radians(performance.pointing)
    direction = np.stack([np.sin(pointing), -np.cos(pointing)], axis=-1)
    wrists = performance.places - 0.5 * PALM_LENGTH * signer.hand * direction
    shoulder = np.array([signer.shoulders, 0.0])
    wrists, elbows = _bend_arms(wrists - shoulder, signer.upper_arm, signer.forearm)
    # (2 arms, x and y): from the coordinates of an arm's side to those of the picture
    to_picture = np.stack([side, np.ones(2)], axis=-1)
    trunk = sway[:, None, :]
    hands = wrists + shoulder + 0.5 * PALM_LENGTH * signer.hand * direction
    return Joints(
        side=side,
        trunk=sway,
        shoulders=np.broadcast_to(shoulder, wrists.shape) * to_picture + trunk,
        elbows=(elbows + shoulder) * to_picture + trunk,
        wrists=(wrists + shoulder) * to_picture + trunk,
        hands=hands * to_picture + trunk,
        pointing=performance.pointing * side,
    )


def _bend_arms(wrists: Array, upper_arm: float, forearm: float) -> tuple[Array, Array]:
    """Compute the inverse kinematics of two bones in space.

    Args:
        wrists: (..., 2), wanted positions relative to the shoulder, x to the arm's side.
        upper_arm: length of the upper arm.
        forearm: length of the forearm.

    Returns:
        Wrists (..., 2), moved closer where the arm is too short, and elbows (..., 2), relative to the shoulder.
    """
    reach = _STRETCH * (upper_arm + forearm)
    flat_distance = np.linalg.norm(wrists, axis=-1, keepdims=True)
    wrists = wrists * np.minimum(1.0, reach / np.maximum(flat_distance, 1e-9))
    # Depth is not visible; hands are closer to the body's plane where the arm is too short otherwise.
    free = np.sqrt(np.maximum(reach**2 - np.sum(wrists**2, axis=-1, keepdims=True), 0.0))
    wrists_3d = np.concatenate([wrists, np.minimum(free, _HAND_DEPTH)], axis=-1)
    distance = np.maximum(np.linalg.norm(wrists_3d, axis=-1, keepdims=True), abs(upper_arm - forearm) + 1e-3)
    along = wrists_3d / distance
    # The elbow is on a circle around the line from shoulder to wrist: take its lowest, most outward point.
    to_foot = (upper_arm**2 - forearm**2 + distance**2) / (2 * distance)
    radius = np.sqrt(np.maximum(upper_arm**2 - to_foot**2, 0.0))
    pull = np.array([0.55, 1.0, -0.3])
    across = pull - np.sum(pull * along, axis=-1, keepdims=True) * along
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    elbows = to_foot * along + radius * across
    return wrists, elbows[..., :2]
