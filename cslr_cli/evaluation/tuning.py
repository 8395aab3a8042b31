"""Finding how much a language model should count, on dev; the network runs over it once."""

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
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.network_pass import evaluation_mode
from cslr_cli.evaluation.of_checkpoint import evaluator_of
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.vocabulary import Vocabulary

TUNING_SPLIT = "dev"

# What is tried first: weights from "hardly" to "as much as the network", and for each a bonus (natural
# logarithm) from none to about what a gloss costs in a model of a thousand glosses. Without a
# language model (0, 0) is tried as well, to compare.
_WEIGHTS = (0.1, 0.3, 0.6, 1.0)
_BONUSES = (-1.0, 0.0, 1.0, 2.0, 4.0)
# How far from the best so far its eight neighbours lie that are tried next, in weight and bonus.
_FINER = ((0.15, 0.5), (0.05, 0.25))
_MOST_TRIALS = 1 + len(_WEIGHTS) * len(_BONUSES) + 8 * len(_FINER)
_STAGE = "find weights"

Weights = tuple[float, float]  # of the language model, and the bonus of a gloss


@dataclass(frozen=True)
class LanguageModelTrial:
    """One pair of weights that was tried.

    Attributes:
        lm_weight: how much the language model counted.
        gloss_bonus: what each gloss was given.
        wer: of dev with it, sequence head, percent.
    """

    lm_weight: float
    gloss_bonus: float
    wer: float


@dataclass(frozen=True)
class TunedLanguageModel:
    """The weights that were found.

    Attributes:
        trials: all that were tried, in their order; the first one is without the language model.
        decoding: with the best weights.
        result: dev, decoded so. Its figures are a little too good: the weights were chosen by them.
    """

    trials: tuple[LanguageModelTrial, ...]
    decoding: DecodingConfig
    result: SplitResult

    @property
    def best(self) -> LanguageModelTrial:
        """The trial with the lowest WER; of equal ones that with the least weights."""
        return _best(self.trials)


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

    A coarse grid, then twice the neighbours of the best so far. What the network says of dev stays
    in memory meanwhile: 8 bytes for each step, class and clip.

    Args:
        checkpoint: the network and its preprocessing.
        corpus: its dev is recognised.
        decoding: with the language model; its weights do not count.
        device: where to compute.
        dtype: what to compute in.
        num_workers: see `evaluate`.
        progress: is told of each clip that the network sees, then of each trial.

    Raises:
        UsageError: the decoding has no language model.
        DataError: as `evaluate` has it; there is no dev.
    """
    untuned = decoder_from_config(decoding, checkpoint.vocabulary)
    if not isinstance(untuned, PyctcdecodeDecoder) or untuned.language_model is None:
        raise UsageError("there is no language model to tune", "name one: --lm gloss.arpa")
    evaluator = evaluator_of(
        checkpoint, corpus, TUNING_SPLIT, device=device, dtype=dtype, decoding=decoding, num_workers=num_workers
    )
    clips = _kept_log_probs(evaluator, checkpoint.build_network().to(device), progress)
    with DecoderPool(FusionWeightsDecoder(untuned), evaluator.num_workers) as decoder_pool:
        search = _Search(evaluator, clips, decoder_pool, checkpoint.vocabulary, progress)
        trials = search.run()
    tuned = changed_decoding(decoding, lm_weight=search.best.lm_weight, gloss_bonus=search.best.gloss_bonus)
    with closing(evaluator.decoding_by(tuned)) as evaluator:
        result = evaluator.score(evaluator.decode(clips, len(clips)))
    return TunedLanguageModel(trials, tuned, result)


def _kept_log_probs(evaluator: Evaluator, network: Network, progress: ProgressCallback) -> list[ClipLogProbs]:
    """What the network says of the split, in memory that belongs to no batch and no device."""
    kept: list[ClipLogProbs] = []
    with evaluation_mode(network):
        for clip in evaluator.log_probs(network):
            heads = {head: np.array(log_probs) for head, log_probs in clip.heads.items()}
            kept.append(replace(clip, heads=heads))
            progress(Progress(f"evaluate {evaluator.split}", len(kept), len(evaluator.samples)))
    return kept


class _Search:
    """Tries weights on the same clips."""

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
        """All trials: the grid, then closer and closer around the best."""
        self._try([(0.0, 0.0), *product(_WEIGHTS, _BONUSES)])
        for steps in _FINER:
            self._try(_neighbours(self.best, *steps))
        self._progress(Progress(_STAGE, len(self._trials), len(self._trials)))
        return tuple(self._trials.values())

    @property
    def best(self) -> LanguageModelTrial:
        """The best trial so far."""
        return _best(self._trials.values())

    def _try(self, candidates: Sequence[Weights]) -> None:
        new = [weights for weights in candidates if weights not in self._trials]
        tasks = (FusionTask(*weights, clip.heads["sequence"]) for weights in new for clip in self._clips)
        recognised = self._decoder_pool.map(tasks, len(new) * len(self._clips))
        for weights in new:
            glosses = {clip.sample_id: self._vocabulary.decode(next(recognised)) for clip in self._clips}
            self._trials[weights] = LanguageModelTrial(*weights, self._evaluator.score_glosses(glosses).wer)
            self._progress(Progress(_STAGE, len(self._trials), _MOST_TRIALS, {"best_wer": self.best.wer}))


def _best(trials: Iterable[LanguageModelTrial]) -> LanguageModelTrial:
    """The trial with the lowest WER; of equal ones that with the least weights."""
    return min(trials, key=lambda trial: (trial.wer, trial.lm_weight, abs(trial.gloss_bonus), trial.gloss_bonus))


def _neighbours(trial: LanguageModelTrial, weight_step: float, bonus_step: float) -> list[Weights]:
    """The weights around those of a trial, rounded to what is read easily; none below 0."""
    around = product((-weight_step, 0.0, weight_step), (-bonus_step, 0.0, bonus_step))
    shifted = ((round(trial.lm_weight + weight, 2), round(trial.gloss_bonus + bonus, 2)) for weight, bonus in around)
    return [weights for weights in shifted if weights[0] >= 0]
