"""Options that several commands share, and their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli import choices
from cslr_cli.cli.completion import CHANGEABLE_SECTIONS, complete_changeable_setting, find_completion
from cslr_cli.cli.console import print_error, print_note
from cslr_cli.errors import UsageError
from cslr_cli.media.options import FitMode
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS, Segmentation, SegmentationMethod

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.checkpoints.corpus_origin import FoundCorpus
    from cslr_cli.dataset.manifest import PreparedCorpus


def option(
    name: str,
    help: str,
    metavar: str | None = None,
    panel: str | None = None,
    complete: Callable[..., Any] | None = None,
    **limits: float,
) -> Any:
    """Describe an option of a command.

    Args:
        name: name on the command line.
        help: noun phrase, or imperative for a flag, with unit; the default of the parameter is added.
        metavar: placeholder of the value in capitals; None for a flag, or for choices, which are listed.
        panel: heading in the help.
        complete: function that completes the value in a shell; by default, `find_completion` finds it.
        limits: `min` and `max` of a number.
    """
    complete = complete or find_completion(name, metavar)
    return typer.Option(
        name,
        help=help,
        metavar=metavar,
        rich_help_panel=panel,
        autocompletion=complete,
        **limits,  # type: ignore[arg-type]
    )


# Panels of the help.
NETWORK = "Network"
DECODING = "Decoding"
SCORING = "Scoring"
OUTPUT = "Output"
VIDEO = "Video"
LONG_RECORDINGS = "Long recordings"

Overwrite = Annotated[bool, option("--overwrite", "Replace existing files.", panel=OUTPUT)]
SkipExisting = Annotated[
    bool,
    option(
        "--skip-existing",
        "Keep finished results. Make only those that are missing, that failed, or whose input has changed.",
        panel=OUTPUT,
    ),
]
Json = Annotated[bool, option("--json", "Print the result as JSON.")]
UseSettings = Annotated[
    list[str] | None,
    option(
        "--set",
        "Setting of the checkpoint's configuration, for example decoding.max_classes=80. Repeatable.",
        "KEY=VALUE",
        NETWORK,
        complete_changeable_setting,
    ),
]
Settings = Annotated[
    list[str] | None,
    option("--set", "Setting of the configuration, for example optimizer.lr=5e-5. Repeatable.", "KEY=VALUE"),
]
Splits = Annotated[
    list[str] | None,
    option("--split", "Splits of the corpus, separated by commas (default: dev,test). Repeatable.", "SPLIT,…"),
]
RunsDir = Annotated[Path, option("--runs-dir", "Folder of the runs.", "FOLDER", NETWORK)]
Vocabulary = Annotated[
    Path | None,
    option(
        "--vocabulary",
        "Vocabulary of a published checkpoint: gloss_dict.npy, a prepared corpus, or a text file with one "
        "gloss per line.",
        "PATH",
        NETWORK,
    ),
]
CheckpointFile = Annotated[
    Path | None,
    option(
        "--checkpoint",
        "Checkpoint file, run (its best.pt) or name of a model (default: the newest finished run).",
        "FILE|RUN|NAME",
        NETWORK,
    ),
]
SourceFps = Annotated[
    float | None,
    option(
        "--source-fps",
        "Real frame rate of the input in frames per second, if the file states a wrong one (default: the rate in the "
        "video; for pictures, the rate of the corpus).",
        "FPS",
        VIDEO,
    ),
]
Start = Annotated[
    float | None,
    option("--start", "Start of the part to recognise, in seconds (default: the beginning).", "SECONDS", VIDEO),
]
End = Annotated[
    float | None, option("--end", "End of the part to recognise, in seconds (default: the end).", "SECONDS", VIDEO)
]
Stream = Annotated[
    int | None,
    option(
        "--stream",
        "Number of the video stream, as cslr inspect VIDEO shows it (default: the main stream of the file).",
        "N",
        VIDEO,
        min=0,
    ),
]
FrameFit = Annotated[
    FitMode,
    option(
        "--frame-fit",
        "Conversion of frames with another aspect ratio than in the corpus. stretch: distort; crop: keep the middle; "
        "pad: add black borders.",
        panel=VIDEO,
    ),
]
Segment = Annotated[
    SegmentationMethod,
    option(
        "--segment",
        "Division of long recordings. rests: at pauses in the signing; windows: into overlapping windows; none: no "
        f"division; auto: rests if longer than {MAX_UNDIVIDED_SECONDS:g} s, otherwise none.",
        panel=LONG_RECORDINGS,
    ),
]
Window = Annotated[
    float | None,
    option(
        "--window",
        f"Window length in seconds (default: {Segmentation.window:g}). For videos, implies --segment windows.",
        "SECONDS",
        LONG_RECORDINGS,
    ),
]
Overlap = Annotated[
    float | None,
    option(
        "--overlap",
        f"Overlap of neighbouring windows in seconds (default: {Segmentation.overlap:g}).",
        "SECONDS",
        LONG_RECORDINGS,
    ),
]
Device = Annotated[
    str,
    option(
        "--device",
        "Device. auto: the first GPU, otherwise the CPU; cuda: the first GPU; cuda:N or N: GPU number N.",
        "auto|cpu|cuda|cuda:N|N",
        NETWORK,
    ),
]
Precision = Annotated[
    choices.Precision,
    option(
        "--precision",
        "Number format of the network. auto: bf16 on devices that compute it fast, otherwise fp16 on a GPU "
        "and fp32 on a CPU.",
        panel=NETWORK,
    ),
]
Decoder = Annotated[
    choices.DecoderName | None,
    option("--decoder", "Decoder (default: the checkpoint's, or pyctcdecode with --lm).", panel=DECODING),
]
BeamWidth = Annotated[
    int | None,
    option(
        "--beam-width",
        "Number of prefixes that the decoder keeps per step (default: the checkpoint's).",
        "N",
        DECODING,
        min=1,
    ),
]
KeepRepeats = Annotated[
    bool, option("--keep-repeats", "Keep repeated glosses (published systems merge adjacent repeats).", panel=DECODING)
]
NumBest = Annotated[
    int | None,
    option("--nbest", "Number of hypotheses per sentence, the best first (default: 1).", "N", DECODING, min=1),
]
LanguageModel = Annotated[
    Path | None,
    option(
        "--lm", "n-gram language model of glosses, ARPA or KenLM. Selects the decoder pyctcdecode.", "FILE", DECODING
    ),
]
LmWeight = Annotated[
    float | None,
    option(
        "--lm-weight",
        "Weight of the language model, relative to the network's weight of 1 (default: 0.5).",
        "NUMBER",
        DECODING,
        min=0,
    ),
]
GlossBonus = Annotated[
    float | None,
    option(
        "--gloss-bonus",
        "Score added per gloss (default: 0). Offsets the language model's preference for short sentences.",
        "NUMBER",
        DECODING,
    ),
]
Tool = Annotated[
    choices.ScoringTool,
    option(
        "--tool",
        "Scoring tool. builtin: counts errors like sclite; sclite: runs sclite; jiwer: aligns at unit costs; "
        "published-python: second scorer of the published code, which merges repeats once more.",
        panel=SCORING,
    ),
]


def parse_splits(values: Sequence[str] | None) -> list[str] | None:
    """Return the splits that `--split` names, each once; None if it is not given."""
    if not values:
        return None
    names = [name.strip() for value in values for name in value.split(",")]
    if not all(names):
        raise UsageError(f"--split {' --split '.join(values)}: a name is empty", "use for example --split dev,test")
    return list(dict.fromkeys(names))


def make_segmentation(method: SegmentationMethod, window: float | None, overlap: float | None) -> Segmentation:
    """Return how a long recording is divided.

    Raises:
        UsageError: a value is out of range, or `--window` or `--overlap` is given for another method.
    """
    if (window, overlap) != (None, None):
        if method not in ("auto", "windows"):
            raise UsageError(
                f"--window or --overlap with --segment {method}",
                "remove --window and --overlap, or use --segment windows",
            )
        method = "windows"
    seconds = Segmentation.window if window is None else window
    return Segmentation(method, seconds, min(Segmentation.overlap, seconds / 2) if overlap is None else overlap)


def check_output_folder(output: Path | None) -> None:
    """Raise UsageError if the folder of `--output` is a file. Called before the work starts."""
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError(f"--output {output}: a file, not a folder", "choose another name")


def open_checkpoint_and_report(path: Path, vocabulary: Path | None, corpus: PreparedCorpus | None = None) -> Checkpoint:
    """Open a checkpoint of cslr, or a published one with its vocabulary; print notes and warnings about it."""
    from cslr_cli.checkpoints.published import open_checkpoint

    conversion = open_checkpoint(path, vocabulary, corpus)
    for note in conversion.notes:
        print_note(f"note: {note}")
    for warning in conversion.checkpoint.warnings:
        print_error(f"{path}: {warning}", kind="warning")
    return conversion.checkpoint


def find_checkpoint_and_report(reference: Path | None, runs_dir: Path = Path("runs")) -> Path:
    """Return the checkpoint file that `FILE|RUN|NAME` means, by default of the newest finished run; print warnings."""
    from cslr_cli.training.run.runs import find_checkpoint

    found = find_checkpoint(reference, runs_dir)
    for warning in found.warnings:
        print_error(warning, kind="warning")
    return found.path


def open_network(
    reference: Path | None, runs_dir: Path, vocabulary: Path | None, settings: Sequence[str] | None = None
) -> tuple[Path, Checkpoint]:
    """Open the checkpoint of `--checkpoint`; print its run, corpus, epoch and WER on dev.

    Returns:
        Its path, and the checkpoint with the settings of `--set`.
    """
    from cslr_cli.training.run.runs import describe_checkpoint, wer_warning

    path = find_checkpoint_and_report(reference, runs_dir)
    checkpoint = open_checkpoint_and_report(path, vocabulary)
    print_note(f"checkpoint: {describe_checkpoint(path, checkpoint)}")
    warning = wer_warning(path, checkpoint)
    if warning is not None:
        print_error(warning, kind="warning")
    return path, change_settings(checkpoint, settings)


def change_settings(checkpoint: Checkpoint, settings: Sequence[str] | None) -> Checkpoint:
    """Return a checkpoint with the settings of `--set`; only those that need no training can change."""
    from cslr_cli.config import Config, apply_settings

    fixed = [setting for setting in settings or () if setting.partition(".")[0].strip() not in CHANGEABLE_SECTIONS]
    if fixed:
        raise UsageError(
            f"--set {fixed[0]}: fixed by the training of the network",
            f"settings that can change: those of {' and '.join(CHANGEABLE_SECTIONS)}",
        )
    if not settings:
        return checkpoint
    values = checkpoint.config.to_dict()
    apply_settings(values, settings)
    return replace(checkpoint, config=Config.from_dict(values, "the checkpoint with --set"))


def find_corpus_and_report(path: Path, checkpoint: Checkpoint, given: Path | None) -> PreparedCorpus:
    """Find the corpus of a checkpoint file; print which one is used and why, and a warning if it differs."""
    from cslr_cli.checkpoints.corpus_origin import find_corpus

    found = find_corpus(checkpoint.corpus, given, path.parent)
    report_corpus(found)
    return found.corpus


def report_corpus(found: FoundCorpus) -> None:
    """Print which corpus is used and why, and a warning if it is not that of the training."""
    print_note(f"corpus: {found.corpus.path} ({found.rule})")
    for warning in found.warnings:
        print_error(warning, kind="warning")
