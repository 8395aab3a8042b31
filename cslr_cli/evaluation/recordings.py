"""Evaluation of a checkpoint on whole recordings with timed references."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cslr_cli.choices import ScoringTool
from cslr_cli.config import DecodingConfig
from cslr_cli.errors import DataError
from cslr_cli.files import write_text
from cslr_cli.recognition import DivisionFacts, Recognition
from cslr_cli.report import Analysis, ClipFacts, Section, System, analyse, report_files, write_report
from cslr_cli.report.figures import ScoreDocument, score_document
from cslr_cli.scoring import Reference, Score, TimedGloss, find_protocol, score, strip_times
from cslr_cli.scoring.alignment import fold_case
from cslr_cli.scoring.forms import TranscriptFile
from cslr_cli.scoring.gloss_counts import fold_glosses
from cslr_cli.scoring.scorer import format_clips
from cslr_cli.scoring.scoring_tool import score_with_tool
from cslr_cli.scoring.segments import ReferenceSet
from cslr_cli.scoring.transcripts import NIST_TIMES_COMMENT, Transcript, ctm_lines, stm_line

RECORDINGS = "recordings"  # name of the section of the report, and of the files
_EXAMPLES = 3


class RecordingsDocument(ScoreDocument):
    """The scores of a checkpoint on recordings: what `cslr evaluate --recordings --json` prints.

    Attributes:
        checkpoint: path of the checkpoint.
        recordings: folder of the recordings.
        references_file: file of the timed references.
        decoding: settings of the decoder.
        segmentation: how each recording was divided, by its name; null if it is unknown.
        conv_wer: word error rate of the convolution head, in percent.
    """

    checkpoint: str
    recordings: str
    references_file: str
    decoding: DecodingConfig
    segmentation: dict[str, DivisionFacts | None]
    conv_wer: float


@dataclass(frozen=True)
class RecordingScores:
    """The recognition of recordings and its scores.

    Attributes:
        references: timed references.
        recognitions: recognition of each recording, by its name in the references.
        scores: score of each head.
        assigned: glosses of the sequence head in each segment, before normalisation.
    """

    references: ReferenceSet
    recognitions: Mapping[str, Recognition]
    scores: Mapping[Literal["sequence", "conv"], Score]
    assigned: Mapping[str, Sequence[TimedGloss]]


def find_references(folder: Path) -> Path:
    """Return the file of references in a folder of recordings: the only STM file."""
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder", "name the folder of the recordings")
    found = sorted(folder.glob("*.stm"))
    if len(found) != 1:
        what = "no STM file" if not found else f"{len(found)} STM files ({', '.join(path.name for path in found)})"
        raise DataError(
            f"{folder}: {what}, expected one with the timed references",
            "name the file of references with --references; a line is ID 1 SIGNER START END GLOSS GLOSS …",
        )
    return found[0]


def pair_recordings(
    paths: Iterable[Path], references: ReferenceSet, folder: Path
) -> tuple[dict[str, Path], list[Path]]:
    """Find the recording of each name in the references, by the stem or the whole name of its file.

    Returns:
        The paths by name in the order of the references, and the recordings without references.

    Raises:
        DataError: a name has no recording or several ones, or several channels.
    """
    by_name: dict[str, list[Path]] = {}
    paths = list(paths)
    for path in paths:
        for name in {path.name, path.stem}:
            by_name.setdefault(name, []).append(path)
    names = references.recording_names
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"{references.path}: {format_clips(missing)} no recording in {folder}",
            "a recording has the name of its references and a suffix: talk.mp4 for talk",
        )
    if references.names_with_channels:
        raise DataError(
            f"{references.path}: {format_clips(references.names_with_channels)} several channels",
            "keep the lines of one channel: a video has one signer to recognise",
        )
    several = [name for name in names if len(by_name[name]) > 1]
    if several:
        listed = ", ".join(path.name for path in by_name[several[0]])
        raise DataError(f"{folder}: {several[0]!r} can be {listed}", "keep one of them, or rename them")
    paired = {name: by_name[name][0] for name in names}
    used = set(paired.values())
    return paired, [path for path in paths if path not in used]


def unknown_gloss_warnings(references: ReferenceSet, known: Iterable[str], protocol: str) -> list[str]:
    """Return a warning about reference glosses that the network cannot output.

    Raises:
        DataError: it can output none of them.
    """
    seen: Collection[str] = fold_glosses(known, find_protocol(protocol))
    signed = {gloss for each in references.references for gloss in each.glosses}
    unknown = sorted(gloss for gloss in signed if fold_case(gloss) not in seen)
    shown = ", ".join(unknown[:_EXAMPLES])
    if signed and len(unknown) == len(signed):
        raise DataError(
            f"{references.path}: the network can recognise none of the {len(signed)} glosses, for example {shown}",
            "use references with the same spelling of the glosses as the training corpus",
        )
    if not unknown:
        return []
    return [
        f"{references.path}: the network cannot recognise {len(unknown)} of the {len(signed)} glosses, for example "
        f"{shown}; they always count as errors"
    ]


def score_recordings(
    references: ReferenceSet, recognitions: Mapping[str, Recognition], protocol: str, tool: ScoringTool
) -> RecordingScores:
    """Score the recognitions of recordings against their timed references, segment by segment."""
    assigned = _assign(references, {name: each.glosses for name, each in recognitions.items()})
    conv = _assign(references, {name: each.conv_glosses for name, each in recognitions.items()})

    def scored(glosses: Mapping[str, Sequence[TimedGloss]]) -> Score:
        return score_with_tool(tool, score(references.references, strip_times(glosses), find_protocol(protocol)))

    return RecordingScores(
        references, dict(recognitions), {"sequence": scored(assigned), "conv": scored(conv)}, assigned
    )


def recordings_files() -> list[str]:
    """Return the names of the files that `write_recordings` writes."""
    return [*report_files([RECORDINGS]), f"{RECORDINGS}.ctm", f"{RECORDINGS}.conv.ctm", f"{RECORDINGS}.stm"]


def write_recordings(result: RecordingScores, folder: Path, title: str, facts: Mapping[str, str]) -> Analysis:
    """Write hypotheses, references and a report; returns the report's figures.

    In `recordings.ctm` and `recordings.conv.ctm`, the fourth field is a duration, so that sclite can score them
    against `recordings.stm`.
    """
    for name, glosses in (
        (f"{RECORDINGS}.ctm", {name: each.glosses for name, each in result.recognitions.items()}),
        (f"{RECORDINGS}.conv.ctm", {name: each.conv_glosses for name, each in result.recognitions.items()}),
    ):
        write_text(folder / name, nist_ctm(glosses))
    write_text(folder / f"{RECORDINGS}.stm", "".join(map(stm_line, result.references.references)))
    analysis = analyse_recordings(result)
    write_report(folder, [analysis], title=title, facts=facts)
    return analysis


def analyse_recordings(result: RecordingScores) -> Analysis:
    """Compute the figures of the report: both heads, by segment."""
    systems = (
        System("sequence head", result.scores["sequence"]),
        System("convolution head", result.scores["conv"]),
    )
    clips = {each.sample_id: _clip_facts(each, result.assigned) for each in result.references.references}
    return analyse(Section(RECORDINGS, systems, clips, label_titles=result.references.label_titles))


def recordings_document(
    analysis: Analysis,
    result: RecordingScores,
    tool: ScoringTool,
    decoding: DecodingConfig,
    facts: Mapping[str, str],
) -> RecordingsDocument:
    """Make the document of an evaluation on recordings; `facts` are those of its report."""
    return {
        **score_document(analysis, tool),
        "checkpoint": facts["checkpoint"],
        "recordings": facts["recordings"],
        "references_file": facts["references"],
        "decoding": decoding,
        "segmentation": {name: each.segmentation for name, each in result.recognitions.items()},
        "conv_wer": result.scores["conv"].wer,
    }


def nist_ctm(hypotheses: Mapping[str, Sequence[TimedGloss]]) -> str:
    """Format hypotheses as CTM with durations, which `cslr score` and sclite read."""
    lines = [f"{NIST_TIMES_COMMENT}\n"]
    for name, glosses in hypotheses.items():
        lines += ctm_lines(name, [dataclasses.replace(timed, end=timed.end - timed.start) for timed in glosses])
    return "".join(lines)


def _assign(references: ReferenceSet, glosses: Mapping[str, Sequence[TimedGloss]]) -> dict[str, tuple[TimedGloss, ...]]:
    transcripts = tuple(
        Transcript(name, tuple(sorted(timed, key=lambda each: each.start)), has_times=True)
        for name, timed in glosses.items()
    )
    return references.assign(TranscriptFile(Path(RECORDINGS), "ctm", transcripts))


def _clip_facts(reference: Reference, assigned: Mapping[str, Sequence[TimedGloss]]) -> ClipFacts:
    seconds = reference.end - reference.start
    is_known = reference.recording is not None and seconds < float("inf")
    return ClipFacts(seconds=seconds if is_known else None, recognised=assigned.get(reference.sample_id))
