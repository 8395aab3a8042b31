"""Joints become pictures: a person of simple shapes, before a background, in some light, seen by some sensor.

Everything is drawn at twice the size and then averaged down, which is the antialiasing. Colours are RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.data.corpora.synthetic.body import FRAME_HEIGHT, FRAME_WIDTH, PALM_LENGTH, Camera, Joints
from cslr_cli.data.corpora.synthetic.lexicon import Array
from cslr_cli.data.corpora.synthetic.motion import DOMINANT, OTHER, Performance
from cslr_cli.data.corpora.synthetic.scene import Scene
from cslr_cli.data.corpora.synthetic.signer import Colour, Signer

Frame = NDArray[np.uint8]

_OVERSAMPLING = 2
_SHIFT = 3  # binary digits after the point in coordinates given to OpenCV

_HEAD = (0.0, -1.18)  # centre of the head, units of the body frame
_HEAD_RADII = (0.47, 0.63)
_FINGER_LENGTH = (0.34, 0.44, 0.48, 0.44, 0.36)  # thumb to little finger, stretched
_FINGER_ROOT = (-0.02, 0.36, 0.40, 0.38, 0.32)  # from the wrist along the hand's axis
_FINGER_OFFSET = (0.17, 0.145, 0.05, -0.05, -0.145)  # from the hand's axis towards the thumb
_FINGER_WIDTH = 0.125
_FOLDED = 0.26  # what a folded finger still shows of its length
_EDGE = 0.035  # width of the darker line around hands and sleeves


@dataclass
class _Painter:
    """Draws shapes given in the picture's body frame onto the oversampled canvas."""

    canvas: Frame
    camera: Camera

    def line(self, start: Array, end: Array, width: float, colour: Colour) -> None:
        """A line with round ends."""
        first, last = self._fixed_point(np.stack([start, end]))
        thickness = max(1, round(width * self.camera.unit * _OVERSAMPLING))
        cv2.line(self.canvas, first.tolist(), last.tolist(), colour, thickness, cv2.LINE_8, _SHIFT)

    def polygon(self, points: Array, colour: Colour) -> None:
        """A filled polygon; points (N, 2)."""
        cv2.fillPoly(self.canvas, [self._fixed_point(points)], colour, cv2.LINE_8, _SHIFT)

    def ellipse(
        self, centre: Array, radii: tuple[float, float], colour: Colour, arc: tuple[float, float] = (0, 360)
    ) -> None:
        """A filled ellipse, or the part of it between two angles in degrees (0 right, 90 down)."""
        (point,) = self._fixed_point(np.asarray(centre)[None]).tolist()
        scale = self.camera.unit * _OVERSAMPLING * (1 << _SHIFT)
        axes = [max(1, round(radius * scale)) for radius in radii]
        cv2.ellipse(self.canvas, point, axes, 0, arc[0], arc[1], colour, cv2.FILLED, cv2.LINE_8, _SHIFT)

    def _fixed_point(self, points: Array) -> NDArray[np.int32]:
        # OpenCV means the middle of a pixel by a whole number; half a pixel makes up for it.
        pixels = self.camera.pixels(points) * _OVERSAMPLING - 0.5
        return np.rint(pixels * (1 << _SHIFT)).astype(np.int32)


def draw_clip(performance: Performance, joints: Joints, signer: Signer, scene: Scene) -> Iterator[Frame]:
    """Draw every frame of a clip.

    Yields:
        uint8 (FRAME_HEIGHT, FRAME_WIDTH, 3), RGB.
    """
    skin, hair, cloth = (scene.lit(colour) for colour in (signer.skin, signer.hair, scene.garment.colour))
    background = cv2.resize(
        scene.background, None, fx=_OVERSAMPLING, fy=_OVERSAMPLING, interpolation=cv2.INTER_NEAREST
    )
    canvas = np.empty_like(background)
    painter = _Painter(canvas, scene.camera)
    for t in range(performance.num_frames):
        np.copyto(canvas, background)
        trunk = joints.trunk[t]
        _draw_trunk(painter, trunk, signer, skin, hair, cloth, scene.garment.v_neck)
        _draw_head(painter, trunk + scene.head_motion[t], signer, skin, hair, scene.mouth[t], bool(scene.blinks[t]))
        for hand in (OTHER, DOMINANT):
            _draw_arm(painter, joints, t, hand, skin, cloth, scene.garment.long_sleeves)
            _draw_hand(painter, joints, performance.fingers[t, hand], t, hand, signer.hand, skin)
        frame = cv2.resize(canvas, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
        yield cv2.add(frame, scene.sensor_field(t), dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255.0, factor * value) for value in colour)
    return red, green, blue


def _draw_trunk(
    painter: _Painter, trunk: Array, signer: Signer, skin: Colour, hair: Colour, cloth: Colour, v_neck: bool
) -> None:
    width = signer.shoulders
    if signer.hair_style == "long":
        painter.ellipse(trunk + (0.0, -0.75), (0.62 * signer.face_width, 0.78), _shade(hair, 0.85))
    outline = np.array(
        [(0.26, -0.30), (0.55, -0.17), (0.92, -0.06), (1.10, 0.18), (1.06, 0.7), (0.92, 1.6), (0.98, 4.2)]
    )
    outline[:, 0] *= width
    outline = np.concatenate([outline, (outline * (-1.0, 1.0))[::-1]])
    painter.polygon(trunk + outline, cloth)
    painter.polygon(
        trunk + np.array([(-0.2, -0.75), (0.2, -0.75), (0.25, -0.22), (-0.25, -0.22)]), _shade(skin, 0.86)
    )
    if v_neck:
        painter.polygon(trunk + np.array([(-0.27, -0.26), (0.27, -0.26), (0.0, 0.32)]), _shade(skin, 0.94))
    else:
        painter.ellipse(trunk + (0.0, -0.24), (0.26, 0.13), _shade(skin, 0.9))


