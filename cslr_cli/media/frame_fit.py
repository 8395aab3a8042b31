"""From a frame of any shape to the picture that the network sees, as the frames of its training went.

A corpus' frames had one proportion, 210×260 for PHOENIX2014, before preparation made squares of them,
and that changes what a body looks like. So a frame of another proportion first becomes one of the
corpus' (`fit`), then a square as the corpus was prepared, and then the middle is cut out as in evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, cast, get_args

import cv2
import numpy as np

from cslr_cli.config import DataConfig
from cslr_cli.media.clip_plan import ClipPlan, apply_clip_plan, make_evaluation_plan
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.pictures import resize_frame

Fit = Literal["crop", "squash", "pad"]
FITS: Final[tuple[Fit, ...]] = get_args(Fit)

# Width and height of the frames of corpora that were prepared, or whose networks were trained, by a program
# that does not say it.
ORIGINAL_SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "phoenix2014": (210, 260),
    "phoenix2014-T": (210, 260),
    "phoenix2014-si5": (210, 260),
    "csl": (1280, 720),
    "csl-daily": (512, 512),
    "synthetic": (210, 260),
}


@dataclass(frozen=True)
class Box:
    """A rectangle in a source frame, in its pixels; with `pad` it may reach beyond the frame.

    Attributes:
        left: of the first column.
        top: of the first row.
        width: columns.
        height: rows.
    """

    left: float
    top: float
    width: float
    height: float

    def middle(self, width: float, height: float) -> Box:
        """The rectangle of this size with the same centre."""
        return Box(self.left + (self.width - width) / 2, self.top + (self.height - height) / 2, width, height)


@dataclass(frozen=True)
class FrameFit:
    """How frames become pictures for one network.

    Attributes:
        frame_size: side of the corpus' prepared frames, pixels.
        config: the crop and scale of the network's training.
        interpolation: how the corpus' frames were resized, a key of `frames.INTERPOLATIONS`.
        aspect: how they became squares, one of `frames.ASPECTS`.
        original_size: width and height that they had before; None if nobody knows.
        fit: how a frame of another proportion becomes one of theirs: `crop` its middle out, `squash` it,
            or `pad` it with black.
    """

    frame_size: int
    config: DataConfig
    interpolation: str = "lanczos"
    aspect: str = "stretch"
    original_size: tuple[int, int] | None = None
    fit: Fit = "crop"

    def picture(self, frame: Frame) -> Frame:
        """What the network sees of a frame.

        Args:
            frame: uint8 (H, W, 3); one that is `frame_size` high and wide is taken as prepared already.

        Returns:
            uint8 (input_size, input_size, 3).
        """
        return cast("Frame", apply_clip_plan([self.prepared(frame)], self._crop, self.config)[0])

    def prepared(self, frame: Frame) -> Frame:
        """The frame as it would stand in the prepared corpus: uint8 (frame_size, frame_size, 3)."""
        if self._is_prepared(frame.shape[1], frame.shape[0]):
            return frame
        return resize_frame(self._in_proportion(frame), self.frame_size, self.interpolation, self.aspect)

    def seen(self, width: int, height: int) -> Box:
        """Which part of a frame of this size the network's picture shows."""
        whole = Box(0, 0, width, height)
        square = whole if self._is_prepared(width, height) else self._square(whole)
        share = self.config.crop_size / self.frame_size
        return square.middle(square.width * share, square.height * share)

    def _is_prepared(self, width: int, height: int) -> bool:
        return (width, height) == (self.frame_size, self.frame_size)

    @cached_property
    def _crop(self) -> ClipPlan:
        return make_evaluation_plan(1, self.frame_size, self.config)

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in the frame's pixels, of what has the corpus' proportion: cut out, or with black edges."""
        if self.original_size is None or self.fit == "squash":
            return width, height
        corpus_width, corpus_height = self.original_size
        fitting_width = round(height * corpus_width / corpus_height)
        fitting_height = round(width * corpus_height / corpus_width)
        # One of the two is the frame's own; a frame of the corpus' proportion keeps both.
        if (fitting_width <= width) == (self.fit == "crop"):
            return max(1, fitting_width), height
        return width, max(1, fitting_height)

    def _in_proportion(self, frame: Frame) -> Frame:
        """The frame cut, padded or squashed to the corpus' proportion."""
        height, width = frame.shape[:2]
        new_width, new_height = self._canvas(width, height)
        if new_width < width or new_height < height:
            left, top = (width - new_width) // 2, (height - new_height) // 2
            return frame[top : top + new_height, left : left + new_width]
        if new_width > width or new_height > height:
            left, top = (new_width - width) // 2, (new_height - height) // 2
            padded = np.zeros((new_height, new_width, 3), np.uint8)
            padded[top : top + height, left : left + width] = frame
            return padded
        if self.fit == "squash" and self.original_size is not None and self.aspect != "stretch":
            corpus_width, corpus_height = self.original_size
            squashed_width = max(1, round(height * corpus_width / corpus_height))
            method = cv2.INTER_AREA if squashed_width < width else cv2.INTER_LINEAR
            return cast("Frame", cv2.resize(frame, (squashed_width, height), interpolation=method))
        return frame

    def _square(self, frame: Box) -> Box:
        """What becomes the prepared frame, in the source frame's pixels; not square where pixels are not."""
        canvas = frame.middle(*self._canvas(round(frame.width), round(frame.height)))
        if self.aspect == "stretch":
            return canvas
        # How much wider than high the canvas is when it becomes a square.
        proportion = canvas.width / canvas.height
        if self.fit == "squash" and self.original_size is not None:
            proportion = self.original_size[0] / self.original_size[1]
        side = min(proportion, 1.0) if self.aspect == "crop" else max(proportion, 1.0)
        return canvas.middle(canvas.width * side / proportion, canvas.height * side)
