"""Explains a video: recognises or aligns a sentence, and makes the heat maps of its glosses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.clip_maps import ClipMaps
from cslr_cli.cam.correlation_maps import correlated_stages, correlates_places
from cslr_cli.cam.explanation import Correlations, Explanation, Film, GlossMap
from cslr_cli.cam.gradcam import check_method
from cslr_cli.cam.layers import default_layer, split_backbone, widen_range
from cslr_cli.cam.options import CamOptions
from cslr_cli.decoding import Hypothesis
from cslr_cli.decoding.gloss_timing import retime_glosses, time_glosses, to_timed_glosses
from cslr_cli.decoding.hypothesis import LogProbs
from cslr_cli.errors import CslrError, MediaError, UsageError, did_you_mean
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.options import ReadOptions
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.device import translate_out_of_memory
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.recognition import confidence_warnings
from cslr_cli.recognizer import Recognizer
from cslr_cli.recognizer.options import MAX_UNDIVIDED_SECONDS
from cslr_cli.scoring import TimedGloss
from cslr_cli.vocabulary import Vocabulary

_MAX_SUGGESTIONS = 3  # names suggested for an unknown gloss
_MAX_LISTED_GLOSSES = 20  # a vocabulary of at most so many glosses is listed in full


def explain(
    recognizer: Recognizer,
    source: Path,
    options: CamOptions | None = None,
    *,
    reading: ReadOptions | None = None,
    progress: ProgressCallback = no_progress,
) -> Explanation:
    """Make the maps of a video.

    The network computes in fp32, whatever the recognizer's precision, because gradients need it.

    Args:
        recognizer: the recognizer whose checkpoint is explained, on its device.
        source: a video, or a folder or zip of pictures.
        options: which maps to make; None for Grad-CAM of all recognised glosses.
        reading: which part of the source is read, and how; None for the whole source.
        progress: called after each gloss.

    Raises:
        UsageError: unknown layer, method or gloss, or a place that the network does not see.
        CslrError: nothing was recognised, or not a gloss of the options, or every map is blank.
        MediaError: the source cannot be read, or is longer than `MAX_UNDIVIDED_SECONDS` seconds.
        DeviceError: the device is out of memory.
    """
    options, reading = options or CamOptions(), reading or ReadOptions()
    checkpoint = recognizer.checkpoint
    vocabulary = checkpoint.vocabulary
    network = checkpoint.build_network().to(recognizer.device)
    default = default_layer(network.backbone, checkpoint.config.data.input_size)
    layer = default if options.layer is None else options.layer
    # All options are checked before the work starts.
    check_method(options.method)
    split_backbone(network.backbone, layer)
    _check_correlation_options(network.backbone, checkpoint.config.model.name, options)
    check_glosses_known((*options.glosses, *(options.reference or ())), vocabulary)
    with recognizer.open(source, reading) as reader:
        pictures = _read_pictures(reader)
    open_reader, size = partial(recognizer.open, source, reading), reader.source_size
    film = Film(reader.name, open_reader, reader.edges(), size, reader.fit.visible_box(*size))
    _check_place_visible(film, options)
    with translate_out_of_memory("use a shorter part of the video (--start, --end), or --device cpu"):
        clip = ClipMaps(network, pictures, film.name)
        sentence = _find_sentence(recognizer, clip, film, options)
        names = [timed.gloss for timed in sentence]
        aligned = align_sentence(clip.log_probs(options.head), names, vocabulary)
        chosen = choose_glosses(options.glosses, names, vocabulary)
        gloss_maps = []
        for num_done, index in enumerate(chosen, start=1):
            gloss_maps.append(_make_gloss_map(clip, film, aligned, index, sentence[index], layer, options))
            progress(Progress("heat maps", num_done, len(chosen)))
        blank_warnings = _describe_blank_maps(gloss_maps)
        if len(blank_warnings) == len(gloss_maps):
            raise CslrError(
                "\n".join(blank_warnings),
                "try another layer (--layer layer2) or the other head (--head conv)",
            )
        correlations = _make_correlations(clip, film, gloss_maps, options) if clip.stages else None
    doubts = confidence_warnings(sentence) if options.reference is None else ()
    warnings = (*reader.warnings, *doubts, *blank_warnings)
    return Explanation(film, sentence, tuple(gloss_maps), layer, options.head, options.method, correlations, warnings)


def _read_pictures(reader: ClipReader) -> NDArray[np.uint8]:
    """Read the pictures of a source of at most `MAX_UNDIVIDED_SECONDS` seconds: uint8 (T, S, S, 3)."""
    pictures = []
    for picture in reader:
        pictures.append(picture)
        if len(pictures) > MAX_UNDIVIDED_SECONDS * reader.fps:
            raise MediaError(
                f"{reader.name}: longer than {MAX_UNDIVIDED_SECONDS:g} s, the limit for heat maps",
                "select a part with --start and --end",
            )
    return np.stack(pictures)


def _find_sentence(recognizer: Recognizer, clip: ClipMaps, film: Film, options: CamOptions) -> tuple[TimedGloss, ...]:
    """Return the recognised sentence, or the reference, with times that are found in the same way."""
    if options.reference is None:
        recognised = recognizer.recognize_features(clip.features.to(recognizer.dtype), film.edges)
        glosses = recognised.glosses if options.head == "sequence" else recognised.conv_glosses
        if not glosses:
            raise CslrError(
                f"{film.name}: no gloss was recognised, so there is nothing to explain",
                "name the signed glosses: --reference 'A B C'",
            )
        return glosses
    checkpoint = recognizer.checkpoint
    hypothesis = align_sentence(clip.log_probs(options.head), options.reference, checkpoint.vocabulary)
    if checkpoint.config.loss.conv_ctc > 0:
        (hypothesis,) = retime_glosses([hypothesis], clip.log_probs("conv"))
    return to_timed_glosses(hypothesis, checkpoint.vocabulary, clip.network.plan.step_spans(film.edges.tolist()))


def _make_gloss_map(
    clip: ClipMaps,
    film: Film,
    aligned: Hypothesis,
    index: int,
    timed: TimedGloss,
    layer: str,
    options: CamOptions,
) -> GlossMap:
    """Make the maps of gloss `index` of a sentence that is aligned to the head's log probabilities.

    They cover the pictures of its time, of its steps, and those between: an LSTM may emit a gloss before or after it
    is signed.
    """
    steps, plan = aligned.steps[index], clip.network.plan
    gradient = clip.score_gradient(options.head, aligned.gloss_ids[index], steps)
    at_steps = plan.frames_seen(steps, clip.num_frames)
    at_time = widen_range(film.pictures_between(timed.start, timed.end), plan.left_padding, clip.num_frames)
    pictures = range(min(at_steps.start, at_time.start), max(at_steps.stop, at_time.stop))
    maps = clip.heat_maps(gradient, pictures, layer, options.method)
    blank_reason = None
    if not gradient.any():
        blank_reason = f"all gradients of the {options.head} head are zero"
    elif not maps.any():
        blank_reason = f"the weighted activations of {layer} are nowhere above zero"
    return GlossMap(timed, steps, pictures, maps, blank_reason)


def _describe_blank_maps(gloss_maps: Sequence[GlossMap]) -> list[str]:
    return [
        f"the map of {gloss_map.timed.gloss} ({gloss_map.timed.start:.2f} s) is blank: {gloss_map.blank_reason}"
        for gloss_map in gloss_maps
        if gloss_map.blank_reason
    ]


# The network's own maps


def _make_correlations(clip: ClipMaps, film: Film, gloss_maps: Sequence[GlossMap], options: CamOptions) -> Correlations:
    """Make the network's own maps of the place in the options, of the hottest place, or of the whole frame."""
    relative_place = None
    if correlates_places(clip.network.backbone):
        picture, place = _choose_place(film, gloss_maps, options)
        relative_place = (
            (place[0] - film.box.left) / film.box.width,
            (place[1] - film.box.top) / film.box.height,
        )
    else:
        place = None
        if options.at is not None:
            picture = film.picture_at(options.at)
        else:
            picture, _ = _choose_place(film, gloss_maps, options)
    return Correlations(
        picture,
        place,
        tuple(clip.correlation_maps(stage, picture, relative_place) for stage in clip.stages),
        {stage: clip.identification_maps(stage) for stage in clip.stages},
    )


