"""The maps as a video: every frame with the map of the gloss that it belongs to, and the glosses below it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cslr_cli.cam.drawing import coloured
from cslr_cli.cam.explanation import Explanation, GlossMap
from cslr_cli.cam.sheet import relative
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.video_writer import video_writer
from cslr_cli.output.captions import CaptionBand
from cslr_cli.output.fonts import CaptionFont, find_font
from cslr_cli.progress import Progress, ProgressCallback, no_progress

# Small frames are enlarged by a whole number, until their shorter side has so many pixels: text wants room.
_SHORTEST_SIDE = 360
_NAME_SHARE = 0.045  # height of the name of a map, as a share of the shorter side


def write_video(explanation: Explanation, output: Path, progress: ProgressCallback = no_progress) -> str:
    """Write an MP4 of the network's pictures, as whole frames of the source, with the maps over them.

    A frame has the map of the gloss at whose steps it is, or else of the nearest whose maps are over it. The
    colours are as on the sheet.

    Args:
        explanation: of a video.
        output: ends in `.mp4`.
        progress: is told of each frame.

    Returns:
        What it is encoded as, for people: `H.264`, or what this machine has.

    Raises:
        UsageError: the output does not end in `.mp4`.
        MediaError: the video cannot be read any more, or the output not be written.
    """
    film = explanation.film
    owners = gloss_of_pictures(explanation)
    heats = {id(single): relative(single.maps) for single in explanation.glosses}
    factor = max(1, -(-_SHORTEST_SIDE // min(film.size)))
    width, height = film.size[0] * factor, film.size[1] * factor
    duration = float(film.edges[-1] - film.edges[0])
    font = find_font(timed.gloss for timed in explanation.sentence)
    band = CaptionBand(explanation.sentence, float(film.edges[0]), duration, (width, height), font)
    fps = film.num_pictures / duration
    with video_writer(output, width, height + band.height, fps) as writer:
        for picture, frame in enumerate(film.frames):
            owner = owners[picture]
            heat = np.zeros((film.size[1], film.size[0]), np.float32)
            if owner is not None:
                heat = film.placed(heats[id(owner)][[picture - owner.pictures.start]])[0]
            shown = _named(_enlarged(coloured(frame, heat), width, height), owner, font)
            canvas = np.concatenate([shown, np.zeros((band.height, width, 3), np.uint8)])
            writer.write(band.draw_on(canvas, film.time(picture)))
            progress(Progress(f"write {output.name}", picture + 1, film.num_pictures))
        return writer.codec


def gloss_of_pictures(explanation: Explanation) -> list[GlossMap | None]:
    """The gloss whose map each picture of the network shows; None where no map is over it."""
    film = explanation.film
    owners: list[GlossMap | None] = []
    for picture in range(film.num_pictures):
        time = film.time(picture)
        over = [single for single in explanation.glosses if picture in single.pictures]
        owners.append(min(over, key=lambda single: _distance(single, time), default=None))
    return owners


def _distance(single: GlossMap, time: float) -> float:
    """Seconds from a time to a gloss; 0 within it."""
    return max(single.timed.start - time, time - single.timed.end, 0.0)


def _named(frame: Frame, owner: GlossMap | None, font: CaptionFont) -> Frame:
    """The frame with the gloss in its corner whose map is on it: the caption below names a gloss only at its steps."""
    if owner is None:
        return frame
    image = Image.fromarray(frame)
    size = max(9, round(min(image.size) * _NAME_SHARE))
    ImageDraw.Draw(image).text(
        (size / 2, size / 2),
        f"map: {owner.timed.gloss}",
        font=ImageFont.truetype(str(font.path), size),
        fill=(20, 20, 20),
    )
    return np.asarray(image)


def _enlarged(frame: Frame, width: int, height: int) -> Frame:
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
