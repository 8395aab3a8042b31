"""Read documents of ELAN (`.eaf`).

An annotation of a tier has two time slots, or refers to an annotation of its parent tier. Annotations that divide one
parent annotation are a linked list: their order is not that of their times, which they do not have, and not that of
the file. Format: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.corpora.annotation_files import Fault
from cslr_cli.corpora.transcripts.transcript import (
    AnnotationDocument,
    MediaLink,
    Tier,
    TimedText,
    TranscriptError,
    sort_by_start,
)
from cslr_cli.untrusted import UntrustedDataError, read_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Milliseconds per unit of a document's times.
_UNITS = {"milliseconds": 1.0, "PAL-frames": 40.0, "PAL-50-frames": 20.0, "NTSC-frames": 1001 / 30}
_MAX_MILLISECONDS = 10**10  # 115 days
_MAX_LEVELS = 50  # of tiers that depend on each other


@dataclass(frozen=True)
class _Annotation:
    """An annotation of the file: with two time slots, or with a parent annotation.

    Attributes:
        name: its id.
        text: its text.
        slots: ids of its time slots; None if it refers to a parent.
        parent: id of the parent annotation; None if it has time slots.
        previous: id of the annotation before it with the same parent; None for the first.
    """

    name: str
    text: str
    slots: tuple[str, str] | None
    parent: str | None = None
    previous: str | None = None


Interval = tuple[float, float]  # start and end in milliseconds


def read_elan(path: Path) -> AnnotationDocument:
    """Read a document of ELAN.

    Raises:
        TranscriptError: it is not a document of ELAN, or annotations have no times that follow from the others.
    """
    try:
        root = read_xml(path)
    except OSError as error:
        raise TranscriptError([Fault(str(path), f"cannot be read ({error.strerror})")]) from error
    except UntrustedDataError as error:
        raise TranscriptError([Fault(str(path), error.message.removeprefix(f"{path}: "))]) from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise TranscriptError([Fault(str(path), f"not a document of ELAN: the first element is {root.tag!r}")])
    return _Document(path, root).read()


class _Document:
    """The annotations of a document while their times are found."""

    def __init__(self, path: Path, root: Element) -> None:
        self._path = path
        self._root = root
        self._faults: list[Fault] = []
        header = root.find("HEADER")
        unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
        if unit not in _UNITS:
            self._faults.append(Fault(str(path), f"unknown TIME_UNITS {unit!r}; expected {', '.join(_UNITS)}"))
        self._unit = _UNITS.get(unit, 1.0)
        self._tiers = {element.get("TIER_ID", ""): list(_annotations(element)) for element in root.iter("TIER")}
        self._intervals: dict[str, Interval] = {}

    def read(self) -> AnnotationDocument:
        slots = self._read_slots()
        for name, listed in self._tiers.items():
            self._intervals |= self._aligned_intervals(name, listed, slots)
        for _ in range(_MAX_LEVELS):  # each pass finds the times of one more level of dependent tiers
            if not self._divide_parents():
                break
        tiers = [self._make_tier(element) for element in self._root.iter("TIER")]
        if self._faults:
            raise TranscriptError(self._faults)
        return AnnotationDocument(self._path, tuple(tiers), tuple(self._media()))

    def _read_slots(self) -> dict[str, float | None]:
        """Read the time of each slot in milliseconds; None for a slot without a time."""
        slots: dict[str, float | None] = {}
        for element in self._root.iter("TIME_SLOT"):
            name, text = element.get("TIME_SLOT_ID", ""), element.get("TIME_VALUE")
            slots[name] = None
            if text is None:
                continue
            value = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
            if 0 <= value <= _MAX_MILLISECONDS:
                slots[name] = value * self._unit
            else:
                self._add_fault(f"time slot {name}", f"invalid time {text[:40]!r}; expected milliseconds such as 12400")
        return slots

    def _aligned_intervals(
        self, tier: str, annotations: Sequence[_Annotation], slots: Mapping[str, float | None]
    ) -> dict[str, Interval]:
        """Return the times of a tier's annotations with time slots; missing ones are spread evenly between others."""
        aligned = [annotation for annotation in annotations if annotation.slots is not None]
        edges = [slots.get(slot) for annotation in aligned for slot in annotation.slots or ()]
        index = 0
        while index < len(edges):
            if edges[index] is not None:
                index += 1
                continue
            # A run of edges without times: `| a . | . b . | . c |` has the times of its first and its last edge.
            after = next((place for place in range(index, len(edges)) if edges[place] is not None), None)
            before = edges[index - 1] if index else None
            last = None if after is None else edges[after]
            if after is None or before is None or last is None:
                name = aligned[index // 2].name
                self._add_fault(f"tier {tier!r}, annotation {name}", "it has no time, and no times before and after it")
                return {}
            # The number of annotations in the run, of which each has the same length.
            first_annotation = index // 2
            count = (after + 1) // 2 - first_annotation
            for place in range(index, after):
                edges[place] = before + (last - before) * ((place + 1) // 2 - first_annotation) / count
            index = after
        intervals = {}
        for number, annotation in enumerate(aligned):
            start, end = edges[2 * number], edges[2 * number + 1]
            if start is not None and end is not None and end >= start:
                intervals[annotation.name] = (start, end)
            else:
                what = f"it ends at {end} ms, before its start at {start} ms"
                self._add_fault(f"tier {tier!r}, annotation {annotation.name}", what)
        return intervals

    def _divide_parents(self) -> bool:
        """Divide annotations among those that refer to them; return whether new times were found."""
        found = False
        for listed in self._tiers.values():
            children: dict[str, list[_Annotation]] = {}
            for annotation in listed:
                if annotation.parent in self._intervals and annotation.name not in self._intervals:
                    children.setdefault(annotation.parent or "", []).append(annotation)
            for parent, group in children.items():
                start, end = self._intervals[parent]
                length = (end - start) / len(group)
                for place, annotation in enumerate(_in_order(group)):
                    self._intervals[annotation.name] = (start + place * length, start + (place + 1) * length)
                    found = True
        return found

    def _make_tier(self, element: Element) -> Tier:
        name = element.get("TIER_ID", "")
        annotations = []
        for annotation in self._tiers[name]:
            interval = self._intervals.get(annotation.name)
            if interval is not None:
                annotations.append(TimedText(interval[0] / 1000, interval[1] / 1000, annotation.text))
            elif annotation.parent is not None:
                what = f"it refers to {annotation.parent!r}, which has no time"
                self._add_fault(f"tier {name!r}, annotation {annotation.name}", what)
        return Tier(name, sort_by_start(annotations), element.get("PARTICIPANT") or None, element.get("PARENT_REF"))

    def _media(self) -> Iterator[MediaLink]:
        """Yield the videos of the document; sound recordings are left out."""
        for element in self._root.iter("MEDIA_DESCRIPTOR"):
            if element.get("MIME_TYPE", "").startswith("audio/"):
                continue
            paths = (element.get("RELATIVE_MEDIA_URL"), element.get("MEDIA_URL"))
            if not any(paths):
                continue
            origin = element.get("TIME_ORIGIN", "0")
            offset = int(origin) if origin.lstrip("-").isascii() and origin.lstrip("-").isdigit() else 0
            yield MediaLink(tuple(path for path in paths if path), offset / 1000)

    def _add_fault(self, where: str, what: str) -> None:
        self._faults.append(Fault(f"{self._path}: {where}", what))


def _annotations(tier: Element) -> Iterator[_Annotation]:
    for element in tier.iter():
        name = element.get("ANNOTATION_ID", "")
        if element.tag == "ALIGNABLE_ANNOTATION":
            slots = element.get("TIME_SLOT_REF1", ""), element.get("TIME_SLOT_REF2", "")
            yield _Annotation(name, _text(element), slots)
        elif element.tag == "REF_ANNOTATION":
            parent, previous = element.get("ANNOTATION_REF", ""), element.get("PREVIOUS_ANNOTATION")
            yield _Annotation(name, _text(element), None, parent, previous)


def _text(annotation: Element) -> str:
    value = annotation.find("ANNOTATION_VALUE")
    return "" if value is None else " ".join("".join(value.itertext()).split())


def _in_order(annotations: Sequence[_Annotation]) -> list[_Annotation]:
    """Sort the annotations of one parent: each after its previous one, and the others as in the file."""
    names = {annotation.name for annotation in annotations}
    followers: dict[str, list[_Annotation]] = {}
    for annotation in annotations:
        if annotation.previous in names:
            followers.setdefault(annotation.previous or "", []).append(annotation)
    ordered: dict[str, _Annotation] = {}
    pending = [annotation for annotation in reversed(annotations) if annotation.previous not in names]
    while pending:
        annotation = pending.pop()
        if annotation.name in ordered:  # a damaged document: two annotations with one id
            continue
        ordered[annotation.name] = annotation
        pending += reversed(followers.get(annotation.name, []))
    # A circle of references has no first annotation.
    return [*ordered.values(), *(annotation for annotation in annotations if annotation.name not in ordered)]
