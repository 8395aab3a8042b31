"""The clips of a prepared corpus: write their frames, or read the number of their frames from a file."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.corpora import CorpusReader, Fault, LeftOutClip, Release
from cslr_cli.corpora.annotation_files import AnnotationError, read_annotation_lines
from cslr_cli.corpora.preparation.clip_writer import ClipOutcome, ClipTask, write_if_needed
from cslr_cli.corpora.preparation.options import PreparationOptions
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import FAULTS_SHOWN, MediaError
from cslr_cli.media.frames import iterate_frames
from cslr_cli.processes import run_tasks
from cslr_cli.progress import Progress, ProgressCallback

# Clips whose frames are measured to find the original size of a corpus.
_NUM_CLIPS_MEASURED = 9


@dataclass(frozen=True)
class PreparedClips:
    """The usable clips of a release or of a shard, and the clips left out.

    Attributes:
        num_frames: number of frames of each usable clip, by clip name; None if they are not counted.
        left_out: the other clips, each with the reason.
        num_finished_before: number of clips that an earlier call had written.
        has_missing_frames: whether clips are left out because their frames do not exist.
        notes: messages for the user about things that are not errors.
        warnings: what is unusual about clips that were read, a line per clip.
    """

    num_frames: Mapping[str, int | None]
    left_out: tuple[LeftOutClip, ...] = ()
    num_finished_before: int = 0
    has_missing_frames: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def prepared_frames_path(sample: Sample, options: PreparationOptions) -> str:
    """Path of a clip's frames, relative to the prepared corpus."""
    return f"frames/{sample.split}/{options.clip_name(sample.sample_id)}"


def prepare_clips(
    corpus: CorpusReader,
    release: Release,
    samples: Sequence[Sample],
    output: Path,
    options: PreparationOptions,
    *,
    workers: int,
    progress: ProgressCallback,
) -> PreparedClips:
    """Write the frames of some clips of a release to `output`, except of those that are finished.

    The figures of the progress are frames done, and frames per second in this call.

    Raises:
        DataError: a file cannot be written.
        LostProcessError: a worker process was killed.
    """
    clip_format = options.clip_format
    tasks = [
        ClipTask(
            sample.sample_id,
            release.root / sample.frames,
            output / prepared_frames_path(sample, options),
            clip_format,
            corpus.fps,
            release.segments.get(sample.sample_id),
        )
        for sample in samples
    ]
    outcomes: dict[str, ClipOutcome] = {}
    num_frames = num_written = 0
    start = time.perf_counter()
    for outcome in run_tasks(write_if_needed, tasks, workers):
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
            frames = release.root / sample.frames / corpus.frame_pattern
            pattern = f"no frame matches {frames}; " if outcome.is_missing and corpus.frame_pattern else ""
            left_out.append(LeftOutClip(sample.sample_id, sample.split, pattern + outcome.fault))
    return PreparedClips(
        {outcome.sample_id: outcome.num_frames for outcome in outcomes.values() if outcome.fault is None},
        tuple(left_out),
        sum(outcome.was_finished for outcome in outcomes.values()),
        any(outcome.is_missing for outcome in outcomes.values()),
        warnings=_shorten(
            [
                f"{sample.split} clip {sample.sample_id}: {'; '.join(outcomes[sample.sample_id].warnings)}"
                for sample in samples
                if outcomes[sample.sample_id].warnings
            ]
        ),
    )


def _shorten(warnings: Sequence[str]) -> tuple[str, ...]:
    more = len(warnings) - FAULTS_SHOWN
    return (*warnings[:FAULTS_SHOWN], *([f"{more} more clips have such warnings"] if more > 0 else []))


def find_original_size(corpus: CorpusReader, release: Release, samples: Sequence[Sample]) -> tuple[int, int] | None:
    """Find the most frequent width and height of some clips of a release; None if none can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for sample in samples[:: max(1, len(samples) // _NUM_CLIPS_MEASURED)][:_NUM_CLIPS_MEASURED]:
        try:
            segment = release.segments.get(sample.sample_id)
            frame = next(iterate_frames(release.root / sample.frames, corpus.fps, segment))
        except MediaError:
            continue  # the clip is left out, and the report gives the reason
        sizes[frame.shape[1], frame.shape[0]] += 1
    return sizes.most_common(1)[0][0] if sizes else None


def find_missing_frames(release: Release) -> list[Fault]:
    """Find the clips whose folder or file does not exist; no clip is opened."""
    return [
        Fault(str(release.root / sample.frames), f"there is no such file or folder (clip {sample.sample_id!r})")
        for sample in release.samples
        if not os.path.exists(release.root / sample.frames)
    ]


def read_clip_lengths(samples: Sequence[Sample], frame_counts: Path | None) -> PreparedClips:
    """Make the clips of a corpus without frames; their numbers of frames are in a file, or unknown without one."""
    if frame_counts is None:
        return PreparedClips({sample.sample_id: None for sample in samples})
    counts = read_frame_counts(frame_counts)
    without = [sample.sample_id for sample in samples if sample.sample_id not in counts]
    notes: tuple[str, ...] = ()
    if without:
        notes = (f"{frame_counts} lacks {len(without)} clips, first {without[0]}; their lengths are unknown",)
    return PreparedClips({sample.sample_id: counts.get(sample.sample_id) for sample in samples}, notes=notes)


def read_frame_counts(path: Path) -> dict[str, int]:
    """Read the number of frames of each clip: one clip per line, its name and the number with any separator.

    Raises:
        AnnotationError: the file cannot be read or has invalid lines; the error lists all of them.
    """
    counts: dict[str, int] = {}
    faults = []
    for place, line in enumerate(read_annotation_lines(path)):
        fields = re.split(r"[\s,;|]+", line.text.strip())
        is_count = len(fields) == 2 and fields[1].isascii() and fields[1].isdigit() and int(fields[1]) > 0
        if place == 0 and len(fields) == 2 and not fields[1].isdigit():
            continue  # the names of the columns
        if not is_count:
            faults.append(Fault(line.where, f"not the name of a clip and its number of frames: {line.text[:80]!r}"))
        elif fields[0] in counts:
            faults.append(Fault(line.where, f"duplicate clip {fields[0]!r}"))
        else:
            counts[fields[0]] = int(fields[1])
    if faults:
        raise AnnotationError(faults, "write the name of a clip and its number of frames per line: clip-1 124")
    return counts
