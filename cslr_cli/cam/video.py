"""The heat maps as a video: every frame with the map of its gloss, and the glosses below it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cslr_cli.cam.explanation import Explanation, GlossMap
from cslr_cli.cam.overlay import normalise_maps, overlay_map
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.captions import CaptionBand
from cslr_cli.output.fonts import CaptionFont, find_font
from cslr_cli.progress import Progress, ProgressCallback, no_progress

# Small frames are enlarged by a whole number until their shorter side has so many pixels, so that text is legible.
_MIN_SHORT_SIDE = 360
_LABEL_HEIGHT = 0.045  # of the text in the corner, relative to the shorter side


def write_video(explanation: Explanation, output: Path, progress: ProgressCallback = no_progress) -> str:
    """Write an MP4 of the source's frames that the network saw, with the maps over them.

    Args:
        explanation: the explanation of a video.
        output: a file whose name ends in `.mp4`.
        progress: called after each frame.

    Returns:
        The codec: `H.264`, or another one if no H.264 encoder is available.

    Raises:
        UsageError: the output does not end in `.mp4`.
        MediaError: the video can no longer be read, or the output cannot be written.
    """
    film = explanation.film
    gloss_maps = map_of_each_picture(explanation)
    normalised = {id(gloss_map): normalise_maps(gloss_map.maps) for gloss_map in explanation.glosses}
    factor = max(1, -(-_MIN_SHORT_SIDE // min(film.size)))
    width, height = film.size[0] * factor, film.size[1] * factor
    duration = float(film.edges[-1] - film.edges[0])
    font = find_font(timed.gloss for timed in explanation.sentence)
    band = CaptionBand(explanation.sentence, float(film.edges[0]), duration, (width, height), font)
    fps = film.num_pictures / duration
    with video_writer(output, width, height + band.height, fps) as writer:
        for picture, frame in enumerate(film.frames()):
            gloss_map = gloss_maps[picture]
            heat = np.zeros((film.size[1], film.size[0]), np.float32)
            if gloss_map is not None:
                index = picture - gloss_map.pictures.start
                heat = film.resize_maps(normalised[id(gloss_map)][[index]])[0]
            labelled = _draw_label(_enlarge(overlay_map(frame, heat), width, height), gloss_map, font)
            canvas = np.concatenate([labelled, np.zeros((band.height, width, 3), np.uint8)])
            writer.write(band.draw_on(canvas, film.middle_of(picture)))
            progress(Progress(f"write {output.name}", picture + 1, film.num_pictures))
        return writer.codec


def map_of_each_picture(explanation: Explanation) -> list[GlossMap | None]:
    """Return for each picture the map of the gloss nearest in time that has a map there; None if there is none."""
    film = explanation.film
    nearest: list[GlossMap | None] = []
    for picture in range(film.num_pictures):
        seconds = film.middle_of(picture)
        candidates = [gloss_map for gloss_map in explanation.glosses if picture in gloss_map.pictures]
        nearest.append(min(candidates, key=lambda gloss_map: _seconds_to(gloss_map, seconds), default=None))
    return nearest


def _seconds_to(gloss_map: GlossMap, seconds: float) -> float:
    """Return the distance of a time from a gloss in seconds; 0 within the gloss."""
    return max(gloss_map.timed.start - seconds, seconds - gloss_map.timed.end, 0.0)


def _draw_label(frame: Frame, gloss_map: GlossMap | None, font: CaptionFont) -> Frame:
    """Write the gloss of the map into the corner: the caption below shows a gloss only during its own time."""
    if gloss_map is None:
        return frame
    image = Image.fromarray(frame)
    size = max(9, round(min(image.size) * _LABEL_HEIGHT))
    ImageDraw.Draw(image).text(
        (size / 2, size / 2),
        f"map: {gloss_map.timed.gloss}",
        font=ImageFont.truetype(str(font.path), size),
        fill=(20, 20, 20),
    )
    return np.asarray(image)


def _enlarge(frame: Frame, width: int, height: int) -> Frame:
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
