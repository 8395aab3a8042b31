"""The files of an evaluation: hypotheses, references and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cslr_cli.choices import ScoringTool
from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.documents import format_json
from cslr_cli.evaluation.documents import hypotheses_document
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.files import write_text
from cslr_cli.report import (
    Analysis,
    Section,
    System,
    analyse,
    collect_clip_facts,
    collect_training_counts,
    collect_training_glosses,
    report_files,
    write_report,
)
from cslr_cli.scoring import Score, read_stm, write_ctm, write_stm
from cslr_cli.scoring.scoring_tool import score_with_tool


def evaluation_folder(checkpoint: Path) -> Path:
    """Return the folder of a checkpoint's evaluations: `RUN/evaluation/best` for `RUN/best.pt`.

    Each checkpoint has its own folder, so that evaluations of several checkpoints of a run never mix.
    """
    return checkpoint.parent / "evaluation" / checkpoint.name.removesuffix(".pt")


def evaluation_files(splits: Iterable[str]) -> list[str]:
    """Return the names of the files that `write_evaluation` writes for some splits."""
    splits = list(splits)
    suffixes = ("ctm", "conv.ctm", "stm", "hypotheses.json")
    return [*report_files(splits), *(f"{split}.{suffix}" for split in splits for suffix in suffixes)]


def rescore(result: SplitResult, tool: ScoringTool) -> SplitResult:
    """Score the same hypotheses with another tool; exceptions are those of `score_with_tool`."""
    if tool == "builtin":
        return result

    def rescored(scores: Mapping[str, Score]) -> dict[str, Score]:
        return {head: score_with_tool(tool, score) for head, score in scores.items()}

    return replace(
        result,
        scores=rescored(result.scores),
        greedy=rescored(result.greedy),
        oracle=rescored(result.oracle),
    )


def write_evaluation(
    results: Sequence[SplitResult], corpus: PreparedCorpus, folder: Path, facts: Mapping[str, str]
) -> list[Analysis]:
    """Write hypotheses, references and a report with `facts`; returns the report's figures, one analysis per split."""
    facts = {**facts, "corpus fingerprint": str(corpus.fingerprint)}
    for result in results:
        write_hypotheses(result, corpus, folder)
    analyses = [analyse(report_section(result, corpus)) for result in results]
    write_report(folder, analyses, title=f"Evaluation on {corpus.name}", facts=facts)
    return analyses


def write_hypotheses(result: SplitResult, corpus: PreparedCorpus, output: Path) -> tuple[Path, Path]:
    """Write the hypotheses of a split and its references.

    `SPLIT.ctm` has the hypotheses of the sequence head, `SPLIT.conv.ctm` those of the convolution head, both with times
    in seconds. `SPLIT.stm` has the references of the same clips. `SPLIT.hypotheses.json` has all alternatives of the
    sequence head with scores, confidences and times.

    Returns:
        The paths of the sequence head's hypotheses and of the references.
    """
    ctm, stm = output / f"{result.split}.ctm", output / f"{result.split}.stm"
    output.mkdir(parents=True, exist_ok=True)
    write_ctm(ctm, result.hypotheses["sequence"])
    write_ctm(output / f"{result.split}.conv.ctm", result.hypotheses["conv"])
    references = read_stm(corpus.references(result.split))  # may have clips that the manifest lacks
    write_stm(stm, (each for each in references if each.sample_id in result.hypotheses["sequence"]))
    lines = (f"{format_json(name)}: {format_json(value)}" for name, value in hypotheses_document(result).items())
    write_text(output / f"{result.split}.hypotheses.json", "{\n" + ",\n".join(lines) + "\n}\n")
    return ctm, stm


def decoding_facts(decoding: DecodingConfig) -> dict[str, str]:
    """Describe the decoder, and the language model if there is one."""
    facts: dict[str, str] = {"decoder": decoding.decoder}
    if decoding.decoder != "greedy":
        facts["decoder"] += f", beam width {decoding.beam_width}"
    if decoding.keep_repeats:
        facts["decoder"] += ", repeats kept"
    if decoding.language_model is not None:
        facts["language model"] = (
            f"{decoding.language_model}, weight {decoding.lm_weight:g}, {decoding.gloss_bonus:+g} per gloss"
        )
    return facts


def report_section(result: SplitResult, corpus: PreparedCorpus) -> Section:
    """Build the report's section about a split: both heads, the clips, and the glosses of the training split."""
    facts = decoding_facts(result.decoding)
    further_systems = []
    if "sequence" in result.greedy and result.decoding.decoder != "greedy":
        further_systems.append(System("greedy decoding", result.greedy["sequence"]))
    if "sequence" in result.oracle:
        further_systems.append(System("each clip's best alternative", result.oracle["sequence"]))
    if result.unseen_signers:
        facts["signers not in train"] = ", ".join(sorted(result.unseen_signers))
    return Section(
        name=result.split,
        systems=(
            System("sequence head", result.scores["sequence"]),
            System("convolution head", result.scores["conv"]),
        ),
        clips=collect_clip_facts(corpus, [result.split], result.hypotheses["sequence"]),
        further_systems=further_systems,
        training_glosses=collect_training_glosses(corpus),
        training_counts=collect_training_counts(corpus),
        facts=facts,
    )
