"""Documents for the annotation tools ELAN (`.eaf`) and Praat (`.TextGrid`), written with pympi."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from cslr_cli.errors import MissingPackageError, extra_hint
from cslr_cli.output.formats import FormatOptions
from cslr_cli.output.subtitles import Cue, make_cues
from cslr_cli.output.text import ranked_hypotheses, sentences_of
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

try:
    from pympi.Elan import Eaf
    from pympi.Praat import TextGrid
except ModuleNotFoundError as error:
    raise MissingPackageError(
        "ELAN and Praat documents need pympi-ling, which is not installed", extra_hint("elan")
    ) from error

_EAF_VERSION = "3.0"
_MIME_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
_OTHER_MIME_TYPE = "video/*"  # ELAN writes this for every other video


def format_eaf(recognition: Recognition, options: FormatOptions) -> str:
    """Format an ELAN document: a link to the video, and one tier per hypothesis with one annotation per gloss."""
    document = Eaf(author="cslr")
    document.adocument.update(
        {
            "VERSION": _EAF_VERSION,
            "FORMAT": _EAF_VERSION,
            "xsi:noNamespaceSchemaLocation": f"http://www.mpi.nl/tools/elan/EAFv{_EAF_VERSION}.xsd",
        }
    )
    document.header.update({"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if options.video is not None:
        document.add_linked_file(**_video_link(options.video, options.output_dir))
    document.remove_tier("default")
    for name, cues in _make_tiers(recognition, options).items():
        document.add_tier(name, ann="cslr")
        for cue in cues:
            document.add_annotation(name, cue.start, cue.end, cue.text)
    _sort_time_slots(document)
    document.properties[:] = [("lastUsedAnnotationId", document.maxaid)]
    return _read_back(document.to_file, ".eaf")


def format_textgrid(recognition: Recognition, options: FormatOptions) -> str:
    """Format a Praat TextGrid, long form: one interval tier per hypothesis with one interval per gloss."""
    tiers = _make_tiers(recognition, options)
    last = max((cue.end for cues in tiers.values() for cue in cues), default=1)
    document = TextGrid(xmin=0.0, xmax=max(recognition.start + recognition.duration, last / 1000))
    for name, cues in tiers.items():
        tier = document.add_tier(name)
        for cue in cues:
            tier.add_interval(cue.start / 1000, cue.end / 1000, cue.text)
    return _read_back(document.to_file, ".TextGrid")


def _make_tiers(recognition: Recognition, options: FormatOptions) -> Mapping[str, Sequence[Cue]]:
    """Make the tiers of an annotation document by their names; docs/predict.md describes them."""
    best, *others = ranked_hypotheses(recognition)
    tiers = {"glosses": make_cues(best)}
    if options.show_confidence:
        known = [(timed, timed.confidence) for timed in best if timed.confidence is not None]
        tiers["confidence"] = make_cues([TimedGloss(f"{value:.2f}", timed.start, timed.end) for timed, value in known])
    tiers.update({f"glosses {rank}": make_cues(other) for rank, other in enumerate(others, start=2)})
    if options.all_heads and recognition.conv_glosses:
        tiers["convolution head"] = make_cues(recognition.conv_glosses)
    sentences = sentences_of(recognition)
    if len(sentences) > 1:
        tiers["sentences"] = make_cues([TimedGloss(each.text, each.start, each.end) for each in sentences])
    return tiers


def _video_link(video: Path, output_dir: Path | None) -> dict[str, str | None]:
    """Make ELAN's link to a video: its absolute path, and its path relative to the document's folder."""
    absolute = Path(os.path.abspath(video))
    return {
        "file_path": file_url(absolute),
        "relpath": None if output_dir is None else _relative_link(absolute, Path(os.path.abspath(output_dir))),
        "mimetype": _MIME_TYPES.get(absolute.suffix.lower(), _OTHER_MIME_TYPE),
    }


def file_url(path: PurePath) -> str:
    r"""Return the URL of an absolute path as ELAN writes it: no percent-encoding, two slashes for `\\server`."""
    url_path = path.as_posix()
    is_network_path = isinstance(path, PureWindowsPath) and url_path.startswith("//")
    return f"file:{url_path}" if is_network_path else f"file:///{url_path.lstrip('/')}"


def _relative_link(video: Path, folder: Path) -> str | None:
    """Return the path of a video relative to a folder, or None if there is none (another drive on Windows).

    A symbolic link among the folders can make the path wrong that follows from the names alone. Then the real folders
    decide.
    """
    try:
        relative = os.path.relpath(video, folder)
        if os.path.realpath(Path(os.path.realpath(folder), relative)) != os.path.realpath(video):
            relative = os.path.relpath(Path(os.path.realpath(video.parent), video.name), os.path.realpath(folder))
    except ValueError:
        return None
    link = Path(relative).as_posix()
    return link if link.startswith("../") else f"./{link}"


def _sort_time_slots(document: Any) -> None:
    """Number the time slots of all tiers in the order of their times, as ELAN does."""
    ordered = sorted(document.timeslots, key=lambda slot: (document.timeslots[slot], int(slot.removeprefix("ts"))))
    new_names = {slot: f"ts{number}" for number, slot in enumerate(ordered, start=1)}
    document.timeslots = {new_names[slot]: document.timeslots[slot] for slot in ordered}
    for tier_annotations, *_ in document.tiers.values():
        for name, (start, end, *rest) in tier_annotations.items():
            tier_annotations[name] = (new_names[start], new_names[end], *rest)


def _read_back(write: Callable[[str], object], suffix: str) -> str:
    """Return the text that `write` writes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"document{suffix}"
        write(str(path))
        return path.read_text(encoding="utf-8")
