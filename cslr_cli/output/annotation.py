"""Documents for annotation tools: ELAN (`.eaf`) and Praat (`.TextGrid`), by pympi."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cslr_cli.errors import MissingPackageError
from cslr_cli.output.document import Shown
from cslr_cli.output.hypotheses import ranked_hypotheses, sentences
from cslr_cli.output.subtitles import Cue, cues
from cslr_cli.recognition import Recognition
from cslr_cli.scoring import TimedGloss

_EAF_VERSION = "3.0"
_MIME_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
_OTHER_VIDEO = "video/*"  # what ELAN itself writes for a video that it has no type for


def eaf(recognition: Recognition, shown: Shown) -> str:
    """An ELAN document: the video linked, and a tier for each hypothesis, with an annotation a gloss.

    Raises:
        MissingPackageError: pympi is not installed.
    """
    document = _pympi("Elan").Eaf(author="cslr")
    document.adocument.update(
        {
            "VERSION": _EAF_VERSION,
            "FORMAT": _EAF_VERSION,
            "xsi:noNamespaceSchemaLocation": f"http://www.mpi.nl/tools/elan/EAFv{_EAF_VERSION}.xsd",
        }
    )
    document.header.update({"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if shown.media is not None:
        document.add_linked_file(**_link(shown.media, shown.folder))
    document.remove_tier("default")
    for name, tier_cues in tiers(recognition, confidence=shown.confidence).items():
        document.add_tier(name, ann="cslr")
        for cue in tier_cues:
            document.add_annotation(name, cue.start, cue.end, cue.text)
    _number_in_time(document)
    document.properties[:] = [("lastUsedAnnotationId", document.maxaid)]
    return _written(document.to_file, ".eaf")


def textgrid(recognition: Recognition, shown: Shown) -> str:
    """A Praat TextGrid, long form: an interval tier for each hypothesis, with an interval a gloss.

    Raises:
        MissingPackageError: pympi is not installed.
    """
    recognised = tiers(recognition, confidence=shown.confidence)
    last = max((cue.end for tier_cues in recognised.values() for cue in tier_cues), default=1)
    document = _pympi("Praat").TextGrid(xmin=0.0, xmax=max(recognition.start + recognition.duration, last / 1000))
    for name, tier_cues in recognised.items():
        tier = document.add_tier(name)
        for cue in tier_cues:
            tier.add_interval(cue.start / 1000, cue.end / 1000, cue.text)
    return _written(document.to_file, ".TextGrid")


def tiers(recognition: Recognition, *, confidence: bool = False) -> Mapping[str, Sequence[Cue]]:
    """The tiers of an annotation document, by their names.

    `glosses` is the best hypothesis, `confidence` how sure each of them is, from 0 to 1, if that is wanted,
    `glosses 2` and so on are the others that were asked for, `convolution head` is what the network's other
    head says, and `sentences` has the stretches between rests of a long recording.
    """
    best, *others = ranked_hypotheses(recognition)
    result = {"glosses": cues(best)}
    if confidence:
        sure = [(timed, timed.confidence) for timed in best if timed.confidence is not None]
        result["confidence"] = cues([TimedGloss(f"{value:.2f}", timed.start, timed.end) for timed, value in sure])
    result.update({f"glosses {rank}": cues(other) for rank, other in enumerate(others, start=2)})
    if recognition.conv_glosses:
        result["convolution head"] = cues(recognition.conv_glosses)
    stretches = sentences(recognition)
    if len(stretches) > 1:
        result["sentences"] = cues([TimedGloss(sentence.text, sentence.start, sentence.end) for sentence in stretches])
    return result


def check_pympi() -> None:
    """Make sure that these formats can be written.

    Raises:
        MissingPackageError: pympi is not installed.
    """
    _pympi("Elan")


def _pympi(module: str) -> Any:
    """A module of the package that writes these formats; its text has no types."""
    import importlib

    try:
        return importlib.import_module(f"pympi.{module}")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "ELAN and Praat documents need pympi-ling, which is not installed", "pip install 'cslr[elan]'"
        ) from error


def _link(media: Path, folder: Path | None) -> dict[str, str]:
    """Where ELAN finds the video: in full, and from the document's folder, so that both may move together."""
    absolute = Path(os.path.abspath(media))
    relative = absolute.name
    if folder is not None:
        try:
            relative = Path(os.path.relpath(absolute, os.path.abspath(folder))).as_posix()
        except ValueError:  # on another drive of a Windows machine: no path leads there
            relative = absolute.as_posix()
    # ELAN neither writes nor reads percent signs as escapes: a space is a space.
    return {
        "file_path": f"file:///{absolute.as_posix().lstrip('/')}",
        "relpath": relative if relative.startswith("../") else f"./{relative}",
        "mimetype": _MIME_TYPES.get(absolute.suffix.lower(), _OTHER_VIDEO),
    }


def _number_in_time(document: Any) -> None:
    """Number the time slots in the order of their times over all tiers, as ELAN does."""
    in_time = sorted(document.timeslots, key=lambda slot: (document.timeslots[slot], _number(slot)))
    new_names = {slot: f"ts{number}" for number, slot in enumerate(in_time, start=1)}
    document.timeslots = {new_names[slot]: document.timeslots[slot] for slot in in_time}
    for in_tier, *_ in document.tiers.values():
        for name, (start, end, *rest) in in_tier.items():
            in_tier[name] = (new_names[start], new_names[end], *rest)


def _number(slot: str) -> int:
    return int(re.sub(r"\D", "", slot))


def _written(write: Callable[[str], object], suffix: str) -> str:
    """What `write` writes into the file that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"document{suffix}"
        write(str(path))
        return path.read_text(encoding="utf-8")
