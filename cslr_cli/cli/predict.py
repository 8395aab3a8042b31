"""`cslr predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.choices import CueUnit
from cslr_cli.cli import options, predict_live
from cslr_cli.cli.console import print_error, print_note, report_error
from cslr_cli.cli.decoding import apply_decoding_options
from cslr_cli.cli.options import make_segmentation, open_network, option
from cslr_cli.cli.predict_outputs import Output, choose_format, plan_output
from cslr_cli.cli.results import existing_files, keep_finished_results, print_kept_results, recorded_options
from cslr_cli.errors import EXIT_FAILED, CslrError, UsageError
from cslr_cli.media.options import ReadOptions
from cslr_cli.output.formats import FORMATS, FormatOptions, OutputFormat
from cslr_cli.recognizer.options import LiveOptions, Segmentation
from cslr_cli.result_files import ResultPlan

if TYPE_CHECKING:
    from cslr_cli.cli.predict_side_outputs import SideOutputs
    from cslr_cli.media.clip_reader import ClipReader
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer import Recognizer

_OUTPUT = options.OUTPUT
# The formats that an option is for.
_OPTION_FORMATS = {"--cues": ("srt", "vtt"), "--all-heads": ("eaf", "textgrid")}


def predict(
    context: typer.Context,
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO",
            help="Videos, folders of pictures or zip files of pictures; folders that contain several of them; patterns "
            "such as 'clips/*.mp4'; or - for a list of paths on standard input. For a camera: its number, or the "
            "address of its stream.",
        ),
    ],
    format_name: Annotated[
        str | None,
        option(
            "--format",
            f"Output format: {', '.join(FORMATS)} (default: by the suffix of --output, otherwise text).",
            "NAME",
            _OUTPUT,
        ),
    ] = None,
    output: Annotated[
        str | None,
        option(
            "--output",
            "File of all results, or folder for one file per input (default: -, standard output).",
            "PATH",
            _OUTPUT,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        option(
            "--json",
            "Print one JSON object per input, also for an input that fails.",
            panel=_OUTPUT,
        ),
    ] = False,
    confidence: Annotated[
        bool,
        option(
            "--confidence",
            "Add the confidence of each gloss to text, subtitles and annotations. json, csv and ctm always have it.",
            panel=_OUTPUT,
        ),
    ] = False,
    cues: Annotated[
        CueUnit | None,
        option("--cues", "Subtitles (srt, vtt): one cue per gloss or per sentence (default: gloss).", panel=_OUTPUT),
    ] = None,
    all_heads: Annotated[
        bool,
        option(
            "--all-heads",
            "Add a tier with the glosses of the convolution head to ELAN and Praat documents. json always has them.",
            panel=_OUTPUT,
        ),
    ] = False,
    render: Annotated[
        str | None, option("--render", "File or folder for MP4 videos with burned-in captions.", "PATH", _OUTPUT)
    ] = None,
    save_logits: Annotated[
        str | None,
        option(
            "--save-logits",
            "File or folder for the logits of both heads as .npz, for your own decoder.",
            "PATH",
            _OUTPUT,
        ),
    ] = None,
    strip: Annotated[
        str | None,
        option("--strip", "File or folder for pictures of frames above the glosses at their times.", "PATH", _OUTPUT),
    ] = None,
    preview: Annotated[
        str | None, option("--preview", "File or folder for pictures that show the network's input.", "PATH", _OUTPUT)
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    source_fps: options.SourceFps = None,
    stream: options.Stream = None,
    start: options.Start = None,
    end: options.End = None,
    frame_fit: options.FrameFit = "crop",
    max_frames: Annotated[
        int | None,
        option(
            "--max-frames",
            "Maximum number of frames (default: no limit). Longer videos keep N evenly spaced frames, as in the "
            "published inference.",
            "N",
            options.VIDEO,
            min=1,
        ),
    ] = None,
    live: Annotated[
        bool, option("--live", "Play a video file in real time, and recognise it like a camera.", panel=options.VIDEO)
    ] = False,
    segment: options.Segment = "auto",
    window: options.Window = None,
    overlap: options.Overlap = None,
    checkpoint: options.CheckpointFile = None,
    runs_dir: options.RunsDir = Path("runs"),
    vocabulary: options.Vocabulary = None,
    settings: options.UseSettings = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    decoder: options.Decoder = None,
    lm: options.LanguageModel = None,
    lm_weight: options.LmWeight = None,
    gloss_bonus: options.GlossBonus = None,
    beam_width: options.BeamWidth = None,
    num_best: options.NumBest = None,
    keep_repeats: options.KeepRepeats = False,
) -> None:
    """Recognise the glosses in videos or from a live camera.

    Prints one line per gloss: start and end in seconds, gloss. If a video cannot be read, the command reports it,
    continues with the next one, and exits with status 1.

    With a camera, it runs until Ctrl-C and prints each gloss as soon as it is certain.

    Examples:
        cslr predict talk.mp4
        cslr predict *.mp4 --format srt --output subtitles/
        cslr predict 0  # the first camera
    """
    changes: dict[str, Any] = {"decoder": decoder, "lm": lm, "lm_weight": lm_weight, "gloss_bonus": gloss_bonus}
    changes |= {"beam_width": beam_width, "keep_repeats": keep_repeats or None, "num_best": num_best}

    def load_recognizer() -> Recognizer:
        from cslr_cli.model.device import resolve_device
        from cslr_cli.recognizer import Recognizer

        path, loaded = open_network(checkpoint, runs_dir, vocabulary, settings)
        decoding = apply_decoding_options(loaded.config.decoding, **changes)
        return Recognizer(loaded, device=resolve_device(device), precision=precision, decoding=decoding, name=str(path))

    if output == "-":  # as in other programs
        output = None
    output_format = choose_format(format_name, as_json, output)
    content_options: dict[str, Any] = {"--cues": cues, "--all-heads": all_heads or None}
    if predict_live.is_live(videos, live):
        outputs = {"--output": output, "--render": render, "--save-logits": save_logits, "--preview": preview}
        outputs["--strip"] = strip
        reading = {
            "--source-fps": source_fps,
            "--stream": stream,
            "--start": start,
            "--end": end,
            "--max-frames": max_frames,
            "--overlap": overlap,
        }
        results = {"--segment": None if segment == "auto" else segment, "--nbest": num_best, "--format": format_name}
        existing_given = {"--overwrite": overwrite or None, "--skip-existing": skip_existing or None}
        predict_live.refuse_options({**outputs, **existing_given, **reading, **results, **content_options})
        live_options = LiveOptions() if window is None else LiveOptions(window)
        predict_live.recognize_camera(
            videos[0], load_recognizer, live_options, frame_fit, as_json=as_json, confidence=confidence
        )
        return
    _refuse_options_of_other_formats(output_format, content_options)
    from cslr_cli.cli.inputs import find_inputs, read_standard_input
    from cslr_cli.cli.predict_side_outputs import plan_side_outputs

    inputs = find_inputs(videos, read_standard_input)
    if not inputs:
        raise UsageError("standard input: no paths", "write the path of one video or folder per line")
    read_options = ReadOptions(source_fps, start, end, frame_fit, max_frames, stream)
    segmentation = make_segmentation(segment, window, overlap)
    content = FormatOptions(confidence, cues or FormatOptions.cues, all_heads)
    recorded = {"--format": output_format.name, **recorded_options(context)}
    plan = ResultPlan("predict", inputs, existing_files(overwrite, skip_existing), recorded)
    results_output = plan_output(output_format, output, inputs, plan)
    side_outputs = plan_side_outputs(render, save_logits, preview, strip, inputs, plan)
    if not plan.has_outputs and (overwrite or skip_existing):
        what = "--overwrite" if overwrite else "--skip-existing"
        raise UsageError(f"{what}: no results are written to files", "add --output PATH")
    plan.check()
    print_kept_results(plan)
    if not plan.todo:
        with plan.open():  # an interrupted call may have left a file that only needs its name
            return
    if not _recognize_inputs(
        load_recognizer(), inputs, read_options, segmentation, results_output, side_outputs, plan, content, as_json
    ):
        raise typer.Exit(EXIT_FAILED)


def _recognize_inputs(
    recognizer: Recognizer,
    inputs: Sequence[Path],
    read_options: ReadOptions,
    segmentation: Segmentation,
    output: Output,
    side_outputs: SideOutputs,
    plan: ResultPlan,
    content: FormatOptions,
    as_json: bool,
) -> bool:
    """Recognize the inputs in order and write their results; return whether all succeeded."""
    from cslr_cli.cli.inputs import is_video_file, output_names
    from cslr_cli.recognizer.batch import recognize_files

    font = side_outputs.find_font(recognizer.vocabulary.glosses)
    names = output_names(inputs)

    def format_options(index: int) -> FormatOptions:
        video = inputs[index] if is_video_file(inputs[index]) else None
        return replace(content, video=video, output_dir=output.folder(index), recording_name=names[index])

    def recognize(place: int, clip: ClipReader) -> Recognition:
        index = plan.todo[place]
        return recognizer.recognize(
            clip,
            segmentation=segmentation,
            keep_logits=side_outputs.logits is not None,
            on_sentence=lambda sentence: results.write_sentence(index, inputs[index], sentence, format_options(index)),
        )

    def report(index: int, error: CslrError) -> None:
        report_error(error, inputs[index], as_json=as_json)
        plan.record_failed(index, error.message)

    num_errors = 0
    results = output.writer(plan)
    with keep_finished_results(plan), plan.open(recognizer.checkpoint.describe()):
        outcomes = recognize_files(recognizer, [inputs[index] for index in plan.todo], read_options, recognize)
        for index, outcome in zip(plan.todo, outcomes, strict=True):
            if outcome.error is not None or outcome.recognition is None:
                report(index, outcome.error or CslrError("no result"))
                num_errors += 1
                continue
            for warning in outcome.recognition.warnings:
                print_error(f"{outcome.path}: {warning}", kind="warning")
            _print_skipped_rests(outcome.recognition)
            try:
                results.write(index, outcome.recognition, format_options(index))
                side_outputs.write(index, outcome.recognition, recognizer, read_options, font)
            except CslrError as error:
                report(index, error)
                num_errors += 1
            else:
                plan.record_done(index)
    if isinstance(output.paths, Path) and output.paths.exists():
        without = f", without {num_errors} that failed; --skip-existing adds them" if num_errors else ""
        print_note(f"written: {output.paths}{without}")
    return num_errors == 0


def _refuse_options_of_other_formats(output_format: OutputFormat, given: Mapping[str, object]) -> None:
    """Raise UsageError if an option has a value other than None and is not for the format."""
    for name, value in given.items():
        formats = _OPTION_FORMATS[name]
        if value is not None and output_format.name not in formats:
            raise UsageError(
                f"{name} with --format {output_format.name}", f"use --format {' or '.join(formats)}, or remove {name}"
            )


def _print_skipped_rests(recognition: Recognition) -> None:
    """Print how much of a recording was skipped, because it may contain signing that moves little."""
    if not recognition.rests:
        return
    start, end = max(recognition.rests, key=lambda rest: rest[1] - rest[0])
    seconds = sum(end - start for start, end in recognition.rests)
    print_note(
        f"{recognition.source}: skipped {seconds:.1f} s of pauses, the longest from {start:.1f} s to {end:.1f} s\n"
        "hint: use --segment windows to skip nothing"
    )
