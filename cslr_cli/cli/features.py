"""`cslr features`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli.features_outputs import ClipFiles, ClipGroup, SingleFiles
from cslr_cli.cli.options import open_network, option
from cslr_cli.errors import EXIT_FAILED, UsageError
from cslr_cli.files import real_path
from cslr_cli.media.options import ReadOptions

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus


def features(
    context: typer.Context,
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO",
            help="Videos, folders of pictures or zip files of pictures; folders that contain several of them; patterns "
            "such as 'clips/*.mp4'; or - for a list of paths on standard input.",
        ),
    ] = None,
    corpus: Annotated[Path | None, option("--corpus", "Prepared corpus, instead of videos.", "FOLDER")] = None,
    split: Annotated[
        list[str] | None,
        option("--split", "Splits of the corpus, separated by commas (default: all). Repeatable.", "SPLIT,…"),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "Folder of the features (default: features/ for videos, features/NAME/ for prepared/NAME).",
            "FOLDER",
            options.OUTPUT,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    single_file: Annotated[
        bool, option("--single-file", "Write one file per split, or one file for all videos, not one per clip.")
    ] = False,
    as_json: options.Json = False,
    source_fps: options.SourceFps = None,
    stream: options.Stream = None,
    start: options.Start = None,
    end: options.End = None,
    frame_fit: options.FrameFit = "crop",
    checkpoint: options.CheckpointFile = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    settings: options.UseSettings = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
) -> None:
    """Write a network's frame and step features to files.

    The features can be the input of other models. Writes one `.npz` file per clip: `SPLIT/SAMPLE_ID.npz` for a corpus,
    `NAME.npz` for videos. `docs/features.md` describes their arrays.

    Examples:
        cslr features talk.mp4 --output features/
        cslr features --corpus prepared/phoenix2014 --split dev --single-file
    """
    read_options = ReadOptions(source_fps, start, end, frame_fit, stream=stream)
    splits = options.parse_splits(split)
    _check_options(videos or [], corpus, splits, read_options)
    folder = output or (Path("features") if corpus is None else Path("features") / real_path(corpus).name)
    prepared = None
    if corpus is not None:
        from cslr_cli.corpora.registry import open_prepared_corpus

        prepared = open_prepared_corpus(corpus)
    groups = _find_videos(videos or []) if prepared is None else _find_splits(prepared, splits)
    if single_file:
        inputs = [corpus] if corpus is not None else groups[0].paths
        outputs: ClipFiles = SingleFiles(context, folder, groups, inputs)
    else:
        outputs = ClipFiles(context, folder, groups)
    outputs.check()
    recognizer = None
    if outputs.has_work:
        path, opened = open_network(checkpoint, runs_dir, vocabulary, settings)
        if prepared is not None:
            opened.corpus.check_frame_size(prepared)
        from cslr_cli.model.device import resolve_device
        from cslr_cli.recognizer import Recognizer

        recognizer = Recognizer(opened, device=resolve_device(device), precision=precision)
        outputs.write_description(recognizer, path)
    if not outputs.write(recognizer, read_options, as_json=as_json):
        raise typer.Exit(EXIT_FAILED)


def _check_options(videos: list[str], corpus: Path | None, splits: list[str] | None, read_options: ReadOptions) -> None:
    """Raise UsageError if options contradict each other."""
    if bool(videos) == (corpus is not None):
        what = "both videos and --corpus" if videos else "neither videos nor --corpus"
        raise UsageError(f"{what} given", "cslr features VIDEO, or cslr features --corpus FOLDER")
    if splits and corpus is None:
        raise UsageError("--split without --corpus", "add --corpus FOLDER")
    if corpus is not None and read_options != ReadOptions():
        raise UsageError(
            "--source-fps, --start, --end and --frame-fit do not apply to a prepared corpus", "remove these options"
        )


def _find_videos(videos: list[str]) -> list[ClipGroup]:
    """Return the videos as one group."""
    from cslr_cli.cli.inputs import find_inputs, output_names, read_standard_input

    inputs = find_inputs(videos, read_standard_input)
    return [ClipGroup("", inputs, output_names(inputs))]


def _find_splits(corpus: PreparedCorpus, splits: list[str] | None) -> list[ClipGroup]:
    """Return one group per split."""
    groups = []
    for split in splits or corpus.splits:
        samples = corpus.samples(split)
        paths = [corpus.frames_path(sample) for sample in samples]
        groups.append(ClipGroup(split, paths, [sample.sample_id for sample in samples], samples))
    return groups
