"""What every decoder gives: hypotheses with the time and the confidence of each gloss.

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
    """A sequence of glosses that may have been signed.

    Attributes:
        gloss_ids: the glosses in order, each 1 to V-1.
        score: how probable the decoder holds it, a natural logarithm. From the prefix beam search
            it is the sum over all paths of this labelling that stayed in the beam, from greedy
            decoding the one best path, from pyctcdecode its combined score with a language model.
            Where repeats were merged it is the score of the best labelling before merging.
        steps: for each gloss its first step and the one after its last on the most probable path of
            this labelling. Blanks between glosses belong to none.
        confidences: for each gloss 0 to 1, the mean of its posterior over those steps.
    """

    gloss_ids: tuple[int, ...]
    score: float
    steps: tuple[tuple[int, int], ...]
    confidences: tuple[float, ...]


class Decoder(Protocol):
    """From a network's output to hypotheses."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip.

        Args:
            log_probs: float (T', V), natural logarithms of the posteriors; class 0 is the blank.
                Only real steps: no padding.

        Returns:
            At least one hypothesis, the best first, no two with the same glosses. A clip of no
            steps has the one hypothesis without glosses.

        Raises:
            CslrError: they are not finite: the network's weights have diverged.
            ValueError: they are no log-probabilities of this shape.
        """
        ...


def log_softmax(logits: LogProbs) -> npt.NDArray[np.float32]:
    """Logits (…, V) to log-probabilities; those that are log-probabilities already stay the same."""
    exact = np.asarray(logits, dtype=np.float64)
    shifted = exact - exact.max(axis=-1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.asarray(shifted - log_sums, dtype=np.float32)


def check_log_probs(log_probs: LogProbs) -> None:
    """Refuse what cannot be decoded; classes may be impossible (-inf), but not all of a step.

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
            "its weights have probably diverged in training; use an earlier checkpoint, or train with "
            "a lower learning rate or in fp32",
        )
    if (highest > 1e-3).any():  # rounding may put the logarithm of 1 a little above 0
        raise ValueError("log_probs has values above 0; logits go through log_softmax first")


def merge_ids(gloss_ids: Iterable[int]) -> tuple[int, ...]:
    """The glosses with each run of equal neighbours made one."""
    merged: list[int] = []
    for gloss_id in gloss_ids:
        if not merged or merged[-1] != gloss_id:
            merged.append(gloss_id)
    return tuple(merged)


def merge_repeats(hypothesis: Hypothesis) -> Hypothesis:
    """Make each run of equal neighbouring glosses one, as the published systems do.

    The joined gloss lasts from the first's start to the last's end; its confidence is the mean over
    the steps of all of them. A true repetition is lost by this: about 0.1 % of PHOENIX2014's glosses
    and 1.5 % of CSL-Daily's.
    """
    steps: list[tuple[int, int]] = []
    confidences: list[float] = []
    weights: list[int] = []  # steps that stand behind each confidence: blanks between do not count
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
    return Hypothesis(merge_ids(hypothesis.gloss_ids), hypothesis.score, tuple(steps), tuple(confidences))
