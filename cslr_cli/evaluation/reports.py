"""What an evaluation leaves: a report of its splits, and the hypotheses beside the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation.files import write_hypotheses
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.report import Analysis, Section, System, analyse, corpus_clips, training_glosses, write_report
from cslr_cli.scoring import Score
from cslr_cli.scoring.tools import ToolName, scored_by


def scored_by_tool(result: SplitResult, tool: ToolName) -> SplitResult:
    """The same recognition with its figures from another tool.

    Raises:
        MissingPackageError: sclite is asked for and not installed.
    """
    if tool == "builtin":
        return result

    def rescored(scores: Mapping[str, Score]) -> dict[str, Score]:
        return {head: scored_by(tool, score) for head, score in scores.items()}

    return replace(
        result,
        scores=rescored(result.scores),
        greedy=rescored(result.greedy),
        oracle=rescored(result.oracle),
    )


def write_evaluation(
    results: Sequence[SplitResult], corpus: PreparedCorpus, folder: Path, facts: Mapping[str, str]
) -> list[Analysis]:
    """Write the hypotheses, the references and the report of some splits.

    Args:
        results: of the splits.
        corpus: the prepared corpus that they are of.
        folder: where to.
        facts: what holds for all splits, in words.

    Returns:
        What the report shows, split by split.
    """
    for result in results:
        write_hypotheses(result, corpus, folder)
    analyses = [analyse(report_section(result, corpus)) for result in results]
    write_report(folder, analyses, title=f"Evaluation on {corpus.name}", facts=facts)
    return analyses


def decoding_facts(decoding: DecodingConfig) -> dict[str, str]:
    """How clips were decoded, in words: the decoder, and the language model where there is one."""
    facts: dict[str, str] = {"decoder": decoding.decoder}
    if decoding.decoder != "greedy":
        facts["decoder"] += f", beam width {decoding.beam_width}"
    if decoding.keep_repeats:
        facts["decoder"] += ", repeats kept"
    if decoding.language_model is not None:
        facts["language model"] = (
            f"{decoding.language_model}, weight {decoding.lm_weight:g}, {decoding.gloss_bonus:+g} a gloss"
        )
    return facts


def report_section(result: SplitResult, corpus: PreparedCorpus) -> Section:
    """What a report says of a split: both heads, the clips, and the glosses of the training.

    Args:
        result: of the split.
        corpus: the prepared corpus that it is of.
    """
    facts = decoding_facts(result.decoding)
    beside = []
    if "sequence" in result.greedy and result.decoding.decoder != "greedy":
        beside.append(System("greedy decoding", result.greedy["sequence"]))
    if "sequence" in result.oracle:
        beside.append(System("each clip's best alternative", result.oracle["sequence"]))
    if result.unseen_signers:
        facts["signers not in training"] = ", ".join(sorted(result.unseen_signers))
    return Section(
        name=result.split,
        systems=(
            System("sequence head", result.scores["sequence"]),
            System("convolution head", result.scores["conv"]),
        ),
        clips=corpus_clips(corpus, [result.split], result.hypotheses["sequence"]),
        beside=beside,
        training_glosses=training_glosses(corpus),
        facts=facts,
    )
