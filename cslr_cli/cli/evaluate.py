"""`cslr evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.completion import complete_checkpoint
from cslr_cli.cli.console import print_error, print_json, print_note, print_result, shown_progress
from cslr_cli.cli.decoding import apply_decoding_options, tuning_table
from cslr_cli.cli.options import find_checkpoint_and_report, find_corpus_and_report, open_checkpoint_and_report, option
from cslr_cli.cli.results import plan_folder
from cslr_cli.cli.score_tables import errors_table, facts_text, intervals_text, scores_table
from cslr_cli.errors import UsageError
from cslr_cli.files import relative_path
from cslr_cli.result_files import OutputMarker

if TYPE_CHECKING:
    import torch

    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.config import DecodingConfig
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.evaluation import SplitResult, TunedLanguageModel
    from cslr_cli.scoring import ClipScore


def evaluate(
    context: typer.Context,
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            autocompletion=complete_checkpoint,
            help="Checkpoint file, run (its best.pt) or name of a model; a published checkpoint with --vocabulary.",
        ),
    ],
    corpus: Annotated[
        Path | None,
        option("--corpus", "Prepared corpus (default: the corpus of the training).", "FOLDER"),
    ] = None,
    split: options.Splits = None,
    recordings: Annotated[
        Path | None,
        option(
            "--recordings",
            "Folder of whole recordings to evaluate instead of a corpus. Needs timed references: the STM file in the "
            "folder, or --references.",
            "FOLDER",
            options.LONG_RECORDINGS,
        ),
    ] = None,
    references: Annotated[
        Path | None,
        option(
            "--references",
            "Timed references of the recordings (default: the only STM file in the folder).",
            "FILE",
            options.LONG_RECORDINGS,
        ),
    ] = None,
    segment: options.Segment = "auto",
    window: options.Window = None,
    overlap: options.Overlap = None,
    vocabulary: options.Vocabulary = None,
    settings: options.UseSettings = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    decoder: options.Decoder = None,
    beam_width: options.BeamWidth = None,
    keep_repeats: options.KeepRepeats = False,
    num_best: Annotated[
        int | None,
        option(
            "--nbest",
            "Number of hypotheses per clip (default: 1). Also reports the WER of the best hypothesis per clip.",
            "N",
            options.DECODING,
            min=1,
        ),
    ] = None,
    lm: options.LanguageModel = None,
    lm_weight: options.LmWeight = None,
    gloss_bonus: options.GlossBonus = None,
    tune_lm: Annotated[
        bool,
        option(
            "--tune-lm",
            "Search the language model's weights on dev, and use them for all splits.",
            panel=options.DECODING,
        ),
    ] = False,
    tool: options.Tool = "builtin",
    workers: Annotated[
        int | None,
        option(
            "--workers",
            "Number of processes that read clips, and maximum number of processes that decode (default: as in the "
            "training).",
            "N",
            min=0,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            "--output", "Folder of the report (default: evaluation/NAME/ next to NAME.pt).", "FOLDER", options.OUTPUT
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    as_json: options.Json = False,
) -> None:
    """Compute the WER of a checkpoint, and write a report.

    Prints the WER with its confidence interval and the most frequent errors. Writes `report.html` with the alignment
    of every clip, `report.json`, one CSV file with the figures of each clip, hypotheses as CTM and references as STM.
    Each checkpoint has its own folder: `RUN/evaluation/best/` for `RUN/best.pt`.

    With `--recordings`, the command recognises whole recordings and scores them against timed references, segment by
    segment as sclite does. A recording `talk.mp4` has the lines `talk 1 SIGNER START END GLOSS …` in the STM file.

    Examples:
        cslr evaluate runs/phoenix2014/best.pt
        cslr evaluate runs/phoenix2014/best.pt --split test --nbest 10
        cslr evaluate runs/phoenix2014/best.pt --lm gloss.arpa --tune-lm
        cslr evaluate runs/phoenix2014/best.pt --recordings talks/
    """
    if recordings is not None:
        _evaluate_recordings(context, checkpoint, recordings)
        return
    segmentation_given = {"--segment": segment != "auto", "--window": window, "--overlap": overlap}
    for name, value in {"--references": references, **segmentation_given}.items():
        if value:
            raise UsageError(f"{name} without --recordings", f"add --recordings FOLDER, or remove {name}")
    from cslr_cli.report import PAGE, report_files

    if output is not None and not skip_existing and OutputMarker.read(output) is None:
        plan_folder(context, output, [checkpoint], report_files(()))  # before anything is loaded
    from cslr_cli.corpora.registry import open_prepared_corpus
    from cslr_cli.evaluation import evaluation_folder, evaluation_warnings
    from cslr_cli.evaluation.documents import evaluation_document
    from cslr_cli.evaluation.reports import decoding_facts, evaluation_files, rescore, write_evaluation
    from cslr_cli.model.device import resolve_device, resolve_precision
    from cslr_cli.scoring.scoring_tool import require_tool

    require_tool(tool)
    checkpoint = find_checkpoint_and_report(checkpoint)
    loaded = open_checkpoint_and_report(
        checkpoint, vocabulary, None if corpus is None else open_prepared_corpus(corpus)
    )
    loaded = options.change_settings(loaded, settings)
    prepared = find_corpus_and_report(checkpoint, loaded, corpus)
    torch_device = resolve_device(device)
    decoding = apply_decoding_options(
        loaded.config.decoding,
        decoder=decoder,
        lm=lm,
        lm_weight=lm_weight,
        gloss_bonus=gloss_bonus,
        tune_lm=tune_lm,
        beam_width=beam_width,
        keep_repeats=keep_repeats or None,
        num_best=num_best,
    )
    splits = options.parse_splits(split) or [s for s in ("dev", "test") if s in prepared.splits]
    if not splits:
        raise UsageError(f"{prepared.path}: no dev and no test split", "use --split train")
    inputs, files = [checkpoint, prepared.path], evaluation_files(splits)
    folder = plan_folder(context, output or evaluation_folder(checkpoint), inputs, files)
    if folder.is_done:
        return
    for warning in evaluation_warnings(loaded, prepared, splits, decoding):
        print_error(warning, kind="warning")
    results, tuned = _evaluate_splits(
        loaded,
        prepared,
        splits,
        decoding,
        tune_lm=tune_lm,
        device=torch_device,
        dtype=resolve_precision(precision, torch_device),
        workers=workers,
    )
    results = [rescore(result, tool) for result in results]
    facts = {"checkpoint": relative_path(checkpoint), "corpus": relative_path(prepared.path), "tool": tool}
    folder.begin()
    analyses = write_evaluation(results, prepared, folder.path, facts)
    folder.finish(files)
    print_note(f"report, hypotheses and references: {folder.path / PAGE}")
    if as_json:
        print_json(evaluation_document(results, prepared, facts, tuned))
        return
    if tuned is not None:
        print_result(tuning_table(tuned))
    print_result(results_table(results))
    print_result(intervals_text([(analysis.section.name, analysis.totals[0]) for analysis in analyses]))
    print_result(facts_text({"protocol": prepared.protocol, **decoding_facts(results[0].decoding), "tool": tool}))
    errors = errors_table([(analysis.section.name, analysis.breakdown) for analysis in analyses])
    if errors is not None:
        print_result(errors)


def _evaluate_recordings(context: typer.Context, checkpoint: Path, recordings: Path) -> None:
    """Evaluate a checkpoint on recordings, with the options of the command line."""
    from cslr_cli.cli.evaluate_recordings import evaluate_recordings, refuse_corpus_options
    from cslr_cli.scoring.scoring_tool import require_tool

    given = context.params
    names = ("corpus", "split", "tune_lm", "num_best", "workers")
    shown = {"num_best": "--nbest"}
    refuse_corpus_options({shown.get(name, f"--{name.replace('_', '-')}"): given[name] for name in names})
    require_tool(given["tool"])
    segmentation = options.make_segmentation(given["segment"], given["window"], given["overlap"])
    path = find_checkpoint_and_report(checkpoint)
    loaded = options.change_settings(open_checkpoint_and_report(path, given["vocabulary"]), given["settings"])
    decoding = apply_decoding_options(
        loaded.config.decoding,
        decoder=given["decoder"],
        lm=given["lm"],
        lm_weight=given["lm_weight"],
        gloss_bonus=given["gloss_bonus"],
        beam_width=given["beam_width"],
        keep_repeats=given["keep_repeats"] or None,
    )
    evaluate_recordings(
        context,
        path,
        loaded,
        recordings,
        given["references"],
        segmentation,
        decoding,
        device=given["device"],
        precision=given["precision"],
        tool=given["tool"],
        output=given["output"],
        as_json=given["as_json"],
    )


def _evaluate_splits(
    checkpoint: Checkpoint,
    corpus: PreparedCorpus,
    splits: Sequence[str],
    decoding: DecodingConfig,
    *,
    tune_lm: bool,
    device: torch.device,
    dtype: torch.dtype,
    workers: int | None,
) -> tuple[list[SplitResult], TunedLanguageModel | None]:
    """Evaluate the splits; with `tune_lm`, first search the language model's weights."""
    from cslr_cli.evaluation import evaluate as evaluate_checkpoint
    from cslr_cli.evaluation import tune_language_model

    tuned = None
    with shown_progress() as progress:
        if tune_lm:
            tuned = tune_language_model(
                checkpoint, corpus, decoding, device=device, dtype=dtype, num_workers=workers, progress=progress
            )
            decoding = tuned.decoding
        done = {} if tuned is None else {tuned.result.split: tuned.result}  # decoded during the search
        other_results = evaluate_checkpoint(
            checkpoint,
            corpus,
            [name for name in splits if name not in done],
            device=device,
            dtype=dtype,
            decoding=decoding,
            num_workers=workers,
            progress=progress,
        )
        done.update({result.split: result for result in other_results})
    return [done[name] for name in splits], tuned


def results_table(results: Sequence[SplitResult]) -> Any:
    """Build a table with one row per split and head, and rows for known and unseen signers."""
    from cslr_cli.scoring.breakdown import score_group

    rows = []
    for result in results:
        groups: list[tuple[str, Sequence[ClipScore]]] = [(result.split, result.scores["sequence"].clips)]
        if result.unseen_signers:
            if result.clips_of_known_signers:
                groups.append(("  known signers", result.clips_of_known_signers))
            groups.append((f"  unseen {', '.join(sorted(result.unseen_signers))}", result.clips_of_unseen_signers))
        groups.append(("  convolution head", result.scores["conv"].clips))
        if result.decoding.decoder != "greedy":
            groups.append(("  greedy decoding", result.greedy["sequence"].clips))
        if result.oracle:
            groups.append((f"  best of {result.decoding.num_best} (oracle)", result.oracle["sequence"].clips))
        rows += [(name, score_group(name, clips)) for name, clips in groups]
    return scores_table(rows, "split")
