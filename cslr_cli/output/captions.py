"""A copy of a video with the recognised glosses in its picture.

Below in the picture lies a band: each gloss, large, while it is signed, and under it a time line of
the seconds around with all glosses on it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cslr_cli.media.frames import Frame, FrameSource, open_frames, resample_indices
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.fonts import CaptionFont
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

_PAGE = 12.0  # seconds that the time line shows; at the end of a page comes the next
_TEXT_SHARE = 0.075  # height of the gloss, as a share of the shorter side of the picture
_SMALLEST_TEXT = 9  # pixels
_COLOURS = ((47, 111, 159), (200, 85, 61), (61, 131, 97), (138, 90, 158), (184, 134, 43))
_INSTANT = 1e-6
# A sign may take a sixth of a second, too short to read its gloss: it stays, grey, if no other follows. Seconds.
_LINGERS = 0.8
_NOW, _BEFORE = (255, 255, 255), (125, 125, 125)
_SHADE = 0.62  # how much of the picture the band covers: 1 hides it


@dataclass(frozen=True)
class CaptionedVideo:
    """What was written.

    Attributes:
        path: of the video.
        codec: what it is encoded as: `H.264`, or where nothing here can write that, another.
        num_frames: frames in it.
        fps: frames a second.
    """

    path: Path
    codec: str
    num_frames: int
    fps: float


def render_captions(
    source: Path,
    recognition: Recognition,
    output: Path,
    font: CaptionFont,
    *,
    fps: float | None = None,
    picture_fps: float = 25.0,
    progress: ProgressCallback = no_progress,
) -> CaptionedVideo:
    """Write the video, or the part of it that was recognised, with its glosses in the picture.

    The copy has the frame rate of the source (its average, where that varies), its size and its
    length, is upright and has no sound. One frame at a time is in memory.

    Args:
        source: a video, or a folder or zip of pictures.
        recognition: what was recognised in it, times in seconds from the beginning of the source.
        output: an MP4.
        font: for the glosses.
        fps: frames a second of the source, if it is to be another than the source says.
        picture_fps: frames a second of a source that does not say.
        progress: is told after each second of video.

    Raises:
        UsageError: the output is no MP4.
        MediaError: the source cannot be read, or the output not written.
    """
    frames = open_frames(source, partial=True)
    indices, rate = _frames_to_write(frames, recognition, fps or (None if frames.fps else picture_fps))
    pictures = frames.iterate(indices)
    first = next(pictures)
    height, width = first.shape[:2]
    band = CaptionBand(recognition.glosses, (recognition.start, recognition.duration), width, height, font)
    with video_writer(output, width, height, rate) as writer:
        for number, picture in enumerate(_chained(first, pictures)):
            # The middle of the time for which the frame is shown says which gloss it belongs to.
            writer.write(band.on(picture, recognition.start + (number + 0.5) / rate))
            if (number + 1) % max(1, round(rate)) == 0 or number + 1 == len(indices):
                progress(Progress(f"write {output.name}", number + 1, len(indices)))
        return CaptionedVideo(output, writer.codec, len(indices), rate)


def _frames_to_write(
    frames: FrameSource, recognition: Recognition, fps: float | None
) -> tuple[NDArray[np.int64], float]:
    """The frames of the recognised part, evenly in time, and how many a second that are."""
    times = np.arange(frames.num_frames) / fps if fps else frames.timestamps
    rate = fps or frames.fps
    assert times is not None
    assert rate is not None  # a source without a rate was given one
    end = recognition.start + recognition.duration
    first = min(int(np.searchsorted(times, recognition.start - 0.5 / rate)), len(times) - 1)
    last = max(first + 1, int(np.searchsorted(times, end - _INSTANT)))
    if times[-1] - end < 1 / recognition.fps:  # the network's clock is coarser: it has seen the end
        last = len(times)
    part = times[first:last]
    return first + resample_indices(part, rate), rate


def _chained(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from others


class CaptionBand:
    """What is drawn over the lower part of each frame.

    Args:
        glosses: with their times.
        span: when the time line begins, and how long it lasts, seconds.
        width: of the frames, pixels.
        height: of the frames, pixels.
        font: of all texts.
    """

    def __init__(
        self, glosses: Sequence[TimedGloss], span: tuple[float, float], width: int, height: int, font: CaptionFont
    ) -> None:
        self._glosses = sorted(glosses, key=lambda timed: timed.start)
        self._starts = [timed.start for timed in self._glosses]
        self._begin, self._font = span[0], font
        self._page_seconds = min(_PAGE, max(span[1], 1e-3))
        self._text_height = max(_SMALLEST_TEXT, round(min(width, height) * _TEXT_SHARE))
        self._line_height = max(_SMALLEST_TEXT + 3, round(0.62 * self._text_height))
        self._size = (width, min(height, round(1.5 * self._text_height) + self._line_height))
        self._drawn: tuple[tuple[int, int, bool], NDArray[np.uint8]] | None = None

    @property
    def height(self) -> int:
        """Rows of the frames that it covers."""
        return self._size[1]

    def on(self, frame: Frame, time: float) -> Frame:
        """The frame with the band over its lower edge, at `time` seconds of the source."""
        page = int((time - self._begin) / self._page_seconds)
        key = (page, *self._shown(time))
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._draw(*key))
        band = self._drawn[1].copy()
        place = (time - self._begin) / self._page_seconds - page
        column = min(int(place * self._size[0]), self._size[0] - 1)
        thickness = max(1, self._size[0] // 300)
        band[-self._line_height :, max(0, column - thickness // 2) : column + (thickness + 1) // 2] = 255
        result: Frame = frame.copy()
        below = result[-len(band) :]
        drawn = band.any(axis=2, keepdims=True)
        shaded = (below * (1 - _SHADE)).astype(np.uint8)
        result[-len(band) :] = np.where(drawn, band, shaded)
        return result

    def _shown(self, time: float) -> tuple[int, bool]:
        """Which gloss is to be read at that time, -1 for none, and whether it is signed just then."""
        place = bisect.bisect_right(self._starts, time) - 1
        if place < 0 or time >= self._glosses[place].end + _LINGERS:
            return -1, False
        return place, time < self._glosses[place].end

    def _draw(self, page: int, shown: int, is_signed: bool) -> NDArray[np.uint8]:
        """The band (H, W, 3) without the mark of the present; black is where the frame shines through."""
        width, height = self._size
        image = Image.new("RGB", (width, height))
        draw = ImageDraw.Draw(image)
        if shown >= 0:
            text = self._glosses[shown].gloss
            font = self._fitting_font(draw, text, width * 0.96, self._text_height)
            middle = (width / 2, (height - self._line_height) / 2)
            draw.text(middle, text, font=font, anchor="mm", fill=_NOW if is_signed else _BEFORE)
        begin = self._begin + page * self._page_seconds
        for number, timed in enumerate(self._glosses):
            left, right = ((time - begin) / self._page_seconds * width for time in (timed.start, timed.end))
            if right > 0 and left < width:
                self._draw_on_line(draw, timed.gloss, left, right, _COLOURS[number % len(_COLOURS)])
        return np.asarray(image)

    def _draw_on_line(
        self, draw: ImageDraw.ImageDraw, text: str, left: float, right: float, colour: tuple[int, int, int]
    ) -> None:
        """Draw a gloss on the time line, with its name if that can be read there."""
        height = self._size[1]
        draw.rectangle((left, height - self._line_height + 1, max(left, right - 1), height - 2), fill=colour)
        font = self._fitting_font(draw, text, right - left - 2, 0.7 * self._line_height)
        if font.size >= min(_SMALLEST_TEXT, round(0.7 * self._line_height)):
            centre = ((left + right) / 2, height - self._line_height / 2)
            draw.text(centre, text, font=font, anchor="mm", fill=_NOW)

    def _fitting_font(
        self, draw: ImageDraw.ImageDraw, text: str, width: float, height: float
    ) -> ImageFont.FreeTypeFont:
        """The font as high as wanted, or as low as the text has to be for its width."""
        font = ImageFont.truetype(str(self._font.path), max(1, round(height)))
        needed = draw.textlength(text, font=font)
        if needed <= width:
            return font
        return ImageFont.truetype(str(self._font.path), max(1, int(height * width / needed)))
