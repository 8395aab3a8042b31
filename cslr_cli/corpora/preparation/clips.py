"""The clips of a prepared corpus: their frames written, or without frames their numbers read from a file."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora import CorpusReader, Fault, LeftOut, Release
from cslr_cli.corpora.annotation import AnnotationError, read_annotation_lines
from cslr_cli.corpora.preparation.clip_writer import ClipOutcome, ClipTask, write_clips
from cslr_cli.corpora.preparation.options import PreparationOptions
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import MediaError
from cslr_cli.media.frames import iterate_frames
from cslr_cli.progress import Progress, ProgressCallback

# Clips whose frames' size is taken for that of the corpus: enough to pass over an odd one.
_CLIPS_LOOKED_AT = 9


@dataclass(frozen=True)
class ClipResults:
    """What has become of the clips of a release, or of a part of them.

    Attributes:
        num_frames: for each clip that can be used, by its name, how many frames it has; None where
            they are not counted.
        left_out: the others, each with the reason.
        finished_before: how many an earlier call had written.
        are_missing: some are left out because there is nothing where their frames should be.
        notes: what the user should know though nothing is wrong.
    """

    num_frames: Mapping[str, int | None]
    left_out: tuple[LeftOut, ...] = ()
    finished_before: int = 0
    are_missing: bool = False
    notes: tuple[str, ...] = ()


def frames_name(sample: Sample, options: PreparationOptions) -> str:
    """Where the frames of a clip are, relative to the prepared corpus."""
    return f"frames/{sample.split}/{options.clip_name(sample.sample_id)}"


def write_frames(
    corpus: CorpusReader,
    release: Release,
    samples: Sequence[Sample],
    output: Path,
    options: PreparationOptions,
    *,
    workers: int,
    progress: ProgressCallback,
) -> ClipResults:
    """Write the frames of some clips, except of those that are written.

    Args:
        corpus: says the frame rate, and the pattern of frames for messages.
        release: the clips are in it.
        samples: the clips.
        output: the prepared corpus.
        options: size and form of the frames.
        workers: processes that write.
        progress: told after every clip; its figures are frames done, and frames a second in this call.

    Raises:
        DataError: a file cannot be written, or a worker process was killed.
    """
    clip_format = options.clip_format
    tasks = [
        ClipTask(
            sample.sample_id,
            release.root / sample.frames,
            output / frames_name(sample, options),
            clip_format,
            corpus.fps,
            release.segments.get(sample.sample_id),
        )
        for sample in samples
    ]
    outcomes: dict[str, ClipOutcome] = {}
    num_frames = num_written = 0
    start = time.perf_counter()
    for outcome in write_clips(tasks, workers):
        outcomes[outcome.sample_id] = outcome
        num_frames += outcome.num_frames
        num_written += 0 if outcome.was_finished else outcome.num_frames
        rate = num_written / max(time.perf_counter() - start, 1e-9)
        figures = {"frames": num_frames, **({"frames_per_second": rate} if num_written else {})}
        progress(Progress("prepare clips", len(outcomes), len(tasks), figures))
    left_out = []
    for sample in samples:
        outcome = outcomes[sample.sample_id]
        if outcome.fault is not None:
            pattern = _unmatched(corpus, release, sample) if outcome.is_missing else ""
            left_out.append(LeftOut(sample.sample_id, sample.split, pattern + outcome.fault))
    return ClipResults(
        {outcome.sample_id: outcome.num_frames for outcome in outcomes.values() if outcome.fault is None},
        tuple(left_out),
        sum(outcome.was_finished for outcome in outcomes.values()),
        any(outcome.is_missing for outcome in outcomes.values()),
    )


def original_size(corpus: CorpusReader, release: Release, samples: Sequence[Sample]) -> tuple[int, int] | None:
    """Width and height of the frames of a release, the most frequent among some clips; None if none can be read.

    Args:
        corpus: says the frame rate.
        release: the clips are in it.
        samples: of which to look at some.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for sample in samples[:: max(1, len(samples) // _CLIPS_LOOKED_AT)][:_CLIPS_LOOKED_AT]:
        try:
            segment = release.segments.get(sample.sample_id)
            frame = next(iterate_frames(release.root / sample.frames, corpus.fps, segment))
        except MediaError:
            continue  # left out of the corpus, for which the report gives the reason
        sizes[frame.shape[1], frame.shape[0]] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def missing_frames(release: Release) -> list[Fault]:
    """The clips of which there is no folder or file at all; none of them is opened."""
    return [
        Fault(str(release.root / sample.frames), f"there is no such file or folder (clip {sample.sample_id!r})")
        for sample in release.samples
        if not os.path.exists(release.root / sample.frames)
    ]


def _unmatched(corpus: CorpusReader, release: Release, sample: Sample) -> str:
    if not corpus.frame_pattern:
        return ""
    return f"no frame matches {release.root / sample.frames / corpus.frame_pattern}; "


def counted_clips(samples: Sequence[Sample], frame_counts: Path | None) -> ClipResults:
    """The clips without their frames: how many each has stands in a file, or nowhere.

    Raises:
        AnnotationError: the file cannot be read or has wrong lines; all of them are told.
    """
    if frame_counts is None:
        return ClipResults({sample.sample_id: None for sample in samples})
    counts = read_frame_counts(frame_counts)
    without = [sample.sample_id for sample in samples if sample.sample_id not in counts]
    notes: tuple[str, ...] = ()
    if without:
        notes = (f"{frame_counts} does not say how many frames {len(without)} clips have, first {without[0]}",)
    return ClipResults({sample.sample_id: counts.get(sample.sample_id) for sample in samples}, notes=notes)


def read_frame_counts(path: Path) -> dict[str, int]:
    """Read how many frames each clip has: its name and the number on a line, with any separator between.

    Raises:
        AnnotationError: the file cannot be read or has wrong lines; all of them are told.
    """
    counts: dict[str, int] = {}
    faults = []
    for place, line in enumerate(read_annotation_lines(path)):
        fields = re.split(r"[\s,;|]+", line.text.strip())
        is_count = len(fields) == 2 and fields[1].isascii() and fields[1].isdigit() and int(fields[1]) > 0
        if place == 0 and len(fields) == 2 and not fields[1].isdigit():
            continue  # the names of the columns
        if not is_count:
            faults.append(Fault(line.where, f"not a clip and the number of its frames: {line.text[:80]!r}"))
        elif fields[0] in counts:
            faults.append(Fault(line.where, f"clip {fields[0]!r} was there already"))
        else:
            counts[fields[0]] = int(fields[1])
    if faults:
        raise AnnotationError(faults, "expected a clip and the number of its frames on every line: clip-1 124")
    return counts
