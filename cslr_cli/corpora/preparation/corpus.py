"""From a release to a prepared corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from cslr_cli import files as atomic
from cslr_cli.corpora import AnnotationError, CorpusReader, Fault, LeftOut, Release, ReleasePaths
from cslr_cli.corpora.annotation import read_annotation_lines
from cslr_cli.corpora.preparation.claim import (
    claimed,
    disk_errors_told,
    end_claim,
    identity_of,
    is_for_preparation,
    remove_unfinished,
)
from cslr_cli.corpora.preparation.clips import (
    ClipResults,
    counted_clips,
    frames_name,
    missing_frames,
    original_size,
    write_frames,
)
from cslr_cli.corpora.preparation.options import PreparationOptions, Shard
from cslr_cli.corpora.preparation.report import (
    REPORT_FILE,
    PartReport,
    PreparationReport,
    faults_json,
    gloss_counts,
    split_counts,
    unexpected,
    unseen_glosses,
)
from cslr_cli.dataset.manifest import CORPUS_FILE, VOCABULARY_FILE, CorpusInfo, references_path, write_samples
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError, join_faults
from cslr_cli.processes import available_cores
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.scoring.transcripts import Reference, write_stm
from cslr_cli.vocabulary import Vocabulary


def prepare(
    corpus: CorpusReader,
    source: Path | ReleasePaths,
    output: Path,
    options: PreparationOptions | None = None,
    *,
    workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> PreparationReport:
    """Make a prepared corpus of a release, or go on with one that was begun.

    The release is only read. A frame that cannot be read leaves its clip out, and the report names
    both. The vocabulary has the glosses of all clips of the annotation, those left out for such a
    reason among them, so that a damaged picture does not change the ids of glosses.

    Args:
        corpus: what reads the release.
        source: the release's folder, or where each part of it lies.
        output: folder to write; made if needed.
        options: size and form of the result; None for the defaults.
        workers: processes that resize, each a clip at a time; by default the cores that this process may use.
        progress: told after every clip; its figures are frames done, and frames a second in this call.

    Returns:
        What is in the prepared corpus and what is not; also written to `prepare-report.json`.

    Raises:
        UsageError: a folder that was named is not there.
        AnnotationError: the annotation has faults; all of them are told, and written to `prepare-report.json`.
        DataError: the release is not there; in `output` is something else or another preparation at
            work; it cannot be written; a split has no clip that can be read; with `options.strict`,
            any clip cannot be prepared. What is finished stays.
    """
    options = options or PreparationOptions()
    release = _read(corpus, source, output, options)
    identity = identity_of(corpus, release, options)
    with claimed(output, identity):
        if options.frames:
            workers = workers or available_cores()
            results = write_frames(
                corpus, release, release.samples, output, options, workers=workers, progress=progress
            )
        else:
            results = counted_clips(release.samples, options.frame_counts)
        prepared = _prepared_samples(release, results, options)
        vocabulary = _vocabulary(release, options)
        report = _report(corpus, release, output, prepared, results, vocabulary)
        with disk_errors_told(output):
            atomic.write_text(output / REPORT_FILE, report.to_json() + "\n")
        _check_left_out(report.left_out, options, output / REPORT_FILE)
        _check_splits(prepared, report)
        info = CorpusInfo(
            **{**identity, "vocabulary_splits": tuple(identity["vocabulary_splits"])},
            protocol=corpus.protocol,
            splits=report.splits,
            references=report.references,
            original_size=original_size(corpus, release, release.samples) if options.frames else None,
        )
        with disk_errors_told(output):
            _finish(release, prepared, output, info, vocabulary)
    return report


def prepare_part(
    corpus: CorpusReader,
    source: Path | ReleasePaths,
    output: Path,
    options: PreparationOptions,
    shard: Shard,
    *,
    workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> PartReport:
    """Write the frames of one part of the clips; `prepare` finds them done, and completes the corpus.

    Several parts may be at work in one folder at the same time, on several machines.

    Args:
        corpus: what reads the release.
        source: the release's folder, or where each part of it lies.
        output: folder to write; made if needed, the same for all parts.
        options: size and form of the result, the same for all parts.
        shard: which part.
        workers: processes that resize, each a clip at a time; by default the cores that this process may use.
        progress: told after every clip of this part.

    Raises:
        UsageError: there are no frames to write.
        AnnotationError, DataError: as in `prepare`.
    """
    if not options.frames:
        raise UsageError("--shard divides the work on frames; with --no-frames there is none")
    release = _read(corpus, source, output, options)
    with claimed(output, identity_of(corpus, release, options), shared=True):
        results = write_frames(
            corpus,
            release,
            shard.of(release.samples),
            output,
            options,
            workers=workers or available_cores(),
            progress=progress,
        )
    _check_left_out(results.left_out, options, None)
    return PartReport(
        corpus=corpus.name,
        output=output,
        shard=str(shard),
        num_clips=len(results.num_frames),
        num_frames=sum(count or 0 for count in results.num_frames.values()),
        left_out=results.left_out,
        expected_layout=corpus.layout if results.are_missing else None,
        clips_finished_before=results.finished_before,
    )


def _read(corpus: CorpusReader, source: Path | ReleasePaths, output: Path, options: PreparationOptions) -> Release:
    """Read a release that has no faults; otherwise raise, having written all of them to the report."""
    paths = source if isinstance(source, ReleasePaths) else ReleasePaths(source)
    paths = dataclasses.replace(paths, need_frames=options.frames)
    for option, folder in (("--annotations", paths.annotations), ("--references", paths.references)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{option} {folder}: there is no such folder")
    release = corpus.read(paths)
    faults = [*release.faults, *_reference_faults(release)]
    left_out = [Fault(f"{clip.split} clip {clip.sample_id}", clip.reason) for clip in unexpected(release.left_out)]
    if not faults and not (options.strict and left_out):
        return release
    faults += left_out
    if options.frames:
        faults += missing_frames(release)
    hint = release.hint
    if is_for_preparation(output):
        path = output / REPORT_FILE
        with disk_errors_told(output):
            atomic.write_text(path, faults_json(corpus, faults, release.left_out) + "\n")
        hint = "\n".join([*([hint] if hint else []), f"all that is wrong is in {path}"])
    raise AnnotationError(faults, hint)


def _reference_faults(release: Release) -> list[Fault]:
    """The clips of a split with official references that are not in them."""
    faults: list[Fault] = []
    for split, path in release.official_references.items():
        try:
            known = {line.text.split()[0] for line in read_annotation_lines(path)}
        except AnnotationError as error:
            faults += error.faults
            continue
        faults += [
            Fault(str(path), f"there is no line for clip {sample.sample_id!r} of {split}")
            for sample in release.samples
            if sample.split == split and sample.sample_id not in known
        ]
    return faults


def _prepared_samples(release: Release, results: ClipResults, options: PreparationOptions) -> dict[str, list[Sample]]:
    """The samples of each split as the manifest has them, in the order of the annotation."""
    prepared: dict[str, list[Sample]] = {}
    for sample in release.samples:
        clips = prepared.setdefault(sample.split, [])
        if sample.sample_id in results.num_frames:
            frames, num_frames = frames_name(sample, options), results.num_frames[sample.sample_id]
            clips.append(dataclasses.replace(sample, frames=frames, num_frames=num_frames))
    return prepared


def _vocabulary(release: Release, options: PreparationOptions) -> Vocabulary:
    splits = options.vocabulary_splits
    return Vocabulary.from_counts(gloss_counts(sample for sample in release.samples if sample.split in splits))


def _report(
    corpus: CorpusReader,
    release: Release,
    output: Path,
    prepared: Mapping[str, Sequence[Sample]],
    results: ClipResults,
    vocabulary: Vocabulary,
) -> PreparationReport:
    return PreparationReport(
        corpus=corpus.name,
        output=output,
        splits={split: split_counts(samples) for split, samples in prepared.items()},
        num_glosses=len(vocabulary.glosses),
        left_out=(*release.left_out, *results.left_out),
        unseen_glosses=unseen_glosses(prepared),
        references={split: _references_origin(release, split) for split in prepared},
        notes=(*release.notes, *results.notes),
        expected_layout=corpus.layout if results.are_missing else None,
        clips_finished_before=results.finished_before,
    )


def _check_left_out(left_out: Sequence[LeftOut], options: PreparationOptions, report: Path | None) -> None:
    """With `strict`, refuse to go on without some clips."""
    faults = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in unexpected(left_out)]
    if options.strict and faults:
        raise DataError(
            join_faults(faults),
            "mend these and give the same command again, or leave such clips out by not asking for --strict"
            + (f"; all of them are in {report}" if report else ""),
        )


def _check_splits(prepared: Mapping[str, Sequence[Sample]], report: PreparationReport) -> None:
    """Have at least one clip in every split of the release."""
    empty = [split for split, samples in prepared.items() if not samples]
    if empty or not prepared:
        what = f"no clip of {' and '.join(empty)}" if empty else "no clip"
        reasons = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in report.left_out]
        layout = [] if report.expected_layout is None else [f"expected this layout:\n{report.expected_layout}"]
        raise DataError(f"{what} can be prepared", "\n".join([join_faults(reasons), *layout]))


def _finish(
    release: Release,
    prepared: Mapping[str, Sequence[Sample]],
    output: Path,
    info: CorpusInfo,
    vocabulary: Vocabulary,
) -> None:
    """Write everything but the frames, `corpus.yaml` last."""
    for split, samples in prepared.items():
        write_samples(output, split, samples)
        _write_references(release, output, split, samples)
    vocabulary.write(output / VOCABULARY_FILE)
    remove_unfinished(output)
    atomic.write_text(output / CORPUS_FILE, info.to_yaml())
    end_claim(output)


def _write_references(release: Release, output: Path, split: str, samples: Sequence[Sample]) -> None:
    """Write what was signed in the clips of a split: the official words where there are any."""
    target = references_path(output, split)
    official = release.official_references.get(split)
    if official is None:
        write_stm(target, [Reference(clip.sample_id, clip.glosses, clip.signer) for clip in samples])
        return
    kept = {sample.sample_id for sample in samples}
    lines = [line.text for line in read_annotation_lines(official) if line.text.split()[0] in kept]
    atomic.write_text(target, "".join(f"{line}\n" for line in lines))


def _references_origin(release: Release, split: str) -> str:
    path = release.official_references.get(split)
    if path is None:
        return "made from the annotation"
    is_own = path.is_relative_to(release.root)
    return f"official: {path.relative_to(release.root) if is_own else path}"
