"""`cslr evaluate --recordings`: whole recordings against timed references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cslr_cli.choices import Precision, ScoringTool
from cslr_cli.cli.command import TerminatedError
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, report_error, shown_progress
from cslr_cli.cli.inputs import find_inputs
from cslr_cli.cli.results import plan_folder
from cslr_cli.cli.score_tables import errors_table, facts_text, intervals_text, scores_table
from cslr_cli.errors import EXIT_FAILED, CslrError, UsageError
from cslr_cli.files import relative_path, write_text
from cslr_cli.media.options import ReadOptions
from cslr_cli.progress import Progress
from cslr_cli.recognizer.options import Segmentation

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.config import DecodingConfig
    from cslr_cli.media.clip_reader import ClipReader
    from cslr_cli.recognition import Recognition
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.report import Analysis


def refuse_corpus_options(given: Mapping[str, object]) -> None:
    """Raise a UsageError if an option for corpora has a value; `given` are their values by name."""
    refused = [name for name, value in given.items() if value]
    if refused:
        raise UsageError(f"{refused[0]} with --recordings", f"remove {refused[0]}: recordings are in no corpus")


def evaluate_recordings(
    context: typer.Context,
    checkpoint_path: Path,
    checkpoint: Checkpoint,
    recordings: Path,
    references_path: Path | None,
    segmentation: Segmentation,
    decoding: DecodingConfig,
    *,
    device: str,
    precision: Precision,
    tool: ScoringTool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Recognise the recordings of a folder, score them segment by segment, and write a report."""
    from cslr_cli.evaluation.recordings import (
        RECORDINGS,
        find_references,
        pair_recordings,
        recordings_document,
        recordings_files,
        score_recordings,
        unknown_gloss_warnings,
        write_recordings,
    )
    from cslr_cli.evaluation.reports import decoding_facts, evaluation_folder
    from cslr_cli.model.device import resolve_device
    from cslr_cli.recognizer import Recognizer
    from cslr_cli.report import PAGE
    from cslr_cli.scoring.forms import read_transcripts
    from cslr_cli.scoring.segments import ReferenceSet

    references_path = references_path or find_references(recordings)
    references = ReferenceSet(read_transcripts(references_path, "references"))
    paths, others = pair_recordings(find_inputs([str(recordings)]), references, recordings)
    for warning in unknown_gloss_warnings(references, checkpoint.vocabulary.glosses, checkpoint.corpus.protocol):
        print_error(warning, kind="warning")
    if others:
        print_note(f"without references, not recognised: {', '.join(path.name for path in others)}")
    default = evaluation_folder(checkpoint_path)
    default = default.with_name(f"{default.name}-{recordings.resolve().name}")
    folder = plan_folder(
        context, output or default, [checkpoint_path, *paths.values(), references_path], recordings_files()
    )
    if folder.is_done:
        return
    recognizer = Recognizer(
        checkpoint, device=resolve_device(device), precision=precision, decoding=decoding, name=str(checkpoint_path)
    )
    recognitions: dict[str, Recognition] = {}
    partial = folder.path / f"{RECORDINGS}.partial.ctm"
    try:
        has_failed = _recognize(recognizer, paths, segmentation, recognitions, as_json=as_json)
    except (KeyboardInterrupt, TerminatedError):
        _keep_recognitions(partial, recognitions, references_path)
        raise
    if has_failed:
        _keep_recognitions(partial, recognitions, references_path)
        raise typer.Exit(EXIT_FAILED)
    folder.begin()
    result = score_recordings(references, recognitions, checkpoint.corpus.protocol, tool)
    facts = {
        "checkpoint": relative_path(checkpoint_path),
        "recordings": relative_path(recordings),
        "references": relative_path(references_path),
        "tool": tool,
    }
    analysis = write_recordings(result, folder.path, f"Evaluation on the recordings in {recordings.name}", facts)
    folder.finish(recordings_files())
    partial.unlink(missing_ok=True)  # of an earlier call that failed
    print_note(f"report, hypotheses and references: {folder.path / PAGE}")
    if as_json:
        print_json(recordings_document(analysis, result, tool, decoding, facts))
    else:
        _print_scores(analysis, {"protocol": checkpoint.corpus.protocol, **decoding_facts(decoding), "tool": tool})


def _recognize(
    recognizer: Recognizer,
    paths: Mapping[str, Path],
    segmentation: Segmentation,
    recognitions: dict[str, Recognition],
    *,
    as_json: bool,
) -> bool:
    """Recognise all recordings into `recognitions`, by name; return whether one has failed."""
    from cslr_cli.recognizer.batch import recognize_files

    def recognize(place: int, clip: ClipReader) -> Recognition:
        return recognizer.recognize(clip, segmentation=segmentation)

    has_failed = False
    with shown_progress() as progress:
        outcomes = recognize_files(recognizer, list(paths.values()), ReadOptions(), recognize)
        for number, (name, outcome) in enumerate(zip(paths, outcomes, strict=True), start=1):
            if outcome.recognition is None:
                report_error(outcome.error or CslrError("no result"), outcome.path, as_json=as_json)
                has_failed = True
            else:
                recognitions[name] = outcome.recognition
                for warning in outcome.recognition.warnings:
                    print_error(f"{outcome.path}: {warning}", kind="warning")
            progress(Progress("recordings", number, len(paths)))
    return has_failed


def _keep_recognitions(path: Path, recognitions: Mapping[str, Recognition], references: Path) -> None:
    """Write the recognitions of an evaluation that did not finish, and say how to score them."""
    from cslr_cli.evaluation.recordings import nist_ctm

    if recognitions:
        write_text(path, nist_ctm({name: each.glosses for name, each in recognitions.items()}))
        print_note(
            f"{len(recognitions)} finished recordings are in {path}\n"
            f"hint: run the command again, or score them alone: cslr score {references} {path} --missing empty"
        )


def _print_scores(analysis: Analysis, facts: Mapping[str, str]) -> None:
    from cslr_cli.report.score_text import describe_special_clips

    section = analysis.section
    rows = [(system.name, total) for system, total in zip(section.systems, analysis.totals, strict=True)]
    print_result(scores_table(rows))
    if analysis.breakdown.by_label:
        print_result(scores_table([(each.name, each) for each in analysis.breakdown.by_label], "category"))
    print_result(intervals_text(rows[:1]))
    special = describe_special_clips(section.systems[0].score)
    print_result(facts_text({**facts, **special}))
    errors = errors_table([("", analysis.breakdown)])
    if errors is not None:
        print_result(errors)
