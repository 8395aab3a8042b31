"""From a release to a prepared corpus: in several processes, and going on where an earlier call stopped.

The state of the work is the output itself. A clip is finished when its file is there, for files
appear only when they are whole; the corpus is finished when `corpus.yaml` is there, which is written
last. Nothing depends on the order in which clips are done or on the time of day, so that a
preparation that was killed and started again ends with the same bytes as one that was not.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cslr_cli import atomic
from cslr_cli.data.clip_workers import ClipOutcome, ClipTask, available_cores, write_clips
from cslr_cli.data.clip_writer import ClipFormat
from cslr_cli.data.corpora.base import CorpusReader, LeftOut, Release, gathered, read_annotation_lines
from cslr_cli.data.manifest import (
    CORPUS_FILE,
    VOCABULARY_FILE,
    CorpusInfo,
    SplitCounts,
    references_path,
    write_samples,
)
from cslr_cli.data.sample import SPLITS, Sample
from cslr_cli.errors import DataError
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.scoring.transcripts import Reference, write_stm
from cslr_cli.vocabulary import Vocabulary

REPORT_FILE = "prepare-report.json"
# Says what is being made in a folder, from the beginning until `corpus.yaml` says it.
_BEGUN_FILE = ".preparing.json"


@dataclass(frozen=True)
class PreparationOptions(ClipFormat):
    """How a corpus is prepared.

    Attributes:
        strict: a clip that cannot be prepared is an error, instead of being left out and counted.
    """

    strict: bool = False

    @property
    def clip_format(self) -> ClipFormat:
        """The part that decides what the files of the clips look like."""
        return ClipFormat(self.frame_size, self.interpolation, self.layout, self.image_format)


@dataclass(frozen=True)
class PreparationReport:
    """What a prepared corpus has become.

    Attributes:
        corpus: its name.
        output: its folder.
        splits: how much is in each split.
        num_glosses: different glosses in the vocabulary.
        left_out: clips of the annotation that are not in it, each with the reason.
        unseen_glosses: for each held-out split the glosses that training never sees, with how often
            they occur in it.
        references: for each split where its references come from, in words.
        clips_finished_before: how many clips an earlier call had written already.
    """

    corpus: str
    output: Path
    splits: Mapping[str, SplitCounts]
    num_glosses: int
    left_out: tuple[LeftOut, ...]
    unseen_glosses: Mapping[str, Mapping[str, int]]
    references: Mapping[str, str]
    clips_finished_before: int

    @property
    def faults(self) -> tuple[LeftOut, ...]:
        """The clips left out because something is wrong with this copy of the release."""
        return tuple(clip for clip in self.left_out if not clip.expected)

    def to_json(self) -> str:
        """The report without what differs from call to call: where it lies and how often it was begun."""
        values = dataclasses.asdict(self)
        del values["output"], values["clips_finished_before"]
        return json.dumps(values, ensure_ascii=False, indent=2)


def prepare(
    corpus: CorpusReader,
    source: Path,
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
        source: the release's folder.
        output: folder to write; made if needed.
        options: size and form of the result; None for the defaults.
        workers: processes that resize, each a clip at a time; by default the cores that this process may use.
        progress: told after every clip; its figures are frames done, and frames a second in this call.

    Returns:
        What is in the prepared corpus and what is not; also written to `prepare-report.json`.

    Raises:
        DataError: the release is not there, not whole, or has faults; in `output` is something else
            or another preparation at work; it cannot be written; a split has no clip that can be
            read; with `options.strict`, any clip cannot be prepared. What is finished stays.
    """
    options = options or PreparationOptions()
    release = corpus.read(source)
    _check_references(release)
    _check_left_out(release.left_out, options, None)
    identity = _identity(corpus, release, options)
    with _claimed(output, identity):
        outcomes = _write_frames(release, output, options, workers or available_cores(), progress)
        prepared = _prepared_samples(release, outcomes, options)
        report = _report(corpus, release, output, prepared, outcomes)
        with _disk_errors_told(output):
            atomic.write_text(output / REPORT_FILE, report.to_json() + "\n")
        _check_left_out(report.left_out, options, output / REPORT_FILE)
        _check_splits(prepared, report)
        info = CorpusInfo(
            **identity,
            fps=corpus.fps,
            protocol=corpus.protocol,
            splits=report.splits,
            references=report.references,
        )
        with _disk_errors_told(output):
            _finish(release, prepared, output, info)
    return report


