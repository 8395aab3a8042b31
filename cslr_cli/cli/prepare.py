"""`cslr prepare`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from cslr_cli.choices import ImageFormat, Layout, SignerOrigin, SplitUnit
from cslr_cli.cli import options
from cslr_cli.cli.completion import complete_corpus_name
from cslr_cli.cli.console import print_error, print_json, print_note, print_remarks, print_result, shown_progress, table
from cslr_cli.cli.options import option
from cslr_cli.errors import EXIT_FAILED, FAULTS_SHOWN, DataError, UsageError
from cslr_cli.media.options import FitMode, Interpolation
from cslr_cli.untrusted import shorten_lines

if TYPE_CHECKING:
    from cslr_cli.corpora import AnnotationError, CorpusReader, LeftOutClip, OwnCorpus, ReleasePaths, SplitDrawing
    from cslr_cli.corpora.preparation import PreparationReport, ShardReport
    from cslr_cli.progress import ProgressCallback

_FRAMES = "Frames"
_OWN_CORPUS = "Your own corpus"
_CSL = "CSL"
_SYNTHETIC = "Synthetic corpus"
_PROCESSES = "Processes"
_MAX_CELL = 500  # characters of a cell in a table of faults; an annotation can have lines of any length


def prepare(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            autocompletion=complete_corpus_name,
            help="Name of the corpus: phoenix2014, phoenix2014-si5, phoenix2014-T, csl, csl-daily or synthetic, in "
            "upper or lower case. With --manifest or --transcripts: a new name for your own corpus.",
        ),
    ],
    source: Annotated[
        Path | None,
        option(
            "--source",
            "Folder of the release, or a folder up to four levels above it (default: dataset/CORPUS). The release "
            "is never changed.",
            "FOLDER",
        ),
    ] = None,
    output: Annotated[
        Path | None, option("--output", "Folder of the prepared corpus (default: prepared/CORPUS).", "FOLDER")
    ] = None,
    annotations: Annotated[
        Path | None, option("--annotations", "Folder of annotation files that are not in the release.", "FOLDER")
    ] = None,
    references: Annotated[
        Path | None, option("--references", "Folder of STM files to score against.", "FOLDER")
    ] = None,
    vocabulary_splits: Annotated[
        str,
        option("--vocabulary-splits", "Splits whose glosses the vocabulary contains; train is required.", "SPLIT,…"),
    ] = "train,dev,test",
    check: Annotated[
        bool,
        option(
            "--check",
            "Only say, in a few seconds, what the release has and lacks. The exit status is 1 if something is missing.",
        ),
    ] = False,
    strict: Annotated[bool, option("--strict", "Stop at a clip that cannot be read, instead of skipping it.")] = False,
    size: Annotated[int, option("--size", "Height and width of prepared frames in pixels.", "PIXELS", _FRAMES)] = 256,
    interpolation: Annotated[
        str, option("--interpolation", "Interpolation of resized frames.", "|".join(get_args(Interpolation)), _FRAMES)
    ] = "lanczos",
    fit: Annotated[
        str,
        option(
            "--fit",
            "Conversion of frames to squares. stretch: distort, as published systems do; crop: keep the middle; "
            "pad: add black borders.",
            "|".join(get_args(FitMode)),
            _FRAMES,
        ),
    ] = "stretch",
    layout: Annotated[
        str, option("--layout", "One zip file or one folder of pictures per clip.", "|".join(get_args(Layout)), _FRAMES)
    ] = "zip",
    image_format: Annotated[
        str,
        option(
            "--image-format", "Picture format. png: lossless; jpeg: smaller.", "|".join(get_args(ImageFormat)), _FRAMES
        ),
    ] = "png",
    quality: Annotated[int | None, option("--quality", "JPEG quality, 1 to 100 (default: 95).", "N", _FRAMES)] = None,
    no_frames: Annotated[
        bool, option("--no-frames", "Write only the manifest, the vocabulary and the references.", panel=_FRAMES)
    ] = False,
    frame_counts: Annotated[
        Path | None,
        option(
            "--frame-counts",
            "File for --no-frames with one line per clip: its name and its number of frames.",
            "FILE",
            _FRAMES,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option("--workers", "Number of processes (default: the number of CPU cores).", "N", _PROCESSES, min=1),
    ] = None,
    shard: Annotated[
        str | None,
        option(
            "--shard",
            "Prepare only part N of COUNT, for job arrays. Then run the command without --shard to join the parts.",
            "N/COUNT",
            _PROCESSES,
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        option(
            "--manifest",
            "List of clips, CSV or JSON Lines: path, glosses, optionally split, signer, id, translation, start, end.",
            "FILE",
            _OWN_CORPUS,
        ),
    ] = None,
    transcripts: Annotated[
        Path | None,
        option(
            "--transcripts",
            "Folder of annotation documents and their videos: ELAN, Praat TextGrid, SRT, VTT, or JSON of predict.",
            "FOLDER|FILE",
            _OWN_CORPUS,
        ),
    ] = None,
    tiers: Annotated[
        list[str] | None,
        option(
            "--tier",
            "Tier of the glosses, or of one hand; may contain * (default: glosses, or the only tier). Repeatable.",
            "NAME",
            _OWN_CORPUS,
        ),
    ] = None,
    sentence_tier: Annotated[
        str | None,
        option(
            "--sentence-tier",
            "Tier with one annotation per sentence; may contain * (default: the tier above the glosses, or pauses).",
            "NAME",
            _OWN_CORPUS,
        ),
    ] = None,
    pause: Annotated[
        float | None,
        option(
            "--pause",
            "Time without a gloss that ends a sentence, in seconds, for documents without sentences (default: 1).",
            "SECONDS",
            _OWN_CORPUS,
        ),
    ] = None,
    media: Annotated[
        int | None,
        option("--media", "Number of the video in documents that name several (default: 1).", "N", _OWN_CORPUS),
    ] = None,
    signer_from: Annotated[
        str | None,
        option(
            "--signer-from",
            "Source of the signer's name: the participant of the tier, the tier (the part that * stands for), the name "
            "of the document or of its folder (default: participant).",
            "|".join(get_args(SignerOrigin)),
            _OWN_CORPUS,
        ),
    ] = None,
    fps: Annotated[
        float | None,
        option(
            "--fps",
            "Frame rate of the prepared corpus in frames per second (default: 25). Videos are resampled to it.",
            "FPS",
            _OWN_CORPUS,
        ),
    ] = None,
    split_shares: Annotated[
        str | None,
        option(
            "--split-shares",
            "Shares of train, dev and test for clips without a split (default: 80,10,10 if no clip has a split).",
            "TRAIN,DEV,TEST",
            _OWN_CORPUS,
        ),
    ] = None,
    split_by: Annotated[
        str | None,
        option(
            "--split-by",
            "Unit of random splits (default: clip). signer: all clips of a signer are in one split.",
            "|".join(get_args(SplitUnit)),
            _OWN_CORPUS,
        ),
    ] = None,
    seed: Annotated[
        int | None, option("--seed", "Random seed of the splits or of the synthetic corpus (default: 0).", "N")
    ] = None,
    dev_signers: Annotated[
        str | None,
        option(
            "--dev-signers",
            "Number or names of the signers in dev, for the download without lists of clips (default: one in five, "
            "drawn with --seed).",
            "N|P01,P02,…",
            _CSL,
        ),
    ] = None,
    glosses: Annotated[
        int | None, option("--glosses", "Size of the vocabulary, an even number (default: 16).", "N", _SYNTHETIC)
    ] = None,
    signers: Annotated[
        int | None,
        option("--signers", "Number of signers (default: 9). One of them is only in the test split.", "N", _SYNTHETIC),
    ] = None,
    train_clips: Annotated[
        int | None, option("--train-clips", "Number of training clips (default: 240).", "N", _SYNTHETIC)
    ] = None,
    dev_clips: Annotated[
        int | None, option("--dev-clips", "Number of dev clips (default: 40).", "N", _SYNTHETIC)
    ] = None,
    test_clips: Annotated[
        int | None, option("--test-clips", "Number of test clips (default: 60).", "N", _SYNTHETIC)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Prepare a corpus release or your own clips for training.

    Writes frames of one size, manifests, the vocabulary and references. If the command is interrupted,
    run it again: it continues where it stopped. `cslr prepare synthetic` first draws a release into the
    source folder.

    Examples:
        cslr prepare phoenix2014 --source /data/phoenix2014-release --check
        cslr prepare phoenix2014 --source /data/phoenix2014-release
        cslr prepare my-corpus --manifest videos/clips.csv --fps 25
        cslr prepare my-corpus --transcripts videos --tier Glosses
        cslr prepare synthetic --size 72  # draws its own videos
    """
    synthetic = {"num_glosses": glosses, "num_signers": signers, "num_train_clips": train_clips}
    synthetic |= {"num_dev_clips": dev_clips, "num_test_clips": test_clips}
    from cslr_cli.corpora import AnnotationError, ReleasePaths, find_reader
    from cslr_cli.corpora.preparation import PreparationOptions, Shard, prepare_shard
    from cslr_cli.corpora.preparation import prepare as prepare_corpus

    documents = {"--tier": tiers or None, "--sentence-tier": sentence_tier, "--pause": pause}
    documents |= {"--media": media, "--signer-from": signer_from}
    is_own = manifest is not None or transcripts is not None
    if manifest is not None and transcripts is not None:
        raise UsageError("--manifest with --transcripts", "use one of the two options")
    if transcripts is None:
        _check_own_options(documents, "for annotation documents", "add --transcripts FOLDER")
    reader: CorpusReader
    if is_own:
        drawing = _make_split_drawing(split_shares, split_by, seed)
        own = _make_own_corpus(corpus, manifest, transcripts, documents, drawing)
        reader = own if fps is None else replace(own, fps=_check_fps(fps))
    else:
        options_of_own = {"--fps": fps, "--split-shares": split_shares, "--split-by": split_by}
        _check_own_options(options_of_own, "for your own corpus", "add --manifest FILE or --transcripts FOLDER")
        reader = _set_dev_signers(find_reader(corpus), dev_signers, seed)
    if reader.name != "synthetic":
        seed_unused = not is_own and reader.name != "csl"
        _check_synthetic_options({**synthetic, "seed": seed if seed_unused else None}, reader.name)
    preparation = PreparationOptions(
        frame_size=size,
        interpolation=cast("Interpolation", interpolation),  # `PreparationOptions` checks all choices at once
        fit=cast("FitMode", fit),
        layout=cast("Layout", layout),
        image_format=cast("ImageFormat", image_format),
        image_quality=quality,
        strict=strict,
        frames=not no_frames,
        frame_counts=frame_counts,
        vocabulary_splits=tuple(split.strip() for split in vocabulary_splits.split(",")),
    )
    run = prepare_corpus if shard is None else functools.partial(prepare_shard, shard=Shard.parse(shard))
    paths = ReleasePaths(source or reader.default_source, annotations, references)
    if check:
        _check_release(reader, replace(paths, need_frames=not no_frames), as_json=as_json)
        return
    output = output or reader.default_output
    options.check_output_folder(output)
    with shown_progress() as progress:
        if reader.name == "synthetic":
            _draw_synthetic_release(paths.source, {**synthetic, "seed": seed}, workers, progress)
        try:
            report = run(reader, paths, output, preparation, workers=workers, progress=progress)
        except AnnotationError as error:
            raise _print_faults(error) from error
    _print_report(report, as_json=as_json)


