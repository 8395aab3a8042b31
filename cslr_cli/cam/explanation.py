"""The explanation of a video: all maps, the video that they belong to, and the NumPy archive of the maps.

Axes: G glosses, N maps of all glosses, T pictures of the network, n pictures of a map, h, w cells of a map, H, W pixels
of the source's frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.correlation_maps import CorrelationMaps
from cslr_cli.cam.layers import slice_within
from cslr_cli.cam.options import CamMethod
from cslr_cli.choices import Head
from cslr_cli.files import atomic_file
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_fit import Box
from cslr_cli.media.frame_source import Frame
from cslr_cli.scoring import TimedGloss

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """A video as the network sees it.

    Attributes:
        name: name of the video.
        open_reader: opens a new reader of the source.
        edges: float64 (T + 1,), seconds in the source: picture i is shown from edges[i] to edges[i + 1].
        size: width and height of the frames, pixels.
        box: the part of a frame that the network sees.
        scale: size of the frames relative to the source's: 1, or less after `limit_width`.
    """

    name: str
    open_reader: Callable[[], ClipReader]
    edges: NDArray[np.float64]
    size: tuple[int, int]
    box: Box
    scale: float = 1.0

    def frames(self) -> Iterator[Frame]:
        """Yield one source frame per picture of the network, uint8 (H, W, 3), RGB; one at a time is in memory."""
        with self.open_reader() as reader:
            yield from reader.frames()

    @property
    def num_pictures(self) -> int:
        """T."""
        return len(self.edges) - 1

    @property
    def visible_area(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part of a frame that the network sees, whole pixels."""
        right, bottom = self.box.left + self.box.width, self.box.top + self.box.height
        return (
            max(0, math.ceil(self.box.left)),
            max(0, math.ceil(self.box.top)),
            min(self.size[0], math.floor(right)),
            min(self.size[1], math.floor(bottom)),
        )

    def pictures_between(self, start: float, end: float) -> range:
        """Return the pictures whose middle lies between two times in seconds; at least the one shown at `start`."""
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        first, stop = (int(index) for index in np.searchsorted(middles, (start, end)))
        return range(first, stop) if stop > first else range(self.picture_at(start), self.picture_at(start) + 1)

    def nearest_picture(self, picture: int) -> int:
        """Return the first or last picture for a number before or after the clip, as padding repeats these."""
        return min(max(picture, 0), self.num_pictures - 1)

    def limit_width(self, width: int) -> Film:
        """Return the film with frames of at most this width."""
        if self.size[0] <= width:
            return self
        scale = width / self.size[0]
        size = width, max(1, round(self.size[1] * scale))
        left, top = self.box.left * scale, self.box.top * scale
        box = Box(left, top, self.box.width * scale, self.box.height * scale)
        return replace(self, size=size, box=box, scale=scale)

    def middle_of(self, picture: int) -> float:
        """Return the middle of the time for which a picture is shown, seconds."""
        return float(self.edges[picture] + self.edges[picture + 1]) / 2

    def picture_at(self, seconds: float) -> int:
        """Return the picture that is shown at a time; the first or last one for a time outside the film."""
        return self.nearest_picture(int(np.searchsorted(self.edges, seconds, side="right")) - 1)

    def resize_maps(self, maps: Maps) -> Maps:
        """Resize maps (n, h, w) of the network's pictures to whole frames (n, H, W)."""
        return resize_maps(maps, self.box, self.size[1], self.size[0])

    def hottest(self, gloss_map: GlossMap, picture: int | None = None) -> HotSpot | None:
        """Return the highest place of a gloss' maps, in one picture or in all; None if the maps are blank there."""
        pictures = gloss_map.pictures if picture is None else range(picture, picture + 1)
        if pictures.start not in gloss_map.pictures:
            return None
        maps = gloss_map.maps[slice_within(pictures, gloss_map.pictures)]
        if not maps.any():
            return None
        index, row, column = (int(position) for position in np.unravel_index(int(maps.argmax()), maps.shape))
        hottest = pictures[index]
        return HotSpot(hottest, self.middle_of(hottest), *cell_centre(row, column, self.box, *maps.shape[1:]))

    def read_frames(self, pictures: Sequence[int]) -> dict[int, Frame]:
        """Read the frames of some pictures, in this film's size."""
        wanted, last = set(pictures), max(pictures, default=-1)
        frames: dict[int, Frame] = {}
        for picture, frame in enumerate(self.frames()):
            if picture in wanted:
                has_size = (frame.shape[1], frame.shape[0]) == self.size
                resized = frame if has_size else cv2.resize(frame, self.size, interpolation=cv2.INTER_AREA)
                frames[picture] = np.asarray(resized, np.uint8)
            if picture >= last:
                break
        return frames


@dataclass(frozen=True)
class HotSpot:
    """The place where a map is highest.

    Attributes:
        picture: number of the network's picture.
        seconds: the middle of the time for which it is shown.
        x: pixels from the left edge of the source's frame.
        y: pixels from the upper edge of the source's frame.
    """

    picture: int
    seconds: float
    x: float
    y: float


