"""Correct the colours and the pixel aspect ratio of a picture that OpenCV has decoded.

OpenCV treats the pixels of every video as squares and, before version 4.13, its colours as BT.601. High-definition
video uses BT.709, a difference of up to 20 of 255, and video from tapes has pixels that are not square.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.media.frame_source import Frame
from cslr_cli.media.video_headers import h264_matrix

# Weights of red and blue in the luma of each matrix, ITU-T H.273, table 4.
_LUMA_WEIGHTS: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_ASSUMED_MATRIX: Final = 6
# A frame of one colour, encoded by BT.709 and marked so; decoded by BT.601 it is (185, 23, 41).
_PROBE: Final = Path(__file__).with_name("bt709_red.webm")
_PROBED_GREEN: Final = 40
# A pixel aspect nearer to 1 is a rounding error, one further away a mistake in the file.
_MIN_ASPECT, _MAX_ASPECT = 1.01, 4.0


@dataclass(frozen=True)
class Presentation:
    """The conversion of decoded pictures of a video to frames.

    Attributes:
        colours: float32 (3, 3), matrix from decoded BGR to RGB; None if only the order changes.
        pixel_aspect: width of a pixel divided by its height.
    """

    colours: NDArray[np.float32] | None = None
    pixel_aspect: float = 1.0

    def to_frame(self, picture: cv2.typing.MatLike) -> Frame:
        """Convert a picture, uint8 (H, W, 3), BGR, to a frame, uint8 (H, W, 3), RGB, with square pixels."""
        colours = self.colours
        frame = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if colours is None else cv2.transform(picture, colours)
        if self.pixel_aspect != 1:
            size = (max(1, round(frame.shape[1] * self.pixel_aspect)), frame.shape[0])
            method = cv2.INTER_AREA if self.pixel_aspect < 1 else cv2.INTER_LINEAR
            frame = cv2.resize(frame, size, interpolation=method)
        return cast("Frame", frame)


def find_presentation(capture: cv2.VideoCapture, container_matrix: int | None = None) -> Presentation:
    """Find out how the pictures of a video must be converted.

    Args:
        capture: video, opened by FFmpeg.
        container_matrix: colour matrix that the container states, used if the codec states none; None if unknown.
    """
    matrix = _codec_matrix(capture)
    if matrix is None:
        matrix = container_matrix
    uncorrected_matrix = None if matrix is None or _opencv_applies_matrices() else matrix
    return Presentation(_colour_correction(uncorrected_matrix), _pixel_aspect(capture))


@functools.cache
def _opencv_applies_matrices() -> bool:
    """Return whether the installed OpenCV decodes colours by the matrix that a video states."""
    capture = cv2.VideoCapture(str(_PROBE), cv2.CAP_FFMPEG)
    found, picture = capture.read()
    capture.release()
    # An FFmpeg without VP9 is old or minimal, and does not apply the matrix either.
    return found and abs(int(picture[16, 16, 1]) - _PROBED_GREEN) < 8


def _codec_matrix(capture: cv2.VideoCapture) -> int | None:
    """Return the matrix that the codec states, None for none."""
    if int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") not in (b"h264", b"avc1"):
        return None
    found, description = capture.retrieve(flag=int(capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX)))
    return h264_matrix(description.tobytes()) if found and description is not None else None


def _colour_correction(matrix: int | None) -> NDArray[np.float32] | None:
    """Return the matrix from BGR decoded by BT.601 to RGB decoded by another matrix; None if they are the same."""
    if matrix not in _LUMA_WEIGHTS or _LUMA_WEIGHTS[matrix] == _LUMA_WEIGHTS[_ASSUMED_MATRIX]:
        return None
    encoded = _rgb_to_yuv_matrix(*_LUMA_WEIGHTS[_ASSUMED_MATRIX])
    decoded = np.linalg.inv(_rgb_to_yuv_matrix(*_LUMA_WEIGHTS[matrix]))
    return (decoded @ encoded)[:, ::-1].astype(np.float32)


def _rgb_to_yuv_matrix(red: float, blue: float) -> NDArray[np.float64]:
    """Return the matrix from RGB to luma and both colour differences, H.273, equations 38 to 40."""
    brightness = np.array([red, 1 - red - blue, blue])
    return np.stack(
        [
            brightness,
            (np.array([0, 0, 1]) - brightness) / (2 * (1 - blue)),
            (np.array([1, 0, 0]) - brightness) / (2 * (1 - red)),
        ]
    )


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return the width of a pixel divided by its height, in pictures that are rotated upright."""
    wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = wide / high if wide > 0 and high > 0 else 1.0
    if not _MIN_ASPECT <= max(aspect, 1 / aspect) <= _MAX_ASPECT:
        return 1.0
    is_turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 != 0
    return 1 / aspect if is_turned else aspect
