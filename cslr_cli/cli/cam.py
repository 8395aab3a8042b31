"""`cslr cam`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typing_extensions import TypedDict

from cslr_cli.cam.options import CamMethod, CamOptions
from cslr_cli.choices import Head
from cslr_cli.cli import options
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, shown_progress, table
from cslr_cli.cli.options import find_corpus_and_report, open_network, option
from cslr_cli.cli.results import plan_folder
from cslr_cli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from cslr_cli.cam import Explanation
    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.dataset.sample import Sample
    from cslr_cli.progress import ProgressCallback
    from cslr_cli.result_files import MarkedFolder

FILES = ("cam.png", "cam.mp4", "cam.npz")
CORRELATION_FILE = "correlation.png"

_MAPS = "Maps"
_CORPUS = "Clip of a corpus instead of a video"

Video = Annotated[
    Path | None, typer.Argument(metavar="VIDEO", help="Video, or a folder or zip file of pictures; 30 seconds at most.")
]
Glosses = Annotated[
    list[str] | None, option("--gloss", "Recognised gloss to explain (default: all). Repeatable.", "GLOSS", _MAPS)
]
Reference = Annotated[
    str | None,
    option("--reference", "Signed sentence. The maps explain it instead of the recognised sentence.", "'A B C'", _MAPS),
]
Layer = Annotated[
    str | None,
    option(
        "--layer",
        "Layer of the maps: stem, layer1 to layer4, layer2.correlated and so on (default: depends on the network).",
        "LAYER",
        _MAPS,
    ),
]
Method = Annotated[CamMethod, option("--method", "Computation of a map from the gradients.", panel=_MAPS)]
ExplainedHead = Annotated[Head, option("--head", "Head of the network whose logits are explained.", panel=_MAPS)]
Place = Annotated[
    str | None,
    option(
        "--place",
        "Position of the correlation maps in the frame, in pixels (default: where the heat map is highest).",
        "X,Y",
        _MAPS,
    ),
]
PlaceTime = Annotated[
    float | None,
    option(
        "--at",
        "Time of the frame of the correlation maps, in seconds (default: where the heat map is highest).",
        "SECONDS",
        _MAPS,
    ),
]
Corpus = Annotated[
    Path | None, option("--corpus", "Prepared corpus (default: the corpus of the training).", "FOLDER", _CORPUS)
]
SampleId = Annotated[str | None, option("--sample", "Name of the clip.", "ID", _CORPUS)]


class HottestPosition(TypedDict):
    """The position with the highest value of a heat map.

    Attributes:
        x: pixels from the left edge of the source's frame.
        y: pixels from the upper edge.
        seconds: time of the frame in the source.
    """

    x: float
    y: float
    seconds: float


class GlossMapDocument(TypedDict):
    """A gloss and its heat map.

    Attributes:
        gloss: label.
        start: start, seconds in the source.
        end: end, seconds in the source.
        confidence: confidence, 0 to 1; null if unknown.
        steps: output steps of the gloss.
        hottest: position with the highest value; null if the map is blank.
        blank: reason why the map is blank; null if it is not.
    """

    gloss: str
    start: float
    end: float
    confidence: float | None
    steps: list[int]
    hottest: HottestPosition | None
    blank: str | None


class ExplanationDocument(TypedDict):
    """Heat maps: what `cslr cam --json` prints.

    Attributes:
        schema_version: version of this document.
        source: path of the video or of the clip's frames.
        layer: layer of the maps.
        head: head of the network whose logits are explained.
        method: computation of a map from the gradients.
        sentence: explained glosses of the sentence.
        glosses: each gloss with its map.
        warnings: messages about the source and the maps.
        files: paths of the written files, by content.
    """

    schema_version: Literal[1]
    source: str
    layer: str
    head: Head
    method: CamMethod
    sentence: list[str]
    glosses: list[GlossMapDocument]
    warnings: list[str]
    files: dict[str, str]


def cam(
    context: typer.Context,
    video: Video = None,
    output: Annotated[
        Path | None,
        option("--output", "Folder of the maps (default: cam/NAME/, by the video or clip).", "FOLDER", options.OUTPUT),
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    as_json: options.Json = False,
    glosses: Glosses = None,
    reference: Reference = None,
    layer: Layer = None,
    method: Method = "grad-cam",
    head: ExplainedHead = "sequence",
    place: Place = None,
    at: PlaceTime = None,
    corpus: Corpus = None,
    sample_id: SampleId = None,
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
) -> None:
    """Draw heat maps of the image regions that support each gloss.

    Writes a sheet of pictures (`cam.png`), a video (`cam.mp4`) and the maps as arrays (`cam.npz`). For
    CorrNet and CorrNet+, it also draws the maps of the correlation blocks (`correlation.png`). Computes in fp32.

    Examples:
        cslr cam talk.mp4
        cslr cam talk.mp4 --method hires-cam --output maps/
    """
    if (video is None) == (sample_id is None):
        raise UsageError("expected a video or --sample, not both", "cslr cam VIDEO, or cslr cam --sample ID")
    if corpus is not None and sample_id is None:
        raise UsageError("--corpus without --sample", "add --sample ID")
    folder = _plan_folder(context, video, sample_id, corpus)
    if folder.is_done:
        return
    from cslr_cli.cam import explain
    from cslr_cli.media.options import ReadOptions
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer

    cam_options = CamOptions(
        glosses=tuple(glosses or ()),
        reference=None if reference is None else tuple(reference.split()),
        head=head,
        layer=layer,
        method=method,
        place=None if place is None else _parse_place(place),
        at=at,
    )
    reading = ReadOptions(source_fps, start, end, frame_fit, stream=stream)
    path, opened = open_network(checkpoint, runs_dir, vocabulary, settings)
    source = video if video is not None else _frames_of_sample(path, opened, corpus, str(sample_id))
    recognizer = Recognizer(opened, device=resolve_device(device), precision="fp32")
    with shown_progress() as progress:
        explanation = explain(recognizer, source, cam_options, reading=reading, progress=progress)
        folder.begin()
        files = _write_files(explanation, folder.path, progress)
        folder.finish(path.name for path in files.values())
    _print_warnings(explanation, opened.config.model.name)
    if as_json:
        print_json(_explanation_document(explanation, source, files))
        return
    _print_tables(explanation, files)


def _plan_folder(
    context: typer.Context, video: Path | None, sample_id: str | None, corpus: Path | None
) -> MarkedFolder:
    """Plan the folder of the maps: by `--output`, otherwise by the name of the video or clip."""
    from cslr_cli.cli.inputs import output_names  # imports OpenCV, which --help does not need

    source: Path | str
    if video is None:
        source, name = f"--sample {sample_id}", str(sample_id).replace("/", "_")
        if corpus is not None:
            source = f"{source} --corpus {corpus.name}"
    else:
        source, (name,) = video, output_names([video])
    path = context.params["output"] or Path("cam") / name
    return plan_folder(context, path, [source], FILES, optional=[CORRELATION_FILE])


def _parse_place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--place {text}: not a position", "use x and y in pixels, for example 105,130") from error
    return x, y


def _frames_of_sample(path: Path, checkpoint: Checkpoint, corpus_path: Path | None, sample_id: str) -> Path:
    """Return the path of a sample's frames, and print its reference."""
    corpus = find_corpus_and_report(path, checkpoint, corpus_path)
    sample = find_sample(corpus, sample_id)
    print_note(f"signed: {' '.join(sample.glosses)}")
    checkpoint.corpus.check_frame_size(corpus)
    return corpus.frames_path(sample)


