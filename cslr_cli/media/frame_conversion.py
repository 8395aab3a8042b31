"""Convert decoded frames of a video to frames as they were filmed: upright, with correct colours and square pixels."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

import av.error
import cv2
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from cslr_cli.media.frame_source import Frame
from cslr_cli.media.tone_mapping import TRANSFERS, tone_mapping_table

# Names in FFmpeg of the colour matrices of ITU-T H.273, table 4.
MATRICES: Final = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
_BT709, _BT601, _BT2020 = 1, 6, 9
# Without a stated matrix, players take BT.709 for video with at least this number of lines, BT.601 for smaller video.
_HD_LINES = 720
_FULL_RANGE: Final = 2  # number of the range 0 to 255 in FFmpeg; 1 is 16 to 235, and 0 unknown
# A pixel aspect nearer to 1 is a rounding error, one further away a mistake in the file.
_MIN_ASPECT, _MAX_ASPECT = 1.01, 4.0
# Largest distance of a display matrix from a multiple of a quarter turn, radians.
_MAX_TILT = 0.02


@dataclass(frozen=True)
class Orientation:
    """How a decoded frame is turned and mirrored to be shown: first transposed, then flipped.

    Attributes:
        is_transposed: whether rows become columns.
        flips_columns: whether left and right are exchanged.
        flips_rows: whether top and bottom are exchanged.
        tilt: degrees by which the file wants the frame turned in addition, which is not done.
    """

    is_transposed: bool = False
    flips_columns: bool = False
    flips_rows: bool = False
    tilt: float = 0.0

    def apply(self, frame: Frame) -> Frame:
        """Turn a frame, uint8 (H, W, 3)."""
        if self.is_transposed:
            frame = cast("Frame", cv2.transpose(frame))
        if self.flips_columns or self.flips_rows:
            code = -1 if self.flips_columns and self.flips_rows else 1 if self.flips_columns else 0
            frame = cast("Frame", cv2.flip(frame, code))
        return frame

    def __str__(self) -> str:
        """Describe it, for people."""
        names = {
            (False, False, False): "upright",
            (False, True, True): "turned by 180°",
            (True, True, False): "turned by 90° clockwise",
            (True, False, True): "turned by 90° anticlockwise",
            (False, True, False): "mirrored from left to right",
            (False, False, True): "mirrored from top to bottom",
        }
        key = (self.is_transposed, self.flips_columns, self.flips_rows)
        return names.get(key, "turned by 90° and mirrored")


UPRIGHT: Final = Orientation()


def parse_display_matrix(data: bytes) -> Orientation:
    """Read a display matrix: nine numbers in rows, which map positions in the frame to positions on the display.

    A matrix that is not a multiple of a quarter turn, perhaps mirrored, gives the nearest one and the rest as `tilt`.
    """
    if len(data) < 36:
        return UPRIGHT
    # A pixel at (x, y) is shown at (a·x + c·y, b·x + d·y).
    a, b, _, c, d = np.frombuffer(data[:20], "<i4").tolist()
    if a * d == b * c:
        return UPRIGHT
    tilt = math.remainder(math.atan2(b, a), math.pi / 2)
    degrees = math.degrees(tilt) if abs(tilt) > _MAX_TILT else 0.0
    if abs(a) > abs(b):
        return Orientation(False, flips_columns=a < 0, flips_rows=d < 0, tilt=degrees)
    return Orientation(True, flips_columns=c < 0, flips_rows=b < 0, tilt=degrees)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return the orientation that a frame carries."""
    matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    return UPRIGHT if matrix is None else parse_display_matrix(bytes(matrix))