def _check_release(reader: CorpusReader, paths: ReleasePaths, *, as_json: bool) -> None:
    from cslr_cli.cli.prepare_check import print_check
    from cslr_cli.corpora.preparation.release_check import check_release

    found = check_release(reader, paths)
    print_check(found, as_json=as_json)
    if not found.is_complete:
        raise typer.Exit(EXIT_FAILED)


def _make_own_corpus(
    name: str,
    manifest: Path | None,
    transcripts: Path | None,
    documents: Mapping[str, Any],
    drawing: SplitDrawing | None,
) -> OwnCorpus:
    """Make the reader of a manifest or of annotation documents; `documents` are the options of the latter."""
    from cslr_cli.corpora import CORPORA, OwnCorpus
    from cslr_cli.corpora.transcripts import SentenceOptions, TranscriptCorpus

    if name.lower() in (known.lower() for known in CORPORA):
        raise UsageError(f"{name} is the name of a published corpus", "choose another name for your own corpus")
    if transcripts is None:
        return OwnCorpus(name, manifest=manifest or Path(), drawing=drawing)
    default = SentenceOptions()
    options_of_sentences = SentenceOptions(
        tiers=tuple(documents["--tier"] or ()),
        sentence_tier=documents["--sentence-tier"],
        media=documents["--media"] if documents["--media"] is not None else default.media,
        signer_from=documents["--signer-from"] or default.signer_from,
        pause=documents["--pause"] if documents["--pause"] is not None else default.pause,
    )
    return TranscriptCorpus(name, transcripts=transcripts, options=options_of_sentences, drawing=drawing)


