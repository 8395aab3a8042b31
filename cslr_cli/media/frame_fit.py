"""`FrameFit`: convert a frame of any shape to a picture, a frame as the network sees it.

Preparation makes the original frames of a corpus, 210×260 pixels in PHOENIX2014, squares, which distorts bodies. A
frame of other proportions must get the same distortion. So it is first fitted to the proportions of the original frames
(`--frame-fit`), then resized to a square as in preparation (`prepare --fit`), and finally cropped to the middle as in
evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np

from cslr_cli.config import DataConfig
from cslr_cli.media.clip_plan import ClipPlan, apply_clip_plan, make_evaluation_plan
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.options import FitMode, Interpolation
from cslr_cli.media.pictures import resize_frame


@dataclass(frozen=True)
class Box:
    """A rectangle in a source frame, in its pixels; with `pad` it may exceed the frame."""

    left: float
    top: float
    width: float
    height: float

    def resized(self, width: float, height: float) -> Box:
        """Return the rectangle of this size with the same centre."""
        return Box(self.left + (self.width - width) / 2, self.top + (self.height - height) / 2, width, height)


@dataclass(frozen=True)
class FrameFit:
    """The preprocessing of frames for one network.

    Attributes:
        frame_size: height and width of the corpus' prepared frames, pixels.
        config: crop and scale of the network's training.
        interpolation: interpolation with which the corpus' frames were resized.
        fit: way in which the corpus' frames became squares.
        original_size: width and height of the corpus' original frames; None if unknown.
        frame_fit: way in which a frame of other proportions gets those of the original frames.
    """

    frame_size: int
    config: DataConfig
    interpolation: Interpolation = "lanczos"
    fit: FitMode = "stretch"
    original_size: tuple[int, int] | None = None
    frame_fit: FitMode = "crop"

    def to_picture(self, frame: Frame) -> Frame:
        """Convert a frame to a picture.

        Args:
            frame: uint8 (H, W, 3); a frame of `frame_size` × `frame_size` pixels counts as prepared.

        Returns:
            uint8 (input_size, input_size, 3).
        """
        return cast("Frame", apply_clip_plan([self.prepare(frame)], self._crop, self.config)[0])

    def prepare(self, frame: Frame) -> Frame:
        """Convert a frame to a frame of the prepared corpus, uint8 (frame_size, frame_size, 3)."""
        if self._is_prepared(frame.shape[1], frame.shape[0]):
            return frame
        return resize_frame(self._fit_proportions(frame), self.frame_size, self.interpolation, self.fit)

    def visible_box(self, width: int, height: int) -> Box:
        """Return the part of a frame of this size that its picture shows."""
        frame = Box(0, 0, width, height)
        prepared = frame if self._is_prepared(width, height) else self._prepared_box(frame)
        scale = self.config.crop_size / self.frame_size
        return prepared.resized(prepared.width * scale, prepared.height * scale)

    def _is_prepared(self, width: int, height: int) -> bool:
        return (width, height) == (self.frame_size, self.frame_size)

    @cached_property
    def _crop(self) -> ClipPlan:
        return make_evaluation_plan(1, self.frame_size, self.config)

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        """Return the cropped or padded frame's width and height, which have the corpus' proportions."""
        if self.original_size is None or self.frame_fit == "stretch":
            return width, height
        corpus_width, corpus_height = self.original_size
        fitting_width = round(height * corpus_width / corpus_height)
        fitting_height = round(width * corpus_height / corpus_width)
        # One side stays; both stay if the frame has the corpus' proportions.
        if (fitting_width <= width) == (self.frame_fit == "crop"):
            return max(1, fitting_width), height
        return width, max(1, fitting_height)

    def _fit_proportions(self, frame: Frame) -> Frame:
        """Crop, pad or stretch a frame to the corpus' proportions."""
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
        if self.frame_fit == "stretch" and self.original_size is not None and self.fit != "stretch":
            corpus_width, corpus_height = self.original_size
            stretched_width = max(1, round(height * corpus_width / corpus_height))
            method = cv2.INTER_AREA if stretched_width < width else cv2.INTER_LINEAR
            return cast("Frame", cv2.resize(frame, (stretched_width, height), interpolation=method))
        return frame

    def _prepared_box(self, frame: Box) -> Box:
        """Return the part of a source frame that becomes the prepared frame, in the source frame's pixels."""
        canvas = frame.resized(*self._canvas(round(frame.width), round(frame.height)))
        if self.fit == "stretch":
            return canvas
        # Width divided by height of the canvas before it becomes a square.
        proportion = canvas.width / canvas.height
        if self.frame_fit == "stretch" and self.original_size is not None:
            proportion = self.original_size[0] / self.original_size[1]
        side = min(proportion, 1.0) if self.fit == "crop" else max(proportion, 1.0)
        return canvas.resized(canvas.width * side / proportion, canvas.height * side)
