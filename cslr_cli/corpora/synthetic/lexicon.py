"""The signs: each is a path through signing space, a handshape, a pointing direction, and one or two hands.

Positions are in the signer's body frame, so that a left-handed signer is the mirror image of a right-handed one, and a
flipped frame shows the same gloss:

- origin in the middle between the shoulders; the unit is about half the width of the shoulders;
- x grows outwards, from the body's midline to the side of the dominant hand; y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Point = tuple[float, float]

Role = Literal["time", "place", "subject", "verb"]
"""Part of speech of a gloss; see `grammar`."""


@dataclass(frozen=True)
class Handshape:
    """A shape of the hand.

    Attributes:
        name: name of the shape.
        extension: 0 (folded) to 1 (stretched) for thumb, index, middle, ring and little finger.
        spread: angle between the hand's axis and each finger, degrees, positive towards the thumb.
    """

    name: str
    extension: tuple[float, float, float, float, float]
    spread: tuple[float, float, float, float, float]


FLAT = Handshape("flat", (0.5, 1.0, 1.0, 1.0, 1.0), (14.0, 3.0, 1.0, -1.0, -3.0))
FIST = Handshape("fist", (0.0, 0.0, 0.0, 0.0, 0.0), (40.0, 4.0, 0.0, -4.0, -8.0))
INDEX = Handshape("index", (0.0, 1.15, 0.0, 0.0, 0.0), (40.0, 0.0, 0.0, -4.0, -8.0))
V_SHAPE = Handshape("v", (0.0, 1.1, 1.1, 0.0, 0.0), (40.0, 19.0, -19.0, -8.0, -12.0))
SPREAD = Handshape("spread", (1.0, 1.05, 1.1, 1.05, 1.0), (68.0, 30.0, 6.0, -20.0, -48.0))
HORNS = Handshape("horns", (1.1, 0.0, 0.0, 0.0, 1.1), (74.0, 4.0, 0.0, -4.0, -50.0))
RELAXED = Handshape("relaxed", (0.6, 0.7, 0.7, 0.7, 0.65), (26.0, 6.0, 1.0, -4.0, -10.0))
"""The hand at rest; no gloss has it."""


def _array(point: Point) -> Array:
    return np.array(point, dtype=np.float64)


class Path(Protocol):
    """A path through signing space."""

    def at(self, progress: Array) -> Array:
        """Return positions (N, 2) on the path for `progress` (N,), each from 0 to 1."""
        ...


@dataclass(frozen=True)
class Line:
    """A straight line from `start` to `end`."""

    start: Point
    end: Point

    def at(self, progress: Array) -> Array:
        """See `Path.at`."""
        start, end = _array(self.start), _array(self.end)
        return start + progress[:, None] * (end - start)


@dataclass(frozen=True)
class Arc:
    """Half an ellipse from `start` to `end`, in its middle `height` to the left of the straight line (y down)."""

    start: Point
    end: Point
    height: float

    def at(self, progress: Array) -> Array:
        """See `Path.at`."""
        start, end = _array(self.start), _array(self.end)
        along = end - start
        left = _array((along[1], -along[0])) / np.hypot(*along)
        # Equal steps of the angle: an even speed along half an ellipse.
        angle = np.pi * progress[:, None]
        places: Array = (start + end) / 2 - np.cos(angle) * along / 2 + np.sin(angle) * self.height * left
        return places


@dataclass(frozen=True)
class Circle:
    """A full circle around `centre`, from its lowest point, outwards first."""

    centre: Point
    radius: float

    def at(self, progress: Array) -> Array:
        """See `Path.at`."""
        angle = 2 * np.pi * progress[:, None]
        return _array(self.centre) + self.radius * np.hstack([np.sin(angle), np.cos(angle)])


@dataclass(frozen=True)
class Zigzag:
    """A path from `start` to `end` with `swings` full swings of `width` to either side."""

    start: Point
    end: Point
    width: float
    swings: float

    def at(self, progress: Array) -> Array:
        """See `Path.at`."""
        start, end = _array(self.start), _array(self.end)
        along = end - start
        left = _array((along[1], -along[0])) / np.hypot(*along)
        swing = np.sin(2 * np.pi * self.swings * progress[:, None])
        places: Array = start + progress[:, None] * along + swing * self.width * left
        return places


@dataclass(frozen=True)
class Sign:
    """One gloss and how it is signed.

    Attributes:
        gloss: written name of the sign.
        role: part of speech.
        path: path of the centre of the dominant hand.
        backwards: whether the hand moves from the end of the path to its start.
        handshape: shape of the dominant hand, and of the other hand if it takes part.
        pointing: direction of the fingers, degrees from straight up, positive outwards.
        both_hands: whether the other hand makes the mirrored movement.
    """

    gloss: str
    role: Role
    path: Path
    backwards: bool
    handshape: Handshape
    pointing: float
    both_hands: bool = False

    def places(self, progress: Array) -> Array:
        """Return positions (N, 2) of the dominant hand for `progress` (N,), 0 to 1, through the sign."""
        return self.path.at(1.0 - progress if self.backwards else progress)


def _pair(
    glosses: tuple[str, str],
    role: Role,
    path: Path,
    handshape: Handshape,
    pointing: float,
    hands: int = 1,
) -> tuple[Sign, Sign]:
    """Make two signs that differ only in the direction of the movement."""
    first, second = glosses
    return (
        Sign(first, role, path, False, handshape, pointing, hands == 2),
        Sign(second, role, path, True, handshape, pointing, hands == 2),
    )


# The order matters, because a corpus uses the first `num_glosses` signs: every role has a pair among the first eight,
# and the signs that are easiest to distinguish come first.
_PAIRS = (
    _pair(("STEIGEN", "SINKEN"), "verb", Line((0.8, 1.65), (0.8, -0.75)), FLAT, -75.0, hands=2),
    _pair(("SONNE", "MOND"), "subject", Arc((-0.95, -0.1), (1.75, -0.1), 1.75), SPREAD, 0.0),
    _pair(("NORD", "SUED"), "place", Line((1.5, 1.35), (1.5, -1.45)), INDEX, 5.0),
    _pair(("MORGEN", "GESTERN"), "time", Circle((1.3, -0.75), 0.72), HORNS, 0.0),
    _pair(("KOMMEN", "GEHEN"), "verb", Zigzag((1.75, 1.25), (-0.8, 1.25), 0.33, 2.0), V_SHAPE, -35.0),
    _pair(("REGEN", "NEBEL"), "subject", Zigzag((1.0, -1.1), (1.0, 1.4), 0.38, 1.5), SPREAD, 10.0, hands=2),
    _pair(("OST", "WEST"), "place", Line((-0.8, 0.25), (1.8, 0.25)), FLAT, 0.0),
    _pair(("ZUNEHMEN", "ABNEHMEN"), "verb", Line((0.3, 0.75), (1.75, 0.75)), FIST, 0.0, hands=2),
    _pair(("FRUEH", "SPAET"), "time", Arc((0.45, 1.6), (1.75, -0.5), 0.7), FIST, -10.0),
    _pair(("WIND", "FLAUTE"), "subject", Circle((0.95, 0.45), 0.72), INDEX, -20.0, hands=2),
    _pair(("BERG", "TAL"), "place", Zigzag((-0.8, -0.4), (1.8, -0.4), 0.5, 1.0), HORNS, 0.0),
    _pair(("OEFFNEN", "SCHLIESSEN"), "verb", Arc((0.3, 1.3), (1.65, -0.6), -0.8), V_SHAPE, 0.0, hands=2),
)

LEXICON: tuple[Sign, ...] = tuple(sign for pair in _PAIRS for sign in pair)
"""All signs, the two of a pair next to each other."""

SIGN_OF_GLOSS: dict[str, Sign] = {sign.gloss: sign for sign in LEXICON}
