"""From a picture as OpenCV decodes it to what was filmed: its colours, and the proportion of its pixels.

OpenCV takes the pixels of every video for squares and, before its version 4.13, the colours for BT.601's. High
definition has the colours of BT.709, which makes a difference of up to 20 of 255, and tapes have pixels that are wider
or narrower than high.
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

# The shares of red and blue in the brightness of a matrix, ITU-T H.273, table 4.
_SHARES: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_TAKEN_FOR: Final = 6
# A frame that was encoded by BT.709 and says so, of one colour; decoded by BT.601 that is (185, 23, 41).
_PROBE: Final = Path(__file__).with_name("bt709_red.webm")
_PROBED_GREEN: Final = 40
# A proportion nearer to 1 is a rounding of it, and one further away a mistake in the file.
_SLIGHTEST, _STRONGEST = 1.01, 4.0


@dataclass(frozen=True)
class Presentation:
    """What is done to the decoded pictures of a video.

    Attributes:
        colours: float32 (3, 3), from blue, green and red as decoded to red, green and blue; None for the order alone.
        pixel_aspect: how much wider than high a pixel is.
    """

    colours: NDArray[np.float32] | None = None
    pixel_aspect: float = 1.0

    def frame(self, picture: cv2.typing.MatLike) -> Frame:
        """Make a frame, uint8 (H, W, 3), RGB, of square pixels, of a picture, uint8 (H, W, 3), BGR."""
        colours = self.colours
        frame = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if colours is None else cv2.transform(picture, colours)
        if self.pixel_aspect != 1:
            size = (max(1, round(frame.shape[1] * self.pixel_aspect)), frame.shape[0])
            method = cv2.INTER_AREA if self.pixel_aspect < 1 else cv2.INTER_LINEAR
            frame = cv2.resize(frame, size, interpolation=method)
        return cast("Frame", frame)


def presentation(capture: cv2.VideoCapture, container_matrix: int | None = None) -> Presentation:
    """Find out how the pictures of a video are to be shown.

    Args:
        capture: opened, by FFmpeg.
        container_matrix: by which the container says that the colours were encoded; None if it does not say, or
            there is none, as of a stream, whose codec may say it still.
    """
    matrix = _codec_matrix(capture)
    if matrix is None:
        matrix = container_matrix
    unheeded = None if matrix is None or _opencv_heeds_matrices() else matrix
    return Presentation(_correction(unheeded), _pixel_aspect(capture))


@functools.cache
def _opencv_heeds_matrices() -> bool:
    """Whether the OpenCV of this machine decodes colours by the matrix that a video names."""
    capture = cv2.VideoCapture(str(_PROBE), cv2.CAP_FFMPEG)
    found, picture = capture.read()
    capture.release()
    # Its FFmpeg may have no VP9: then it is an old or a small one, which does not.
    return found and abs(int(picture[16, 16, 1]) - _PROBED_GREEN) < 8


def _codec_matrix(capture: cv2.VideoCapture) -> int | None:
    """What the codec itself says, which comes before what its container says."""
    if int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") not in (b"h264", b"avc1"):
        return None
    found, description = capture.retrieve(flag=int(capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX)))
    return h264_matrix(description.tobytes()) if found and description is not None else None


def _correction(matrix: int | None) -> NDArray[np.float32] | None:
    """From blue, green and red as by BT.601 to red, green and blue as by a matrix; None where nothing changes."""
    if matrix not in _SHARES or _SHARES[matrix] == _SHARES[_TAKEN_FOR]:
        return None
    encoded = _from_colours(*_SHARES[_TAKEN_FOR])
    decoded = np.linalg.inv(_from_colours(*_SHARES[matrix]))
    return (decoded @ encoded)[:, ::-1].astype(np.float32)


def _from_colours(red: float, blue: float) -> NDArray[np.float64]:
    """The matrix from red, green and blue to the brightness and both differences, H.273, equations 38 to 40."""
    brightness = np.array([red, 1 - red - blue, blue])
    return np.stack(
        [
            brightness,
            (np.array([0, 0, 1]) - brightness) / (2 * (1 - blue)),
            (np.array([1, 0, 0]) - brightness) / (2 * (1 - red)),
        ]
    )


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    """How much wider than high the pixels are, of pictures that were turned upright."""
    wide, high = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = wide / high if wide > 0 and high > 0 else 1.0
    if not _SLIGHTEST <= max(aspect, 1 / aspect) <= _STRONGEST:
        return 1.0
    is_turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 != 0
    return 1 / aspect if is_turned else aspect