def _check_fps(fps: float) -> float:
    if not 0 < fps <= 1000:
        raise UsageError(f"--fps {fps:g}: not a frame rate", "use a number above 0, at most 1000")
    return fps


def _set_dev_signers(reader: CorpusReader, dev_signers: str | None, seed: int | None) -> CorpusReader:
    """Set the options of CSL, which has no lists of clips in its download."""
    from cslr_cli.corpora.csl import CSL

    if not isinstance(reader, CSL):
        if dev_signers is not None:
            raise UsageError(f"--dev-signers: only for csl, not for {reader.name}", "remove the option")
        return reader
    names = [name.strip() for name in (dev_signers or "").split(",") if name.strip()]
    number = int(names[0]) if len(names) == 1 and names[0].isascii() and names[0].isdigit() else None
    if number == 0 or (dev_signers is not None and not names):
        raise UsageError(f"--dev-signers {dev_signers}: no signers", "give their number, such as 10, or their names")
    chosen = number if number is not None else tuple(names) or None
    return replace(reader, dev_signers=chosen, seed=seed or 0)


def _make_split_drawing(shares: str | None, unit: str | None, seed: int | None) -> SplitDrawing | None:
    """Return the options of random splits; None if none is given."""
    from cslr_cli.corpora import SplitDrawing

    if shares is None and unit is None and seed is None:
        return None
    default = SplitDrawing()
    return SplitDrawing(
        default.shares if shares is None else SplitDrawing.parse_shares(shares),
        default.unit if unit is None else cast("SplitUnit", unit),  # `SplitDrawing` checks it
        default.seed if seed is None else seed,
    )


