"""The CTC prefix beam search that the published figures rest on, exact but for its two widths."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs
from cslr_cli.decoding.timing import best_hypotheses
from cslr_cli.errors import UsageError
from cslr_cli.vocabulary import BLANK_ID

Prefix = tuple[int, ...]
# Log-probabilities of the paths that give a prefix: of those that end in a blank, of the others.
Beam = dict[Prefix, tuple[float, float]]


@dataclass(frozen=True)
class PrefixBeamDecoder:
    """CTC prefix beam search (Hannun et al. 2014, arXiv 1408.2873, without a language model).

    The paths that lead to the same glosses are added up, step by step, for the prefixes in the
    beam. Nothing else is pruned than what the two widths say: with both wide enough the scores are
    the exact probabilities.

    Attributes:
        beam_width: prefixes kept after each step.
        max_classes: at each step only the so many most probable classes, blank included, are
            considered.
        num_best: hypotheses returned at most.
        keep_repeats: leave neighbouring equal glosses as they are.

    Raises:
        UsageError: a width is below 1, or more hypotheses are asked for than the beam holds.
    """

    beam_width: int = 10
    max_classes: int = 40
    num_best: int = 1
    keep_repeats: bool = False

    def __post_init__(self) -> None:
        """Refuse widths that make no sense."""
        check_beam(self.beam_width, self.num_best)
        if self.max_classes < 1:
            raise UsageError(f"max_classes is {self.max_classes}", "expected 1 or more")

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`."""
        check_log_probs(log_probs)
        return best_hypotheses(
            log_probs, self.search(log_probs), num_best=self.num_best, keep_repeats=self.keep_repeats
        )

    def search(self, log_probs: LogProbs) -> list[tuple[Prefix, float]]:
        """The labellings in the beam after the last step with their log-probabilities, the best first.

        Args:
            log_probs: float (T', V).
        """
        beam: Beam = {(): (0.0, -math.inf)}
        for class_ids, class_log_probs in _best_classes(log_probs, self.max_classes):
            beam = _advance(beam, class_ids, class_log_probs, self.beam_width)
        scored = [(prefix, _log_add(*parts)) for prefix, parts in beam.items()]
        return sorted(scored, key=lambda item: item[1], reverse=True)


def check_beam(beam_width: int, num_best: int) -> None:
    """Refuse a beam that is empty or holds fewer hypotheses than are asked for.

    Raises:
        UsageError: as said.
    """
    if beam_width < 1:
        raise UsageError(f"the beam width is {beam_width}", "expected 1 or more")
    if not 1 <= num_best <= beam_width:
        raise UsageError(
            f"{num_best} hypotheses are asked for of a beam of width {beam_width}",
            f"expected 1 to {beam_width}; a wider beam holds more",
        )


def _best_classes(log_probs: LogProbs, max_classes: int) -> list[tuple[list[int], list[float]]]:
    """For each step the most probable classes and their log-probabilities, the best first."""
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
    """One step of the search.

    Args:
        beam: the prefixes so far.
        class_ids: the step's classes, the most probable first.
        class_log_probs: theirs.
        beam_width: prefixes to keep.
    """
    of_class = dict(zip(class_ids, class_log_probs, strict=True))
    stayed = _stay(beam, of_class)
    # The best prefixes so far, the worst at the top; the index keeps comparisons off the prefixes.
    best = [(_log_add(*parts), -index, prefix, parts) for index, (prefix, parts) in enumerate(stayed.items())]
    heapq.heapify(best)
    next_index = -len(best)
    totals = sorted(((_log_add(*parts), prefix) for prefix, parts in beam.items()), reverse=True)
    for total, prefix in totals:
        last = prefix[-1] if prefix else BLANK_ID
        after_blank = beam[prefix][0]
        for class_id, log_prob in zip(class_ids, class_log_probs, strict=True):
            # Exact, no pruning: classes come in falling order, so nothing from here on gets in.
            if len(best) >= beam_width and total + log_prob <= best[0][0]:
                break
            if class_id == BLANK_ID:
                continue
            # The same gloss again is a new one only after a blank.
            extended_score = (after_blank if class_id == last else total) + log_prob
            if extended_score == -math.inf:
                continue
            extended = (*prefix, class_id)
            if extended in stayed:  # its paths from here are in there already
                continue
            entry = (extended_score, next_index, extended, (-math.inf, extended_score))
            next_index -= 1
            if len(best) < beam_width:
                heapq.heappush(best, entry)
            else:
                heapq.heappushpop(best, entry)
    return {prefix: parts for _, _, prefix, parts in best}


def _stay(beam: Beam, of_class: dict[int, float]) -> Beam:
    """The prefixes of the beam after one more step that leads to them again.

    That is a blank, their last gloss once more, or, from a prefix one gloss shorter that is in the
    beam too, their last gloss for the first time.
    """
    blank_log_prob = of_class.get(BLANK_ID, -math.inf)
    stayed: Beam = {}
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
            ends_in_gloss = before + of_class.get(last, -math.inf)
        if ends_in_blank > -math.inf or ends_in_gloss > -math.inf:
            stayed[prefix] = (ends_in_blank, ends_in_gloss)
    return stayed


def _log_add(left: float, right: float) -> float:
    """The logarithm of the sum of two numbers, given theirs."""
    if left < right:
        left, right = right, left
    if right == -math.inf:
        return left
    return left + math.log1p(math.exp(right - left))