def _check_references(release: Release) -> None:
    """Have every clip of a split that comes with official references in them."""
    faults = []
    for split, path in release.official_references.items():
        known = {line.text.split()[0] for line in read_annotation_lines(path)}
        samples = [sample for sample in release.samples if sample.split == split]
        faults += [
            f"{path}: there is no line for clip {sample.sample_id!r} of {split}"
            for sample in samples
            if sample.sample_id not in known
        ]
    if faults:
        hint = "expected a line for each clip of the annotation; without this file references are made from it"
        raise DataError(gathered(faults), hint)


def _identity(corpus: CorpusReader, release: Release, options: PreparationOptions) -> dict[str, Any]:
    """What two preparations must have in common for one to go on where the other stopped."""
    annotation = hashlib.sha256()
    for sample in release.samples:
        annotation.update(f"{sample.to_json()}\n".encode())
    return {
        "name": corpus.name,
        **dataclasses.asdict(options.clip_format),
        "source": str(release.root.resolve()),
        "annotations": annotation.hexdigest()[:16],
    }


@contextmanager
def _claimed(output: Path, identity: Mapping[str, Any]) -> Iterator[None]:
    """Hold `output` for this preparation alone, having made sure that it goes on with the same one."""
    with _disk_errors_told(output):
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output, os.O_RDONLY)
    try:
        _lock(output, descriptor)
        with _disk_errors_told(output):
            _check_same(output, identity)
            if not (output / CORPUS_FILE).exists():
                atomic.write_text(output / _BEGUN_FILE, json.dumps(identity, indent=2) + "\n")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors_told(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or output}: cannot be read or written ({error.strerror})",
            "what is finished stays as it is; when this is mended, the same command goes on from there",
        ) from error


def _lock(output: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(
            f"{output}: another cslr prepare is at work in this folder",
            "wait for it, or choose another --output",
        ) from error
    except OSError:
        return  # some network disks have no locks; then two calls at a time are the user's to avoid


def _begun(output: Path) -> Mapping[str, Any] | None:
    """What is prepared, or being prepared, in a folder; None if nothing is."""
    if (output / CORPUS_FILE).exists():
        return dataclasses.asdict(CorpusInfo.read(output / CORPUS_FILE))
    path = output / _BEGUN_FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error})", f"remove {output} and prepare it again") from error
    return values if isinstance(values, dict) else {}


def _check_same(output: Path, wanted: Mapping[str, Any]) -> None:
    """Have nothing in the folder but what the same preparation has put there."""
    there = _begun(output)
    if there is None:
        if any(not path.name.startswith(".") for path in output.iterdir()):
            raise DataError(
                f"{output}: the folder is not empty and holds no prepared corpus",
                "choose another --output, or remove what is there",
            )
        return
    differing = [name for name, value in wanted.items() if there.get(name) != value]
    # A release that was moved is the same one; a second one beside the first is not.
    if "source" in differing and not Path(str(there.get("source"))).exists():
        differing.remove("source")
    if not differing:
        return
    faults = [f"{name} is {there.get(name)} there, {wanted[name]} now" for name in differing if name != "annotations"]
    if "annotations" in differing:
        faults.append("the release's annotations are not the same as then")
    raise DataError(
        f"{output}: something else is prepared there: {'; '.join(faults)}",
        "choose another --output, or remove that folder to prepare it anew",
    )


def _write_frames(
    release: Release, output: Path, options: PreparationOptions, workers: int, progress: ProgressCallback
) -> dict[str, ClipOutcome]:
    """Write the frames of all clips; give what became of each, by its name."""
    tasks = [
        ClipTask(
            sample.sample_id,
            release.root / sample.frames,
            output / _frames_name(sample, options),
            options.clip_format,
        )
        for sample in release.samples
    ]
    outcomes: dict[str, ClipOutcome] = {}
    num_frames = num_written = 0
    start = time.perf_counter()
    for outcome in write_clips(tasks, workers):
        outcomes[outcome.sample_id] = outcome
        num_frames += outcome.num_frames
        num_written += 0 if outcome.was_finished else outcome.num_frames
        rate = num_written / max(time.perf_counter() - start, 1e-9)
        figures = {"frames": num_frames, "frames_per_second": rate}
        progress(Progress("prepare clips", len(outcomes), len(tasks), figures))
    return outcomes


