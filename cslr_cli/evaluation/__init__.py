"""Evaluation: from a checkpoint and a corpus to hypotheses and scores.

`checkpoint_evaluation` evaluates a checkpoint on splits of a corpus. `evaluator` recognises and scores one split,
`network_pass` runs the network over its clips, and `results` is the result. `tuning` searches the weights of a language
model. `recordings` evaluates on whole recordings. `documents` has the JSON documents, and `reports` writes the files.
"""

from __future__ import annotations

from cslr_cli.decoding.clip_decoder import ClipHypotheses, ClipLogProbs
from cslr_cli.evaluation.checkpoint_evaluation import evaluate, evaluation_warnings
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.reports import evaluation_folder, write_hypotheses
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
    "evaluation_folder",
    "evaluation_warnings",
    "tune_language_model",
    "write_hypotheses",
]
