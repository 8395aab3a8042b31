"""`cslr features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli import options
from cslr_cli.cli import predict_options as given
from cslr_cli.cli.checkpoints import newest_checkpoint, open_for_use
from cslr_cli.cli.console import print_error, print_json, shown_progress
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.progress import Progress

if TYPE_CHECKING:
    from cslr_cli.media.options import ReadOptions
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
    fps: given.Fps = None,
    fit: given.FitOption = given.FitName.crop,
    checkpoint: given.Checkpoint = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
) -> None:
    """Write a network's features of each frame and of each step, for other models to train on.

    Writes an `.npz` a clip, `SPLIT/SAMPLE_ID.npz` for a corpus and `NAME.npz` for videos, or with
    `--single-file` one a split; docs/features.md says what is in them.
    """
    from cslr_cli.media.options import ReadOptions
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.recognizer.features import write_description

    reading = ReadOptions(fps=fps, fit=fit.value)
    _check(videos or [], corpus, split, reading)
    path = checkpoint or newest_checkpoint(runs_dir)
    where = resolve_device(device)
    recognizer = Recognizer(open_for_use(path, vocabulary), device=where, precision=precision.value)
    writer = _Writer(output, single_file=single_file)
    write_description(recognizer, path, output)
    if corpus is None:
        done = _of_videos(recognizer, videos or [], reading, writer)
    else:
        done = _of_corpus(recognizer, corpus, split, writer)
    for name, counts in writer.counts.items():
        if as_json:
            print_json({"output": str(output / name), **counts})
        else:
            print(f"{output / name}: {counts['clips']} clips, {counts['frames']} frames, {counts['steps']} steps")
    if not done:
        raise typer.Exit(1)


def _check(videos: list[str], corpus: Path | None, split: list[str] | None, reading: ReadOptions) -> None:
    """Refuse options that say nothing together.

    Raises:
        UsageError: as said.
    """
    from cslr_cli.media.options import ReadOptions

    if bool(videos) == (corpus is not None):
        what = "both videos and --corpus" if videos else "neither videos nor --corpus"
        raise UsageError(f"there are {what}", "expected videos, or --corpus and the folder of a prepared corpus")
    if split and corpus is None:
        raise UsageError("--split is of a corpus, and --corpus is not there")
    if corpus is not None and reading != ReadOptions():
        raise UsageError("--fps and --fit are for videos: the frames of a prepared corpus are as they should be")


class _Writer:
    """Writes clips in one of the two forms, and counts.

    Attributes:
        counts: clips, frames and steps of each split, or of all videos.
    """

    def __init__(self, output: Path, *, single_file: bool) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self._output = output
        self._single_file = single_file

    @contextmanager
    def of(self, split: str) -> Iterator[Callable[[ClipFeatures, str], None]]:
        """Give a function that writes a clip of a split under a name; the split of videos is called ``""``."""
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


def _of_corpus(recognizer: Recognizer, folder: Path, splits: list[str] | None, writer: _Writer) -> bool:
    """Write the features of a corpus; a bad clip is named and passed over.

    Returns:
        Whether there was none.
    """
    from cslr_cli.corpora.registry import open_prepared_corpus
    from cslr_cli.recognizer.features import sample_features

    corpus = open_prepared_corpus(folder)
    recognizer.checkpoint.corpus.check_frame_size(corpus)
    samples = {split: corpus.samples(split) for split in (splits or corpus.splits)}
    good = True
    with shown_progress() as progress:
        for split, clips in samples.items():
            with writer.of(split) as write:
                for place, sample in enumerate(clips, start=1):
                    try:
                        clip = sample_features(recognizer, corpus, sample)
                    except (CslrError, OSError) as error:
                        _tell(error, corpus.frames_path(sample))
                        good = False
                    else:
                        write(clip, sample.sample_id)
                    progress(Progress(f"features of {split}", place, len(clips)))
    return good


def _of_videos(recognizer: Recognizer, videos: list[str], reading: ReadOptions, writer: _Writer) -> bool:
    """Write the features of videos; a bad one is named and passed over.

    Returns:
        Whether there was none.
    """
    from cslr_cli.cli.inputs import find_inputs, output_names, standard_input
    from cslr_cli.recognizer.features import extract_features

    inputs = find_inputs(videos, standard_input)
    good = True
    with shown_progress() as progress, writer.of("") as write:
        for place, (path, name) in enumerate(zip(inputs, output_names(inputs), strict=True), start=1):
            try:
                clip = extract_features(recognizer, recognizer.open(path, reading))
            except UsageError:
                raise  # wrong for all of them alike
            except (CslrError, OSError) as error:
                _tell(error, path)
                good = False
            else:
                for warning in clip.warnings:
                    print_error(f"{path}: {warning}", kind="warning")
                write(clip, name)
            progress(Progress("features", place, len(inputs)))
    return good


def _tell(error: CslrError | OSError, path: Path) -> None:
    """Say why a clip is passed over."""
    from cslr_cli.recognizer.batch import translate_read_error

    print_error(str(translate_read_error(path, error) if isinstance(error, OSError) else error))
