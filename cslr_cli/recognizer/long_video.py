"""Which stretches of a recording the network sees by themselves, and the features of each.

A clip of a corpus is one sentence, and so is what a network has learned to read. A longer recording is
split where the signer rests, or into windows. Its frames go through the backbone once, in chunks; what is
kept are the features of the stretch that is going on, and nothing of the pictures.

Axes: T pictures, P pictures with a clip's padding, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cslr_cli.errors import UsageError
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.rests import FrameRange, SentenceSegmenter
from cslr_cli.model.feature_stream import FeatureStream, frames_to_tensor, padded_chunks
from cslr_cli.model.network import Network

# Gives the context in which the network computes: without gradients, in some precision.
Inference = Callable[[], AbstractContextManager[None]]

Split = Literal["auto", "rests", "windows", "none"]
SPLITS_OF_VIDEOS: Final[tuple[Split, ...]] = get_args(Split)

# Seconds of a recording that `auto` still takes for one sentence. The longest clips of the corpora have 20.
LONGEST_WHOLE = 30.0
# Seconds after which a sentence is cut, where least moves, though the signer has not rested.
LONGEST_SENTENCE = 20.0
_SHORTEST_WINDOW, _SHORTEST_OVERLAP = 1.0, 0.2


@dataclass(frozen=True)
class LongVideo:
    """How a long recording is split.

    Attributes:
        split: `rests`, where the signer rests; `windows` of one length; `none`, whatever its length; or
            `auto`: whole up to half a minute, longer ones at rests.
        window: seconds of a window.
        overlap: seconds that a window has in common with the next. What is signed there is taken from the
            one of the two that shows more around it.

    Raises:
        UsageError: a value makes no sense.
    """

    split: Split = "auto"
    window: float = 10.0
    overlap: float = 2.0

    def __post_init__(self) -> None:
        faults = []
        if self.split not in SPLITS_OF_VIDEOS:
            faults.append(f"the split is {self.split!r}; expected one of {', '.join(SPLITS_OF_VIDEOS)}")
        if not self.window >= _SHORTEST_WINDOW:
            faults.append(f"windows of {self.window:g} s; expected {_SHORTEST_WINDOW:g} or more")
        if not _SHORTEST_OVERLAP <= self.overlap <= self.window / 2:
            faults.append(f"an overlap of {self.overlap:g} s; expected {_SHORTEST_OVERLAP:g} to half a window")
        if faults:
            raise UsageError("\n".join(faults))


@dataclass(frozen=True)
class StretchFeatures:
    """Frame features of a stretch, as `Network.logits_from_features` takes them.

    Attributes:
        stretch: which pictures of the clip.
        features: (P, C), with padding in front and behind.
    """

    stretch: FrameRange
    features: Tensor


def stretches(
    clip: ClipReader, network: Network, device: torch.device, long: LongVideo, inference: Inference
) -> Iterator[StretchFeatures]:
    """Give the features of each stretch of a clip as soon as it has been read.

    Args:
        clip: not begun yet.
        network: on `device`, in evaluation mode.
        device: where to compute.
        long: how the clip is split if it is long.
        inference: in which the network computes.

    Raises:
        MediaError: a frame cannot be read, or all of the clip is shorter than the network's shortest.
        DeviceError: the device is out of memory.
    """
    finder = SentenceSegmenter(clip.fps, LONGEST_SENTENCE)
    found: list[FrameRange] = []

    def watched() -> Iterator[Frame]:
        for picture in clip:
            found.extend(filter(None, [finder.push(picture)]))
            yield picture
        found.extend(filter(None, [finder.finish()]))

    watches = long.split in ("auto", "rests")
    features = clip_features(watched() if watches else clip, network, device, inference)
    beginning: list[Tensor] = []
    if long.split in ("auto", "none"):
        limit = float("inf") if long.split == "none" else LONGEST_WHOLE * clip.fps
        while clip.num_pictures <= limit:
            if (part := next(features, None)) is None:
                network.plan.check_length(clip.num_pictures, clip.name)
                yield StretchFeatures(FrameRange(0, clip.num_pictures), torch.cat(beginning))
                return
            beginning.append(part)
    unpadded = _UnpaddedFeatures(chain(beginning, features), clip, network)
    if long.split == "windows":
        yield from _windows(unpadded, clip, long)
        return
    while unpadded.read():
        while found and found[0].end <= unpadded.num_known:
            stretch = found.pop(0)
            if stretch.end - stretch.first >= network.plan.min_frames:
                yield StretchFeatures(stretch, unpadded.padded(stretch))
        unpadded.forget_before(found[0].first if found else finder.first_needed)


def _windows(unpadded: _UnpaddedFeatures, clip: ClipReader, long: LongVideo) -> Iterator[StretchFeatures]:
    """Windows of one length; the last one begins earlier than its turn is, so that it is as long as the others."""
    window = max(1, round(long.window * clip.fps))
    step = max(1, round((long.window - long.overlap) * clip.fps))
    first, end = 0, 0
    while unpadded.read():
        while first + window <= unpadded.num_known:
            end = first + window
            yield StretchFeatures(FrameRange(first, end), unpadded.padded(FrameRange(first, end)))
            first += step
            unpadded.forget_before(max(0, end - window))
    unpadded.check_length(clip.name)
    if end < unpadded.num_known:
        last = FrameRange(max(0, unpadded.num_known - window), unpadded.num_known)
        yield StretchFeatures(last, unpadded.padded(last))


def clip_features(
    pictures: Iterable[Frame], network: Network, device: torch.device, inference: Inference
) -> Iterator[Tensor]:
    """The backbone's features (n, C) of a padded clip, as they become known; together (P, C).

    Args:
        pictures: uint8 (S, S, 3) each, at least one.
        network: on `device`, in evaluation mode.
        device: where to compute.
        inference: in which the network computes.

    Raises:
        DeviceError: the device is out of memory.
    """
    stream = FeatureStream(network)
    for chunk, is_last in padded_chunks(pictures, network):
        with inference():
            features = stream.push(frames_to_tensor(chunk, device), is_last=is_last)
        if len(features):
            yield features


class _UnpaddedFeatures:
    """The features of a clip's own pictures, those of the stretch that is going on.

    Args:
        features: of the padded clip, piece by piece.
        clip: says how many pictures it has, once all features are read.
        network: its plan pads.
    """

    def __init__(self, features: Iterator[Tensor], clip: ClipReader, network: Network) -> None:
        self._features = features
        self._clip = clip
        self._plan = network.plan
        self._kept: Tensor | None = None
        self._first = -network.plan.left_padding  # which picture the first one kept is of
        self.num_known = 0

    def read(self) -> bool:
        """Read the next piece; False if there is none."""
        part = next(self._features, None)
        if part is None:
            return False
        self._kept = part if self._kept is None else torch.cat([self._kept, part])
        # The padding behind the clip comes with its last picture.
        self.num_known = min(self._first + len(self._kept), self._clip.num_pictures)
        return True

    def padded(self, stretch: FrameRange) -> Tensor:
        """(P, C): what `stretch` is as a clip by itself, with copies of its own first and last features."""
        assert self._kept is not None
        length = stretch.end - stretch.first
        index = self._plan.frame_index(length, self._plan.padded_length(length))
        start = stretch.first - self._first
        return self._kept[torch.from_numpy(np.array(index) + start).to(self._kept.device)]

    def forget_before(self, picture: int) -> None:
        """Drop what is not needed any more; pictures are ahead of their features, and may be so here."""
        if self._kept is None:
            return
        picture = min(picture, self._first + len(self._kept))
        if picture > self._first:
            self._kept = self._kept[picture - self._first :].clone()
            self._first = picture

    def check_length(self, name: str) -> None:
        """Refuse a clip that is too short for the network."""
        self._plan.check_length(self.num_known, name)
