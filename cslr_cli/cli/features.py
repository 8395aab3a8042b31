"""`cslr features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typing_extensions import TypedDict

from cslr_cli.cli import options
from cslr_cli.cli.console import print_error, print_json, print_line, report_error, shown_progress
from cslr_cli.cli.options import open_network, option
from cslr_cli.errors import EXIT_FAILED, CslrError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.progress import Progress

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.dataset.sample import Sample
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.features import ClipFeatures


class FeaturesDocument(TypedDict):
    """Written features: one line of `cslr features --json` per split, or one line for all videos.

    Attributes:
        schema_version: version of this document.
        output: file, or folder of one file per clip.
        clips: number of clips.
        frames: number of their frames.
        steps: number of their output steps.
    """

    schema_version: Literal[1]
    output: str
    clips: int
    frames: int
    steps: int


def features(
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
    output: Annotated[Path, option("--output", "Folder of the features.", "FOLDER")] = Path("features"),
    single_file: Annotated[
        bool, option("--single-file", "Write one file per split, or one file for all videos, not one per clip.")
    ] = False,
    as_json: options.Json = False,
    source_fps: options.SourceFps = None,
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
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.features import write_description

    read_options = ReadOptions(source_fps, start, end, frame_fit)
    splits = options.parse_splits(split)
    _check_options(videos or [], corpus, splits, read_options)
    path, opened = open_network(checkpoint, runs_dir, vocabulary, settings)
    recognizer = Recognizer(opened, device=resolve_device(device), precision=precision)
    writer = _FeatureWriter(output, single_file=single_file, as_json=as_json)
    write_description(recognizer, path, output)
    if corpus is None:
        succeeded = _write_videos(recognizer, videos or [], read_options, writer)
    else:
        succeeded = _write_corpus(recognizer, corpus, splits, writer)
    for name, counts in writer.counts.items():
        if as_json:
            document: FeaturesDocument = {
                "schema_version": 1,
                "output": str(output / name),
                "clips": counts["clips"],
                "frames": counts["frames"],
                "steps": counts["steps"],
            }
            print_json(document)
        else:
            print_line(f"{output / name}: {counts['clips']} clips, {counts['frames']} frames, {counts['steps']} steps")
    if not succeeded:
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


class _FeatureWriter:
    """Writes clips to one file each or to one file per split, and counts them.

    Attributes:
        counts: numbers of clips, frames and steps of each split, or of all videos.
    """

    def __init__(self, output: Path, *, single_file: bool, as_json: bool) -> None:
        self._as_json = as_json
        self.counts: dict[str, dict[str, int]] = {}
        self._output = output
        self._single_file = single_file

    @contextmanager
    def open_split(self, split: str) -> Iterator[Callable[[ClipFeatures, str], None]]:
        """Return a function that writes a clip of a split under a name; the split of videos is ``""``."""
        from cslr_cli.recognizer.features import FeaturesFile, write_features

        name = f"{split or 'videos'}.npz" if self._single_file else split
        counts = {"clips": 0, "frames": 0, "steps": 0}

        with FeaturesFile(self._output / name) if self._single_file else nullcontext() as file:

            def write(clip: ClipFeatures, clip_name: str) -> None:
                if file is None:
                    write_features(clip, self._output / split / f"{clip_name}.npz")
                else:
                    file.add(clip)
                counts["clips"] += 1
                counts["frames"] += len(clip.frame_features)
                counts["steps"] += len(clip.step_features)

            yield write
        if counts["clips"]:
            self.counts[name] = counts

    def report(self, error: CslrError | OSError, path: Path) -> None:
        """Report the error of a video or a clip."""
        from cslr_cli.recognizer.batch import translate_read_error

        translated = translate_read_error(path, error) if isinstance(error, OSError) else error
        report_error(translated, path, as_json=self._as_json)


def _write_corpus(recognizer: Recognizer, folder: Path, splits: list[str] | None, writer: _FeatureWriter) -> bool:
    """Write the features of a corpus; report a bad clip and continue.

    Returns:
        Whether all clips succeeded.
    """
    from cslr_cli.corpora.registry import open_prepared_corpus

    corpus = open_prepared_corpus(folder)
    recognizer.checkpoint.corpus.check_frame_size(corpus)
    samples = {split: corpus.samples(split) for split in (splits or corpus.splits)}
    num_errors = 0
    with shown_progress() as progress:
        for split, split_samples in samples.items():
            with writer.open_split(split) as write:
                for index, sample in enumerate(split_samples, start=1):
                    num_errors += not _write_sample(recognizer, corpus, sample, write, writer.report)
                    progress(Progress(f"features of {split}", index, len(split_samples)))
    return num_errors == 0


def _write_sample(
    recognizer: Recognizer,
    corpus: PreparedCorpus,
    sample: Sample,
    write: Callable[[ClipFeatures, str], None],
    report: Callable[[CslrError | OSError, Path], None],
) -> bool:
    """Write the features of a sample; report an error and return False if its clip is bad."""
    from cslr_cli.recognizer.features import sample_features

    try:
        clip = sample_features(recognizer, corpus, sample)
    except (CslrError, OSError) as error:
        report(error, corpus.frames_path(sample))
        return False
    write(clip, sample.sample_id)
    return True


def _write_videos(recognizer: Recognizer, videos: list[str], options: ReadOptions, writer: _FeatureWriter) -> bool:
    """Write the features of videos; report a bad one and continue.

    Returns:
        Whether all videos succeeded.
    """
    from cslr_cli.cli.inputs import find_inputs, output_names, read_standard_input
    from cslr_cli.recognizer.features import extract_features

    inputs = find_inputs(videos, read_standard_input)
    succeeded = True
    with shown_progress() as progress, writer.open_split("") as write:
        for index, (path, name) in enumerate(zip(inputs, output_names(inputs), strict=True), start=1):
            try:
                clip = extract_features(recognizer, recognizer.open(path, options))
            except UsageError:
                raise  # a fault that affects every video
            except (CslrError, OSError) as error:
                writer.report(error, path)
                succeeded = False
            else:
                for warning in clip.warnings:
                    print_error(f"{path}: {warning}", kind="warning")
                write(clip, name)
            progress(Progress("features", index, len(inputs)))
    return succeeded
