"""What comes out of explaining a video: the maps, and what they are of.

Axes: T pictures that the network sees, n of them that a map is over, h, w cells of a map, H, W pixels of the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.correlations import CorrelationMaps
from cslr_cli.cam.gradcam import Head, Method
from cslr_cli.cam.layers import within
from cslr_cli.cam.placing import Maps, middle_of_cell, place_maps
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_fit import Box
from cslr_cli.media.frame_source import Frame
from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class WholeFrames:
    """The frames of a source that became the network's pictures, as they are; may be iterated again and again.

    Attributes:
        open: begins to read the source.
    """

    open: Callable[[], ClipReader]

    def __iter__(self) -> Iterator[Frame]:
        """Give them in order, uint8 (H, W, 3), RGB, one in memory."""
        with self.open() as reader:
            yield from reader.frames()


@dataclass(frozen=True)
class Film:
    """A video as the network sees it.

    Attributes:
        name: of the video.
        frames: one a picture of the network.
        edges: float64 (T + 1,), seconds in the source: picture i is from edges[i] to edges[i + 1].
        size: width and height of its frames, pixels.
        box: what the network sees of a frame.
        factor: 1; of a film that was made smaller, by what.
    """

    name: str
    frames: WholeFrames
    edges: NDArray[np.float64]
    size: tuple[int, int]
    box: Box
    factor: float = 1.0

    @property
    def num_pictures(self) -> int:
        """T."""
        return len(self.edges) - 1

    @property
    def seen(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what the network sees within the frame, whole pixels."""
        right, bottom = self.box.left + self.box.width, self.box.top + self.box.height
        return (
            max(0, math.ceil(self.box.left)),
            max(0, math.ceil(self.box.top)),
            min(self.size[0], math.floor(right)),
            min(self.size[1], math.floor(bottom)),
        )

    def pictures_between(self, start: float, end: float) -> range:
        """The pictures whose middle lies between two times, seconds; at least the one that is shown at the first."""
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        first, last = (int(place) for place in np.searchsorted(middles, (start, end)))
        return range(first, last) if last > first else range(self.picture_at(start), self.picture_at(start) + 1)

    def padded_picture(self, picture: int) -> int:
        """The picture that stands at a place before the first or after the last: copies of these pad the clip."""
        return min(max(picture, 0), self.num_pictures - 1)

    def no_wider_than(self, width: int) -> Film:
        """The film with smaller frames, if its own are wider than so many pixels."""
        if self.size[0] <= width:
            return self
        factor = width / self.size[0]
        size = width, max(1, round(self.size[1] * factor))
        left, top = self.box.left * factor, self.box.top * factor
        box = Box(left, top, self.box.width * factor, self.box.height * factor)
        return replace(self, size=size, box=box, factor=factor)

    def time(self, picture: int) -> float:
        """The middle of the time for which a picture is shown, seconds."""
        return float(self.edges[picture] + self.edges[picture + 1]) / 2

    def picture_at(self, seconds: float) -> int:
        """The picture that is shown at a time; the first or last one where that lies outside."""
        place = int(np.searchsorted(self.edges, seconds, side="right")) - 1
        return min(max(place, 0), self.num_pictures - 1)

    def placed(self, maps: Maps) -> Maps:
        """Maps (n, h, w) over whole frames: (n, H, W)."""
        return place_maps(maps, self.box, self.size[1], self.size[0])

    def hottest(self, single: GlossMap, picture: int | None = None) -> Spot | None:
        """Where a gloss' map is highest, in one picture or in all; None if there is nothing in it."""
        pictures = single.pictures if picture is None else range(picture, picture + 1)
        if pictures.start not in single.pictures:
            return None
        maps = single.maps[within(pictures, single.pictures)]
        if not maps.any():
            return None
        strongest, row, column = (int(place) for place in np.unravel_index(int(maps.argmax()), maps.shape))
        found = pictures[strongest]
        return Spot(found, self.time(found), *middle_of_cell(row, column, self.box, *maps.shape[1:]))

    def chosen_frames(self, pictures: Sequence[int]) -> dict[int, Frame]:
        """The frames of some pictures, of this film's size."""
        wanted, last = set(pictures), max(pictures, default=-1)
        chosen: dict[int, Frame] = {}
        for picture, frame in enumerate(self.frames):
            if picture in wanted:
                is_small = (frame.shape[1], frame.shape[0]) == self.size
                chosen[picture] = frame if is_small else _shrunk(frame, self.size)
            if picture >= last:
                break
        return chosen


def _shrunk(frame: Frame, size: tuple[int, int]) -> Frame:
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Spot:
    """A place in a video.

    Attributes:
        picture: of the network.
        seconds: when it is shown.
        x: pixels from the left edge of the source's frame.
        y: pixels from its upper edge.
    """

    picture: int
    seconds: float
    x: float
    y: float


@dataclass(frozen=True)
class GlossMap:
    """What speaks for one gloss.

    Attributes:
        timed: the gloss with its start and end in seconds and its confidence.
        steps: those at which the head says it, the first and the one after the last: what was explained.
        pictures: those of the network that the maps are over, one a map.
        maps: float32 (n, h, w), 0 or more, over what the network sees.
        blank: why there is nothing in them; None where there is something.
    """

    timed: TimedGloss
    steps: tuple[int, int]
    pictures: range
    maps: Maps
    blank: str | None = None

    @property
    def confidence(self) -> float:
        """Of the gloss, 0 to 1."""
        return self.timed.confidence or 0.0


@dataclass(frozen=True)
class Correlations:
    """The network's own maps around one place, or one frame.

    Attributes:
        picture: of the network, the one that the place is in, or that is looked for.
        place: x and y in the source's frame, pixels; None where not a place but the whole frame is looked for.
        around: what is found again of it in the pictures around, a block each.
        identification: for each stage the identification map of every picture, float32 (T, h, w), the mean over
            the channels of sigma(M) − ½.
    """

    picture: int
    place: tuple[float, float] | None
    around: tuple[CorrelationMaps, ...]
    identification: Mapping[str, Maps]


@dataclass(frozen=True)
class Explanation:
    """All maps of one video.

    Attributes:
        film: what they are of.
        sentence: all glosses that were recognised, or the reference.
        glosses: those of them that maps were made for.
        layer: whose maps.
        head: whose logits.
        method: how.
        correlations: the network's own maps; None if it has no correlation blocks.
        warnings: what the user should know.
    """

    film: Film
    sentence: tuple[TimedGloss, ...]
    glosses: tuple[GlossMap, ...]
    layer: str
    head: Head
    method: Method
    correlations: Correlations | None
    warnings: tuple[str, ...]