def _choose_place(film: Film, gloss_maps: Sequence[GlossMap], options: CamOptions) -> tuple[int, tuple[float, float]]:
    """Return a picture, and x and y in the source's frame: those of the options, or else the hottest ones."""
    picture = None if options.at is None else film.picture_at(options.at)
    if options.place is not None and picture is not None:
        return picture, options.place
    hot_spots = [
        (gloss_map.confidence, hot_spot)
        for gloss_map in gloss_maps
        if (hot_spot := film.hottest(gloss_map, picture)) is not None
    ]
    if not hot_spots:
        raise UsageError(f"--at {options.at:g}: all heat maps of this frame are blank", "choose a place: --place X,Y")
    _, hot_spot = max(hot_spots, key=lambda candidate: candidate[0])
    return hot_spot.picture, options.place or (hot_spot.x, hot_spot.y)


def _check_correlation_options(backbone: ResNet, network_name: str, options: CamOptions) -> None:
    """Refuse `place` and `at` for networks that do not correlate places or frames."""
    if (options.place, options.at) != (None, None) and not correlated_stages(backbone):
        raise UsageError(f"--place and --at: {network_name} has no correlation blocks", "remove --place and --at")
    if options.place is not None and not correlates_places(backbone):
        raise UsageError(
            f"--place: {network_name} correlates summaries of frames, not places",
            "remove --place; select the frame with --at",
        )


