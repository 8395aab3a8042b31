"""Draw frames from joints: a person of simple shapes in front of a background, with light and sensor noise.

Frames are drawn at twice the size and then averaged down, for antialiasing. Colours are RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.corpora.synthetic.body import FRAME_HEIGHT, FRAME_WIDTH, PALM_LENGTH, Joints, Projection
from cslr_cli.corpora.synthetic.lexicon import Array
from cslr_cli.corpora.synthetic.motion import DOMINANT, OTHER, Performance
from cslr_cli.corpora.synthetic.scene import Scene
from cslr_cli.corpora.synthetic.signer import Colour, Signer

Frame = NDArray[np.uint8]

_OVERSAMPLING = 2
_SHIFT = 3  # fractional bits of the coordinates for OpenCV

# The following lengths are in units of the body frame.
_HEAD = (0.0, -1.18)  # centre of the head
_HEAD_RADII = (0.47, 0.63)
_FRINGE = {"short": -0.28, "long": -0.22, "cropped": -0.42, "bun": -0.36}  # lower end of the hair on the forehead
_FINGER_LENGTH = (0.34, 0.44, 0.48, 0.44, 0.36)  # thumb to little finger, stretched
_FINGER_ROOT = (-0.02, 0.36, 0.40, 0.38, 0.32)  # from the wrist along the hand's axis
_FINGER_OFFSET = (0.17, 0.145, 0.05, -0.05, -0.145)  # from the hand's axis towards the thumb
_FINGER_WIDTH = 0.125
_PALM_WIDTH = 0.42
_FOLDED = 0.26  # visible fraction of a folded finger's length
_TURNING_POINT, _TURNING_RANGE = -55.0, 6.0  # pointing at which a hand turns from palm to back, degrees
_EDGE = 0.07  # additional width of the dark shape below a hand or sleeve


@dataclass(frozen=True)
class _Person:
    """A signer in one clip, with the colours in the light of the clip."""

    signer: Signer
    skin: Colour
    hair: Colour
    cloth: Colour
    long_sleeves: bool
    v_neck: bool


@dataclass(frozen=True)
class _Painter:
    """Draws shapes given in the picture's body frame onto the oversampled canvas."""

    canvas: Frame
    projection: Projection

    def lines(self, starts: Array, ends: Array, width: float, colour: Colour) -> None:
        """Draw lines with round ends; starts and ends (N, 2)."""
        thickness = max(1, round(width * self.projection.unit * _OVERSAMPLING))
        firsts, lasts = self._fixed_point(np.array([starts, ends])).tolist()
        for first, last in zip(firsts, lasts, strict=True):
            cv2.line(self.canvas, first, last, colour, thickness, cv2.LINE_8, _SHIFT)

    def polygon(self, points: Array, colour: Colour) -> None:
        """Draw a filled polygon; points (N, 2)."""
        cv2.fillPoly(self.canvas, [self._fixed_point(points)], colour, cv2.LINE_8, _SHIFT)

    def ellipse(self, centre: Array, radii: tuple[float, float], colour: Colour, upper_half: bool = False) -> None:
        """Draw a filled ellipse, or its upper half."""
        (point,) = self._fixed_point(centre[None]).tolist()
        scale = self.projection.unit * _OVERSAMPLING * (1 << _SHIFT)
        axes = [max(1, round(radius * scale)) for radius in radii]
        first_angle = 180 if upper_half else 0  # degrees, clockwise from the right
        cv2.ellipse(self.canvas, point, axes, 0, first_angle, 360, colour, cv2.FILLED, cv2.LINE_8, _SHIFT)

    def limb(self, start: Array, end: Array, widths: tuple[float, float], colour: Colour) -> None:
        """Draw a limb with round ends and with `widths` at its start and at its end."""
        along = end - start
        across = np.array([-along[1], along[0]]) / (2 * max(float(np.hypot(*along)), 1e-6))
        first, last = across * widths[0], across * widths[1]
        self.polygon(np.array([start + first, end + last, end - last, start - first]), colour)
        self.ellipse(start, (widths[0] / 2, widths[0] / 2), colour)
        self.ellipse(end, (widths[1] / 2, widths[1] / 2), colour)

    def _fixed_point(self, points: Array) -> NDArray[np.int32]:
        # In OpenCV, whole numbers are the middles of pixels; subtract half a pixel.
        pixels = self.projection.pixels(points) * _OVERSAMPLING - 0.5
        rounded: NDArray[np.int32] = np.rint(pixels * (1 << _SHIFT)).astype(np.int32)
        return rounded


