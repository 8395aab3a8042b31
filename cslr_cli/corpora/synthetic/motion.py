"""Compute positions and shapes of the hands in every frame, from a sentence and a signer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cslr_cli.corpora.synthetic.lexicon import RELAXED, Array, Handshape, Sign
from cslr_cli.corpora.synthetic.signer import Signer

_SIGN_FRAMES = 8.6  # frames of the average sign at the average pace, at 25 fps
_TRANSITION_FRAMES = (3, 5)  # minimum and maximum; more frames for longer distances
_LONG_WAY = 4.0  # distance from which a transition has the maximum number of frames, units of the body frame
_REST_FRAMES = (2, 4)  # minimum and maximum at each end of a clip

_TREMOR = 0.025  # largest deviation from the wanted position on each axis, units of the body frame

_REST_PLACE = (0.42, 2.1)
_REST_POINTING = -65.0

DOMINANT, OTHER = 0, 1
"""Indices of the hands on the second axis of `Performance.places`, `pointing` and `fingers`."""


@dataclass(frozen=True)
class SignedGloss:
    """One gloss of a clip with its frames: from `first_frame` to before `end_frame`."""

    gloss: str
    first_frame: int
    end_frame: int


@dataclass(frozen=True)
class Performance:
    """The movement of the hands in a clip. Axes: T frames; 2 hands, the dominant one first.

    Attributes:
        glosses: signed glosses with their frames.
        places: (T, 2, 2), centres of the hands in the body frame. For the other hand, x grows to the side of that
            hand, so that a mirrored movement has equal numbers.
        pointing: (T, 2), direction of the fingers, degrees from straight up, positive to the side of the hand.
        fingers: (T, 2, 2, 5), extension (0 to 1) and spread (degrees) of the five fingers.
    """

    glosses: tuple[SignedGloss, ...]
    places: Array
    pointing: Array
    fingers: Array

    @property
    def num_frames(self) -> int:
        """Number of frames of the clip."""
        return len(self.places)


# A hand's pose is one row of 13 numbers: x, y, pointing, 5 extensions, 5 spreads. A row can be interpolated.
def _pose(place: Sequence[float] | Array, pointing: float, shape: Handshape) -> Array:
    return np.array([*place, pointing, *shape.extension, *shape.spread])


def perform(signs: Sequence[Sign], signer: Signer, rng: np.random.Generator) -> Performance:
    """Sign a sentence: rest, transition, sign, transition, …, rest."""
    rest = np.stack([_pose(_REST_PLACE, _REST_POINTING, RELAXED)] * 2)
    rest[:, :2] += rng.normal(0, 0.04, (2, 2))
    parts = [np.repeat(rest[None], rng.integers(_REST_FRAMES[0], _REST_FRAMES[1] + 1), axis=0)]
    glosses = []
    for sign in signs:
        poses = _sign_poses(sign, signer, rest, rng)
        parts.append(_transition(parts[-1][-1], poses[0]))
        first_frame = sum(map(len, parts))
        glosses.append(SignedGloss(sign.gloss, first_frame, first_frame + len(poses)))
        parts.append(poses)
    parts.append(_transition(parts[-1][-1], rest))
    parts.append(np.repeat(rest[None], rng.integers(_REST_FRAMES[0], _REST_FRAMES[1] + 1), axis=0))
    poses = np.concatenate(parts)
    poses[..., :2] += _tremor(len(poses), rng)
    fingers = poses[..., 3:].reshape(len(poses), 2, 2, 5)
    return Performance(tuple(glosses), poses[..., :2], poses[..., 2], fingers)


def _sign_poses(sign: Sign, signer: Signer, rest: Array, rng: np.random.Generator) -> Array:
    """Return the poses (frames, 2 hands, 13) of one sign, with the signer's habits and some random variation."""
    num_frames = max(6, round(_SIGN_FRAMES * signer.pace * rng.uniform(0.92, 1.08)))
    progress = _eased(np.linspace(0.0, 1.0, num_frames), signer.smoothness)
    places = sign.places(progress)
    # The middle of the path's box, not the mean of its samples: it is the same for both directions.
    centre = (places.min(axis=0) + places.max(axis=0)) / 2
    amplitude = signer.amplitude * rng.uniform(0.94, 1.06)
    places = centre + amplitude * (places - centre) + signer.habit + rng.normal(0, 0.05, 2)
    shape = np.array([*sign.handshape.extension, *sign.handshape.spread])
    pointing = sign.pointing + signer.pointing + rng.normal(0, 4.0)
    signing = np.column_stack([places, np.full(num_frames, pointing), np.broadcast_to(shape, (num_frames, len(shape)))])
    other = signing if sign.both_hands else np.repeat(rest[OTHER][None], num_frames, axis=0)
    return np.stack([signing, other], axis=1)


def _eased(progress: Array, smoothness: float) -> Array:
    """Slow a movement down at both ends, symmetrically, so that the reverse movement has the reverse timing."""
    return (1 - smoothness) * progress + smoothness * progress**2 * (3 - 2 * progress)


def _transition(start: Array, end: Array) -> Array:
    """Interpolate smoothly between two poses (2 hands, 13); return the poses between them."""
    way = float(np.linalg.norm(end[:, :2] - start[:, :2], axis=1).max())
    fewest, most = _TRANSITION_FRAMES
    num_frames = fewest + round((most - fewest) * min(1.0, way / _LONG_WAY))
    share = np.arange(1, num_frames + 1) / (num_frames + 1)
    share = share**3 * (10 - 15 * share + 6 * share**2)  # least jerk: Flash and Hogan 1985, eq. 4
    return start + share[:, None, None] * (end - start)


def _tremor(num_frames: int, rng: np.random.Generator) -> Array:
    """Return small slow deviations (T, 2 hands, 2), as in human movement."""
    time = np.arange(num_frames)[:, None, None]
    period, phase = rng.uniform(7, 16, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    deviations: Array = _TREMOR * np.sin(2 * np.pi * time / period + phase)
    return deviations
