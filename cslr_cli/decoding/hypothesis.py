"""The interface of all decoders, and their result: hypotheses with the steps and confidences of the glosses.

Axes: T' steps of the network, V classes with the blank.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cslr_cli.errors import CslrError

LogProbs = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Hypothesis:
    """A recognised sequence of glosses.

    Attributes:
        gloss_ids: gloss ids in order, each 1 to V-1.
        score: natural logarithm of the probability. For prefix beam search it sums all paths of this labelling in the
            beam, for greedy decoding it is the one best path, for pyctcdecode the combined score with a language model.
            If repeats were merged, it is the score of the best labelling before merging.
        steps: first step and end step (exclusive) of each gloss on the most probable path of this labelling. Blanks
            between glosses belong to no gloss.
        confidences: mean posterior of each gloss over its steps, 0 to 1.
    """

    gloss_ids: tuple[int, ...]
    score: float
    steps: tuple[tuple[int, int], ...]
    confidences: tuple[float, ...]


class Decoder(Protocol):
    """Turns the output of a network into hypotheses."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip.

        Args:
            log_probs: float (T', V), natural logarithms of the posteriors, without padding; class 0 is the blank.

        Returns:
            At least one hypothesis, best first, no two with the same glosses. A clip without steps has one hypothesis
            without glosses.

        Raises:
            CslrError: the log-probabilities are not finite: the network's weights have diverged.
            ValueError: the array is not (T', V), or has values above 0.
        """
        ...


def log_softmax(logits: LogProbs) -> npt.NDArray[np.float32]:
    """Convert logits (…, V) to log-probabilities; log-probabilities stay the same."""
    exact = np.asarray(logits, dtype=np.float64)
    shifted = exact - exact.max(axis=-1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(shifted - log_sums, dtype=np.float32)


def check_log_probs(log_probs: LogProbs) -> None:
    """Check the input of a decoder: each step has at least one class above -inf.

    Raises:
        CslrError: a step has NaN, or no possible class.
        ValueError: the array is not (T', V), or has values above 0.
    """
    if log_probs.ndim != 2 or log_probs.shape[1] < 1:
        raise ValueError(f"log_probs is of shape {log_probs.shape}, expected (steps, classes)")
    highest = log_probs.max(axis=1)  # NaN where a step has one
    if not np.isfinite(highest).all():
        raise CslrError(
            "the network's output is not finite, so it cannot be decoded",
            "the weights have probably diverged in training: use an earlier checkpoint, or train with a lower "
            "learning rate or in fp32",
        )
    if (highest > 1e-3).any():  # rounding may put the logarithm of 1 a little above 0
        raise ValueError("log_probs has values above 0; use log_softmax to convert logits")


def merge_repeated_ids(gloss_ids: Iterable[int]) -> tuple[int, ...]:
    """Merge adjacent equal ids."""
    merged: list[int] = []
    for gloss_id in gloss_ids:
        if not merged or merged[-1] != gloss_id:
            merged.append(gloss_id)
    return tuple(merged)


def merge_repeats(hypothesis: Hypothesis) -> Hypothesis:
    """Merge adjacent equal glosses, as published systems do.

    A merged gloss lasts from the start of the first to the end of the last; its confidence is the mean over the steps
    of all. Real repetitions are lost: about 0.1 % of the glosses of PHOENIX2014 and 1.5 % of CSL-Daily.
    """
    steps: list[tuple[int, int]] = []
    confidences: list[float] = []
    weights: list[int] = []  # number of steps of each confidence, without the blanks between
    previous: int | None = None
    for gloss_id, (start, end), confidence in zip(
        hypothesis.gloss_ids, hypothesis.steps, hypothesis.confidences, strict=True
    ):
        weight = end - start
        if gloss_id == previous:
            total = weights[-1] + weight
            confidences[-1] = (confidences[-1] * weights[-1] + confidence * weight) / total
            weights[-1] = total
            steps[-1] = (steps[-1][0], end)
        else:
            steps.append((start, end))
            confidences.append(confidence)
            weights.append(weight)
        previous = gloss_id
    return Hypothesis(merge_repeated_ids(hypothesis.gloss_ids), hypothesis.score, tuple(steps), tuple(confidences))