def draw_clip(performance: Performance, joints: Joints, signer: Signer, scene: Scene) -> Iterator[Frame]:
    """Draw every frame of a clip.

    Yields:
        uint8 (FRAME_HEIGHT, FRAME_WIDTH, 3), RGB.
    """
    garment = scene.garment
    skin, hair, cloth = (scene.lit(colour) for colour in (signer.skin, signer.hair, garment.colour))
    person = _Person(signer, skin, hair, cloth, garment.long_sleeves, garment.v_neck)
    background = scene.background.repeat(_OVERSAMPLING, axis=0).repeat(_OVERSAMPLING, axis=1)
    painter = _Painter(np.empty_like(background), scene.projection)
    for t in range(performance.num_frames):
        np.copyto(painter.canvas, background)
        _draw_trunk(painter, person, joints.trunk[t])
        head = joints.trunk[t] + scene.head_motion[t]
        _draw_head(painter, person, head, float(scene.mouth[t]), bool(scene.blinks[t]))
        for arm in (OTHER, DOMINANT):
            _draw_arm(painter, person, joints, t, arm)
        # After both arms: a hand must always be visible.
        for arm in (OTHER, DOMINANT):
            _draw_hand(painter, person, joints, performance.fingers[t, arm], t, arm)
        frame = cv2.resize(painter.canvas, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
        yield np.asarray(cv2.add(frame, scene.sensor_field(t), dtype=cv2.CV_8U), dtype=np.uint8)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255.0, factor * value) for value in colour)
    return red, green, blue


def _draw_trunk(painter: _Painter, person: _Person, trunk: Array) -> None:
    signer = person.signer
    if signer.hair_style == "long":
        behind = trunk + np.array([0.0, -0.75])
        painter.ellipse(behind, (0.62 * signer.face_width, 0.78), _shade(person.hair, 0.85))
    outline = np.array(
        [(0.26, -0.30), (0.55, -0.17), (0.92, -0.06), (1.10, 0.18), (1.06, 0.7), (0.92, 1.6), (0.98, 4.2)]
    )
    outline[:, 0] *= signer.shoulders
    mirrored = (outline * np.array([-1.0, 1.0]))[::-1]
    painter.polygon(trunk + np.concatenate([outline, mirrored]), person.cloth)
    neck = np.array([(-0.2, -0.75), (0.2, -0.75), (0.25, -0.22), (-0.25, -0.22)])
    painter.polygon(trunk + neck, _shade(person.skin, 0.86))
    if person.v_neck:
        opening = np.array([(-0.27, -0.26), (0.27, -0.26), (0.0, 0.32)])
        painter.polygon(trunk + opening, _shade(person.skin, 0.94))
    else:
        painter.ellipse(trunk + np.array([0.0, -0.24]), (0.26, 0.13), _shade(person.skin, 0.9))


