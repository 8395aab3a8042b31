"""`cslr evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cslr_cli.cli import options
from cslr_cli.cli.checkpoints import open_for_use
from cslr_cli.cli.console import print_json, print_note, print_result, shown_progress, table
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.evaluation import SplitResult
    from cslr_cli.scoring import Counts


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that `cslr train` or `cslr convert` wrote.")],
    corpus: Annotated[
        Path | None,
        typer.Option("--corpus", help="Prepared corpus; else where the checkpoint was trained, else prepared/NAME."),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="dev, test or train; repeatable. Default: dev and test.")
    ] = None,
    vocabulary: options.Vocabulary = None,
    device: options.Device = "auto",
    precision: options.Precision = options.PrecisionName.auto,
    decoder: options.Decoder = None,
    beam_width: options.BeamWidth = None,
    keep_repeats: options.KeepRepeats = False,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Processes that read clips.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder for hypotheses; default: evaluation/ beside the checkpoint.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Score a checkpoint: WER with its substitutions, deletions and insertions, for both heads.

    Writes the hypotheses as CTM beside the references as STM.
    """
    from cslr_cli.config import changed_decoding
    from cslr_cli.data.manifest import PreparedCorpus
    from cslr_cli.evaluation import evaluate as evaluate_checkpoint
    from cslr_cli.evaluation import find_corpus, write_hypotheses
    from cslr_cli.model.device import resolve_device, resolve_precision

    loaded = open_for_use(checkpoint, vocabulary, None if corpus is None else PreparedCorpus.open(corpus))
    prepared = find_corpus(loaded, corpus)
    where = resolve_device(device)
    folder = output or checkpoint.parent / "evaluation"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output {folder}: a file, not a folder", "choose another name")
    folder.mkdir(parents=True, exist_ok=True)  # now: what is wrong with it should not be told after the work
    with shown_progress() as progress:
        results = evaluate_checkpoint(
            loaded,
            prepared,
            list(dict.fromkeys(split)) if split else [s for s in ("dev", "test") if s in prepared.splits],
            device=where,
            dtype=resolve_precision(precision.value, where),
            decoding=changed_decoding(
                loaded.config.decoding,
                decoder=None if decoder is None else decoder.value,
                beam_width=beam_width,
                keep_repeats=keep_repeats or None,
            ),
            num_workers=workers,
            progress=progress,
        )
    for result in results:
        write_hypotheses(result, prepared, folder)
    print_note(f"hypotheses and references: {folder}")
    if as_json:
        print_json({"checkpoint": str(checkpoint), "corpus": str(prepared.path), "splits": results_json(results)})
    else:
        print_result(results_table(results))


def results_json(results: Sequence[SplitResult]) -> dict[str, Any]:
    """For each split the counts of the sequence head at the top, then the parts."""
    return {
        result.split: {
            **result.scores["sequence"].counts.as_dict(),
            "clips": len(result.scores["sequence"].clips),
            "conv": result.scores["conv"].counts.as_dict(),
            "known_signers": result.known_signers.as_dict(),
            "unseen_signers": result.of_unseen_signers.as_dict(),
            "signers": {signer: counts.as_dict() for signer, counts in result.scores["sequence"].by_signer().items()},
        }
        for result in results
    }


def results_table(results: Sequence[SplitResult]) -> Any:
    """A row a split and head, and one for known and unseen signers where a split has both."""
    rows = []
    for result in results:
        rows.append([result.split, *_cells(result.scores["sequence"].counts)])
        if result.unseen_signers and result.known_signers.references:
            rows.append(["  known signers", *_cells(result.known_signers)])
        if result.unseen_signers:
            rows.append([f"  unseen {', '.join(sorted(result.unseen_signers))}", *_cells(result.of_unseen_signers)])
        rows.append(["  convolution head", *_cells(result.scores["conv"].counts)])
    return table(["split", "WER %", "substitutions", "deletions", "insertions", "references"], rows)


def _cells(counts: Counts) -> list[str]:
    wer = "–" if counts.wer is None else f"{counts.wer:.1f}"
    numbers = (counts.substitutions, counts.deletions, counts.insertions, counts.references)
    return [wer, *(str(number) for number in numbers)]
