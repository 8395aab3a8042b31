"""The JSON documents of an evaluation: what `cslr evaluate --json` prints, and `SPLIT.hypotheses.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from typing_extensions import NotRequired, TypedDict

from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.evaluation.tuning import LanguageModelTrial, TunedLanguageModel
from cslr_cli.recognition import Alternative, AlternativeDocument, alternative_document
from cslr_cli.report.figures import MAX_PRINTED_CONFUSIONS, group_figures
from cslr_cli.scoring import ClipScore, Confusion
from cslr_cli.scoring.breakdown import GroupFigures, break_down, score_group


class ClipHypothesesDocument(AlternativeDocument):
    """The hypotheses of a clip: the best one, and all of them if there are several.

    Attributes:
        nbest: all hypotheses, best first; only with several hypotheses.
    """

    nbest: NotRequired[list[AlternativeDocument]]


class HypothesesDocument(TypedDict, extra_items=ClipHypothesesDocument):  # type: ignore[call-arg]
    """The hypotheses of a split, `SPLIT.hypotheses.json`: those of each clip, by the name of the clip.

    Attributes:
        schema_version: version of this document.
    """

    schema_version: Literal[1]


class _OracleFigures(TypedDict, total=False):
    """The part of `SplitFigures` for several hypotheses per clip.

    Attributes:
        oracle: totals of the best hypothesis of each clip; only with several hypotheses per clip.
    """

    oracle: GroupFigures


class SplitFigures(GroupFigures, _OracleFigures):
    """The scores and hypotheses of a split. The totals are those of the sequence head.

    Attributes:
        conv: totals of the convolution head.
        greedy: totals of greedy decoding.
        known_signers: totals of the signers who are in training.
        unseen_signers: totals of the signers who are not in training.
        signers: totals by signer.
        confusions: most frequent pairs of different glosses.
        hypotheses: hypotheses of each clip, by its name.
    """

    conv: GroupFigures
    greedy: GroupFigures
    known_signers: GroupFigures
    unseen_signers: GroupFigures
    signers: dict[str, GroupFigures]
    confusions: Sequence[Confusion]
    hypotheses: dict[str, ClipHypothesesDocument]


class TuningDocument(TypedDict):
    """The search for the weights of a language model; the best trial, and all of them.

    Attributes:
        lm_weight: best weight of the language model.
        gloss_bonus: best score added per gloss.
        wer: WER on dev with them, in percent.
        trials: all trials in order; the first one is without the language model.
    """

    lm_weight: float
    gloss_bonus: float
    wer: float
    trials: Sequence[LanguageModelTrial]


class EvaluationDocument(TypedDict):
    """The scores of a checkpoint: what `cslr evaluate --json` prints.

    Attributes:
        schema_version: version of this document.
        checkpoint: path of the checkpoint.
        corpus: path of the prepared corpus.
        tool: scoring tool.
        protocol: name of the scoring protocol.
        decoding: settings of the decoder.
        splits: scores and hypotheses of each split.
        language_model: search for the weights of the language model; only with `--tune-lm`.
    """

    schema_version: Literal[1]
    checkpoint: str
    corpus: str
    tool: str
    protocol: str
    decoding: DecodingConfig
    splits: dict[str, SplitFigures]
    language_model: NotRequired[TuningDocument]


def evaluation_document(
    results: Sequence[SplitResult], corpus: PreparedCorpus, facts: Mapping[str, str], tuned: TunedLanguageModel | None
) -> EvaluationDocument:
    """Make the document of an evaluation; `facts` are those of its report."""
    document: EvaluationDocument = {
        "schema_version": 1,
        "checkpoint": facts["checkpoint"],
        "corpus": facts["corpus"],
        "tool": facts["tool"],
        "protocol": corpus.protocol,
        "decoding": results[0].decoding,
        "splits": split_figures(results),
    }
    if tuned is not None:
        best = tuned.best
        document["language_model"] = {
            "lm_weight": best.lm_weight,
            "gloss_bonus": best.gloss_bonus,
            "wer": best.wer,
            "trials": tuned.trials,
        }
    return document


def split_figures(results: Sequence[SplitResult]) -> dict[str, SplitFigures]:
    """Return the figures and hypotheses of each split."""

    def figures(clips: Sequence[ClipScore]) -> GroupFigures:
        return score_group("", clips).as_dict()

    splits: dict[str, SplitFigures] = {}
    for result in results:
        breakdown = break_down(result.scores["sequence"])
        oracle: _OracleFigures = {}
        if result.oracle:
            oracle["oracle"] = figures(result.oracle["sequence"].clips)
        splits[result.split] = {
            **breakdown.total.as_dict(),
            "conv": figures(result.scores["conv"].clips),
            "greedy": figures(result.greedy["sequence"].clips),
            **oracle,
            "known_signers": figures(result.clips_of_known_signers),
            "unseen_signers": figures(result.clips_of_unseen_signers),
            "signers": group_figures(breakdown.by_signer),
            "confusions": breakdown.confusions[:MAX_PRINTED_CONFUSIONS],
            "hypotheses": clip_hypotheses(result),
        }
    return splits


def hypotheses_document(result: SplitResult) -> HypothesesDocument:
    """Make the document of the hypotheses of a split."""
    return cast("HypothesesDocument", {"schema_version": 1, **clip_hypotheses(result)})


def clip_hypotheses(result: SplitResult) -> dict[str, ClipHypothesesDocument]:
    """Return the sequence head's hypotheses of each clip."""
    return {sample_id: _clip_document(alternatives) for sample_id, alternatives in result.nbest["sequence"].items()}


def _clip_document(alternatives: Sequence[Alternative]) -> ClipHypothesesDocument:
    hypotheses = [alternative_document(alternative) for alternative in alternatives]
    best: ClipHypothesesDocument = {"glosses": hypotheses[0]["glosses"], "score": hypotheses[0]["score"]}
    if len(hypotheses) > 1:
        best["nbest"] = hypotheses
    return best
