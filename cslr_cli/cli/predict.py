"""`cslr predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cslr_cli.cli import options, predict_live
from cslr_cli.cli import predict_options as given
from cslr_cli.cli.checkpoints import newest_checkpoint, open_for_use
from cslr_cli.cli.console import print_error, print_note
from cslr_cli.cli.decoding import chosen_decoding
from cslr_cli.cli.predict_outputs import Output, chosen_format, plan_output
from cslr_cli.errors import CslrError, UsageError

if TYPE_CHECKING:
    from cslr_cli.cli.predict_extras import Extras
    from cslr_cli.media.clip_reader import ClipReader
    from cslr_cli.media.options import ReadOptions
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer import Recognizer, Segmentation

_WINDOW, _OVERLAP = 10.0, 2.0  # seconds


def predict(
    videos: given.Videos,
    form: given.Form = None,
    output: given.OutputPath = None,
    as_json: given.JsonLines = False,
    confidence: given.Confidence = False,
    num_best: given.NumBest = None,
    render: given.Render = None,
    save_logits: given.SaveLogits = None,
    preview: given.Preview = None,
    fps: given.Fps = None,
    start: given.Start = None,
    end: given.End = None,
    fit: given.FitOption = given.FitName.crop,
    max_frames: given.MaxFrames = None,
    live: given.Live = False,
    split: given.Split = given.SplitName.auto,
    window: given.Window = None,
    overlap: given.Overlap = None,
    checkpoint: given.Checkpoint = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
    decoder: options.Decoder = None,
    lm: options.LanguageModel = None,
    lm_weight: options.LmWeight = None,
    gloss_bonus: options.GlossBonus = None,
    beam_width: options.BeamWidth = None,
    keep_repeats: options.KeepRepeats = False,
) -> None:
    """Recognise the glosses of videos, with their times.

    Prints a line a gloss: start, end, gloss. Several videos: the results come in their order; a bad one is
    named and passed over, and the exit status is 1.

    With a camera in place of videos it watches until Ctrl-C, and prints each gloss once, when it is sure.
    """
    decoding = {"decoder": decoder, "lm": lm, "lm_weight": lm_weight, "gloss_bonus": gloss_bonus}
    decoding |= {"beam_width": beam_width, "keep_repeats": keep_repeats or None, "num_best": num_best}
    network = _Network(checkpoint, runs_dir, vocabulary, device, precision.value, decoding)
    chosen = chosen_format(None if form is None else form.value, as_json, output)
    if predict_live.is_live(videos, live):
        places = {"--output": output, "--render": render, "--save-logits": save_logits, "--preview": preview}
        reading = {"--fps": fps, "--start": start, "--end": end, "--max-frames": max_frames, "--overlap": overlap}
        cut = None if split is given.SplitName.auto else split
        predict_live.refuse({**places, **reading, "--split": cut, "--nbest": num_best, "--format": form})
        seconds = _WINDOW if window is None else window
        predict_live.watch(videos[0], network.recognizer, seconds, fit.value, as_json=as_json, confidence=confidence)
        return
    from cslr_cli.cli.inputs import find_inputs, standard_input
    from cslr_cli.cli.predict_extras import plan_extras
    from cslr_cli.media.options import ReadOptions

    inputs = find_inputs(videos, standard_input)
    if not inputs:
        raise UsageError("standard input names no video", "expected the path of a video or a folder on each line")
    how = _How(
        ReadOptions(fps, start, end, fit.value, max_frames), _long_video(split.value, window, overlap), confidence
    )
    planned = plan_output(chosen, output, inputs), plan_extras(render, save_logits, preview, inputs)
    if not _recognize_all(inputs, network.recognizer, how, *planned):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Network:
    """Which network recognises, and what its decoder does; see the options of the same names."""

    checkpoint: Path | None
    runs_dir: Path
    vocabulary: Path | None
    device: str
    precision: Any  # one of `PrecisionName`, as text
    decoding_changes: dict[str, Any]

    def recognizer(self) -> Recognizer:
        """Load it."""
        from cslr_cli.model.device import resolve_device
        from cslr_cli.recognizer import Recognizer

        loaded = open_for_use(self.checkpoint or newest_checkpoint(self.runs_dir), self.vocabulary)
        return Recognizer(
            loaded,
            device=resolve_device(self.device),
            precision=self.precision,
            decoding=chosen_decoding(loaded.config.decoding, **self.decoding_changes),
        )


@dataclass(frozen=True)
class _How:
    """How each input is read and shown.

    Attributes:
        reading: what of it is read.
        long: how it is split if it is long.
        confidence: whether the result says how sure each gloss is, where it need not.
    """

    reading: ReadOptions
    long: Segmentation
    confidence: bool


def _recognize_all(
    inputs: Sequence[Path], make_recognizer: Callable[[], Recognizer], how: _How, output: Output, extras: Extras
) -> bool:
    """Recognise the inputs in turn, and write down what comes of each.

    Returns:
        Whether all went well.
    """
    from cslr_cli.cli.inputs import is_video_file, output_names
    from cslr_cli.output.formats import FormatOptions
    from cslr_cli.recognizer.batch import recognize_files

    recognizer = make_recognizer()
    font = extras.font(recognizer.vocabulary.glosses)
    names = output_names(inputs)

    def format_options(place: int) -> FormatOptions:
        video = inputs[place] if is_video_file(inputs[place]) else None
        return FormatOptions(how.confidence, video, output.folder(place), names[place])

    def recognize(place: int, clip: ClipReader) -> Recognition:
        return recognizer.recognize(
            clip,
            segmentation=how.long,
            keep_logits=extras.logits is not None,
            on_sentence=lambda sentence: results.begin_sentence(place, inputs[place], sentence, format_options(place)),
        )

    errors = 0
    with output.opened() as results:
        for place, outcome in enumerate(recognize_files(recognizer, inputs, how.reading, recognize)):
            if outcome.recognition is None:
                print_error(str(outcome.error))
                errors += 1
                continue
            for warning in outcome.recognition.warnings:
                print_error(f"{outcome.path}: {warning}", kind="warning")
            _tell_rests(outcome.recognition)
            try:
                results.add(place, outcome.recognition, format_options(place))
                extras.write(place, outcome.recognition, recognizer, how.reading, font)
            except CslrError as error:
                print_error(str(error))
                errors += 1
    return errors == 0


def _tell_rests(recognition: Recognition) -> None:
    """Say how much of a recording was passed over, for signing that moves little may be in it."""
    if not recognition.rests:
        return
    start, end = max(recognition.rests, key=lambda rest: rest[1] - rest[0])
    seconds = sum(end - start for start, end in recognition.rests)
    print_note(
        f"{recognition.source}: {seconds:.1f} s were taken for rests and passed over, the longest from {start:.1f} s "
        f"to {end:.1f} s; with --split windows nothing is"
    )


def _long_video(split: Any, window: float | None, overlap: float | None) -> Segmentation:
    """How a long recording is split.

    Raises:
        UsageError: a value makes no sense, or windows are described for another way to split.
    """
    from cslr_cli.recognizer import Segmentation

    if (window, overlap) != (None, None):
        if split not in ("auto", "windows"):
            raise UsageError(f"--split {split} has no windows", "leave out --window and --overlap, or --split")
        split = "windows"
    seconds = _WINDOW if window is None else window
    return Segmentation(split, seconds, min(_OVERLAP, seconds / 2) if overlap is None else overlap)
