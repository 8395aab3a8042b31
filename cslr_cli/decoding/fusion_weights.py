"""Decoding the same clips with many weights of a language model, to find the best ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from cslr_cli.decoding.hypothesis import LogProbs
from cslr_cli.decoding.language_model import LanguageModel
from cslr_cli.decoding.with_pyctcdecode import PyctcdecodeDecoder


@dataclass(frozen=True)
class FusionTask:
    """A clip, and the weights to decode it with.

    Attributes:
        lm_weight: see `LanguageModel.weight`.
        gloss_bonus: see `LanguageModel.gloss_bonus`.
        log_probs: float (T', V) of the clip.
    """

    lm_weight: float
    gloss_bonus: float
    log_probs: LogProbs


@dataclass(frozen=True)
class FusionTrial:
    """Decodes clips with the weights that come with them.

    Attributes:
        decoder: the search; the weights of its own language model do not count.
    """

    decoder: PyctcdecodeDecoder

    def __call__(self, task: FusionTask) -> tuple[int, ...]:
        """The glosses of the best hypothesis.

        Raises:
            ValueError: the decoder has no language model.
        """
        return self._decoder(task.lm_weight, task.gloss_bonus).decode(task.log_probs)[0].gloss_ids

    def __getstate__(self) -> dict[str, PyctcdecodeDecoder]:
        return {"decoder": self.decoder}

    @cached_property
    def _made(self) -> dict[tuple[float, float], PyctcdecodeDecoder]:
        return {}

    def _decoder(self, lm_weight: float, gloss_bonus: float) -> PyctcdecodeDecoder:
        weights = (lm_weight, gloss_bonus)
        if weights not in self._made:
            if self.decoder.language_model is None:
                raise ValueError("the decoder has no language model")
            fused = LanguageModel(self.decoder.language_model.path, *weights)
            self._made.clear()  # clips come weight by weight
            self._made[weights] = replace(self.decoder, language_model=fused, num_best=1)
        return self._made[weights]