@dataclass(frozen=True)
class GlossMap:
    """The heat maps of one gloss.

    Attributes:
        timed: the gloss with its start and end in seconds and its confidence.
        steps: the first step of the explained score and the one after its last.
        pictures: the pictures of the network that have a map.
        maps: float32 (n, h, w), 0 or more, one per picture, over the part of the frame that the network sees.
        blank_reason: why the maps are blank; None if they are not.
    """

    timed: TimedGloss
    steps: tuple[int, int]
    pictures: range
    maps: Maps
    blank_reason: str | None = None

    @property
    def confidence(self) -> float:
        """Confidence of the gloss, 0 to 1; 0 if unknown."""
        return self.timed.confidence or 0.0


@dataclass(frozen=True)
class Correlations:
    """The network's own maps.

    Attributes:
        picture: the picture of the network that is correlated with those around it.
        place: x and y of the correlated place in the source's frame, pixels; None for the whole frame.
        correlation_maps: the correlation maps of each stage.
        identification_maps: for each stage the identification map of every picture, float32 (T, h, w), the mean over
            the channels of sigma(M) − ½.
    """

    picture: int
    place: tuple[float, float] | None
    correlation_maps: tuple[CorrelationMaps, ...]
    identification_maps: Mapping[str, Maps]


@dataclass(frozen=True)
class Explanation:
    """All maps of one video.

    Attributes:
        film: the video.
        sentence: all recognised glosses, or the reference.
        glosses: the maps of the explained glosses of the sentence.
        layer: the layer of the maps.
        head: the head whose logits are explained.
        method: how gradients became maps.
        correlations: the network's own maps; None if it has no correlation blocks.
        warnings: warnings for the user.
    """

    film: Film
    sentence: tuple[TimedGloss, ...]
    glosses: tuple[GlossMap, ...]
    layer: str
    head: Head
    method: CamMethod
    correlations: Correlations | None
    warnings: tuple[str, ...]


def resize_maps(maps: Maps, box: Box, height: int, width: int) -> Maps:
    """Resize maps of a part of a frame to the whole frame, with linear interpolation between the cells' centres.

    Args:
        maps: float32 (n, h, w); the cells divide `box` evenly.
        box: the part of the frame that the network sees, pixels; it may reach beyond the frame.
        height: height of the frame, pixels.
        width: width of the frame, pixels.

    Returns:
        float32 (n, height, width), zero outside the box.
    """
    rows = _interpolation_weights(maps.shape[1], box.top, box.height, height)
    columns = _interpolation_weights(maps.shape[2], box.left, box.width, width)
    resized: Maps = np.einsum("yi,nij,xj->nyx", rows, maps, columns, optimize=True).astype(np.float32)
    return resized


def cell_centre(row: int, column: int, box: Box, height: int, width: int) -> tuple[float, float]:
    """Return x and y of the centre of a cell of an h × w map, in pixels of the frame."""
    return box.left + (column + 0.5) / width * box.width, box.top + (row + 0.5) / height * box.height


def _interpolation_weights(num_cells: int, start: float, extent: float, num_pixels: int) -> NDArray[np.float64]:
    """Return the weight of each cell for each pixel along one axis: (num_pixels, num_cells)."""
    position = (np.arange(num_pixels) + 0.5 - start) / extent  # centre of each pixel, 0 to 1 within the box
    cell = np.clip(position * num_cells - 0.5, 0, num_cells - 1)  # cell i has its centre at i
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(cell[:, None] - np.arange(num_cells)))
    weights[(position < 0) | (position > 1)] = 0
    return weights


def write_maps(explanation: Explanation, output: Path) -> None:
    """Write all maps, neither scaled nor resized, to an `.npz` file; `docs/cam.md` lists its arrays."""
    arrays = explanation_arrays(explanation)
    with atomic_file(output) as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, **cast("Any", arrays))


def explanation_arrays(explanation: Explanation) -> dict[str, NDArray[Any]]:
    """Return the arrays of the archive by their names."""
    film, glosses, box = explanation.film, explanation.glosses, explanation.film.box
    arrays: dict[str, NDArray[Any]] = {
        "layer": np.array(explanation.layer),
        "head": np.array(explanation.head),
        "method": np.array(explanation.method),
        "edges": film.edges,
        "size": np.array(film.size),
        "box": np.array([box.left, box.top, box.width, box.height]),
        "gloss": np.array([gloss_map.timed.gloss for gloss_map in glosses]),
        "start": np.array([gloss_map.timed.start for gloss_map in glosses]),
        "end": np.array([gloss_map.timed.end for gloss_map in glosses]),
        "confidence": np.array([gloss_map.timed.confidence for gloss_map in glosses]),
        "steps": np.array([gloss_map.steps for gloss_map in glosses]),
        "maps": np.concatenate([gloss_map.maps for gloss_map in glosses]),
        "map_gloss": np.repeat(np.arange(len(glosses)), [len(gloss_map.pictures) for gloss_map in glosses]),
        "map_picture": np.concatenate([np.array(gloss_map.pictures) for gloss_map in glosses]),
    }
    correlations = explanation.correlations
    if correlations is None:
        return arrays
    arrays["place_picture"] = np.array(correlations.picture)
    if correlations.place is not None:
        arrays["place"] = np.array(correlations.place)
    for maps in correlations.correlation_maps:
        arrays[f"affinity_{maps.stage}"] = maps.affinities
        arrays[f"offsets_{maps.stage}"] = np.array(maps.offsets)
    for stage, identification_maps in correlations.identification_maps.items():
        arrays[f"identification_{stage}"] = identification_maps
    return arrays
