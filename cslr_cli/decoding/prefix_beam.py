"""CTC prefix beam search, as in published systems; exact except for its two widths."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from cslr_cli.decoding.gloss_timing import best_hypotheses
from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs
from cslr_cli.errors import UsageError
from cslr_cli.vocabulary import BLANK_ID

Prefix = tuple[int, ...]
# Two log-probabilities of a prefix: of the paths that end in a blank, and of the others.
Beam = dict[Prefix, tuple[float, float]]


@dataclass(frozen=True)
class PrefixBeamDecoder:
    """CTC prefix beam search (Hannun et al. 2014, arXiv 1408.2873, without a language model).

    For each prefix in the beam, the search sums the probabilities of all paths that give this prefix. Only the two
    widths prune: if both are large enough, the scores are the exact probabilities.

    Attributes:
        beam_width: number of prefixes kept after each step.
        max_classes: number of most probable classes considered per step, with the blank.
        num_best: maximum number of hypotheses returned.
        keep_repeats: whether adjacent equal glosses stay separate.

    Raises:
        UsageError: a width is below 1, or `num_best` is above `beam_width`.
    """

    beam_width: int = 10
    max_classes: int = 40
    num_best: int = 1
    keep_repeats: bool = False

    def __post_init__(self) -> None:
        """Check the widths."""
        check_beam(self.beam_width, self.num_best)
        if self.max_classes < 1:
            raise UsageError(f"max_classes is {self.max_classes}", "use 1 or more")

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`."""
        check_log_probs(log_probs)
        return best_hypotheses(
            log_probs, self.search(log_probs), num_best=self.num_best, keep_repeats=self.keep_repeats
        )

    def search(self, log_probs: LogProbs) -> list[tuple[Prefix, float]]:
        """Return the labellings in the beam after the last step with their log-probabilities, best first."""
        beam: Beam = {(): (0.0, -math.inf)}
        for class_ids, class_log_probs in _best_classes(log_probs, self.max_classes):
            beam = _advance(beam, class_ids, class_log_probs, self.beam_width)
        scored = [(prefix, _log_add(*parts)) for prefix, parts in beam.items()]
        return sorted(scored, key=lambda item: item[1], reverse=True)


def check_beam(beam_width: int, num_best: int) -> None:
    """Raise a UsageError if the beam is narrower than 1 or than `num_best`."""
    if beam_width < 1:
        raise UsageError(f"the beam width is {beam_width}", "use 1 or more")
    if not 1 <= num_best <= beam_width:
        raise UsageError(
            f"num_best is {num_best}, with a beam width of {beam_width}",
            f"use 1 to {beam_width} hypotheses, or a wider beam",
        )


def _best_classes(log_probs: LogProbs, max_classes: int) -> list[tuple[list[int], list[float]]]:
    """Return the most probable classes of each step and their log-probabilities, best first."""
    num_classes = log_probs.shape[1]
    if max_classes < num_classes:
        # (T', V) -> (T', max_classes), in no order yet
        ids = np.argpartition(log_probs, -max_classes, axis=1)[:, -max_classes:]
    else:
        ids = np.broadcast_to(np.arange(num_classes), log_probs.shape)
    values = np.take_along_axis(log_probs, ids, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    ids, values = np.take_along_axis(ids, order, axis=1), np.take_along_axis(values, order, axis=1)
    return list(zip(ids.tolist(), values.tolist(), strict=True))


def _advance(beam: Beam, class_ids: list[int], class_log_probs: list[float], beam_width: int) -> Beam:
    """Advance the search by one step, with the most probable classes of the step, best first."""
    log_prob_of_class = dict(zip(class_ids, class_log_probs, strict=True))
    kept = _keep_prefixes(beam, log_prob_of_class)
    # A heap of the best prefixes, the worst at the top; the index keeps Python from comparing prefixes.
    best = [(_log_add(*parts), -index, prefix, parts) for index, (prefix, parts) in enumerate(kept.items())]
    heapq.heapify(best)
    next_index = -len(best)
    totals = sorted(((_log_add(*parts), prefix) for prefix, parts in beam.items()), reverse=True)
    for total, prefix in totals:
        last = prefix[-1] if prefix else BLANK_ID
        after_blank = beam[prefix][0]
        for class_id, log_prob in zip(class_ids, class_log_probs, strict=True):
            # This prunes nothing: classes come in falling order, so no later class can enter the beam.
            if len(best) >= beam_width and total + log_prob <= best[0][0]:
                break
            if class_id == BLANK_ID:
                continue
            # A repeated gloss counts as a new one only after a blank.
            extended_score = (after_blank if class_id == last else total) + log_prob
            if extended_score == -math.inf:
                continue
            extended = (*prefix, class_id)
            if extended in kept:  # these paths are counted there already
                continue
            entry = (extended_score, next_index, extended, (-math.inf, extended_score))
            next_index -= 1
            if len(best) < beam_width:
                heapq.heappush(best, entry)
            else:
                heapq.heappushpop(best, entry)
    return {prefix: parts for _, _, prefix, parts in best}


def _keep_prefixes(beam: Beam, log_prob_of_class: dict[int, float]) -> Beam:
    """Return the prefixes of the beam with the paths of one more step that end in the same prefix.

    Such a step is a blank, the last gloss again, or the last gloss for the first time after a prefix that is one gloss
    shorter and also in the beam.
    """
    blank_log_prob = log_prob_of_class.get(BLANK_ID, -math.inf)
    kept: Beam = {}
    for prefix, (after_blank, after_gloss) in beam.items():
        ends_in_blank = _log_add(after_blank, after_gloss) + blank_log_prob
        ends_in_gloss = -math.inf
        if prefix:
            last = prefix[-1]
            before = after_gloss
            parent = beam.get(prefix[:-1])
            if parent is not None:
                same_again = len(prefix) > 1 and prefix[-2] == last
                before = _log_add(before, parent[0] if same_again else _log_add(*parent))
            ends_in_gloss = before + log_prob_of_class.get(last, -math.inf)
        if ends_in_blank > -math.inf or ends_in_gloss > -math.inf:
            kept[prefix] = (ends_in_blank, ends_in_gloss)
    return kept


def _log_add(left: float, right: float) -> float:
    """Return log(exp(left) + exp(right))."""
    if left < right:
        left, right = right, left
    if right == -math.inf:
        return left
    return left + math.log1p(math.exp(right - left))