def find_sample(corpus: PreparedCorpus, sample_id: str) -> Sample:
    """Return the sample with this id from any split; the error for an unknown id suggests similar ones."""
    sample_ids: list[str] = []
    for split in corpus.splits:
        for sample in corpus.samples(split):
            if sample.sample_id == sample_id:
                return sample
            sample_ids.append(sample.sample_id)
    hint = did_you_mean(sample_id, sample_ids, most=3) or (
        f"use a name such as {sample_ids[0]}" if sample_ids else None
    )
    raise UsageError(f"{corpus.path}: no clip {sample_id!r} among {len(sample_ids)} clips of {corpus.name}", hint)


def _write_files(explanation: Explanation, folder: Path, progress: ProgressCallback) -> dict[str, Path]:
    """Write all files; return their paths by content."""
    from cslr_cli.cam import write_correlation_sheet, write_maps, write_sheet, write_video

    files = dict(zip(("sheet", "video", "maps"), (folder / name for name in FILES), strict=True))
    write_sheet(explanation, files["sheet"])
    write_video(explanation, files["video"], progress)
    write_maps(explanation, files["maps"])
    correlations = folder / CORRELATION_FILE
    if write_correlation_sheet(explanation, correlations):
        files["correlation maps"] = correlations
    else:
        correlations.unlink(missing_ok=True)  # written by an earlier call with another network
    return files


def _print_warnings(explanation: Explanation, network_name: str) -> None:
    for warning in explanation.warnings:
        print_error(warning, kind="warning")
    if explanation.correlations is None:
        print_note(f"no correlation maps: {network_name} has no correlation blocks")


def _print_tables(explanation: Explanation, files: dict[str, Path]) -> None:
    rows = []
    for gloss_map in explanation.glosses:
        timed, hottest = gloss_map.timed, explanation.film.hottest(gloss_map)
        place = "–" if hottest is None else f"{hottest.x:.0f},{hottest.y:.0f} at {hottest.seconds:.2f} s"
        confidence = "–" if timed.confidence is None else f"{timed.confidence:.2f}"
        rows.append([timed.gloss, f"{timed.start:.2f}", f"{timed.end:.2f}", confidence, place])
    print_result(table(["gloss", "start", "end", "confidence", "hottest position"], rows, left=(0, 4)))
    print_result(table(["output", "file"], [[content, str(path)] for content, path in files.items()], left=(0, 1)))


def _explanation_document(explanation: Explanation, source: Path, files: dict[str, Path]) -> ExplanationDocument:
    glosses: list[GlossMapDocument] = []
    for gloss_map in explanation.glosses:
        timed, hottest = gloss_map.timed, explanation.film.hottest(gloss_map)
        glosses.append(
            {
                "gloss": timed.gloss,
                "start": timed.start,
                "end": timed.end,
                "confidence": timed.confidence,
                "steps": list(gloss_map.steps),
                "hottest": None if hottest is None else {"x": hottest.x, "y": hottest.y, "seconds": hottest.seconds},
                "blank": gloss_map.blank_reason,
            }
        )
    return {
        "schema_version": 1,
        "source": str(source),
        "layer": explanation.layer,
        "head": explanation.head,
        "method": explanation.method,
        "sentence": [timed.gloss for timed in explanation.sentence],
        "glosses": glosses,
        "warnings": list(explanation.warnings),
        "files": {content: str(path) for content, path in files.items()},
    }
