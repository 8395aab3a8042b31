"""Recordings with several references: which recognised glosses belong to which segment, as sclite decides it.

A recognised gloss belongs to the first segment that ends after the middle of the gloss. Glosses in a gap between two
segments belong to the later one, and the last segment gets all that remain. Two channels of a recording are scored
independently.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cslr_cli.errors import ScoringError, join_faults
from cslr_cli.scoring.forms import TranscriptFile, clip_names
from cslr_cli.scoring.transcripts import Reference, TimedGloss, Transcript


@dataclass(frozen=True)
class Recording:
    """The references of one channel of a recording.

    Attributes:
        name: name of the recording, with the channel if it has several.
        channel: channel in the file of references; None if the form has none.
        num_channels: number of channels of the recording in the file.
        segments: references in order of their times; the only one of a clip.
    """

    name: str
    channel: str | None
    num_channels: int
    segments: tuple[Reference, ...]


class ReferenceSet:
    """All references of a file, by recording.

    Attributes:
        path: path of the file.
        references: references of all clips and segments, in the order of the file.
        label_titles: titles of the categories, by name.
    """

    def __init__(self, file: TranscriptFile) -> None:
        self.path = file.path
        self.label_titles = file.label_titles
        self._recordings = _group_references(clip_names(file.transcripts))
        self.references = [
            reference
            for recordings in self._recordings.values()
            for recording in recordings
            for reference in recording.segments
        ]

    @property
    def recording_names(self) -> list[str]:
        """Names of the recordings or clips, in the order of the file."""
        return list(self._recordings)

    @property
    def names_with_channels(self) -> list[str]:
        """Names of the recordings that have several channels."""
        return [name for name, recordings in self._recordings.items() if len(recordings) > 1]

    def assign(self, file: TranscriptFile) -> dict[str, tuple[TimedGloss, ...]]:
        """Return the recognised glosses of each clip or segment, by its name.

        A recording without a hypothesis has no names here. A hypothesis without reference keeps its own name.

        Raises:
            ScoringError: a recording has several segments but its glosses have no times, or channels differ.
        """
        grouped: dict[str, dict[str | None, list[Transcript]]] = {}
        for transcript in file.transcripts:
            by_channel = grouped.setdefault(self._find_name(transcript), {})
            by_channel.setdefault(transcript.channel, []).append(transcript)
        assigned: dict[str, tuple[TimedGloss, ...]] = {}
        faults: list[str] = []
        for name, by_channel in grouped.items():
            recordings = self._recordings.get(name)
            first = next(iter(by_channel.values()))[0]
            if recordings is None:
                assigned[name] = first.glosses
                continue
            try:
                for recording, transcripts in _pair_channels(name, recordings, by_channel):
                    assigned.update(_divide(recording, transcripts))
            except _MismatchError as error:
                faults.append(f"{file.path}{f', line {first.line}' if first.line else ''}: {error}")
        if faults:
            raise ScoringError(
                join_faults(faults),
                f"use the channels and segments of {self.path} (--channel selects one channel), and glosses with\n"
                "times; example in CTM: talk 1 0.16 0.44 MORGEN",
            )
        return assigned

    def _find_name(self, transcript: Transcript) -> str:
        """Return the name of the clip of a hypothesis: as written, or the stem of a path."""
        name = transcript.sample_id
        if name in self._recordings or not (transcript.is_path or "/" in name):
            return name
        path = Path(name)
        return next((each for each in (path.name, path.stem) if each in self._recordings), path.stem)


class _MismatchError(ValueError):
    """The hypotheses of a recording do not fit its references."""


def _group_references(transcripts: Iterable[Transcript]) -> dict[str, list[Recording]]:
    """Return the recordings of each name, one per channel."""
    grouped: dict[str, dict[str | None, list[Transcript]]] = {}
    for transcript in transcripts:
        grouped.setdefault(transcript.sample_id, {}).setdefault(transcript.channel, []).append(transcript)
    recordings = {}
    for sample_id, by_channel in grouped.items():
        recordings[sample_id] = [
            _make_recording(
                sample_id if len(by_channel) == 1 else f"{sample_id}:{channel}", channel, len(by_channel), members
            )
            for channel, members in by_channel.items()
        ]
    return recordings


def _make_recording(name: str, channel: str | None, num_channels: int, members: Sequence[Transcript]) -> Recording:
    references = [transcript.to_reference() for transcript in members]
    if len(references) == 1:
        return Recording(name, channel, num_channels, (replace(references[0], sample_id=name),))
    references.sort(key=lambda reference: reference.start)
    digits = 2
    names = _segment_names(name, references, digits)
    while len(set(names)) < len(names) and digits < 9:
        digits += 1
        names = _segment_names(name, references, digits)
    segments = (
        replace(each, sample_id=segment, recording=each.sample_id)
        for each, segment in zip(references, names, strict=True)
    )
    return Recording(name, channel, num_channels, tuple(segments))


def _segment_names(name: str, references: Iterable[Reference], digits: int) -> list[str]:
    return [
        f"{name}@{each.start:.{digits}f}-{'end' if math.isinf(each.end) else format(each.end, f'.{digits}f')}"
        for each in references
    ]


def _pair_channels(
    name: str, recordings: Sequence[Recording], by_channel: Mapping[str | None, list[Transcript]]
) -> list[tuple[Recording, list[Transcript]]]:
    """Pair the channels of a recording: by name, or the only ones, whose names need not be equal."""
    if len(recordings) == 1 and len(by_channel) == 1:
        return [(recordings[0], next(iter(by_channel.values())))]
    by_name = {recording.channel: recording for recording in recordings}
    unknown = [str(channel) for channel in by_channel if channel not in by_name]
    if unknown:
        expected = ", ".join(str(channel) for channel in by_name)
        raise _MismatchError(f"{name} has hypotheses of channel {', '.join(unknown)}, expected channel {expected}")
    return [(by_name[channel], transcripts) for channel, transcripts in by_channel.items()]


def _divide(recording: Recording, transcripts: Sequence[Transcript]) -> dict[str, tuple[TimedGloss, ...]]:
    """Divide the glosses of a recording among its segments; ignored segments are left out."""
    segments = recording.segments
    if len(transcripts) > 1:
        parts = _match_segments(recording, transcripts)
    elif len(segments) == 1:
        parts = [transcripts[0].glosses]
    elif transcripts[0].has_times or not transcripts[0].glosses:
        parts = split_at_segments(transcripts[0].glosses, [segment.end for segment in segments])
    else:
        raise _MismatchError(f"{recording.name} has {len(segments)} segments, but its glosses have no times")
    return {segment.sample_id: part for segment, part in zip(segments, parts, strict=True) if not segment.is_ignored}


def _match_segments(recording: Recording, transcripts: Sequence[Transcript]) -> list[tuple[TimedGloss, ...]]:
    """Match hypotheses with segments by their start and end."""
    by_time = {(each.start, each.end): each.glosses for each in transcripts}
    for segment in recording.segments:
        if (segment.start, segment.end) not in by_time:
            raise _MismatchError(f"no hypothesis for the segment {segment.sample_id}")
    if len(by_time) > len(recording.segments):
        raise _MismatchError(f"{recording.name} has segments without reference")
    return [by_time[segment.start, segment.end] for segment in recording.segments]


def split_at_segments(glosses: Sequence[TimedGloss], ends: Sequence[float]) -> list[tuple[TimedGloss, ...]]:
    """Divide glosses in order of their start among segments.

    sclite stores the times of segments in 32 bits, and those of glosses in 64. So does this function: it decides on
    which side of a boundary a gloss is whose middle is exactly there.

    Args:
        glosses: recognised glosses in order of their start.
        ends: end of each segment in seconds, in order.
    """
    limits = array("f", (min(end, 3e38) for end in ends))
    parts: list[tuple[TimedGloss, ...]] = []
    place = 0
    for number, limit in enumerate(limits):
        first = place
        is_last = number == len(limits) - 1
        while place < len(glosses) and (is_last or _middle(glosses[place]) < limit):
            place += 1
        parts.append(tuple(glosses[first:place]))
    return parts


def _middle(timed: TimedGloss) -> float:
    """Return the middle of a gloss, computed from its duration, as it stands in CTM files for sclite."""
    duration = round(timed.end - timed.start, 9)
    return timed.start + duration / 2
