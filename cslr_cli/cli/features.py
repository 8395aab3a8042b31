"""`cslr features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options, predict_options
from cslr_cli.cli.checkpoints import newest_checkpoint, open_for_use
from cslr_cli.cli.console import print_error, print_json, shown_progress
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.progress import Progress

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.dataset.sample import Sample
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.features import ClipFeatures


def features(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO", help="Videos, folders or zips of pictures, folders of these, patterns."),
    ] = None,
    corpus: Annotated[Path | None, typer.Option("--corpus", help="In place of videos: a prepared corpus.")] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Of the corpus; repeatable. Default: all that it has.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="Folder to write to.")] = Path("features"),
    single_file: Annotated[
        bool, typer.Option("--single-file", help="One file a split, or one for all videos, in place of one a clip.")
    ] = False,
    as_json: options.Json = False,
    fps: predict_options.Fps = None,
    fit: predict_options.Fit = "crop",
    checkpoint: predict_options.Checkpoint = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
) -> None:
    """Write a network's features of each frame and of each step, for other models to train on.

    Writes an `.npz` a clip, `SPLIT/SAMPLE_ID.npz` for a corpus and `NAME.npz` for videos, or with
    `--single-file` one a split; docs/features.md says what is in them.
    """
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.features import write_description

    read_options = ReadOptions(fps=fps, fit=fit)
    _check_options(videos or [], corpus, split, read_options)
    path = checkpoint or newest_checkpoint(runs_dir)
    torch_device = resolve_device(device)
    recognizer = Recognizer(open_for_use(path, vocabulary), device=torch_device, precision=precision.value)
    writer = _FeatureWriter(output, single_file=single_file)
    write_description(recognizer, path, output)
    if corpus is None:
        succeeded = _write_videos(recognizer, videos or [], read_options, writer)
    else:
        succeeded = _write_corpus(recognizer, corpus, split, writer)
    for name, counts in writer.counts.items():
        if as_json:
            print_json({"output": str(output / name), **counts})
        else:
            print(f"{output / name}: {counts['clips']} clips, {counts['frames']} frames, {counts['steps']} steps")
    if not succeeded:
        raise typer.Exit(1)


def _check_options(videos: list[str], corpus: Path | None, split: list[str] | None, read_options: ReadOptions) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: options contradict each other.
    """
    if bool(videos) == (corpus is not None):
        what = "both videos and --corpus" if videos else "neither videos nor --corpus"
        raise UsageError(f"there are {what}", "expected videos, or --corpus and the folder of a prepared corpus")
    if split and corpus is None:
        raise UsageError("--split is of a corpus, and --corpus is not there")
    if corpus is not None and read_options != ReadOptions():
        raise UsageError("--fps and --fit are for videos: the frames of a prepared corpus are as they should be")


class _FeatureWriter:
    """Writes clips to one file each or to one file per split, and counts them.

    Attributes:
        counts: numbers of clips, frames and steps of each split, or of all videos.
    """

    def __init__(self, output: Path, *, single_file: bool) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self._output = output
        self._single_file = single_file

    @contextmanager
    def open_split(self, split: str) -> Iterator[Callable[[ClipFeatures, str], None]]:
        """Return a function that writes a clip of a split under a name; the split of videos is ``""``."""
        from cslr_cli.recognizer.features import FeaturesFile, write_features

        name = f"{split or 'videos'}.npz" if self._single_file else split
        counts = {"clips": 0, "frames": 0, "steps": 0}

        def count(clip: ClipFeatures) -> None:
            counts["clips"] += 1
            counts["frames"] += len(clip.frame_features)
            counts["steps"] += len(clip.step_features)

        if self._single_file:
            with FeaturesFile(self._output / name) as file:

                def add(clip: ClipFeatures, clip_name: str) -> None:
                    file.add(clip)
                    count(clip)

                yield add
        else:

            def write(clip: ClipFeatures, clip_name: str) -> None:
                write_features(clip, self._output / split / f"{clip_name}.npz")
                count(clip)

            yield write
        if counts["clips"]:
            self.counts[name] = counts


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
                    num_errors += not _write_sample(recognizer, corpus, sample, write)
                    progress(Progress(f"features of {split}", index, len(split_samples)))
    return num_errors == 0


def _write_sample(
    recognizer: Recognizer, corpus: PreparedCorpus, sample: Sample, write: Callable[[ClipFeatures, str], None]
) -> bool:
    """Write the features of a sample; report an error and return False if its clip is bad."""
    from cslr_cli.recognizer.features import sample_features

    try:
        clip = sample_features(recognizer, corpus, sample)
    except (CslrError, OSError) as error:
        _print_error(error, corpus.frames_path(sample))
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
                _print_error(error, path)
                succeeded = False
            else:
                for warning in clip.warnings:
                    print_error(f"{path}: {warning}", kind="warning")
                write(clip, name)
            progress(Progress("features", index, len(inputs)))
    return succeeded


def _print_error(error: CslrError | OSError, path: Path) -> None:
    from cslr_cli.recognizer.batch import translate_read_error

    print_error(str(translate_read_error(path, error) if isinstance(error, OSError) else error))
