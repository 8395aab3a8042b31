"""`cslr prepare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from cslr_cli.choices import ImageFormat, Layout, SplitUnit
from cslr_cli.cli import options
from cslr_cli.cli.console import shown_progress
from cslr_cli.cli.options import option
from cslr_cli.cli.prepare_report import print_faults, print_report
from cslr_cli.errors import UsageError
from cslr_cli.media.options import Aspect, Interpolation

if TYPE_CHECKING:
    from cslr_cli.corpora import CorpusReader, ReleasePaths, SplitDrawing
    from cslr_cli.corpora.preparation import PreparationOptions, PreparationReport, Shard, ShardReport
    from cslr_cli.progress import ProgressCallback

_FRAMES = "Frames"
_OWN_CORPUS = "Your own corpus"
_SYNTHETIC = "Synthetic corpus"
_PROCESSES = "Processes"

CorpusName = Annotated[
    str,
    typer.Argument(
        metavar="CORPUS",
        help="Published corpus (phoenix2014, phoenix2014-si5, phoenix2014-T, csl, csl-daily), synthetic, or with "
        "--manifest a new name for your own corpus. Case does not matter.",
    ),
]
Source = Annotated[
    Path | None,
    option(
        "--source",
        "Folder of the release, or its parent folder (default: dataset/CORPUS). It is never changed.",
        "FOLDER",
    ),
]
Output = Annotated[
    Path | None, option("--output", "Folder of the prepared corpus (default: prepared/CORPUS).", "FOLDER")
]
Annotations = Annotated[
    Path | None, option("--annotations", "Folder of annotation files that the release lacks.", "FOLDER")
]
References = Annotated[Path | None, option("--references", "Folder of STM files to score against.", "FOLDER")]
VocabularySplits = Annotated[
    str, option("--vocabulary-splits", "Splits whose glosses the vocabulary contains; train is required.", "SPLIT,…")
]
Strict = Annotated[bool, option("--strict", "Stop at a clip that cannot be read, instead of skipping it.")]
FrameSize = Annotated[int, option("--size", "Height and width of prepared frames in pixels.", "PIXELS", _FRAMES)]
InterpolationOption = Annotated[
    str, option("--interpolation", "Interpolation of resized frames.", "|".join(get_args(Interpolation)), _FRAMES)
]
AspectOption = Annotated[
    str,
    option(
        "--aspect",
        "Conversion of frames to squares. crop: keep the middle; pad: add black borders.",
        "|".join(get_args(Aspect)),
        _FRAMES,
    ),
]
LayoutOption = Annotated[
    str, option("--layout", "One zip file or one folder of pictures per clip.", "|".join(get_args(Layout)), _FRAMES)
]
ImageFormatOption = Annotated[
    str,
    option("--image-format", "Picture format. png: lossless; jpeg: smaller.", "|".join(get_args(ImageFormat)), _FRAMES),
]
Quality = Annotated[int | None, option("--quality", "JPEG quality, 1 to 100 (default: 95).", "N", _FRAMES)]
NoFrames = Annotated[
    bool, option("--no-frames", "Write only the manifest, the vocabulary and the references.", panel=_FRAMES)
]
FrameCounts = Annotated[
    Path | None,
    option(
        "--frame-counts",
        "File for --no-frames with one line per clip: its name and its number of frames.",
        "FILE",
        _FRAMES,
    ),
]
Workers = Annotated[
    int | None, option("--workers", "Number of processes (default: the number of CPU cores).", "N", _PROCESSES, min=1)
]
ShardOption = Annotated[
    str | None,
    option(
        "--shard",
        "Prepare only part N of COUNT, for job arrays. Afterwards run the command without --shard to join the parts.",
        "N/COUNT",
        _PROCESSES,
    ),
]
Manifest = Annotated[
    Path | None,
    option(
        "--manifest",
        "List of clips as CSV or JSON Lines: path, glosses, and optionally split, signer, id, translation, start, end.",
        "FILE",
        _OWN_CORPUS,
    ),
]
Fps = Annotated[
    float | None,
    option(
        "--fps",
        "Frame rate of the prepared corpus in frames per second (default: 25). Videos are resampled to it.",
        "FPS",
        _OWN_CORPUS,
    ),
]
SplitShares = Annotated[
    str | None,
    option(
        "--split-shares",
        "Shares of the random splits that clips without a split get (default: 80,10,10 if no clip has a split).",
        "TRAIN,DEV,TEST",
        _OWN_CORPUS,
    ),
]
SplitBy = Annotated[
    str | None,
    option(
        "--split-by",
        "Unit of random splits (default: clip). signer: all clips of a signer are in one split.",
        "|".join(get_args(SplitUnit)),
        _OWN_CORPUS,
    ),
]
Seed = Annotated[
    int | None, option("--seed", "Random seed of the splits or of the synthetic corpus (default: 0).", "N")
]
Glosses = Annotated[
    int | None, option("--glosses", "Size of the vocabulary, an even number (default: 16).", "N", _SYNTHETIC)
]
Signers = Annotated[
    int | None,
    option("--signers", "Number of signers (default: 9). One of them is only in the test split.", "N", _SYNTHETIC),
]
TrainClips = Annotated[int | None, option("--train-clips", "Number of training clips (default: 240).", "N", _SYNTHETIC)]
DevClips = Annotated[int | None, option("--dev-clips", "Number of dev clips (default: 40).", "N", _SYNTHETIC)]
TestClips = Annotated[int | None, option("--test-clips", "Number of test clips (default: 60).", "N", _SYNTHETIC)]


def prepare(
    corpus: CorpusName,
    source: Source = None,
    output: Output = None,
    annotations: Annotations = None,
    references: References = None,
    vocabulary_splits: VocabularySplits = "train,dev,test",
    strict: Strict = False,
    size: FrameSize = 256,
    interpolation: InterpolationOption = "lanczos",
    aspect: AspectOption = "stretch",
    layout: LayoutOption = "zip",
    image_format: ImageFormatOption = "png",
    quality: Quality = None,
    no_frames: NoFrames = False,
    frame_counts: FrameCounts = None,
    workers: Workers = None,
    shard: ShardOption = None,
    manifest: Manifest = None,
    fps: Fps = None,
    split_shares: SplitShares = None,
    split_by: SplitBy = None,
    seed: Seed = None,
    glosses: Glosses = None,
    signers: Signers = None,
    train_clips: TrainClips = None,
    dev_clips: DevClips = None,
    test_clips: TestClips = None,
    as_json: options.Json = False,
) -> None:
    """Prepare a corpus for training, from its release or your own clips.

    Writes frames of one size, manifests, the vocabulary and references. If the command is interrupted,
    run it again: it continues where it stopped. `cslr prepare synthetic` first draws a release into the
    source folder.

    Examples:
        cslr prepare phoenix2014 --source /data/phoenix2014-release
        cslr prepare my-corpus --manifest videos/clips.csv --fps 25
        cslr prepare synthetic --size 72           # draws its own videos
    """
    drawing = {
        "num_glosses": glosses,
        "num_signers": signers,
        "num_train_clips": train_clips,
        "num_dev_clips": dev_clips,
        "num_test_clips": test_clips,
    }
    from cslr_cli.corpora import AnnotationError, ReleasePaths, find_reader
    from cslr_cli.corpora.preparation import PreparationOptions, Shard

    if manifest is None:
        _check_manifest_options({"--fps": fps, "--split-shares": split_shares, "--split-by": split_by})
        reader = find_reader(corpus)
    else:
        reader = _make_own_corpus(corpus, manifest, fps, _make_split_drawing(split_shares, split_by, seed))
    if reader.name != "synthetic":
        _check_synthetic_options(drawing, seed, reader.name, has_manifest=manifest is not None)
    preparation = PreparationOptions(
        frame_size=size,
        interpolation=cast("Interpolation", interpolation),  # `PreparationOptions` checks all choices at once
        aspect=cast("Aspect", aspect),
        layout=cast("Layout", layout),
        image_format=cast("ImageFormat", image_format),
        image_quality=quality,
        strict=strict,
        frames=not no_frames,
        frame_counts=frame_counts,
        vocabulary_splits=tuple(split.strip() for split in vocabulary_splits.split(",")),
    )
    parsed_shard = None if shard is None else Shard.parse(shard)
    paths = ReleasePaths(source or reader.default_source, annotations, references)
    output = output or reader.default_output
    options.check_output_folder(output)
    with shown_progress() as progress:
        if reader.name == "synthetic":
            _draw_synthetic_release(paths.source, {**drawing, "seed": seed}, workers, progress)
        try:
            report = _prepare(reader, paths, output, preparation, parsed_shard, workers, progress)
        except AnnotationError as error:
            raise print_faults(error) from error
    print_report(report, as_json=as_json)


def _make_own_corpus(name: str, manifest: Path, fps: float | None, drawing: SplitDrawing | None) -> CorpusReader:
    from cslr_cli.corpora import CORPORA, OwnCorpus

    if name.lower() in (known.lower() for known in CORPORA):
        raise UsageError(f"{name} is the name of a published corpus", "choose another name for your own corpus")
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"--fps {fps:g}: not a frame rate", "use a number above 0, at most 1000")
    reader = OwnCorpus(name, manifest=manifest, drawing=drawing)
    return reader if fps is None else OwnCorpus(name, fps=fps, manifest=manifest, drawing=drawing)


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


def _check_manifest_options(options_given: Mapping[str, object]) -> None:
    given = [name for name, value in options_given.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: only for your own corpus", "add --manifest FILE")


def _check_synthetic_options(
    drawing: Mapping[str, int | None], seed: int | None, name: str, *, has_manifest: bool
) -> None:
    if any(value is not None for value in drawing.values()) or (seed is not None and not has_manifest):
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
    make_release(source, SyntheticOptions(**given), workers=workers or available_cores(), progress=progress)


def _prepare(
    reader: CorpusReader,
    paths: ReleasePaths,
    output: Path,
    preparation: PreparationOptions,
    shard: Shard | None,
    workers: int | None,
    progress: ProgressCallback,
) -> PreparationReport | ShardReport:
    from cslr_cli.corpora.preparation import prepare, prepare_shard

    if shard is None:
        return prepare(reader, paths, output, preparation, workers=workers, progress=progress)
    return prepare_shard(reader, paths, output, preparation, shard, workers=workers, progress=progress)
