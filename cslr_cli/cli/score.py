"""`cslr score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.choices import MissingHypotheses
from cslr_cli.cli import options
from cslr_cli.cli.console import print_json, print_note, print_result
from cslr_cli.cli.options import option
from cslr_cli.cli.results import plan_folder
from cslr_cli.cli.score_tables import errors_table, facts_text, intervals_text, scores_table
from cslr_cli.errors import ScoringError, UsageError

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.report import Analysis, Section
    from cslr_cli.scoring import Reference, Score, TimedGloss


def score(
    context: typer.Context,
    references: Annotated[
        Path, typer.Argument(metavar="REFERENCES", help="STM file of references, one line per clip.")
    ],
    hypotheses: Annotated[
        Path, typer.Argument(metavar="HYPOTHESES", help="CTM file of hypotheses, one line per recognised gloss.")
    ],
    others: Annotated[
        Path | None, typer.Argument(metavar="OTHERS", help="CTM file of another system, to compare the two systems.")
    ] = None,
    protocol: Annotated[
        str | None,
        option(
            "--protocol",
            "Normalisation of hypotheses (default: the protocol of --corpus, otherwise plain).",
            "phoenix2014|csl|csl-daily|plain",
            options.SCORING,
        ),
    ] = None,
    missing: Annotated[
        MissingHypotheses,
        option(
            "--missing",
            "Treatment of clips without a hypothesis. error: stop; empty: score them as empty hypotheses.",
            panel=options.SCORING,
        ),
    ] = "error",
    tool: options.Tool = "builtin",
    corpus: Annotated[
        Path | None,
        option(
            "--corpus",
            "Prepared corpus of the clips. Adds their lengths, pictures and unseen glosses to the report.",
            "FOLDER",
        ),
    ] = None,
    output: Annotated[
        Path | None, option("--output", "Folder of the report (default: no report).", "FOLDER", options.OUTPUT)
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    as_json: options.Json = False,
) -> None:
    """Compute the WER of hypotheses from any system, as sclite does.

    A line of the references is `ID 1 SIGNER START END GLOSS GLOSS …`. A line of the hypotheses is
    `ID 1 START END GLOSS`. The command does not import PyTorch.

    The protocol normalises hypotheses, not references. `phoenix2014` removes annotation marks such as `loc-`,
    `cl-` and `-PLUSPLUS`. `csl` and `csl-daily` have the same rules, which change no Chinese gloss. `plain` changes
    nothing. To compare with published figures, use the protocol of the corpus, score the whole split, and merge
    adjacent repeats in the decoder.

    With OTHERS, the command compares two systems: difference in WER with its confidence interval, matched-pairs
    test as in sc_stats, and the number of clips on which each system is better.

    Examples:
        cslr score references.stm hypotheses.ctm --protocol phoenix2014
        cslr score references.stm first.ctm second.ctm --output comparison
    """
    from cslr_cli.report import analyse, report_files, write_report
    from cslr_cli.report.figures import score_document
    from cslr_cli.scoring import find_protocol, read_ctm, read_stm, strip_times
    from cslr_cli.scoring import score as align_all
    from cslr_cli.scoring.scoring_tool import require_tool, score_with_tool

    folder = None
    if output is not None:
        inputs = [path for path in (references, hypotheses, others) if path is not None]
        folder = plan_folder(context, output, inputs, report_files([hypotheses.stem]))
    prepared = None
    if corpus is not None:
        from cslr_cli.corpora.registry import open_prepared_corpus  # imports OpenCV, which scoring alone does not need

        prepared = open_prepared_corpus(corpus)
    chosen = find_protocol(protocol or ("plain" if prepared is None else prepared.protocol))
    require_tool(tool)
    if others == hypotheses:
        raise UsageError(f"{others}: the same file twice", "use the hypotheses of another system")
    signed = read_stm(references)
    recognised = {path: read_ctm(path) for path in (hypotheses, others) if path is not None}
    if missing == "error":
        _check_same_clips(recognised)
    scores = {}
    for path, glosses in recognised.items():
        try:
            aligned = align_all(signed, strip_times(glosses), chosen, missing)
        except ScoringError as error:
            raise ScoringError(f"{path} against {references}: {error.message}", error.hint) from error
        scores[path] = score_with_tool(tool, aligned)
    if prepared is not None:
        _check_clips_in_corpus(references, signed, prepared)
    analysis = analyse(_make_section(recognised, scores, prepared))
    if folder is not None and not folder.is_done:
        folder.begin()
        facts = {"references": str(references), "hypotheses": ", ".join(map(str, recognised)), "tool": tool}
        page = write_report(folder.path, [analysis], title=f"Scores of {hypotheses.name}", facts=facts)
        folder.finish(folder.required)
        print_note(f"report: {page}")
    if as_json:
        print_json(score_document(analysis, tool))
    else:
        _print_scores(analysis, tool)


def _make_section(
    recognised: Mapping[Path, Mapping[str, Sequence[TimedGloss]]],
    scores: Mapping[Path, Score],
    corpus: PreparedCorpus | None,
) -> Section:
    from cslr_cli.report import ClipFacts, Section, System, collect_clip_facts, collect_training_glosses

    paths = list(recognised)
    systems = [System(name, scores[path]) for name, path in zip(_distinct_names(paths), paths, strict=True)]
    first = recognised[paths[0]]
    if corpus is None:
        clips = {sample_id: ClipFacts(recognised=glosses) for sample_id, glosses in first.items()}
        return Section(paths[0].stem, systems, clips)
    clips = collect_clip_facts(corpus, corpus.splits, first)
    return Section(paths[0].stem, systems, clips, collect_training_glosses(corpus))


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return file names with as many folders as make them differ: `best/dev.ctm`, `epoch-8/dev.ctm`."""
    names: list[str] = []
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = [Path(*path.parts[-length:]).as_posix() for path in paths]
        if len(set(names)) == len(paths):
            break
    return names


