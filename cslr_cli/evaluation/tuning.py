"""The search for the weights of a language model on dev; the network runs only once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.config import DecodingConfig, changed_decoding
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.decoding.clip_decoder import ClipLogProbs
from cslr_cli.decoding.decoder_pool import DecoderPool
from cslr_cli.decoding.decoders import decoder_from_config
from cslr_cli.decoding.pyctcdecode_decoder import FusionTask, FusionWeightsDecoder, PyctcdecodeDecoder
from cslr_cli.errors import UsageError
from cslr_cli.evaluation.checkpoint_evaluation import make_evaluator
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.network_pass import evaluation_mode
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.vocabulary import Vocabulary

TUNING_SPLIT = "dev"

# The coarse grid: weights up to that of the network, each with bonuses (natural logarithm) up to about the cost of a
# gloss in a model of a thousand glosses. The pair (0, 0), without language model, is tried first for comparison.
_WEIGHTS = (0.1, 0.3, 0.6, 1.0)
_BONUSES = (-1.0, 0.0, 1.0, 2.0, 4.0)
# Distance in weight and bonus of the eight neighbours of the best trial that are tried next.
_REFINEMENTS = ((0.15, 0.5), (0.05, 0.25))
_MAX_TRIALS = 1 + len(_WEIGHTS) * len(_BONUSES) + 8 * len(_REFINEMENTS)
_STAGE = "find weights"

Weights = tuple[float, float]  # of the language model, and the bonus of a gloss


@dataclass(frozen=True)
class LanguageModelTrial:
    """One pair of weights that was tried.

    Attributes:
        lm_weight: see `LanguageModel.weight`.
        gloss_bonus: see `LanguageModel.gloss_bonus`.
        wer: word error rate on dev, sequence head, percent.
    """

    lm_weight: float
    gloss_bonus: float
    wer: float


@dataclass(frozen=True)
class TunedLanguageModel:
    """The result of the search for weights.

    Attributes:
        trials: all trials in order; the first one is without the language model.
        decoding: decoding settings with the best weights.
        result: result on dev with the best weights; slightly too good, since the weights were chosen on it.
    """

    trials: tuple[LanguageModelTrial, ...]
    decoding: DecodingConfig
    result: SplitResult

    @property
    def best(self) -> LanguageModelTrial:
        """Trial with the lowest WER; among equal ones, the one with the smallest weights."""
        return _best_trial(self.trials)


def tune_language_model(
    checkpoint: Checkpoint,
    corpus: PreparedCorpus,
    decoding: DecodingConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    num_workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> TunedLanguageModel:
    """Find the weights of a language model with which dev has the lowest WER.

    Tries a coarse grid, then twice the neighbours of the best weights so far. The log-probabilities of dev stay in
    memory: 8 bytes per step and class.

    Args:
        checkpoint: network with its preprocessing.
        corpus: prepared corpus with the split dev.
        decoding: decoding settings with a language model; its weights are ignored.
        device: device of the computation.
        dtype: dtype of the computation.
        num_workers: see `evaluate`.
        progress: called after each clip of the network, then after each trial.

    Raises:
        UsageError: `decoding` has no language model.
        DataError: as in `evaluate`, or the corpus has no split dev.
    """
    decoder = decoder_from_config(decoding, checkpoint.vocabulary)
    if not isinstance(decoder, PyctcdecodeDecoder) or decoder.language_model is None:
        raise UsageError("no language model to tune", "add a language model, for example --lm gloss.arpa")
    evaluator = make_evaluator(
        checkpoint, corpus, TUNING_SPLIT, device=device, dtype=dtype, decoding=decoding, num_workers=num_workers
    )
    clips = _collect_log_probs(evaluator, checkpoint.build_network().to(device), progress)
    with DecoderPool(FusionWeightsDecoder(decoder), evaluator.num_workers) as decoder_pool:
        search = _WeightSearch(evaluator, clips, decoder_pool, checkpoint.vocabulary, progress)
        trials = search.run()
    tuned = changed_decoding(decoding, lm_weight=search.best.lm_weight, gloss_bonus=search.best.gloss_bonus)
    with closing(evaluator.with_decoding(tuned)) as evaluator:
        result = evaluator.score(evaluator.decode(clips, len(clips)))
    return TunedLanguageModel(trials, tuned, result)


def _collect_log_probs(evaluator: Evaluator, network: Network, progress: ProgressCallback) -> list[ClipLogProbs]:
    """Copy the log-probabilities of the split out of the batches."""
    clips: list[ClipLogProbs] = []
    with evaluation_mode(network):
        for clip in evaluator.log_probs(network):
            heads = {head: np.array(log_probs) for head, log_probs in clip.heads.items()}
            clips.append(replace(clip, heads=heads))
            progress(Progress(f"evaluate {evaluator.split}", len(clips), len(evaluator.samples)))
    return clips


class _WeightSearch:
    """The search for the best weights, on the same clips."""

    def __init__(
        self,
        evaluator: Evaluator,
        clips: Sequence[ClipLogProbs],
        decoder_pool: DecoderPool[FusionTask, tuple[int, ...]],
        vocabulary: Vocabulary,
        progress: ProgressCallback,
    ) -> None:
        self._evaluator = evaluator
        self._clips = clips
        self._decoder_pool = decoder_pool
        self._vocabulary = vocabulary
        self._progress = progress
        self._trials: dict[Weights, LanguageModelTrial] = {}

    def run(self) -> tuple[LanguageModelTrial, ...]:
        """Try the grid, then the neighbours of the best weights, and return all trials."""
        self._try_weights([(0.0, 0.0), *product(_WEIGHTS, _BONUSES)])
        for steps in _REFINEMENTS:
            self._try_weights(_neighbours(self.best, *steps))
        self._progress(Progress(_STAGE, len(self._trials), len(self._trials)))
        return tuple(self._trials.values())

    @property
    def best(self) -> LanguageModelTrial:
        """Best trial so far."""
        return _best_trial(self._trials.values())

    def _try_weights(self, candidates: Sequence[Weights]) -> None:
        new = [weights for weights in candidates if weights not in self._trials]
        tasks = (FusionTask(*weights, clip.heads["sequence"]) for weights in new for clip in self._clips)
        recognised = self._decoder_pool.map(tasks, len(new) * len(self._clips))
        for weights in new:
            glosses = {clip.sample_id: self._vocabulary.decode(next(recognised)) for clip in self._clips}
            self._trials[weights] = LanguageModelTrial(*weights, self._evaluator.score_glosses(glosses).wer)
            self._progress(Progress(_STAGE, len(self._trials), _MAX_TRIALS, {"best_wer": self.best.wer}))


def _best_trial(trials: Iterable[LanguageModelTrial]) -> LanguageModelTrial:
    """Return the trial with the lowest WER; among equal ones, the one with the smallest weights."""
    return min(trials, key=lambda trial: (trial.wer, trial.lm_weight, abs(trial.gloss_bonus), trial.gloss_bonus))


def _neighbours(trial: LanguageModelTrial, weight_step: float, bonus_step: float) -> list[Weights]:
    """Return the weights around those of a trial, rounded to two decimals; none below 0."""
    around = product((-weight_step, 0.0, weight_step), (-bonus_step, 0.0, bonus_step))
    shifted = ((round(trial.lm_weight + weight, 2), round(trial.gloss_bonus + bonus, 2)) for weight, bonus in around)
    return [weights for weights in shifted if weights[0] >= 0]
