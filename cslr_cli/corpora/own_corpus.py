"""Your own corpus: a manifest, CSV or JSON lines, that lists the clips and their glosses."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, get_args

from cslr_cli.choices import SplitUnit
from cslr_cli.corpora.annotation_files import (
    AnnotationError,
    Fault,
    SampleCollector,
    is_inside_release,
    is_plain_name,
    read_annotation_text,
)
from cslr_cli.corpora.clip_locations import CLIP_SUFFIXES, DiskNames
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.release_paths import ReleasePaths
from cslr_cli.dataset.sample import SPLITS, Sample
from cslr_cli.errors import DataError, UsageError, did_you_mean
from cslr_cli.media.options import DEFAULT_FPS, Segment
from cslr_cli.untrusted import UntrustedDataError, parse_json

COLUMNS = ("path", "glosses", "split", "signer", "id", "translation", "start", "end")
_NEEDED = ("path", "glosses")
_JSON_SUFFIXES = (".jsonl", ".ndjson")
_CSV_SUFFIXES = (".csv", ".tsv", ".txt")
_SEPARATORS = ",;\t|"

_LAYOUT = """\
path,glosses,split,signer,id,translation,start,end      (the first two are required)
clips/0001.mp4,HELLO WORLD,train,anna,,,,
lecture.mp4,TODAY RAIN,dev,ben,lecture-1,it rains today,12.4,15.2"""


@dataclass(frozen=True)
class SplitDrawing:
    """How clips are assigned to the splits at random.

    Attributes:
        shares: relative sizes of `train`, `dev` and `test`, for example (80, 10, 10). A split of share 0 gets no clip.
        unit: `clip`: assign each clip by itself; `signer`: assign all clips of a signer to one split, so that dev
            and test measure how well unseen signers are recognised.
        seed: seed of the random assignment.
    """

    shares: tuple[float, float, float] = (80, 10, 10)
    unit: SplitUnit = "clip"
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if not all(share >= 0 and math.isfinite(share) for share in self.shares) or self.shares[0] <= 0:
            faults.append(f"--split-shares {self.shares_text}: expected 0 or more, and more than 0 for train")
        if self.unit not in get_args(SplitUnit):
            faults.append(f"--split-by {self.unit}: expected one of {', '.join(get_args(SplitUnit))}")
        if faults:
            raise UsageError("\n".join(faults))

    @classmethod
    def parse_shares(cls, text: str) -> tuple[float, float, float]:
        """Parse the shares of the command line, such as `80,10,10`, for train, dev and test."""
        try:
            train, dev, test = (float(part) for part in text.replace("/", ",").split(","))
        except ValueError as error:
            raise UsageError(
                f"--split-shares {text}: not three numbers",
                "give the shares of train, dev and test, for example 80,10,10",
            ) from error
        return train, dev, test

    @property
    def shares_text(self) -> str:
        """The shares in the form of the command line."""
        return ",".join(f"{share:g}" for share in self.shares)

    def __str__(self) -> str:
        return f"shares {self.shares_text} by {self.unit}, seed {self.seed}"

    def draw(self, signers: Mapping[str, str | None], known: Mapping[str, int] | None = None) -> dict[str, str]:
        """Draw the split of each clip; the result depends on the seed and the names, not on the order of the clips.

        Args:
            signers: signer of each clip, by clip name.
            known: number of clips that are in each split already.

        Returns:
            The split of each clip. Every split with a share gets a clip if there are enough clips or signers.
        """
        if self.unit == "clip":
            return self._divide({clip: [clip] for clip in signers}, known or {})
        clips_of: dict[str, list[str]] = {}
        for clip, signer in signers.items():
            if signer is None:
                raise ValueError(f"clip {clip} has no signer")
            clips_of.setdefault(signer, []).append(clip)
        return self._divide(clips_of, known or {})

    def _divide(self, groups: Mapping[str, Sequence[str]], known: Mapping[str, int]) -> dict[str, str]:
        """Assign each group of clips to the split that is furthest from its target size."""
        num_clips = sum(map(len, groups.values())) + sum(known.values())
        target = {split: num_clips * share / sum(self.shares) for split, share in zip(SPLITS, self.shares, strict=True)}
        order = sorted(groups, key=self._random_key)
        split_of: dict[str, str] = {}
        num_assigned: Counter[str] = Counter(known)
        wanted = [split for split in SPLITS if target[split] > 0]
        for place, group in enumerate(order):
            num_left = len(order) - place
            empty = [split for split in wanted if not num_assigned[split]]  # the last groups are kept for these
            candidates = empty if len(empty) >= num_left else wanted
            split = max(candidates, key=lambda name: target[name] - num_assigned[name])
            num_assigned[split] += len(groups[group])
            split_of.update(dict.fromkeys(groups[group], split))
        return split_of

    def _random_key(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {name}".encode(errors="surrogatepass")).digest()


@dataclass(frozen=True)
class Row:
    """A clip of a manifest.

    Attributes:
        where: position for messages: file and line.
        values: values by column as text, without empty ones.
        sample_id: name of the clip; `assign_ids` sets it.
        frames: path of the clip on disk, relative to the folder of the corpus; None if it is the value of `path`,
            which must be inside that folder.
    """

    where: str
    values: Mapping[str, str]
    sample_id: str = ""
    frames: str | None = None


@dataclass(frozen=True)
class KnownSplits:
    """Splits that were drawn earlier for clips of a corpus; these clips keep them.

    Attributes:
        drawing: how they were drawn; None if nothing was drawn.
        splits: split of each clip by its source, as `source_key` formats it.
    """

    drawing: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)


def source_key(path: str, segment: Segment | None) -> str:
    """Return a text that is equal for clips made from the same part of the same file."""
    suffix = PurePosixPath(path).suffix
    stem = path.removesuffix(suffix) if suffix.lower() in CLIP_SUFFIXES else path
    times = "" if segment is None else f" {segment.start:g}-{'' if segment.end is None else f'{segment.end:g}'}"
    return f"{unicodedata.normalize('NFC', stem)}{times}"


@dataclass(frozen=True)
class OwnCorpus(CorpusReader):
    """Reads a manifest.

    Attributes:
        manifest: manifest file; by default the paths of clips are relative to its folder.
        drawing: how clips without a split get one. With None, all of them get one if the manifest has no split
            at all; otherwise a clip without a split is a fault.
        known: splits that were drawn earlier.
    """

    name: str
    title: str = "the manifest"
    fps: float = DEFAULT_FPS
    protocol: str = "plain"
    layout: str = _LAYOUT
    frame_pattern: str = ""
    input_name: ClassVar[str] = "a manifest"
    manifest: Path = field(default=Path("clips.csv"))
    drawing: SplitDrawing | None = None
    known: KnownSplits = field(default_factory=KnownSplits)

    @property
    def default_source(self) -> Path:
        """The folder of the manifest."""
        return self.manifest.parent

    def read(self, paths: ReleasePaths) -> Release:
        """Read the manifest; its faults are part of the result."""
        if not is_plain_name(self.name):
            raise UsageError(f"invalid name of a corpus: {self.name!r}", "use a name without spaces or slashes")
        self.check_input()
        if paths.need_frames and not paths.source.is_dir():
            hint = "name the folder that the manifest's paths are relative to with --source"
            raise DataError(f"{paths.source}: folder not found", hint)
        collector = SampleCollector(self.unusable, nested_names=True)
        rows = assign_ids(list(self.find_rows(paths, collector)))
        split_of, drawing = self._find_splits(rows, paths.source, collector)
        segments: dict[str, Segment] = {}
        names = DiskNames(paths.source)
        for row in rows:
            self._add(row, paths.source, split_of, segments, names if paths.need_frames else None, collector)
        collector.samples.sort(key=lambda sample: self.splits.index(sample.split))
        references = self.find_references(paths, [], collector)
        if collector.faults:
            collector.add_hint(f"expected {self.input_name} like this:\n{self.layout}")
        release = self.make_release(paths.source, collector, references, segments)
        return replace(release, drawing=None if drawing is None else str(drawing))

    def check_input(self) -> None:
        """Raise an error if the manifest does not exist."""
        if not self.manifest.is_file():
            raise DataError(f"{self.manifest}: manifest not found", f"expected a file like this:\n{self.layout}")

    def find_rows(self, paths: ReleasePaths, collector: SampleCollector) -> Iterator[Row]:
        """Yield the clips of the manifest; wrong lines are added as faults."""
        suffix = self.manifest.suffix.lower()
        if suffix not in _JSON_SUFFIXES + _CSV_SUFFIXES:
            expected = f"use CSV ({', '.join(_CSV_SUFFIXES)}) or JSON lines ({', '.join(_JSON_SUFFIXES)})"
            raise UsageError(f"{self.manifest}: unknown format of a manifest", expected)
        try:
            text = read_annotation_text(self.manifest)
        except AnnotationError as error:
            collector.faults += error.faults
            collector.add_hint(error.hint or "")
            return
        read = _json_rows if suffix in _JSON_SUFFIXES else _csv_rows
        num_rows = 0
        for number, values in read(text, self.manifest, collector):
            num_rows += 1
            row = Row(f"{self.manifest}:{number}", {key: value for key, value in values.items() if value})
            missing = [name for name in _NEEDED if name not in values]
            if missing:
                collector.add_fault(row.where, f"{' and '.join(map(repr, missing))} missing")
            elif "path" not in row.values:
                collector.add_fault(row.where, "the path is empty")
            else:
                yield row
        if not num_rows and not collector.faults:
            collector.add_fault(str(self.manifest), "the file has no clips")

    def _find_splits(
        self, rows: list[Row], root: Path, collector: SampleCollector
    ) -> tuple[dict[str, str], SplitDrawing | None]:
        """Find the split of each clip, by its position; draw the splits of clips without one if requested.

        Returns:
            The splits, and how they were drawn; None if no split was drawn.
        """
        split_of = {row.where: row.values["split"] for row in rows if "split" in row.values}
        drawing = SplitDrawing() if self.drawing is None and not split_of else self.drawing
        without = [row for row in rows if "split" not in row.values]
        if self.drawing is not None and rows and not without:
            collector.notes.append(
                f"options for random splits have no effect: each clip has a split in {self.input_name}"
            )
        if drawing is None or not without or (drawing.unit == "signer" and any(map(_has_no_signer, without))):
            return split_of, None
        known = self._find_known_splits(without, root, drawing)
        split_of |= known
        new = [row for row in without if row.where not in known]
        # By the contents of the line, not its number: another order of lines must not change the split.
        names = {row.where: "\0".join([row.sample_id, *row.values.values()]) for row in new}
        signers = {names[row.where]: row.values.get("signer") for row in new}
        drawn = drawing.draw(signers, Counter(known.values()))
        split_of |= {row.where: drawn[names[row.where]] for row in new}
        counts = Counter(drawn.values())
        numbers = ", ".join(f"{counts[split]} {split}" for split in self.splits)
        kept = f"; {len(known)} others keep theirs" if known else ""
        collector.notes.append(f"splits drawn for {len(new)} clips, {drawing}: {numbers}{kept}")
        return split_of, drawing

    def _find_known_splits(self, rows: Sequence[Row], root: Path, drawing: SplitDrawing) -> dict[str, str]:
        """Find the splits of clips, or of their signers, that were drawn earlier in the same way, by position."""
        if self.known.drawing != str(drawing):
            return {}
        known = {}
        for row in rows:
            path = row.frames or _inner_path(row.values["path"], root)
            split = None if path is None else self.known.splits.get(source_key(path, _parse_segment(row, [])))
            if split is not None:
                known[row.where] = split
        if drawing.unit == "signer":
            split_of_signer = {row.values["signer"]: known[row.where] for row in rows if row.where in known}
            known |= {
                row.where: split_of_signer[name] for row in rows if (name := row.values["signer"]) in split_of_signer
            }
        return known

    def _add(
        self,
        row: Row,
        root: Path,
        split_of: Mapping[str, str],
        segments: dict[str, Segment],
        names: DiskNames | None,
        collector: SampleCollector,
    ) -> None:
        faults = []
        split = split_of.get(row.where, "")
        if not split and self.drawing is None:
            faults.append("the split is empty")
            collector.add_hint("to draw the splits of clips without one, use --split-shares 80,10,10")
        elif not split and _has_no_signer(row):
            faults.append("the clip has neither a split nor a signer; --split-by signer needs one of them")
        elif split and split not in self.splits:
            faults.append(f"unknown split {split!r}; expected one of {', '.join(self.splits)}")
        path = row.frames or _inner_path(row.values["path"], root)
        if row.frames is None and "\\" in row.values["path"]:
            faults.append(f"'{row.values['path']}' has a backslash; write / between folders, on Windows too")
        elif path is None:
            faults.append(f"{row.values['path']!r} is outside of the corpus' folder, {root}")
        segment = _parse_segment(row, faults)
        collector.faults += [Fault(row.where, fault) for fault in faults]
        if faults or not split or path is None:
            return
        found = None if names is None else names.find_clip(path)
        sample = Sample(
            sample_id=row.sample_id,
            split=split,
            frames=found or path,
            num_frames=None,
            signer=row.values.get("signer"),
            glosses=tuple(row.values.get("glosses", "").split()),
            translation=row.values.get("translation"),
        )
        if collector.add(sample, row.where) and segment is not None:
            segments[collector.samples[-1].sample_id] = segment


def _has_no_signer(row: Row) -> bool:
    return "signer" not in row.values


def _csv_rows(text: str, path: Path, collector: SampleCollector) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file, each with the number of its last line."""
    first, _, rest = text.partition("\n")
    stated = re.fullmatch(r'"?sep=(.)"?[\s,;|]*', first)  # Excel's own line
    num_skipped = 1 if stated else 0
    if stated:
        text, first = rest, rest.partition("\n")[0]
    # Spreadsheets of many countries write semicolons.
    separator = stated[1] if stated else max(_SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        while header and not header[-1]:  # empty columns at the end
            header.pop()
        if not _check_columns(header, f"{path}:{1 + num_skipped}", collector):
            return
        for row in reader:
            fields = [field.strip() for field in row]
            if not any(fields):
                continue
            number = reader.line_num + num_skipped
            if len(fields) < len(header) or any(fields[len(header) :]):
                noun = "field" if len(fields) == 1 else "fields"
                what = f"{len(fields)} {noun}, but the first line has {len(header)}"
                collector.add_fault(f"{path}:{number}", what)
                continue
            yield number, dict(zip(header, fields, strict=False))
    except csv.Error as error:
        collector.add_fault(f"{path}:{reader.line_num + num_skipped}", f"cannot be read as CSV ({error})")


def _json_rows(text: str, path: Path, collector: SampleCollector) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the objects of a file of JSON lines, each with its line number and with values as text."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            values = parse_json(line)
        except UntrustedDataError as error:
            collector.add_fault(where, error.message)
            continue
        if not isinstance(values, dict):
            collector.add_fault(where, "not a JSON object, {…}")
            continue
        if _check_columns([*values], where, collector, complete=False):
            yield number, {key: _as_text(value) for key, value in values.items()}


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value).strip()