@dataclass(frozen=True)
class Presentation:
    """How the frames of one video are shown, apart from their colours, which each frame states itself.

    Attributes:
        width: width of most decoded frames, pixels; others are scaled to it.
        height: their height, pixels.
        pixel_aspect: width of a pixel divided by its height, before the orientation.
        orientation: how frames are turned.
    """

    width: int
    height: int
    pixel_aspect: float = 1.0
    orientation: Orientation = UPRIGHT

    @property
    def scaled_size(self) -> tuple[int, int]:
        """Width and height with square pixels, before the orientation."""
        aspect = self.pixel_aspect
        is_plausible = aspect > 0 and _MIN_ASPECT <= max(aspect, 1 / aspect) <= _MAX_ASPECT
        return (max(1, round(self.width * aspect)) if is_plausible else self.width), self.height

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height of the frames as they are shown."""
        width, height = self.scaled_size
        return (height, width) if self.orientation.is_transposed else (width, height)


def matrix_of(frame: VideoFrame) -> int:
    """Return the number of the colour matrix of a frame: the stated one, or the one that players take."""
    stated = int(frame.colorspace)
    if stated in MATRICES:
        return stated
    if int(frame.color_trc) in TRANSFERS:
        return _BT2020
    return _BT709 if frame.height >= _HD_LINES else _BT601


def has_full_range(frame: VideoFrame) -> bool:
    """Return whether the values of a frame use 0 to 255 instead of 16 to 235, or the same in more bits."""
    if frame.color_range:
        return int(frame.color_range) == _FULL_RANGE
    return frame.format.name.startswith(("yuvj", "rgb", "bgr", "gbr", "gray", "pal", "mono", "ya"))


class FrameConverter:
    """Converts the decoded frames of a video to uint8 (H, W, 3), RGB, all of one size.

    Args:
        presentation: how the frames are shown.
    """

    def __init__(self, presentation: Presentation) -> None:
        self._presentation = presentation
        self._graph: Graph | None = None
        self._key: tuple[object, ...] = ()

    def __call__(self, frame: VideoFrame) -> Frame:
        """Convert a frame."""
        transfer = TRANSFERS.get(int(frame.color_trc))
        has_alpha = _has_alpha(frame)
        target = "rgba" if has_alpha else "rgb48le" if transfer else "rgb24"
        key = (frame.width, frame.height, frame.format.name, matrix_of(frame), has_full_range(frame), target)
        if self._graph is None or key != self._key:
            self._graph, self._key = self._make_graph(frame, target), key
        self._graph.push(frame)
        shown = _pixels(self._graph.pull())
        if transfer and not has_alpha:
            shown = tone_mapping_table(transfer)[shown]
        elif has_alpha:
            shown = _composite_over_black(shown)
        return self._presentation.orientation.apply(cast("Frame", shown))

    def _make_graph(self, frame: VideoFrame, target: str) -> Graph:
        width, height = self._presentation.scaled_size
        options = [f"w={width}", f"h={height}", "out_range=pc"]
        options.append(f"in_range={'pc' if has_full_range(frame) else 'tv'}")
        if not frame.format.is_rgb and not frame.format.has_palette:
            options.append(f"in_color_matrix={MATRICES[matrix_of(frame)]}")
        return make_graph(frame, ("scale", ":".join(options)), ("format", target))


def deinterlace(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Make whole pictures of frames that are marked as interlaced, one for each; others stay as they are.

    The two halves of an interlaced frame were filmed at different moments. The filter `bwdif` of FFmpeg keeps the first
    half and computes the other lines from it and from the neighbouring frames.
    """
    waiting: deque[VideoFrame] = deque()  # marked frames that the filter holds
    graph: Graph | None = None
    key: tuple[object, ...] = ()
    for frame in frames:
        now = (frame.width, frame.height, frame.format.name)
        if graph is not None and (now != key or not frame.interlaced_frame):
            yield from _flush(graph, waiting)
            graph = None
        if not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, key = make_graph(frame, ("bwdif", "mode=send_frame:deint=all")), now
        waiting.append(frame)
        graph.push(frame)
        yield from _pull(graph, waiting)
    if graph is not None:
        yield from _flush(graph, waiting)


def _flush(graph: Graph, waiting: deque[VideoFrame]) -> Iterator[VideoFrame]:
    graph.push(None)
    yield from _pull(graph, waiting)
    while waiting:  # too few frames for the filter
        yield waiting.popleft()


def _pull(graph: Graph, waiting: deque[VideoFrame]) -> Iterator[VideoFrame]:
    while waiting:
        try:
            made = cast("VideoFrame", graph.pull())
        except (av.error.BlockingIOError, EOFError):
            return
        waiting.popleft()
        yield made


def make_graph(frame: VideoFrame, *filters: tuple[str, str]) -> Graph:
    """Make a chain of filters of FFmpeg, each with its options, for frames like a given one."""
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 1_000_000),
    )
    for name, options in filters:
        added = graph.add(name, options)
        last.link_to(added)
        last = added
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _pixels(frame: object) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """Return the values of a packed frame, uint8 or uint16 (H, W, channels)."""
    assert isinstance(frame, VideoFrame)
    plane = frame.planes[0]
    dtype, channels = (np.uint16, 3) if frame.format.name == "rgb48le" else (np.uint8, frame.format.bits_per_pixel // 8)
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    used = lines[:, : frame.width * channels * np.dtype(dtype).itemsize]
    return np.ascontiguousarray(used).view(dtype).reshape(frame.height, frame.width, channels)


def _composite_over_black(pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Frame:
    colours, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    if (alpha == 255).all():
        return np.ascontiguousarray(pixels[..., :3].astype(np.uint8))
    return ((colours * alpha + 127) // 255).astype(np.uint8)
