"""Prepare a corpus: read its release, write its frames, manifests, vocabulary and references."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from cslr_cli.corpora import (
    AnnotationError,
    CorpusReader,
    Fault,
    LeftOutClip,
    OwnCorpus,
    Release,
    ReleasePaths,
    read_release,
)
from cslr_cli.corpora.annotation_files import read_annotation_lines
from cslr_cli.corpora.preparation.clip_sources import has_sources, read_known_splits, update_sources
from cslr_cli.corpora.preparation.options import PreparationOptions, Shard
from cslr_cli.corpora.preparation.output_folder import (
    is_preparation_folder,
    lock_output,
    preparation_identity,
    remove_unfinished_files,
    translate_disk_errors,
)
from cslr_cli.corpora.preparation.prepared_clips import (
    PreparedClips,
    find_missing_frames,
    find_original_size,
    prepare_clips,
    prepared_frames_path,
    read_clip_lengths,
)
from cslr_cli.corpora.preparation.report import (
    REPORT_FILE,
    PreparationReport,
    ShardReport,
    count_sample_glosses,
    count_split,
    find_unseen_glosses,
    format_faults_json,
    select_faulty,
    shorten_paths,
)
from cslr_cli.dataset.manifest import (
    CORPUS_FILE,
    NO_FRAMES,
    PROGRESS_FILE,
    VOCABULARY_FILE,
    CorpusInfo,
    PreparedCorpus,
    references_path,
    write_samples,
)
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError, join_faults
from cslr_cli.files import relative_path, write_text
from cslr_cli.processes import available_cores
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.scoring.transcripts import Reference, write_stm
from cslr_cli.untrusted import normalize_label
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
    """Prepare a corpus from its release, or continue an unfinished preparation.

    The release is only read. A clip with an unreadable frame is left out, and the report names both. The vocabulary
    includes the glosses of such clips, so that a damaged picture does not change the ids of glosses.

    Example:
        >>> from pathlib import Path
        >>> from cslr_cli import prepare
        >>> from cslr_cli.corpora import find_reader
        >>> report = prepare(find_reader("synthetic"), Path("dataset/synthetic"), Path("prepared/copy"))
        >>> print(report.num_glosses, report.splits["train"].clips)

    Args:
        corpus: reader of the corpus, for example of `cslr_cli.corpora.find_reader`.
        source: folder of the release, or the paths of its parts.
        output: folder to write; created if needed.
        options: size and format of the result; None for the defaults.
        workers: number of processes; by default the number of cores that this process may use.
        progress: called after every clip; its figures are frames done, and frames per second in this call.

    Returns:
        The contents of the prepared corpus and the clips left out; also written to `prepare-report.json`.

    Raises:
        UsageError: a folder that was named does not exist.
        AnnotationError: the annotation has faults; the error and `prepare-report.json` list all of them.
        DataError: the release was not found; `output` has other contents or cannot be written; no clip is in
            train; no clip of a split can be read; or, with `options.strict`, a clip cannot be prepared. Finished
            clips are kept.
        LockedError: another process prepares a corpus in `output`.
    """
    options = options or PreparationOptions()
    release = _read_release(corpus, source, output, options)
    identity = preparation_identity(corpus, release, output, options)
    is_own = isinstance(corpus, OwnCorpus)
    may_differ = _may_grow(output, release) if is_own else _has_same_clips_without_frames(output, release)
    with lock_output(output, identity, may_differ=may_differ):
        if is_own:
            release = _update_clips(output, release, options)
        if options.frames:
            workers = workers or available_cores()
            results = prepare_clips(
                corpus, release, release.samples, output, options, workers=workers, progress=progress
            )
        else:
            results = read_clip_lengths(release.samples, options.frame_counts)
        prepared = _make_samples(release, results, options)
        learned = [sample for sample in release.samples if sample.split in options.vocabulary_splits]
        vocabulary = Vocabulary.from_counts(count_sample_glosses(learned))
        report = _make_report(corpus, release, output, prepared, results, vocabulary)
        with translate_disk_errors(output):
            folders = _named_folders(corpus, source)
            write_text(output / REPORT_FILE, shorten_paths(report.to_json(), folders) + "\n")
        _check_left_out(report.left_out, options, output / REPORT_FILE)
        _check_splits(prepared, report)
        info = CorpusInfo(
            **{**identity, "vocabulary_splits": tuple(identity["vocabulary_splits"])},
            protocol=corpus.protocol,
            splits=report.splits,
            references=report.references,
            original_size=find_original_size(corpus, release, release.samples) if options.frames else None,
        )
        with translate_disk_errors(output):
            _write_corpus(release, prepared, output, info, vocabulary)
    return report


def prepare_shard(
    corpus: CorpusReader,
    source: Path | ReleasePaths,
    output: Path,
    options: PreparationOptions,
    shard: Shard,
    *,
    workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> ShardReport:
    """Write the frames of one shard of the clips; a later call of `prepare` completes the corpus.

    Several shards may be prepared in one folder at the same time, on several machines.

    Args and errors are those of `prepare`; `output` and `options` must be the same for all shards.
    """
    if not options.frames:
        raise UsageError("--shard cannot be combined with --no-frames", "remove --shard: only frames are divided")
    release = _read_release(corpus, source, output, options)
    identity = preparation_identity(corpus, release, output, options)
    may_differ = _has_same_clips_without_frames(output, release)
    with lock_output(output, identity, shared=True, may_differ=may_differ):
        results = prepare_clips(
            corpus,
            release,
            shard.select(release.samples),
            output,
            options,
            workers=workers or available_cores(),
            progress=progress,
        )
    _check_left_out(results.left_out, options, None)
    return ShardReport(
        corpus=corpus.name,
        output=output,
        shard=str(shard),
        num_clips=len(results.num_frames),
        num_frames=sum(count or 0 for count in results.num_frames.values()),
        left_out=results.left_out,
        expected_layout=corpus.layout if results.has_missing_frames else None,
        clips_finished_before=results.num_finished_before,
    )


def _read_release(
    corpus: CorpusReader, source: Path | ReleasePaths, output: Path, options: PreparationOptions
) -> Release:
    """Read a release; if it has faults, write all of them to the report and raise."""
    paths = source if isinstance(source, ReleasePaths) else ReleasePaths(source)
    paths = dataclasses.replace(paths, need_frames=options.frames)
    for option, folder in (("--annotations", paths.annotations), ("--references", paths.references)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{option} {folder}: folder not found")
    if isinstance(corpus, OwnCorpus):
        corpus = dataclasses.replace(corpus, known=read_known_splits(output))
    release = read_release(corpus, paths)
    faults = [*release.faults, *_find_reference_faults(release)]
    left_out = [Fault(f"{clip.split} clip {clip.sample_id}", clip.reason) for clip in select_faulty(release.left_out)]
    if not faults and not (options.strict and left_out):
        _check_train_clips(corpus, release)
        return release
    faults += left_out
    if options.frames:
        faults += find_missing_frames(release)
    hint = release.hint
    if is_preparation_folder(output):
        path = output / REPORT_FILE
        with translate_disk_errors(output):
            text = format_faults_json(corpus, faults, release.left_out)
            write_text(path, shorten_paths(text, _named_folders(corpus, paths)) + "\n")
        hint = "\n".join([*([hint] if hint else []), f"see all faults in {path}"])
    raise AnnotationError(faults, hint)


def _may_grow(output: Path, release: Release) -> bool:
    """Return whether your own corpus may get other clips: its sources are known, and splits are drawn as before."""
    return has_sources(output) and read_known_splits(output).drawing in (None, release.drawing)


def _has_same_clips_without_frames(output: Path, release: Release) -> bool:
    """Return whether a corpus was prepared without frames from the same annotation; its frames may be anywhere."""
    if not (output / CORPUS_FILE).is_file():
        return False
    corpus = PreparedCorpus(output, CorpusInfo.read(output / CORPUS_FILE))
    if corpus.info.layout != NO_FRAMES:
        return False
    known = {(clip.sample_id, split, clip.glosses) for split in corpus.splits for clip in corpus.samples(split)}
    return known == {(clip.sample_id, clip.split, clip.glosses) for clip in release.samples}


def _update_clips(output: Path, release: Release, options: PreparationOptions) -> Release:
    """Keep the frames of known clips and remove those of others; return the release with a note about it."""
    with translate_disk_errors(output):
        changes = update_sources(output, release, options)
    if not changes.kept or not (changes.new or changes.removed):
        return release
    note = f"clips that are new: {changes.new}; prepared before: {changes.kept}; removed: {changes.removed}"
    return dataclasses.replace(release, notes=(*release.notes, note))


def _check_train_clips(corpus: CorpusReader, release: Release) -> None:
    """Raise an error if no clip is in train, before the work of preparing the others."""
    if release.samples and not any(sample.split == "train" for sample in release.samples):
        advice = "add training clips; for your own corpus, fill the column split or change --split-shares or --split-by"
        raise DataError(
            f"{corpus.name}: no clip is in the split train, out of {len(release.samples)}",
            "\n".join([*release.notes, advice]),
        )


def _warn_about_empty_splits(corpus: CorpusReader, prepared: Mapping[str, Sequence[Sample]]) -> tuple[str, ...]:
    uses = {"dev": "cslr train needs dev to find the best epoch", "test": "cslr evaluate can measure on dev only"}
    return tuple(
        f"no clip is in the split {split}: {use}"
        for split, use in uses.items()
        if split in corpus.splits and split not in prepared
    )


def _named_folders(corpus: CorpusReader, source: Path | ReleasePaths) -> list[Path]:
    """Return the folders that the messages about a release may name."""
    paths = source if isinstance(source, ReleasePaths) else ReleasePaths(source)
    folders = (paths.source, paths.annotations, paths.references, corpus.default_source)
    return [folder for folder in folders if folder is not None]


def _find_reference_faults(release: Release) -> list[Fault]:
    """Find the clips that the official references of their split lack."""
    faults: list[Fault] = []
    for split, path in release.official_references.items():
        try:
            known = {normalize_label(line.text.split()[0]) for line in read_annotation_lines(path)}
        except AnnotationError as error:
            faults += error.faults
            continue
        faults += [
            Fault(str(path), f"no line for clip {sample.sample_id!r} of {split}")
            for sample in release.samples
            if sample.split == split and sample.sample_id not in known
        ]
    return faults


def _make_samples(release: Release, results: PreparedClips, options: PreparationOptions) -> dict[str, list[Sample]]:
    """Make the samples of each split for the manifest, in the order of the annotation."""
    prepared: dict[str, list[Sample]] = {}
    for sample in release.samples:
        clips = prepared.setdefault(sample.split, [])
        if sample.sample_id in results.num_frames:
            frames, num_frames = prepared_frames_path(sample, options), results.num_frames[sample.sample_id]
            clips.append(dataclasses.replace(sample, frames=frames, num_frames=num_frames))
    return prepared


def _make_report(
    corpus: CorpusReader,
    release: Release,
    output: Path,
    prepared: Mapping[str, Sequence[Sample]],
    results: PreparedClips,
    vocabulary: Vocabulary,
) -> PreparationReport:
    return PreparationReport(
        corpus=corpus.name,
        output=output,
        splits={split: count_split(samples) for split, samples in prepared.items()},
        num_glosses=len(vocabulary.glosses),
        left_out=(*release.left_out, *results.left_out),
        unseen_glosses=find_unseen_glosses(prepared),
        references={split: _describe_references(release, split, output) for split in prepared},
        notes=(*release.notes, *results.notes),
        warnings=(*_warn_about_empty_splits(corpus, prepared), *results.warnings),
        expected_layout=corpus.layout if results.has_missing_frames else None,
        clips_finished_before=results.num_finished_before,
    )


def _check_left_out(left_out: Sequence[LeftOutClip], options: PreparationOptions, report: Path | None) -> None:
    """With `strict`, raise an error if clips are left out."""
    faults = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in select_faulty(left_out)]
    if options.strict and faults:
        raise DataError(
            join_faults(faults),
            "fix these clips and repeat the command, or leave them out: remove --strict"
            + (f"; see all of them in {report}" if report else ""),
        )


def _check_splits(prepared: Mapping[str, Sequence[Sample]], report: PreparationReport) -> None:
    """Raise an error if a split is empty."""
    empty = [split for split, samples in prepared.items() if not samples]
    if empty or not prepared:
        what = f"no clip of {' or '.join(empty)}" if empty else "no clip"
        reasons = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in report.left_out]
        layout = [] if report.expected_layout is None else [f"expected this layout:\n{report.expected_layout}"]
        raise DataError(f"{what} can be prepared", "\n".join([join_faults(reasons), *layout]))


def _write_corpus(
    release: Release,
    prepared: Mapping[str, Sequence[Sample]],
    output: Path,
    info: CorpusInfo,
    vocabulary: Vocabulary,
) -> None:
    """Write all files but the frames, `corpus.yaml` last."""
    for split, samples in prepared.items():
        write_samples(output, split, samples)
        _write_references(release, output, split, samples)
    vocabulary.write(output / VOCABULARY_FILE)
    remove_unfinished_files(output, chain.from_iterable(prepared.values()))
    write_text(output / CORPUS_FILE, info.to_yaml())
    (output / PROGRESS_FILE).unlink(missing_ok=True)


def _write_references(release: Release, output: Path, split: str, samples: Sequence[Sample]) -> None:
    """Write the references of a split: the official ones, if there are any."""
    target = references_path(output, split)
    official = release.official_references.get(split)
    if official is None:
        write_stm(target, [Reference(clip.sample_id, clip.glosses, clip.signer) for clip in samples])
        return
    kept = {sample.sample_id for sample in samples}
    lines = [(line.text.split()[0], line.text) for line in read_annotation_lines(official)]
    named = [text.replace(name, normalize_label(name), 1) for name, text in lines if normalize_label(name) in kept]
    write_text(target, "".join(f"{line}\n" for line in named))


def _describe_references(release: Release, split: str, output: Path) -> str:
    path = release.official_references.get(split)
    if path is None:
        return "made from the annotation"
    is_own = path.is_relative_to(release.root)
    return f"official: {path.relative_to(release.root) if is_own else relative_path(path, output)}"