def _check_columns(names: list[str], where: str, collector: SampleCollector, *, complete: bool = True) -> bool:
    """Add unknown, duplicate and, if `names` should be complete, missing columns as faults; return whether none is."""
    faults = []
    for name in names:
        if name not in COLUMNS:
            question = did_you_mean(name, COLUMNS)
            faults.append(
                f"unknown column {name!r}; {f'{question} ' if question else ''}the columns are {', '.join(COLUMNS)}"
            )
    faults += [f"duplicate column {name!r}" for name, count in Counter(names).items() if count > 1]
    if complete:
        faults += [f"missing column {name!r}" for name in _NEEDED if name not in names]
    for fault in faults:
        collector.add_fault(where, fault)
    return not faults


def _inner_path(path: str, root: Path) -> str | None:
    """Return a clip's path relative to the folder of the corpus; None if it is outside of that folder."""
    if path.startswith("/"):
        folder = os.path.abspath(root).rstrip("/")
        if not path.startswith(f"{folder}/"):
            return None
        path = path[len(folder) + 1 :]
    return path.rstrip("/") if is_inside_release(path) else None


def assign_ids(rows: Sequence[Row]) -> list[Row]:
    """Give each clip without an id the name of its file and its times, after as many folders as make it unique."""
    ids = {row.where: row.values["id"] for row in rows if "id" in row.values}
    taken = set(ids.values())
    open_rows = [row for row in rows if "id" not in row.values]
    for num_folders in range(max((row.values["path"].count("/") for row in open_rows), default=0) + 1):
        names = {row.where: _name_of(row, num_folders) for row in open_rows}
        counts = Counter(names.values())
        unique = [row for row in open_rows if counts[names[row.where]] == 1 and names[row.where] not in taken]
        ids |= {row.where: names[row.where] for row in unique}
        taken |= {names[row.where] for row in unique}
        open_rows = [row for row in open_rows if row.where not in ids]
    # The same folder and name: files of different types, or really the same clip.
    ids |= {row.where: _name_of(row, row.values["path"].count("/"), with_suffix=True) for row in open_rows}
    return [replace(row, sample_id=ids[row.where]) for row in rows]


