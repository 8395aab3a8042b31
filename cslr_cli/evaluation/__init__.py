"""From a checkpoint and a corpus to hypotheses, and from those to scores.

`network_pass` runs a network over clips, `evaluator` recognises and scores a split, `results` is
what comes of it; `of_checkpoint` does so for splits of a checkpoint's corpus, `tuning` finds the
weights of a language model on the way, `files` reads and writes.
"""

from __future__ import annotations

from cslr_cli.decoding.clip_decoder import ClipHypotheses, ClipLogProbs
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.files import find_corpus, write_hypotheses
from cslr_cli.evaluation.of_checkpoint import evaluate, evaluation_warnings
from cslr_cli.evaluation.results import HEADS, SplitResult
from cslr_cli.evaluation.tuning import LanguageModelTrial, TunedLanguageModel, tune_language_model

__all__ = [
    "HEADS",
    "ClipHypotheses",
    "ClipLogProbs",
    "Evaluator",
    "LanguageModelTrial",
    "SplitResult",
    "TunedLanguageModel",
    "evaluate",
    "evaluation_warnings",
    "find_corpus",
    "tune_language_model",
    "write_hypotheses",
]