def _check_place_visible(film: Film, options: CamOptions) -> None:
    """Refuse a place that the network does not see, and a time outside the film."""
    start, end = float(film.edges[0]), float(film.edges[-1])
    if options.at is not None and not start <= options.at <= end:
        raise UsageError(f"--at {options.at:g}: outside the video", f"use {start:.2f} to {end:.2f} seconds")
    if options.place is None:
        return
    (x, y), (left, top, right, bottom) = options.place, film.visible_area
    if not (left <= x <= right and top <= y <= bottom):
        width, height = film.size
        raise UsageError(
            f"--place {x:g},{y:g}: outside the part of a frame that the network sees",
            f"use x from {left} to {right} and y from {top} to {bottom} (the frames have {width}×{height} pixels)",
        )


# Which glosses are explained


def align_sentence(log_probs: LogProbs, sentence: Sequence[str], vocabulary: Vocabulary) -> Hypothesis:
    """Find the most probable steps of the glosses of a sentence, whatever the network would recognise.

    Args:
        log_probs: float (T', V), the log probabilities of the clip.
        sentence: at least one gloss.
        vocabulary: the network's vocabulary.
    """
    if not sentence:
        raise UsageError("the reference has no gloss", "separate its glosses by spaces: --reference 'A B C'")
    check_glosses_known(sentence, vocabulary)
    gloss_ids = tuple(vocabulary.encode(sentence))
    try:
        return time_glosses(log_probs, [(gloss_ids, 0.0)])[0]
    except ValueError as error:
        raise UsageError(
            f"the reference has {len(sentence)} glosses, more than fit into {len(log_probs)} steps of the network",
            "use a shorter reference or a longer part of the video",
        ) from error


def choose_glosses(names: Sequence[str], sentence: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    """Return the positions of the glosses of a sentence that have one of the names; of all glosses without names."""
    check_glosses_known(names, vocabulary)
    missing = [name for name in names if name not in sentence]
    if missing:
        raise CslrError(
            f"--gloss {', '.join(missing)}: not in the explained sentence, {' '.join(sentence)}",
            "to explain a gloss that was not recognised, give the whole sentence with --reference",
        )
    return [index for index, gloss in enumerate(sentence) if not names or gloss in names]


def check_glosses_known(glosses: Sequence[str], vocabulary: Vocabulary) -> None:
    """Refuse glosses that are not in the vocabulary; the error names all of them, each with similar ones."""
    faults = []
    for gloss in glosses:
        if gloss not in vocabulary:
            question = did_you_mean(gloss, vocabulary.glosses, most=_MAX_SUGGESTIONS)
            faults.append(f"{gloss!r} is not in the vocabulary" + (f"; {question}" if question else ""))
    if faults:
        hint = f"use one of the {len(vocabulary.glosses)} glosses of the vocabulary"
        if len(vocabulary.glosses) <= _MAX_LISTED_GLOSSES:
            hint = f"use one of {', '.join(vocabulary.glosses)}"
        raise UsageError("\n".join(dict.fromkeys(faults)), hint)