def _name_of(row: Row, num_folders: int, *, with_suffix: bool = False) -> str:
    """Return the last parts of a clip's path without suffix, and its times: `anna/001`, `lecture-12.4-15.2`."""
    path = PurePosixPath(row.values["path"])
    folders = [part for part in path.parent.parts if part != "/"]
    kept = folders[len(folders) - num_folders :] if num_folders else []
    times = [row.values[name] for name in ("start", "end") if name in row.values]
    name = "-".join([path.name if with_suffix else path.stem, *times]).replace(":", ".")
    return re.sub(r"\s+", "_", "/".join([*kept, name]))


def _parse_segment(row: Row, faults: list[str]) -> Segment | None:
    """Return the segment of the file that is the clip; None if the clip is the whole file or its times are invalid."""
    if "start" not in row.values and "end" not in row.values:
        return None
    try:
        start = _parse_seconds(row.values.get("start", "0"))
        end = _parse_seconds(row.values["end"]) if "end" in row.values else None
    except ValueError:
        times = " and ".join(row.values[name] for name in ("start", "end") if name in row.values)
        faults.append(f"invalid time: {times}; expected seconds (12.4), or hours, minutes and seconds (0:00:12.4)")
        return None
    if end is not None and end <= start:
        faults.append(f"the clip ends at {end:g} s, not after its start at {start:g} s")
    return Segment(start, end)


def _parse_seconds(text: str) -> float:
    """Parse `12.4`, `0:12.4` or `0:00:12.4`, also with a decimal comma; raise a ValueError for other text."""
    seconds = 0.0
    for part in text.replace(",", ".").split(":"):
        seconds = 60 * seconds + float(part)
    if not (math.isfinite(seconds) and seconds >= 0) or "-" in text or text.count(":") > 2:
        raise ValueError(text)
    return seconds