def _frames_name(sample: Sample, options: PreparationOptions) -> str:
    """Where the frames of a clip are, relative to the prepared corpus."""
    return f"frames/{sample.split}/{options.clip_name(sample.sample_id)}"


def _prepared_samples(
    release: Release, outcomes: Mapping[str, ClipOutcome], options: PreparationOptions
) -> dict[str, list[Sample]]:
    """The samples of each split as the manifest has them, in the order of the annotation."""
    prepared: dict[str, list[Sample]] = {}
    for sample in release.samples:
        clips = prepared.setdefault(sample.split, [])
        outcome = outcomes[sample.sample_id]
        if outcome.fault is None:
            frames = _frames_name(sample, options)
            clips.append(dataclasses.replace(sample, frames=frames, num_frames=outcome.num_frames))
    return {split: prepared[split] for split in SPLITS if split in prepared}


def _report(
    corpus: CorpusReader,
    release: Release,
    output: Path,
    prepared: Mapping[str, Sequence[Sample]],
    outcomes: Mapping[str, ClipOutcome],
) -> PreparationReport:
    unreadable = [
        LeftOut(sample.sample_id, sample.split, fault)
        for sample in release.samples
        if (fault := outcomes[sample.sample_id].fault) is not None
    ]
    counts = {split: _gloss_counts(samples) for split, samples in prepared.items()}
    learned = counts.get("train", Counter())
    return PreparationReport(
        corpus=corpus.name,
        output=output,
        splits={
            split: SplitCounts(
                clips=len(samples),
                frames=sum(sample.num_frames or 0 for sample in samples),
                glosses=counts[split].total(),
            )
            for split, samples in prepared.items()
        },
        num_glosses=len(_gloss_counts(release.samples)),
        left_out=(*release.left_out, *unreadable),
        unseen_glosses={
            split: {gloss: counts[split][gloss] for gloss in sorted(counts[split].keys() - learned.keys())}
            for split in prepared
            if split != "train"
        },
        references={split: _references_origin(release, split) for split in prepared},
        clips_finished_before=sum(outcome.was_finished for outcome in outcomes.values()),
    )


def _check_left_out(left_out: Sequence[LeftOut], options: PreparationOptions, report: Path | None) -> None:
    """With `strict`, refuse to go on without some clips."""
    faults = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in left_out if not clip.expected]
    if options.strict and faults:
        raise DataError(
            gathered(faults),
            "mend these and give the same command again, or leave such clips out by not asking for --strict"
            + (f"; all of them are in {report}" if report else ""),
        )


def _check_splits(prepared: Mapping[str, Sequence[Sample]], report: PreparationReport) -> None:
    """Have at least one clip in every split of the release."""
    empty = [split for split, samples in prepared.items() if not samples]
    if empty:
        reasons = [f"{clip.split} clip {clip.sample_id}: {clip.reason}" for clip in report.left_out]
        raise DataError(f"no clip of {' and '.join(empty)} can be prepared", gathered(reasons))


def _finish(
    release: Release,
    prepared: Mapping[str, Sequence[Sample]],
    output: Path,
    info: CorpusInfo,
) -> None:
    """Write everything but the frames, `corpus.yaml` last."""
    for split, samples in prepared.items():
        write_samples(output, split, samples)
        _write_references(release, output, split, samples)
    Vocabulary.from_counts(_gloss_counts(release.samples)).write(output / VOCABULARY_FILE)
    _remove_unfinished(output)
    atomic.write_text(output / CORPUS_FILE, info.to_yaml())
    (output / _BEGUN_FILE).unlink(missing_ok=True)


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
    return "made from the annotation" if path is None else f"official: {path.relative_to(release.root)}"


def _gloss_counts(samples: Sequence[Sample]) -> Counter[str]:
    return Counter(gloss for sample in samples for gloss in sample.glosses)


def _remove_unfinished(output: Path) -> None:
    """Remove what calls that were killed had begun to write."""
    for folder in (output, output / "references", *(output / "frames").glob("*/")):
        for path in list(folder.glob(".*.unfinished*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
