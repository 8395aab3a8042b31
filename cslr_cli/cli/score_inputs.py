"""The files of `cslr score`: their forms, the systems that they belong to, and their conversion."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cslr_cli.choices import CtmTimes, MissingHypotheses, TranscriptForm
from cslr_cli.cli.console import print_error, print_note
from cslr_cli.cli.results import plan_file
from cslr_cli.errors import ScoringError, UsageError

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.scoring import Reference, TimedGloss
    from cslr_cli.scoring.forms import TranscriptFile
    from cslr_cli.scoring.segments import ReferenceSet
    from cslr_cli.scoring.table_forms import Side

_MAX_WARNINGS = 5  # of one kind


@dataclass(frozen=True)
class ReadOptions:
    """How the files are read.

    Attributes:
        forms: form of the references and of the hypotheses; None to recognise it.
        channel: channel to read; None for all.
        ctm_times: meaning of the fourth field of a CTM line.
    """

    forms: tuple[TranscriptForm | None, TranscriptForm | None]
    channel: str | None
    ctm_times: CtmTimes


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Pause the search for cyclic garbage, which takes a quarter of the time: alignments have no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def parse_forms(value: str | None) -> tuple[TranscriptForm | None, TranscriptForm | None]:
    """Return the forms that `--format` names: one for all files, or those of the references and the hypotheses."""
    from cslr_cli.scoring.forms import find_form

    if value is None:
        return None, None
    names = [name.strip() for name in value.split(",")]
    if len(names) > 2:
        raise UsageError(f"--format {value}: {len(names)} forms, expected one or two", "example: --format stm,csv")
    forms = [None if name in ("", "auto") else find_form(name) for name in names]
    return forms[0], forms[-1]


def read_references(path: Path, how: ReadOptions) -> ReferenceSet:
    """Read the references."""
    from cslr_cli.scoring.forms import read_transcripts
    from cslr_cli.scoring.segments import ReferenceSet

    file = read_transcripts(path, "references", how.forms[0], channel=how.channel, ctm_times=how.ctm_times)
    return ReferenceSet(file)


def read_hypotheses(path: Path, references: ReferenceSet, how: ReadOptions) -> dict[str, tuple[TimedGloss, ...]]:
    """Read the hypotheses of a system, by clip or segment."""
    from cslr_cli.scoring.forms import read_transcripts

    file = read_transcripts(path, "hypotheses", how.forms[1], channel=how.channel, ctm_times=how.ctm_times)
    return references.assign(file)


def convert_file(context: typer.Context, source: Path, target: Path, how: ReadOptions) -> None:
    """Write a file of transcripts in another form: by the suffix of the target, or the second one of `--format`."""
    from cslr_cli.scoring.forms import FORM_NAMES, clip_names, form_of_suffix, write_transcripts

    has_target_form = "," in (context.params.get("format_name") or "")
    form = (how.forms[1] if has_target_form else None) or form_of_suffix(target)
    if form is None:
        raise UsageError(
            f"--convert {target}: the suffix {target.suffix!r} stands for no form",
            f"name the forms of input and output, for example --format stm,csv; forms: {', '.join(FORM_NAMES)}",
        )
    if not plan_file(context, "--convert", target, [source]):
        return
    file = _read_either_side(source, "references" if form == "stm" else "hypotheses", how)
    transcripts = clip_names(file.transcripts)
    write_transcripts(target, form, transcripts)
    print_note(f"{len(transcripts)} clips or segments: {source} ({file.form}) written as {form} to {target}")
    if form == "ctm" and not all(each.has_times for each in transcripts):
        print_note(f"note: {source} has no times; those in {target} are placeholders, 0.1 seconds per gloss")


def _read_either_side(path: Path, preferred: Side, how: ReadOptions) -> TranscriptFile:
    """Read a file that can contain references or hypotheses; of a table with both, the preferred side."""
    from cslr_cli.scoring.forms import read_transcripts

    form, options = how.forms[0], {"channel": how.channel, "ctm_times": how.ctm_times}
    try:
        return read_transcripts(path, preferred, form, **options)  # type: ignore[arg-type]
    except ScoringError as error:
        other: Side = "hypotheses" if preferred == "references" else "references"
        with suppress(ScoringError):
            return read_transcripts(path, other, form, **options)  # type: ignore[arg-type]
        raise error


def warn_of_similar_glosses(
    references: Sequence[Reference], recognised: Mapping[Path, Mapping[str, Sequence[TimedGloss]]]
) -> None:
    """Print a warning for glosses that differ only in form, which count as different."""
    from cslr_cli.scoring.spelling import find_similar_glosses

    signed = {gloss for reference in references for gloss in reference.glosses}
    for path, hypotheses in recognised.items():
        similar = find_similar_glosses(signed, {timed.gloss for glosses in hypotheses.values() for timed in glosses})
        for pair in similar[:_MAX_WARNINGS]:
            print_error(f"{path}: {pair}; they count as different glosses", kind="warning")
        if len(similar) > _MAX_WARNINGS:
            print_error(f"{path}: {len(similar) - _MAX_WARNINGS} more pairs of such glosses", kind="warning")


def check_clips_in_corpus(references: ReferenceSet, corpus: PreparedCorpus) -> None:
    """Check that the clips of all references are in a prepared corpus."""
    from cslr_cli.scoring.scorer import format_clips

    known = {sample.sample_id for split in corpus.splits for sample in corpus.samples(split)}
    names = dict.fromkeys(each.recording or each.sample_id for each in references.references)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ScoringError(
            f"{references.path}: {format_clips(unknown)} no line in the corpus {corpus.path}",
            "use the corpus of these references, or remove --corpus",
        )


def check_same_clips(recognised: Mapping[Path, Mapping[str, object]], missing: MissingHypotheses) -> None:
    """Check that the hypotheses of all systems are of the same clips, unless missing ones count as empty."""
    from cslr_cli.scoring.scorer import format_clips

    if missing == "empty":
        return
    for path in recognised:
        for other in recognised:
            unpaired = [sample_id for sample_id in recognised[path] if sample_id not in recognised[other]]
            if unpaired:
                raise ScoringError(
                    f"the two systems have different clips: {format_clips(unpaired)} hypotheses in {path} "
                    f"and none in {other}",
                    "use hypotheses of the same clips, or count missing ones as empty: --missing empty",
                )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return file names with as many folders as make them differ: `best/dev.ctm`, `epoch-8/dev.ctm`."""
    names: list[str] = []
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = [Path(*path.parts[-length:]).as_posix() for path in paths]
        if len(set(names)) == len(paths):
            break
    return names