def _check_clips_in_corpus(path: Path, references: list[Reference], corpus: PreparedCorpus) -> None:
    """Check that the clips of all references are in a prepared corpus."""
    from cslr_cli.scoring.scorer import format_clips

    known = {sample.sample_id for split in corpus.splits for sample in corpus.samples(split)}
    unknown = [reference.sample_id for reference in references if reference.sample_id not in known]
    if unknown:
        raise ScoringError(
            f"{path}: {format_clips(unknown)} no line in the corpus {corpus.path}",
            "use the corpus of these references, or remove --corpus",
        )


def _check_same_clips(recognised: Mapping[Path, Mapping[str, object]]) -> None:
    """Check that the hypotheses of two systems are of the same clips."""
    from cslr_cli.scoring.scorer import format_clips

    for path in recognised:
        for other in recognised:
            unpaired = [sample_id for sample_id in recognised[path] if sample_id not in recognised[other]]
            if unpaired:
                raise ScoringError(
                    f"the two systems have different clips: {format_clips(unpaired)} hypotheses in {path} "
                    f"and none in {other}",
                    "use hypotheses of the same clips, or count missing ones as empty: --missing empty",
                )


def _print_scores(analysis: Analysis, tool: str) -> None:
    from rich.text import Text

    from cslr_cli.report.score_text import describe_comparison, describe_special_clips

    section = analysis.section
    rows = [(system.name, total) for system, total in zip(section.systems, analysis.totals, strict=True)]
    print_result(scores_table(rows))
    protocol = section.systems[0].score.protocol
    print_result(intervals_text(rows))
    print_result(facts_text({"protocol": protocol.name, "tool": tool}))
    lines = []
    for system in section.systems:
        facts = describe_special_clips(system.score)
        lines += [f"{system.name}: {name}: {value}." for name, value in facts.items()]
    if analysis.comparison is not None:
        lines += describe_comparison(analysis.comparison, [system.name for system in section.systems])
    if lines:
        print_result(Text("\n".join(lines)))
    errors = errors_table([(section.systems[0].name, analysis.breakdown)])
    if errors is not None:
        print_result(errors)
