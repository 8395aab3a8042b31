"""From a video to the maps of what in it speaks for which gloss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cslr_cli.cam.clip import ClipInNetwork
from cslr_cli.cam.correlations import correlated_stages, looks_for_places
from cslr_cli.cam.explained_glosses import aligned_sentence, check_known, chosen_places
from cslr_cli.cam.explanation import Correlations, Explanation, Film, GlossMap, WholeFrames
from cslr_cli.cam.gradcam import Head, Method, check_method
from cslr_cli.cam.layers import default_layer, split_backbone, widened
from cslr_cli.decoding import Hypothesis
from cslr_cli.decoding.gloss_timing import retime_glosses, to_timed_glosses
from cslr_cli.errors import CslrError, MediaError, UsageError
from cslr_cli.media.clip_reader import ClipReader
from cslr_cli.media.options import ReadOptions
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.device import translate_out_of_memory
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.recognizer import Recognizer
from cslr_cli.recognizer.long_video import LONGEST_WHOLE
from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class CamOptions:
    """What maps are made, and for what.

    Attributes:
        glosses: names of recognised glosses; none means all of them.
        reference: a sentence to look for in place of what is recognised.
        head: `sequence` or `conv`: whose logits are explained.
        layer: whose maps; None: the one that `default_layer` says.
        method: `grad-cam` or `hires-cam`.
        place: x and y in the source's frame, pixels: whose correlation maps are wanted; None: where the map of the
            surest gloss is highest.
        at: seconds, when the frame that the place is in is shown; None: when that map is highest.
    """

    glosses: tuple[str, ...] = ()
    reference: tuple[str, ...] | None = None
    head: Head = "sequence"
    layer: str | None = None
    method: Method = "grad-cam"
    place: tuple[float, float] | None = None
    at: float | None = None


def explain(
    recognizer: Recognizer,
    source: Path,
    options: CamOptions | None = None,
    *,
    reading: ReadOptions | None = None,
    progress: ProgressCallback = no_progress,
) -> Explanation:
    """Make the maps of a video.

    The network computes in fp32, whatever the recognizer's precision: gradients want it.

    Args:
        recognizer: its checkpoint is explained, on its device.
        source: a video, or a folder or zip of pictures.
        options: which maps; None: Grad-CAM of all glosses that are recognised.
        reading: what of the source is read, and how; None: all of it.
        progress: is told of each gloss.

    Raises:
        UsageError: no such layer or method, a gloss that is not in the vocabulary, a place that is not seen.
        CslrError: nothing was recognised, or not what was asked for, or every map is blank.
        MediaError: the source cannot be read, or is longer than `LONGEST_WHOLE` seconds.
        DeviceError: the device is out of memory.
    """
    options, reading = options or CamOptions(), reading or ReadOptions()
    checkpoint = recognizer.checkpoint
    network = checkpoint.build_network().to(recognizer.device)
    layer = options.layer
    if layer is None:
        layer = default_layer(network.backbone, checkpoint.config.data.input_size)
    # Now: what is wrong with the question should not be told after the work.
    check_method(options.method)
    split_backbone(network.backbone, layer)
    _check_correlating(network.backbone, checkpoint.config.model.name, options)
    check_known((*options.glosses, *(options.reference or ())), checkpoint.vocabulary)
    with recognizer.open(source, reading) as reader:
        pictures = _pictures(reader)
    seen = reader.fit.visible_box(*reader.source_size)
    frames = WholeFrames(partial(recognizer.open, source, reading))
    film = Film(reader.name, frames, reader.edges(), reader.source_size, seen)
    _check_place(film, options)
    with translate_out_of_memory("explain a shorter part, by --start and --end, or compute with --device cpu"):
        clip = ClipInNetwork(network, pictures, film.name)
        sentence = _sentence(recognizer, clip, film, options)
        names = [timed.gloss for timed in sentence]
        said = aligned_sentence(clip.log_probs(options.head), names, checkpoint.vocabulary)
        chosen = chosen_places(options.glosses, names, checkpoint.vocabulary)
        maps = []
        for done, place in enumerate(chosen, start=1):
            maps.append(_gloss_map(clip, film, said, place, sentence[place], layer, options))
            progress(Progress("heat maps", done, len(chosen)))
        _refuse_blank(maps)
        correlations = _correlations(clip, film, maps, options) if clip.stages else None
    warnings = (*reader.warnings, *_blank(maps))
    return Explanation(film, sentence, tuple(maps), layer, options.head, options.method, correlations, warnings)


def _pictures(reader: ClipReader) -> NDArray[np.uint8]:
    """The pictures of a source that is short enough: uint8 (T, S, S, 3)."""
    pictures = []
    for picture in reader:
        pictures.append(picture)
        if len(pictures) > LONGEST_WHOLE * reader.fps:
            raise MediaError(
                f"{reader.name}: longer than {LONGEST_WHOLE:g} s, the most that maps are made of at a time",
                "choose a part by --start and --end",
            )
    return np.stack(pictures)


def _sentence(recognizer: Recognizer, clip: ClipInNetwork, film: Film, options: CamOptions) -> tuple[TimedGloss, ...]:
    """The sentence to explain: what is recognised, or the reference; the times of both are found in one way."""
    if options.reference is None:
        found = recognizer.recognize_features(clip.features.to(recognizer.dtype), film.edges)
        glosses = found.glosses if options.head == "sequence" else found.conv_glosses
        if not glosses:
            raise CslrError(
                f"{film.name}: no gloss was recognised, so there is nothing to explain",
                "name the glosses that should be there by --reference",
            )
        return glosses
    checkpoint = recognizer.checkpoint
    hypothesis = aligned_sentence(clip.log_probs(options.head), options.reference, checkpoint.vocabulary)
    if checkpoint.config.loss.conv_ctc > 0:
        (hypothesis,) = retime_glosses([hypothesis], clip.log_probs("conv"))
    return to_timed_glosses(hypothesis, checkpoint.vocabulary, clip.network.plan.step_spans(film.edges.tolist()))


def _gloss_map(
    clip: ClipInNetwork,
    film: Film,
    said: Hypothesis,
    place: int,
    timed: TimedGloss,
    layer: str,
    options: CamOptions,
) -> GlossMap:
    """The maps of a gloss over the pictures of its time, of the steps at which the head says it, and those between.

    The two differ: an LSTM may say a gloss before or after it is signed.
    """
    steps, plan = said.steps[place], clip.network.plan
    slope = clip.slope(options.head, said.gloss_ids[place], steps)
    at_steps = plan.frames_seen(steps, clip.num_frames)
    at_time = widened(film.pictures_between(timed.start, timed.end), plan.left_padding, clip.num_frames)
    pictures = range(min(at_steps.start, at_time.start), max(at_steps.stop, at_time.stop))
    maps = clip.heat(slope, pictures, layer, options.method)
    blank = None
    if not slope.any():
        blank = f"its score does not depend on any frame, all gradients of the {options.head} head are zero"
    elif not maps.any():
        blank = f"nothing speaks for it at {layer}, what its gradients weigh is nowhere above zero"
    return GlossMap(timed, steps, pictures, maps, blank)


def _blank(maps: Sequence[GlossMap]) -> list[str]:
    """What is to be said of the maps in which there is nothing."""
    return [
        f"the map of {single.timed.gloss} ({single.timed.start:.2f} s) is blank: {single.blank}"
        for single in maps
        if single.blank
    ]


def _refuse_blank(maps: Sequence[GlossMap]) -> None:
    if all(single.blank for single in maps):
        raise CslrError(
            "\n".join(_blank(maps)),
            "another layer may show something (--layer layer2), or the other head (--head conv)",
        )


def _correlations(clip: ClipInNetwork, film: Film, maps: Sequence[GlossMap], options: CamOptions) -> Correlations:
    """The network's own maps: of the place that was asked for, or where the heat is, or of the frame as a whole."""
    shares = None
    if looks_for_places(clip.network.backbone):
        picture, place = _place(film, maps, options)
        shares = (place[0] - film.box.left) / film.box.width, (place[1] - film.box.top) / film.box.height
    else:
        place = None
        picture = film.picture_at(options.at) if options.at is not None else _place(film, maps, options)[0]
    around = tuple(clip.correlation(stage, picture, shares) for stage in clip.stages)
    return Correlations(picture, place, around, {stage: clip.identification(stage) for stage in clip.stages})