def _draw_head(painter: _Painter, person: _Person, place: Array, mouth: float, blink: bool) -> None:
    signer, skin, hair = person.signer, person.skin, person.hair
    tall, wide = signer.head, signer.head * signer.face_width
    centre = place + np.array(_HEAD)

    def at(x: float, y: float) -> Array:
        place_in_picture: Array = centre + np.array([wide * x, tall * y])
        return place_in_picture

    def radii(x: float, y: float) -> tuple[float, float]:
        return wide * x, tall * y

    if signer.hair_style == "bun":
        painter.ellipse(at(0.0, -0.72), radii(0.24, 0.2), _shade(hair, 0.85))
    thickness = 0.03 if signer.hair_style == "cropped" else 0.09
    painter.ellipse(at(0.0, -0.06), radii(_HEAD_RADII[0] + thickness, _HEAD_RADII[1] + thickness), hair)
    for side in (-1, 1):
        painter.ellipse(at(side * 0.47, 0.05), radii(0.07, 0.13), _shade(skin, 0.9))
    painter.ellipse(at(0.0, 0.06), radii(0.45, 0.58), skin)
    painter.ellipse(at(0.0, _FRINGE[signer.hair_style]), radii(0.45, 0.3), hair, upper_half=True)
    for side in (-1, 1):
        painter.ellipse(at(side * 0.18, 0.02), radii(0.09, 0.012 if blink else 0.05), (236.0, 236.0, 232.0))
        if not blink:
            painter.ellipse(at(side * 0.18, 0.02), radii(0.045, 0.05), (40.0, 32.0, 30.0))
    inner, outer = (np.array([at(-x, y), at(x, y)]) for x, y in ((0.1, -0.11), (0.27, -0.10)))
    painter.lines(inner, outer, 0.035, _shade(hair, 0.8))  # the eyebrows
    painter.lines(at(0.0, 0.06)[None], at(0.03, 0.2)[None], 0.03, _shade(skin, 0.78))
    lips = (0.75 * skin[0], 0.45 * skin[1], 0.5 * skin[2])
    painter.ellipse(at(0.0, 0.37), radii(0.14, 0.03 + 0.07 * mouth), lips)


def _draw_arm(painter: _Painter, person: _Person, joints: Joints, t: int, arm: int) -> None:
    shoulder, elbow, wrist = joints.shoulders[t, arm], joints.elbows[t, arm], joints.wrists[t, arm]
    shoulder = shoulder + np.array([-0.06 * joints.side[arm], 0.14])
    sleeve, sleeve_edge = _shade(person.cloth, 1.1), _shade(person.cloth, 0.6)
    lower, lower_edge = sleeve, sleeve_edge
    if not person.long_sleeves:
        lower, lower_edge = person.skin, _shade(person.skin, 0.6)
    painter.limb(elbow, wrist, (0.36 + _EDGE, 0.25 + _EDGE), lower_edge)
    painter.limb(shoulder, elbow, (0.44 + _EDGE, 0.40 + _EDGE), sleeve_edge)
    painter.limb(elbow, wrist, (0.36, 0.25), lower)
    painter.limb(shoulder, elbow, (0.44, 0.40), sleeve)
    # The sleeve joins the trunk: no dark line across the shoulder.
    collar = shoulder - np.array([0.30 * joints.side[arm], 0.03])
    painter.limb(shoulder, collar, (0.44 + _EDGE, 0.36), sleeve)


def _draw_hand(painter: _Painter, person: _Person, joints: Joints, fingers: Array, t: int, arm: int) -> None:
    """Draw the palm and five fingers, first their dark edge and then their skin."""
    scale, wrist, centre = person.signer.hand, joints.wrists[t, arm], joints.hands[t, arm]
    angle = np.radians(joints.pointing[t, arm])
    axis = np.array([np.sin(angle), -np.cos(angle)])
    # With the palm to the viewer and the fingers up, the thumb is on the inner side. A hand that points inwards
    # turns its back to the viewer, with the thumb on top; on the way there it is seen edge-on.
    outwards = joints.pointing[t, arm] * joints.side[arm]
    palm_seen = np.clip((outwards - _TURNING_POINT) / _TURNING_RANGE, -1.0, 1.0)
    to_thumb = np.array([-axis[1], axis[0]]) * -joints.side[arm] * palm_seen
    extension, spread = fingers
    roots = wrist + scale * (np.outer(_FINGER_ROOT, axis) + np.outer(_FINGER_OFFSET, to_thumb))
    turns = np.radians(spread)
    directions = np.outer(np.cos(turns), axis) + np.outer(np.sin(turns), to_thumb)
    shown = np.multiply(_FINGER_LENGTH, _FOLDED * (1 - extension) + extension)
    tips = roots + scale * shown[:, None] * directions
    half_palm = 0.5 * scale * (PALM_LENGTH - 0.26) * axis  # without the round ends
    for wider, colour in ((_EDGE, _shade(person.skin, 0.55)), (0.0, person.skin)):
        palm_ends = (centre - half_palm)[None], (centre + half_palm)[None]
        painter.lines(*palm_ends, _PALM_WIDTH * scale + wider, colour)
        painter.lines(roots, tips, _FINGER_WIDTH * scale + wider, colour)