def _draw_head(
    painter: _Painter, place: Array, signer: Signer, skin: Colour, hair: Colour, mouth: float, blink: bool
) -> None:
    scale, wide = signer.head, signer.face_width
    centre = place + np.array(_HEAD)

    def at(x: float, y: float) -> Array:
        return centre + scale * np.array([x * wide, y])

    def radii(x: float, y: float) -> tuple[float, float]:
        return scale * wide * x, scale * y

    if signer.hair_style == "bun":
        painter.ellipse(at(0.0, -0.72), radii(0.24, 0.2), _shade(hair, 0.85))
    thickness = 0.03 if signer.hair_style == "cropped" else 0.09
    painter.ellipse(at(0.0, -0.06), radii(_HEAD_RADII[0] + thickness, _HEAD_RADII[1] + thickness), hair)
    for ear in (-1, 1):
        painter.ellipse(at(ear * 0.47, 0.05), radii(0.07, 0.13), _shade(skin, 0.9))
    painter.ellipse(at(0.0, 0.06), radii(0.45, 0.58), skin)
    fringe = {"short": -0.28, "long": -0.22, "cropped": -0.42, "bun": -0.36}[signer.hair_style]
    painter.ellipse(at(0.0, fringe), radii(0.45, 0.3), hair, (180, 360))
    dark = (40.0, 32.0, 30.0)
    for eye in (-1, 1):
        painter.ellipse(at(eye * 0.18, 0.02), radii(0.09, 0.012 if blink else 0.05), (236.0, 236.0, 232.0))
        if not blink:
            painter.ellipse(at(eye * 0.18, 0.02), radii(0.045, 0.05), dark)
        painter.line(at(eye * 0.1, -0.11), at(eye * 0.27, -0.10), 0.035, _shade(hair, 0.8))
    painter.line(at(0.0, 0.06), at(0.03, 0.2), 0.03, _shade(skin, 0.78))
    painter.ellipse(at(0.0, 0.37), radii(0.14, 0.03 + 0.07 * mouth), _shade((skin[0] * 0.75, skin[1] * 0.45, skin[2] * 0.5), 1))


def _draw_arm(
    painter: _Painter, joints: Joints, t: int, hand: int, skin: Colour, cloth: Colour, long_sleeves: bool
) -> None:
    shoulder, elbow, wrist = joints.shoulders[t, hand], joints.elbows[t, hand], joints.wrists[t, hand]
    sleeve, edge = _shade(cloth, 1.12), _shade(cloth, 0.6)
    lower, lower_edge = (sleeve, edge) if long_sleeves else (skin, _shade(skin, 0.6))
    shoulder = shoulder + np.array([0.0, 0.14])
    for grow, upper_colour, lower_colour in ((2 * _EDGE, edge, lower_edge), (0.0, sleeve, lower)):
        _tapered(painter, elbow, wrist, (0.36 + grow, 0.25 + grow), lower_colour)
        _tapered(painter, shoulder, elbow, (0.46 + grow, 0.40 + grow), upper_colour)


def _tapered(painter: _Painter, start: Array, end: Array, widths: tuple[float, float], colour: Colour) -> None:
    """A limb with round ends that is `widths` wide at its start and at its end."""
    along = end - start
    across = np.array([-along[1], along[0]]) / (2 * max(float(np.hypot(*along)), 1e-6))
    first, last = across * widths[0], across * widths[1]
    painter.polygon(np.stack([start + first, end + last, end - last, start - first]), colour)
    painter.ellipse(start, (widths[0] / 2, widths[0] / 2), colour)
    painter.ellipse(end, (widths[1] / 2, widths[1] / 2), colour)


def _draw_hand(
    painter: _Painter, joints: Joints, fingers: Array, t: int, hand: int, scale: float, skin: Colour
) -> None:
    """The palm and five fingers, first their dark edge and then their skin."""
    angle = np.radians(joints.pointing[t, hand])
    axis = np.array([np.sin(angle), -np.cos(angle)])
    # The palm faces the viewer, fingers up: the thumb is on the inner side.
    to_thumb = np.array([-axis[1], axis[0]]) * -joints.side[hand]
    centre, wrist = joints.hands[t, hand], joints.wrists[t, hand]
    extension, spread = fingers
    lines = []
    for finger in range(5):
        root = wrist + scale * (_FINGER_ROOT[finger] * axis + _FINGER_OFFSET[finger] * to_thumb)
        turn = np.radians(spread[finger])
        direction = np.cos(turn) * axis + np.sin(turn) * to_thumb
        shown = _FOLDED * (1 - extension[finger]) + extension[finger]
        lines.append((root, root + scale * _FINGER_LENGTH[finger] * shown * direction))
    palm_half = 0.5 * scale * (PALM_LENGTH - 0.26) * axis
    for grow, colour in ((2 * _EDGE, _shade(skin, 0.55)), (0.0, skin)):
        painter.line(centre - palm_half, centre + palm_half, 0.42 * scale + grow, colour)
        for root, tip in lines:
            painter.line(root, tip, _FINGER_WIDTH * scale + grow, colour)
