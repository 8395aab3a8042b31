"""`cslr predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cslr_cli.choices import Precision
from cslr_cli.cli import options, predict_live, predict_options
from cslr_cli.cli.checkpoints import find_newest_checkpoint, open_checkpoint_and_report
from cslr_cli.cli.console import print_error, print_note
from cslr_cli.cli.decoding import apply_decoding_options
from cslr_cli.cli.predict_outputs import Output, choose_format, plan_output
from cslr_cli.errors import EXIT_FAILED, CslrError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.recognizer.options import LiveOptions, Segmentation, SegmentationMethod

if TYPE_CHECKING:
    from cslr_cli.cli.predict_side_outputs import SideOutputs
    from cslr_cli.media.clip_reader import ClipReader
    from cslr_cli.recognition import Recognition, Sentence
    from cslr_cli.recognizer import Recognizer


def predict(
    videos: predict_options.Videos,
    format_name: predict_options.Format = None,
    output: predict_options.OutputPath = None,
    as_json: predict_options.JsonLines = False,
    confidence: predict_options.Confidence = False,
    num_best: predict_options.NumBest = None,
    render: predict_options.Render = None,
    save_logits: predict_options.SaveLogits = None,
    preview: predict_options.Preview = None,
    fps: predict_options.Fps = None,
    start: predict_options.Start = None,
    end: predict_options.End = None,
    fit: predict_options.Fit = "crop",
    max_frames: predict_options.MaxFrames = None,
    live: predict_options.Live = False,
    split: predict_options.Split = "auto",
    window: predict_options.Window = None,
    overlap: predict_options.Overlap = None,
    checkpoint: predict_options.Checkpoint = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    decoder: options.Decoder = None,
    lm: options.LanguageModel = None,
    lm_weight: options.LmWeight = None,
    gloss_bonus: options.GlossBonus = None,
    beam_width: options.BeamWidth = None,
    keep_repeats: options.KeepRepeats = False,
) -> None:
    """Recognise the glosses in videos or from a live camera.

    Prints one line per gloss: start and end in seconds, gloss. If a video cannot be read, the command reports it,
    continues with the next one, and exits with status 1.

    With a camera, it runs until Ctrl-C and prints each gloss as soon as it is certain.

    Examples:
        cslr predict talk.mp4
        cslr predict *.mp4 --format srt --output subtitles/
        cslr predict 0                             # the first camera
    """
    decoding = {"decoder": decoder, "lm": lm, "lm_weight": lm_weight, "gloss_bonus": gloss_bonus}
    decoding |= {"beam_width": beam_width, "keep_repeats": keep_repeats or None, "num_best": num_best}
    loader = _RecognizerLoader(checkpoint, runs_dir, vocabulary, device, precision, decoding)
    output_format = choose_format(format_name, as_json, output)
    if predict_live.is_live(videos, live):
        outputs = {"--output": output, "--render": render, "--save-logits": save_logits, "--preview": preview}
        reading = {"--fps": fps, "--start": start, "--end": end, "--max-frames": max_frames, "--overlap": overlap}
        results = {"--split": None if split == "auto" else split, "--nbest": num_best, "--format": format_name}
        predict_live.refuse_options({**outputs, **reading, **results})
        live_options = LiveOptions() if window is None else LiveOptions(window)
        predict_live.recognize_camera(videos[0], loader.load, live_options, fit, as_json=as_json, confidence=confidence)
        return
    from cslr_cli.cli.inputs import find_inputs, read_standard_input
    from cslr_cli.cli.predict_side_outputs import plan_side_outputs

    inputs = find_inputs(videos, read_standard_input)
    if not inputs:
        raise UsageError("standard input: no paths", "write the path of one video or folder per line")
    job = _Job(
        inputs,
        ReadOptions(fps, start, end, fit, max_frames),
        _make_segmentation(split, window, overlap),
        plan_output(output_format, output, inputs),
        plan_side_outputs(render, save_logits, preview, inputs),
        confidence,
    )
    if not job.run(loader.load):
        raise typer.Exit(EXIT_FAILED)


@dataclass(frozen=True)
class _RecognizerLoader:
    """The options that determine the recognizer; see the options of the same names."""

    checkpoint: Path | None
    runs_dir: Path
    vocabulary: Path | None
    device: str
    precision: Precision
    decoding_changes: dict[str, Any]

    def load(self) -> Recognizer:
        """Load the recognizer."""
        from cslr_cli.model.device import resolve_device
        from cslr_cli.recognizer import Recognizer

        loaded = open_checkpoint_and_report(self.checkpoint or find_newest_checkpoint(self.runs_dir), self.vocabulary)
        return Recognizer(
            loaded,
            device=resolve_device(self.device),
            precision=self.precision,
            decoding=apply_decoding_options(loaded.config.decoding, **self.decoding_changes),
        )


@dataclass(frozen=True)
class _Job:
    """The recognition of several inputs.

    Attributes:
        inputs: recordings.
        read_options: how they are read.
        segmentation: how long ones are divided.
        output: destination of the results.
        side_outputs: additional files.
        confidence: whether text shows confidences.
    """

    inputs: Sequence[Path]
    read_options: ReadOptions
    segmentation: Segmentation
    output: Output
    side_outputs: SideOutputs
    confidence: bool

    def run(self, load_recognizer: Callable[[], Recognizer]) -> bool:
        """Recognize the inputs in order and write their results; return whether all succeeded."""
        from cslr_cli.cli.inputs import is_video_file, output_names
        from cslr_cli.output.formats import FormatOptions
        from cslr_cli.recognizer.batch import recognize_files

        recognizer = load_recognizer()
        font = self.side_outputs.find_font(recognizer.vocabulary.glosses)
        names = output_names(self.inputs)

        def format_options(index: int) -> FormatOptions:
            video = self.inputs[index] if is_video_file(self.inputs[index]) else None
            return FormatOptions(self.confidence, video, self.output.folder(index), names[index])

        def recognize(index: int, clip: ClipReader) -> Recognition:
            def write_sentence(sentence: Sentence) -> None:
                results.write_sentence(index, self.inputs[index], sentence, format_options(index))

            return recognizer.recognize(
                clip,
                segmentation=self.segmentation,
                keep_logits=self.side_outputs.logits is not None,
                on_sentence=write_sentence,
            )

        num_errors = 0
        with self.output.open() as results:
            for index, outcome in enumerate(recognize_files(recognizer, self.inputs, self.read_options, recognize)):
                if outcome.recognition is None:
                    print_error(str(outcome.error))
                    num_errors += 1
                    continue
                for warning in outcome.recognition.warnings:
                    print_error(f"{outcome.path}: {warning}", kind="warning")
                _print_skipped_rests(outcome.recognition)
                try:
                    results.write(index, outcome.recognition, format_options(index))
                    self.side_outputs.write(index, outcome.recognition, recognizer, self.read_options, font)
                except CslrError as error:
                    print_error(str(error))
                    num_errors += 1
        return num_errors == 0


def _print_skipped_rests(recognition: Recognition) -> None:
    """Print how much of a recording was skipped, because it may contain signing that moves little."""
    if not recognition.rests:
        return
    start, end = max(recognition.rests, key=lambda rest: rest[1] - rest[0])
    seconds = sum(end - start for start, end in recognition.rests)
    print_note(
        f"{recognition.source}: skipped {seconds:.1f} s of rests, the longest from {start:.1f} s to {end:.1f} s\n"
        "hint: use --split windows to skip nothing"
    )


def _make_segmentation(method: SegmentationMethod, window: float | None, overlap: float | None) -> Segmentation:
    """Return how a long recording is divided.

    Raises:
        UsageError: a value is out of range, or `--window` or `--overlap` is given for another method.
    """
    if (window, overlap) != (None, None):
        if method not in ("auto", "windows"):
            raise UsageError(
                f"--window or --overlap with --split {method}", "remove --window and --overlap, or use --split windows"
            )
        method = "windows"
    seconds = Segmentation.window if window is None else window
    return Segmentation(method, seconds, min(Segmentation.overlap, seconds / 2) if overlap is None else overlap)
