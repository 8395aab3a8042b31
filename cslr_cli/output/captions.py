"""A copy of a video with the recognised glosses as captions.

A band at the lower edge of each frame shows the current gloss in large letters, and below it a time line with all
glosses of the surrounding seconds.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cslr_cli.media.frame_source import Frame, FrameSource
from cslr_cli.media.frame_times import duration_of
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import DEFAULT_FPS
from cslr_cli.media.sound import SoundState, find_sound
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.fonts import CaptionFont
from cslr_cli.palette import GLOSS_COLOURS
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

_PAGE_SECONDS = 12.0  # the time line shows one page at a time
_TEXT_HEIGHT = 0.075  # height of the gloss, relative to the shorter side of the frame
_MIN_TEXT_HEIGHT = 9  # pixels
_TIME_TOLERANCE = 1e-6  # seconds
# A sign may take a sixth of a second, too short to read its gloss: it stays in grey until the next one starts.
_LINGER_SECONDS = 0.8
_CURRENT_COLOUR, _PAST_COLOUR = (255, 255, 255), (125, 125, 125)
_SHADE = 0.62  # opacity of the band: 1 hides the frame


@dataclass(frozen=True)
class CaptionedVideo:
    """A written video.

    Attributes:
        path: the video file.
        codec: `H.264`, or another one if no H.264 encoder is available.
        num_frames: number of frames.
        fps: average number of frames per second.
        sound: what was done with the sound of the source.
        warnings: what the video lacks, a sentence each.
    """

    path: Path
    codec: str
    num_frames: int
    fps: float
    sound: SoundState
    warnings: tuple[str, ...]


def render_captions(
    source: Path,
    recognition: Recognition,
    output: Path,
    font: CaptionFont,
    *,
    fps: float | None = None,
    stream: int | None = None,
    picture_fps: float = DEFAULT_FPS,
    progress: ProgressCallback = no_progress,
) -> CaptionedVideo:
    """Write the recognised part of a video with its glosses as captions.

    The copy has the frames of the source at their times, its size and its sound, and is upright. One frame at a time
    is in memory.

    Args:
        source: a video, or a folder or zip of pictures.
        recognition: the recognition of the source, times in seconds from the start of the source.
        output: an MP4 file.
        font: the font of the glosses.
        fps: frames per second of the source; None for its own times.
        stream: number of the video stream; None for the default one.
        picture_fps: frames per second of a source that does not state its rate.
        progress: called after each second of video.
    """
    frames = open_frames(source, partial=True, stream=stream)
    part = _select_frames(frames, recognition, fps or (None if frames.fps else picture_fps))
    sound, warning = find_sound(frames, part.start, part.end - part.start)
    selected = frames.iterate(part.indices)
    first = next(selected)
    height, width = first.shape[:2]
    band = CaptionBand(recognition.glosses, recognition.start, recognition.duration, (width, height), font)
    with video_writer(output, width, height, part.fps, sound) as writer:
        total = len(part.indices)
        # The caption is that of the middle of the time for which the frame is shown.
        middles = (part.times + np.append(part.times[1:], part.end)) / 2
        for index, frame in enumerate(itertools.chain([first], selected)):
            writer.write(band.draw_on(frame, float(middles[index])), float(part.times[index]) - part.start)
            if (index + 1) % max(1, round(part.fps)) == 0 or index + 1 == total:
                progress(Progress(f"write {output.name}", index + 1, total))
    warnings = tuple(filter(None, (warning, writer.sound_fault)))
    return CaptionedVideo(output, writer.codec, total, part.fps, writer.sound, warnings)


@dataclass(frozen=True)
class _Part:
    """The frames of the recognised part.

    Attributes:
        indices: their indices in the source, int64 (T,).
        times: times at which they are shown, seconds after the first frame of the source, float64 (T,).
        end: time at which the last one ends.
        fps: average frames per second of the source.
    """

    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    end: float
    fps: float

    @property
    def start(self) -> float:
        """Time at which the first frame is shown."""
        return float(self.times[0])


def _select_frames(frames: FrameSource, recognition: Recognition, fps: float | None) -> _Part:
    times = np.arange(frames.num_frames) / fps if fps else frames.timestamps
    rate = fps or frames.fps
    assert times is not None
    assert rate is not None  # the caller passes `fps` for a source without a rate
    end = recognition.start + recognition.duration
    first = min(int(np.searchsorted(times, recognition.start - 0.5 / rate)), len(times) - 1)
    # After a gap in the frames, the one before the start is still shown.
    is_shown_before = first > 0 and times[first] - recognition.start > 1 / rate
    first -= is_shown_before
    last = max(first + 1, int(np.searchsorted(times, end - _TIME_TOLERANCE)))
    if times[-1] - end < 1 / recognition.fps:  # shorter than one frame of the network: the recognition reaches the end
        last = len(times)
    part = times[first:last].copy()
    if is_shown_before:
        part[0] = recognition.start
    end = duration_of(times, rate) if last == len(times) else min(end, float(times[last]))
    return _Part(np.arange(first, last), part, max(end, float(part[-1]) + _TIME_TOLERANCE), rate)


class CaptionBand:
    """The band with captions at the lower edge of each frame.

    Args:
        glosses: glosses with their times.
        start: start of the time line, seconds.
        duration: duration of the time line, seconds.
        frame_size: width and height of the frames, pixels.
        font: the font of all texts.
    """

    def __init__(
        self,
        glosses: Sequence[TimedGloss],
        start: float,
        duration: float,
        frame_size: tuple[int, int],
        font: CaptionFont,
    ) -> None:
        width, height = frame_size
        self._glosses = sorted(glosses, key=lambda timed: timed.start)
        self._starts = [timed.start for timed in self._glosses]
        self._start, self._font = start, font
        self._page_seconds = min(_PAGE_SECONDS, max(duration, 1e-3))
        self._text_height = max(_MIN_TEXT_HEIGHT, round(min(width, height) * _TEXT_HEIGHT))
        self._line_height = max(_MIN_TEXT_HEIGHT + 3, round(0.62 * self._text_height))
        self._width, self._height = width, min(height, round(1.5 * self._text_height) + self._line_height)
        self._cached: tuple[tuple[int, int, bool], NDArray[np.uint8]] | None = None

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._height

    def draw_on(self, frame: Frame, time: float) -> Frame:
        """Return a copy of the frame with the band over its lower edge, at `time` seconds of the source."""
        page = int((time - self._start) / self._page_seconds)
        key = (page, *self._current_gloss(time))
        if self._cached is None or self._cached[0] != key:
            self._cached = (key, self._draw(*key))
        band = self._cached[1].copy()
        position = (time - self._start) / self._page_seconds - page
        column = min(int(position * self._width), self._width - 1)
        thickness = max(1, self._width // 300)
        band[-self._line_height :, max(0, column - thickness // 2) : column + (thickness + 1) // 2] = 255
        captioned: Frame = frame.copy()
        background = captioned[-len(band) :]
        is_drawn = band.any(axis=2, keepdims=True)
        shaded = (background * (1 - _SHADE)).astype(np.uint8)
        captioned[-len(band) :] = np.where(is_drawn, band, shaded)
        return captioned

    def _current_gloss(self, time: float) -> tuple[int, bool]:
        """Return the index of the gloss to show at a time, -1 for none, and whether it is still being signed."""
        index = bisect.bisect_right(self._starts, time) - 1
        if index < 0 or time >= self._glosses[index].end + _LINGER_SECONDS:
            return -1, False
        return index, time < self._glosses[index].end

    def _draw(self, page: int, current: int, is_signed: bool) -> NDArray[np.uint8]:
        """Draw the band (H, W, 3) without the mark of the current time; black is transparent."""
        image = Image.new("RGB", (self._width, self._height))
        draw = ImageDraw.Draw(image)
        if current >= 0:
            text = self._glosses[current].gloss
            font = self._fit_font(draw, text, self._width * 0.96, self._text_height)
            middle = (self._width / 2, (self._height - self._line_height) / 2)
            draw.text(middle, text, font=font, anchor="mm", fill=_CURRENT_COLOUR if is_signed else _PAST_COLOUR)
        page_start = self._start + page * self._page_seconds
        for index, timed in enumerate(self._glosses):
            left, right = ((time - page_start) / self._page_seconds * self._width for time in (timed.start, timed.end))
            if right > 0 and left < self._width:
                self._draw_on_time_line(draw, timed.gloss, left, right, GLOSS_COLOURS[index % len(GLOSS_COLOURS)])
        return np.asarray(image)

    def _draw_on_time_line(self, draw: ImageDraw.ImageDraw, text: str, left: float, right: float, colour: str) -> None:
        """Draw a gloss on the time line, with its name if the name is legible at that width."""
        top = self._height - self._line_height
        draw.rectangle((left, top + 1, max(left, right - 1), self._height - 2), fill=colour)
        font = self._fit_font(draw, text, right - left - 2, 0.7 * self._line_height)
        if font.size >= min(_MIN_TEXT_HEIGHT, round(0.7 * self._line_height)):
            centre = ((left + right) / 2, self._height - self._line_height / 2)
            draw.text(centre, text, font=font, anchor="mm", fill=_CURRENT_COLOUR)

    def _fit_font(self, draw: ImageDraw.ImageDraw, text: str, width: float, height: float) -> ImageFont.FreeTypeFont:
        """Return the font at the wanted height, or smaller so that the text fits into the width."""
        font = ImageFont.truetype(str(self._font.path), max(1, round(height)))
        text_width = draw.textlength(text, font=font)
        if text_width <= width:
            return font
        return ImageFont.truetype(str(self._font.path), max(1, int(height * width / text_width)))
