"""`cslr score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from cslr_cli.choices import CtmTimes, MissingHypotheses, TranscriptForm
from cslr_cli.cli import options
from cslr_cli.cli.console import print_json, print_note, print_result
from cslr_cli.cli.options import option
from cslr_cli.cli.results import plan_folder
from cslr_cli.cli.score_inputs import (
    ReadOptions,
    check_clips_in_corpus,
    check_same_clips,
    convert_file,
    distinct_names,
    parse_forms,
    paused_garbage_collection,
    read_hypotheses,
    read_references,
    warn_of_similar_glosses,
)
from cslr_cli.cli.score_tables import errors_table, facts_text, intervals_text, scores_table
from cslr_cli.errors import ScoringError, UsageError

if TYPE_CHECKING:
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.report import Analysis, Section
    from cslr_cli.scoring import Score, TimedGloss
    from cslr_cli.scoring.segments import ReferenceSet


def _complete_form(incomplete: str) -> list[str]:
    """Complete the name of a form, also behind another one and a comma."""
    before = incomplete[: incomplete.rfind(",") + 1]
    return [f"{before}{name}" for name in get_args(TranscriptForm)]


def score(
    context: typer.Context,
    references: Annotated[
        Path,
        typer.Argument(metavar="REFERENCES", help="File of references: STM, CTM, trn, text, CSV, TSV or JSON."),
    ],
    hypotheses: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="HYPOTHESES",
            help="File of hypotheses in any of these forms; a second file of another system, to compare the two. Or "
            "one file per seed of a system, perhaps -- and the seeds of another system.",
        ),
    ] = None,
    format_name: Annotated[
        str | None,
        option(
            "--format",
            f"Form of the files: {', '.join(get_args(TranscriptForm))} (default: recognised by the content). "
            "FORM,FORM: those of references and hypotheses; with --convert, those of input and output.",
            "FORM",
            complete=_complete_form,
        ),
    ] = None,
    channel: Annotated[
        str | None, option("--channel", "Channel of the recordings to score (default: all channels).", "NAME")
    ] = None,
    ctm_times: Annotated[
        CtmTimes,
        option(
            "--ctm-times",
            "Meaning of the fourth field of a CTM line. auto: a duration if it is smaller than the start in any line, "
            "otherwise the end.",
        ),
    ] = "auto",
    convert: Annotated[
        Path | None,
        option(
            "--convert",
            "Do not score. Write REFERENCES, a file in any form, to this file; its suffix or --format names the form.",
            "FILE",
            options.OUTPUT,
        ),
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
    optional_glosses: Annotated[
        bool,
        option(
            "--optional-glosses",
            "Treat glosses in parentheses, (A), as optional: correct if only one side has them (sclite -D).",
            panel=options.SCORING,
        ),
    ] = False,
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

    Each file can be STM, CTM, trn (`GLOSS GLOSS (ID)`), lines `ID GLOSS GLOSS` or `ID|GLOSS GLOSS`, CSV or TSV with a
    header, JSON lines, or a JSON or CSV file that `predict` or `evaluate` wrote. The content decides. If the references
    have several segments per recording, recognised glosses go to segments by the middle of their times, as in sclite.
    The command does not import PyTorch.

    The protocol normalises hypotheses, not references. `phoenix2014` removes annotation marks such as `loc-`,
    `cl-` and `-PLUSPLUS`. `csl` and `csl-daily` have the same rules, which change no Chinese gloss. `plain` changes
    nothing. To compare with published figures, use the protocol of the corpus, score the whole split, and merge
    adjacent repeats in the decoder.

    With two files of hypotheses, the command compares two systems: difference in WER with its confidence interval,
    matched-pairs test as in sc_stats, and the number of clips on which each system is better. With several seeds per
    system, it compares the means: Welch's t-test, and an interval for which both seeds and clips are drawn.

    Examples:
        cslr score references.stm hypotheses.ctm --protocol phoenix2014
        cslr score references.stm first.ctm second.ctm --output comparison
        cslr score references.stm a1.ctm a2.ctm a3.ctm -- b1.ctm b2.ctm b3.ctm
        cslr score references.csv hypotheses.jsonl
        cslr score hypotheses.trn --convert hypotheses.ctm
    """
    from cslr_cli.cli.score_seeds import report_seeds, split_systems
    from cslr_cli.report import analyse, report_files, write_report
    from cslr_cli.report.figures import score_document
    from cslr_cli.scoring import find_protocol, strip_times
    from cslr_cli.scoring import score as align_all
    from cslr_cli.scoring.scoring_tool import require_tool, score_with_tool

    context.with_resource(paused_garbage_collection())
    how = ReadOptions(parse_forms(format_name), channel, ctm_times)
    paths = list(hypotheses or ())
    if convert is not None:
        if paths or output is not None:
            raise UsageError("--convert with hypotheses or --output", "give only the file to convert")
        convert_file(context, references, convert, how)
        return
    if not paths:
        raise UsageError("no hypotheses given", "cslr score REFERENCES HYPOTHESES")
    systems = split_systems(context, paths)
    has_seeds = any(len(seeds) > 1 for seeds in systems)
    if has_seeds and output is not None:
        raise UsageError(
            "--output with several seeds", "write the report of one seed: cslr score REFERENCES HYPOTHESES"
        )
    folder = None
    if output is not None:
        folder = plan_folder(context, output, [references, *paths], report_files([paths[0].stem]))
    prepared = None
    if corpus is not None:
        from cslr_cli.corpora.registry import open_prepared_corpus  # imports OpenCV, which scoring alone does not need

        prepared = open_prepared_corpus(corpus)
    chosen = find_protocol(protocol or ("plain" if prepared is None else prepared.protocol))
    require_tool(tool)
    signed = read_references(references, how)
    recognised = {path: read_hypotheses(path, signed, how) for path in paths}
    check_same_clips(recognised, missing)
    warn_of_similar_glosses(signed.references, recognised)
    scores = {}
    for path, glosses in recognised.items():
        try:
            aligned = align_all(
                signed.references, strip_times(glosses), chosen, missing, optional_glosses=optional_glosses
            )
        except ScoringError as error:
            raise ScoringError(f"{path} against {references}: {error.message}", error.hint) from error
        scores[path] = score_with_tool(tool, aligned)
    if prepared is not None:
        check_clips_in_corpus(signed, prepared)
    if has_seeds:
        report_seeds(systems, scores, tool, as_json=as_json)
        return
    analysis = analyse(_make_section(signed, recognised, scores, prepared))
    if folder is not None and not folder.is_done:
        folder.begin()
        facts = {"references": str(references), "hypotheses": ", ".join(map(str, recognised)), "tool": tool}
        page = write_report(folder.path, [analysis], title=f"Scores of {paths[0].name}", facts=facts)
        folder.finish(folder.required)
        print_note(f"report: {page}")
    if as_json:
        print_json(score_document(analysis, tool))
    else:
        _print_scores(analysis, tool)