def _check_correlating(backbone: ResNet, name: str, options: CamOptions) -> None:
    """Refuse to look for what a network does not look for itself."""
    if (options.place, options.at) != (None, None) and not correlated_stages(backbone):
        raise UsageError(
            f"{name} has no correlation blocks, so a place has no correlation maps", "leave out --place and --at"
        )
    if options.place is not None and not looks_for_places(backbone):
        raise UsageError(
            f"{name} looks for the summary of a frame in those around it, and not for a place",
            "leave out --place; --at chooses the frame",
        )


def _check_place(film: Film, options: CamOptions) -> None:
    """Refuse a place that the network does not see, and a time when nothing is shown."""
    start, end = float(film.edges[0]), float(film.edges[-1])
    if options.at is not None and not start <= options.at <= end:
        raise UsageError(f"no frame is shown at {options.at:g} s", f"expected {start:.2f} to {end:.2f}")
    if options.place is None:
        return
    (x, y), (left, top, right, bottom) = options.place, film.seen
    if not (left <= x <= right and top <= y <= bottom):
        width, height = film.size
        raise UsageError(
            f"the place {x:g},{y:g} is not in what the network sees of a frame",
            f"expected x from {left} to {right} and y from {top} to {bottom}: the frames have {width}×{height} pixels",
        )


def _place(film: Film, maps: Sequence[GlossMap], options: CamOptions) -> tuple[int, tuple[float, float]]:
    """A picture, and x and y in the source's frame: as far as they are not given, where the heat is."""
    asked = None if options.at is None else film.picture_at(options.at)
    if options.place is not None and asked is not None:
        return asked, options.place
    spots = [(single.confidence, spot) for single in maps if (spot := film.hottest(single, asked)) is not None]
    if not spots:
        raise UsageError(f"no gloss has any heat at {options.at:g} s, to choose a place by", "give one: --place X,Y")
    _, spot = max(spots, key=lambda found: found[0])
    return spot.picture, options.place or (spot.x, spot.y)
