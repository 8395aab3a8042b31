"""`cslr prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import shown_progress
from cslr_cli.cli.folders import refuse_file
from cslr_cli.cli.prepare_report import print_faults, print_report
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cslr_cli.corpora import CorpusReader, ReleasePaths, SplitDrawing
    from cslr_cli.corpora.own_corpus import SplitUnit
    from cslr_cli.corpora.preparation import PreparationOptions, PreparationReport, Shard, ShardReport
    from cslr_cli.dataset.manifest import ImageFormat, Layout
    from cslr_cli.media.options import Aspect, Interpolation
    from cslr_cli.progress import ProgressCallback

_FRAMES = "Frames"
_WORK = "Work"
_OWN = "A corpus of one's own"
_SYNTHETIC = "Synthetic corpus"

CorpusName = Annotated[
    str,
    typer.Argument(
        help="phoenix2014, phoenix2014-si5, phoenix2014-T, csl, csl-daily or synthetic, in small or capital "
        "letters; or with --manifest any name for a corpus of your own."
    ),
]
Source = Annotated[
    Path | None,
    typer.Option("--source", help="The release's folder or its parent, only read. Default: dataset/CORPUS."),
]
Output = Annotated[
    Path | None, typer.Option("--output", help="Where the prepared corpus goes. Default: prepared/CORPUS.")
]
Annotations = Annotated[
    Path | None, typer.Option("--annotations", metavar="DIR", help="Annotation files that are not in the release.")
]
References = Annotated[Path | None, typer.Option("--references", metavar="DIR", help="STM files to score against.")]
VocabularySplits = Annotated[
    str, typer.Option("--vocabulary-splits", metavar="SPLITS", help="Whose glosses get ids: all of them, or train.")
]
Strict = Annotated[bool, typer.Option("--strict", help="A clip that cannot be read is an error.")]
FrameSize = Annotated[
    int, typer.Option("--size", help="Height and width of the prepared frames, pixels.", rich_help_panel=_FRAMES)
]
InterpolationOption = Annotated[
    str, typer.Option("--interpolation", help="lanczos, area, cubic or linear.", rich_help_panel=_FRAMES)
]
AspectOption = Annotated[
    str,
    typer.Option(
        "--aspect",
        help="How a frame becomes a square: stretch, crop (the middle) or pad (with black).",
        rich_help_panel=_FRAMES,
    ),
]
LayoutOption = Annotated[
    str, typer.Option("--layout", help="zip: a file a clip; folder: a folder a clip.", rich_help_panel=_FRAMES)
]
ImageFormatOption = Annotated[
    str, typer.Option("--image-format", help="png (exact) or jpeg (smaller).", rich_help_panel=_FRAMES)
]
Quality = Annotated[
    int | None,
    typer.Option("--quality", help="Of JPEG pictures, 1 to 100.  [default: 95]", rich_help_panel=_FRAMES),
]
NoFrames = Annotated[
    bool,
    typer.Option("--no-frames", help="Manifest, vocabulary and references only.", rich_help_panel=_FRAMES),
]
FrameCounts = Annotated[
    Path | None,
    typer.Option(
        "--frame-counts",
        metavar="FILE",
        help="With --no-frames: a line a clip, its name and the number of its frames.",
        rich_help_panel=_FRAMES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes; by default the cores that there are.", rich_help_panel=_WORK),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        help="Prepare one part of the clips, for job arrays; a last call without it joins the parts.",
        rich_help_panel=_WORK,
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(
        "--manifest",
        metavar="FILE",
        help="CSV or JSON lines: path, glosses, and if you like split, signer, id, translation, start, end.",
        rich_help_panel=_OWN,
    ),
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", help="Frames a second; videos are brought to it.  [default: 25]", rich_help_panel=_OWN),
]
SplitShares = Annotated[
    str | None,
    typer.Option(
        "--split-shares",
        metavar="TRAIN,DEV,TEST",
        help="Draw the splits that the manifest does not give.  [default: 80,10,10 if it gives none]",
        rich_help_panel=_OWN,
    ),
]
SplitBy = Annotated[
    str | None,
    typer.Option("--split-by", help="Draw by clip, or by signer: each one in one split only.", rich_help_panel=_OWN),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="What is drawn follows from it: splits, or the synthetic corpus.")
]
Glosses = Annotated[int | None, typer.Option("--glosses", help="Size of the vocabulary.", rich_help_panel=_SYNTHETIC)]
Signers = Annotated[
    int | None,
    typer.Option("--signers", help="People in all; one of them is only in test.", rich_help_panel=_SYNTHETIC),
]
TrainClips = Annotated[int | None, typer.Option("--train-clips", help="Clips to train on.", rich_help_panel=_SYNTHETIC)]
DevClips = Annotated[
    int | None, typer.Option("--dev-clips", help="Clips of the dev split.", rich_help_panel=_SYNTHETIC)
]
TestClips = Annotated[
    int | None, typer.Option("--test-clips", help="Clips of the test split.", rich_help_panel=_SYNTHETIC)
]


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
    """Make a prepared corpus of a release: frames of one size, manifests, vocabulary, references.

    Stopped at any moment and called again, it goes on where it was. `synthetic` draws its own
    release first, into the source folder. A corpus of your own is a manifest of its clips:
    `cslr prepare my-corpus --manifest clips.csv`.
    """
    drawing = {
        "num_glosses": glosses,
        "num_signers": signers,
        "num_train_clips": train_clips,
        "num_dev_clips": dev_clips,
        "num_test_clips": test_clips,
    }
    from cslr_cli.corpora import AnnotationError, ReleasePaths
    from cslr_cli.corpora.preparation import PreparationOptions, Shard

    if manifest is None:
        _check_manifest_options({"--fps": fps, "--split-shares": split_shares, "--split-by": split_by})
        reader = _find_reader(corpus)
    else:
        reader = _make_own_corpus(corpus, manifest, fps, _make_split_drawing(split_shares, split_by, seed))
    if reader.name != "synthetic":
        _check_synthetic_options(drawing, seed, reader.name, has_manifest=manifest is not None)
    preparation = PreparationOptions(
        frame_size=size,
        interpolation=cast("Interpolation", interpolation),  # `PreparationOptions` checks all choices together
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
    refuse_file(output)
    with shown_progress() as progress:
        if reader.name == "synthetic":
            _draw_synthetic_release(paths.source, {**drawing, "seed": seed}, workers, progress)
        try:
            report = _prepare(reader, paths, output, preparation, parsed_shard, workers, progress)
        except AnnotationError as error:
            raise print_faults(error) from error
    print_report(report, as_json=as_json)


def _find_reader(name: str) -> CorpusReader:
    from cslr_cli.corpora import find_reader

    return find_reader(name)


def _make_own_corpus(name: str, manifest: Path, fps: float | None, drawing: SplitDrawing | None) -> CorpusReader:
    from cslr_cli.corpora import CORPORA, OwnCorpus

    if name.lower() in (known.lower() for known in CORPORA):
        raise UsageError(f"{name} is the name of a published corpus", "give your own, in --manifest, another name")
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"--fps {fps:g}: not a frame rate", "expected a positive number")
    reader = OwnCorpus(name, manifest=manifest, drawing=drawing)
    return reader if fps is None else OwnCorpus(name, fps=fps, manifest=manifest, drawing=drawing)


def _make_split_drawing(shares: str | None, unit: str | None, seed: int | None) -> SplitDrawing | None:
    """Make the options of drawing splits; None if none of them is given."""
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
        raise UsageError(f"{', '.join(given)}: for a corpus of one's own, with --manifest")


def _check_synthetic_options(
    drawing: Mapping[str, int | None], seed: int | None, name: str, *, has_manifest: bool
) -> None:
    if any(value is not None for value in drawing.values()) or (seed is not None and not has_manifest):
        raise UsageError(f"--seed, --glosses, --signers and --…-clips are for `synthetic`, not for {name}")


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