def _make_section(
    references: ReferenceSet,
    recognised: Mapping[Path, Mapping[str, Sequence[TimedGloss]]],
    scores: Mapping[Path, Score],
    corpus: PreparedCorpus | None,
) -> Section:
    from cslr_cli.report import (
        ClipFacts,
        Section,
        System,
        collect_clip_facts,
        collect_training_counts,
        collect_training_glosses,
    )

    paths = list(recognised)
    systems = [System(name, scores[path]) for name, path in zip(distinct_names(paths), paths, strict=True)]
    first = recognised[paths[0]]
    if corpus is None:
        clips = {sample_id: ClipFacts(recognised=glosses) for sample_id, glosses in first.items()}
        return Section(paths[0].stem, systems, clips, label_titles=references.label_titles)
    clips = collect_clip_facts(corpus, corpus.splits, first)
    return Section(
        paths[0].stem,
        systems,
        clips,
        collect_training_glosses(corpus),
        label_titles=references.label_titles,
        training_counts=collect_training_counts(corpus),
    )


def _print_scores(analysis: Analysis, tool: str) -> None:
    from rich.text import Text

    from cslr_cli.report.score_text import describe_comparison, describe_special_clips

    section = analysis.section
    rows = [(system.name, total) for system, total in zip(section.systems, analysis.totals, strict=True)]
    print_result(scores_table(rows))
    if analysis.breakdown.by_label:
        print_result(scores_table([(each.name, each) for each in analysis.breakdown.by_label], "category"))
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
