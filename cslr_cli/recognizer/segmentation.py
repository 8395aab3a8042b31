"""Divide a recording into segments, which the network recognizes one by one, and compute the features of each.

A clip of a corpus is one sentence, and networks learn to recognize sentences. So a longer recording is divided where
the signer rests (`cslr_cli.recognizer.rests`), or into windows. Its frames go through the backbone once, in chunks;
only the features of the current segment are in memory.

A picture is a frame as the network sees it. Axes: T pictures, P pictures with a clip's padding, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.frame_source import Frame
from cslr_cli.model.feature_stream import FeatureStream, frames_to_tensor, padded_chunks
from cslr_cli.model.network import Network
from cslr_cli.recognition import DivisionFacts
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS, Segmentation
from cslr_cli.recognizer.rests import FrameRange, RestSegmenter
from cslr_cli.temporal_plan import TemporalPlan

# Returns the context in which the network computes: without gradients, in its precision.
InferenceContext = Callable[[], AbstractContextManager[None]]

# A longer segment is cut where least moves, even without a rest, seconds.
MAX_SENTENCE_SECONDS = 20.0


@dataclass(frozen=True)
class SegmentFeatures:
    """Frame features of a segment, as `Network.logits_from_features` takes them.

    Attributes:
        frames: range of the clip's pictures.
        features: (P, C), including padding at both ends.
    """

    frames: FrameRange
    features: Tensor


def iterate_segments(
    clip: ClipReader, network: Network, device: torch.device, segmentation: Segmentation, inference: InferenceContext
) -> Iterator[SegmentFeatures]:
    """Yield the features of each segment of a clip, of which nothing has been read, as soon as it has been read.

    Raises:
        MediaError: a frame cannot be read, or the whole clip is shorter than the network's minimum.
    """
    segmenter = RestSegmenter(clip.fps, MAX_SENTENCE_SECONDS)
    segments: list[FrameRange] = []

    def find_segments() -> Iterator[Frame]:
        for picture in clip:
            if (segment := segmenter.push(picture)) is not None:
                segments.append(segment)
            yield picture
        if (segment := segmenter.finish()) is not None:
            segments.append(segment)

    method = segmentation.method
    pictures = find_segments() if method in ("auto", "rests") else clip
    features = iterate_frame_features(pictures, network, device, inference)
    beginning: list[Tensor] = []
    if method in ("auto", "none"):
        limit = float("inf") if method == "none" else MAX_UNDIVIDED_SECONDS * clip.fps
        while clip.num_pictures <= limit:
            if (part := next(features, None)) is None:
                network.plan.check_length(clip.num_pictures, clip.name)
                yield SegmentFeatures(FrameRange(0, clip.num_pictures), torch.cat(beginning))
                return
            beginning.append(part)
    buffer = _FeatureBuffer(chain(beginning, features), clip, network)
    if method == "windows":
        yield from _iterate_windows(buffer, clip, network.plan, segmentation)
        return
    while buffer.read():
        while segments and segments[0].end <= buffer.num_known:
            segment = segments.pop(0)
            if len(segment) >= network.plan.min_frames:
                yield SegmentFeatures(segment, buffer.padded_features(segment))
        buffer.drop_before(segments[0].first if segments else segmenter.first_needed)


def describe_division(clip: ClipReader, segmentation: Segmentation) -> DivisionFacts:
    """Describe how `iterate_segments` has divided a clip, after its pass."""
    if segmentation.method == "windows":
        return DivisionFacts("windows", segmentation.window, segmentation.overlap)
    if segmentation.method == "auto":
        return DivisionFacts("none" if clip.num_pictures <= MAX_UNDIVIDED_SECONDS * clip.fps else "rests")
    return DivisionFacts(segmentation.method)


def _iterate_windows(
    buffer: _FeatureBuffer, clip: ClipReader, plan: TemporalPlan, segmentation: Segmentation
) -> Iterator[SegmentFeatures]:
    """Yield windows of one length; the last window overlaps more than the others, so that it has this length, too."""
    window = max(1, round(segmentation.window * clip.fps))
    step = max(1, round((segmentation.window - segmentation.overlap) * clip.fps))
    first, end = 0, 0
    while buffer.read():
        while first + window <= buffer.num_known:
            end = first + window
            yield SegmentFeatures(FrameRange(first, end), buffer.padded_features(FrameRange(first, end)))
            first += step
            buffer.drop_before(max(0, end - window))
    plan.check_length(buffer.num_known, clip.name)
    if end < buffer.num_known:
        last = FrameRange(max(0, buffer.num_known - window), buffer.num_known)
        yield SegmentFeatures(last, buffer.padded_features(last))


def iterate_frame_features(
    pictures: Iterable[Frame], network: Network, device: torch.device, inference: InferenceContext
) -> Iterator[Tensor]:
    """Yield the backbone's features (n, C) of a padded clip in chunks, together (P, C); pictures uint8 (S, S, 3)."""
    stream = FeatureStream(network)
    for chunk, is_last in padded_chunks(pictures, network):
        with inference():
            features = stream.push(frames_to_tensor(chunk, device), is_last=is_last)
        if len(features):
            yield features


class _FeatureBuffer:
    """Keeps the features of the current segment's pictures.

    Attributes:
        num_known: number of the clip's pictures whose features have been read.
    """

    def __init__(self, features: Iterator[Tensor], clip: ClipReader, network: Network) -> None:
        self._features = features
        self._clip = clip
        self._plan = network.plan
        self._kept: Tensor | None = None
        self._first = -network.plan.left_padding  # picture of the first feature that is kept
        self.num_known = 0

    def read(self) -> bool:
        """Read the next chunk; return False if there is none."""
        part = next(self._features, None)
        if part is None:
            return False
        self._kept = part if self._kept is None else torch.cat([self._kept, part])
        # The last chunk includes the padding after the clip.
        self.num_known = min(self._first + len(self._kept), self._clip.num_pictures)
        return True

    def padded_features(self, frames: FrameRange) -> Tensor:
        """Return the features (P, C) of a segment, padded with copies of its first and last feature."""
        assert self._kept is not None
        length = len(frames)
        index = self._plan.frame_index(length, self._plan.padded_length(length))
        start = frames.first - self._first
        return self._kept[torch.from_numpy(np.array(index) + start).to(self._kept.device)]

    def drop_before(self, picture: int) -> None:
        """Drop the features before a picture, which may be ahead of the known features."""
        if self._kept is None:
            return
        picture = min(picture, self._first + len(self._kept))
        if picture > self._first:
            self._kept = self._kept[picture - self._first :].clone()
            self._first = picture