def _check_own_options(options_given: Mapping[str, object], purpose: str, hint: str) -> None:
    given = [name for name, value in options_given.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: only {purpose}", hint)


def _check_synthetic_options(options_given: Mapping[str, int | None], name: str) -> None:
    if any(value is not None for value in options_given.values()):
        raise UsageError(
            f"--seed, --glosses, --signers and --…-clips are for the synthetic corpus, not for {name}",
            "remove these options",
        )


def _draw_synthetic_release(
    source: Path, drawing: Mapping[str, int | None], workers: int | None, progress: ProgressCallback
) -> None:
    from cslr_cli.corpora.synthetic import SyntheticOptions, make_release
    from cslr_cli.processes import available_cores

    given = {name: value for name, value in drawing.items() if value is not None}
    make_release(
        source,
        SyntheticOptions(**given),
        workers=workers or available_cores(),
        progress=progress,
        on_wait=print_note,
    )


def _print_faults(error: AnnotationError) -> DataError:
    """Print the faults of a release as a table, and return the error to raise."""
    rows = [[fault.where, fault.what] for fault in error.faults[:FAULTS_SHOWN]]
    print_remarks(_faults_table(["where", "fault"], rows, len(error.faults)), of_error=True)
    noun = "fault" if len(error.faults) == 1 else "faults"
    return DataError(f"{len(error.faults)} {noun}; nothing was prepared", error.hint)


def _print_report(report: PreparationReport | ShardReport, *, as_json: bool) -> None:
    """Print remarks on standard error and the result on standard output."""
    from cslr_cli.corpora.preparation import PreparationReport

    if isinstance(report, PreparationReport):
        for remark in _remarks(report):
            print_note(remark)
        for warning in report.warnings:
            print_error(warning, kind="warning")
    _print_left_out(report.faults, report.expected_layout)
    if not isinstance(report, PreparationReport):
        if as_json:
            print_json(report.document())
        else:
            print_result(_shard_table(report))
            print_note("when all parts are done, run the same command without --shard to join them")
    elif as_json:
        print_json({"output": str(report.output), **report.document()})
    else:
        print_result(_report_table(report))


def _remarks(report: PreparationReport) -> list[str]:
    remarks = list(report.notes)
    for split, unseen in report.unseen_glosses.items():
        if unseen:
            count = f"{sum(unseen.values())} ({len(unseen)} distinct)"
            remarks.append(f"glosses of {split} that are not in train: {count}")
    by_origin: dict[str, list[str]] = {}
    for split, origin in report.references.items():
        by_origin.setdefault(origin, []).append(split)
    remarks += [f"references of {', '.join(splits)}: {origin}" for origin, splits in by_origin.items()]
    return remarks


def _print_left_out(left_out: Sequence[LeftOutClip], expected_layout: str | None) -> None:
    if not left_out:
        return
    rows = [[clip.sample_id, clip.split, clip.reason] for clip in left_out[:FAULTS_SHOWN]]
    print_remarks(_faults_table(["left out", "split", "reason"], rows, len(left_out)))
    if expected_layout is not None:
        print_note(f"expected layout of the release:\n{expected_layout}")


def _faults_table(columns: Sequence[str], rows: Sequence[Sequence[str]], count: int) -> Any:
    more = count - len(rows)
    ending = [[f"and {more} more; see prepare-report.json", *[""] * (len(columns) - 1)]] if more > 0 else []
    cells = [[shorten_lines(cell, _MAX_CELL) for cell in row] for row in [*rows, *ending]]
    return table(columns, cells, left=range(len(columns)))


def _report_table(report: PreparationReport) -> Any:
    """Build a table of the clips, frames, glosses and left-out clips of each split."""
    rows = [
        [
            split,
            str(counts.clips),
            "–" if counts.frames is None else str(counts.frames),
            str(counts.glosses),
            str(sum(clip.split == split for clip in report.left_out)),
        ]
        for split, counts in report.splits.items()
    ]
    rows.append(["distinct glosses", "", "", str(report.num_glosses), ""])
    return table([str(report.output), "clips", "frames", "glosses", "left out"], rows)


def _shard_table(report: ShardReport) -> Any:
    row = [f"part {report.shard}", str(report.num_clips), str(report.num_frames), str(len(report.left_out))]
    return table([str(report.output), "clips", "frames", "left out"], [row])
