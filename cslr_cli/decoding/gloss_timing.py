"""The steps, the seconds and the confidence of each gloss.

A search sums over many paths, so its labellings (gloss sequences) have no steps. The steps of the glosses are those on
the most probable path of a labelling (CTC forced alignment), computed only for the hypotheses that are returned.
`to_timed_glosses` converts steps (indices of the network's output) to seconds.

Axes: N labellings, T' steps, V classes with the blank, S states: 2L + 1 for L glosses, with a blank before, between and
after them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, merge_repeated_ids, merge_repeats
from cslr_cli.temporal_plan import ctc_steps_needed
from cslr_cli.vocabulary import BLANK_ID, Vocabulary

if TYPE_CHECKING:
    from cslr_cli.scoring.transcripts import TimedGloss

# Log-probability, in an alignment, of classes with probability 0: the path with fewer of them wins, while -inf would
# make all such paths equal.
_ZERO_LOG_PROB = -1e6


def best_hypotheses(
    log_probs: LogProbs,
    labellings: Iterable[tuple[tuple[int, ...], float]],
    *,
    num_best: int,
    keep_repeats: bool,
) -> list[Hypothesis]:
    """Turn the labellings of a search into distinct hypotheses with steps.

    Args:
        log_probs: float (T', V), the input of the search.
        labellings: gloss ids and score of each labelling, best first.
        num_best: maximum number of hypotheses.
        keep_repeats: whether adjacent equal glosses stay separate.
    """
    best: dict[tuple[int, ...], tuple[tuple[int, ...], float]] = {}
    for gloss_ids, score in labellings:
        if len(best) == num_best:
            break
        final_ids = gloss_ids if keep_repeats else merge_repeated_ids(gloss_ids)
        best.setdefault(final_ids, (gloss_ids, score))
    hypotheses = time_glosses(log_probs, list(best.values()))
    return hypotheses if keep_repeats else [merge_repeats(hypothesis) for hypothesis in hypotheses]


def time_glosses(log_probs: LogProbs, labellings: Sequence[tuple[tuple[int, ...], float]]) -> list[Hypothesis]:
    """Find the steps of each gloss on the most probable path of its labelling.

    Args:
        log_probs: float (T', V).
        labellings: gloss ids and score of each labelling.

    Raises:
        ValueError: there are fewer steps than the labelling needs (see `ctc_steps_needed`).
    """
    for gloss_ids, _ in labellings:
        if len(log_probs) < ctc_steps_needed(gloss_ids):
            raise ValueError(f"{len(gloss_ids)} glosses do not fit into {len(log_probs)} steps")
    if not len(log_probs):
        return [Hypothesis((), score, (), ()) for _, score in labellings]
    paths = _best_paths(log_probs, [gloss_ids for gloss_ids, _ in labellings])
    return [
        _to_hypothesis(log_probs, path, gloss_ids, score)
        for path, (gloss_ids, score) in zip(paths, labellings, strict=True)
    ]


def retime_glosses(hypotheses: Sequence[Hypothesis], log_probs: LogProbs) -> list[Hypothesis]:
    """Replace the steps of the glosses by those on the most probable paths in other log-probabilities.

    A recurrent head sees the whole clip at each step, so its peak for a gloss may lie long before or after the signing.
    The convolution head sees only the neighbourhood of a step. If it was trained on glosses, its log-probabilities give
    better steps for the glosses of the recurrent head. Confidences stay the same.

    Args:
        hypotheses: hypotheses of one clip.
        log_probs: float (T', V), other log-probabilities of the same steps and classes.
    """
    timed = time_glosses(log_probs, [(hypothesis.gloss_ids, hypothesis.score) for hypothesis in hypotheses])
    return [dataclasses.replace(each, steps=other.steps) for each, other in zip(hypotheses, timed, strict=True)]


def to_timed_glosses(
    hypothesis: Hypothesis, vocabulary: Vocabulary, step_times: Sequence[tuple[float, float]]
) -> tuple[TimedGloss, ...]:
    """Convert a hypothesis to glosses with start and end in seconds, given start and end of each step in seconds."""
    from cslr_cli.scoring.transcripts import TimedGloss  # not at the top: worker processes start faster without it

    return tuple(
        TimedGloss(gloss, step_times[first][0], step_times[last - 1][1], confidence)
        for gloss, (first, last), confidence in zip(
            vocabulary.decode(hypothesis.gloss_ids), hypothesis.steps, hypothesis.confidences, strict=True
        )
    )


def mean_posteriors(log_probs: LogProbs, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> tuple[float, ...]:
    """Return the mean probability (0 to 1) of the steps from each start up to its end.

    Args:
        log_probs: float (T',), one class per step.
        starts: int (L,).
        ends: int (L,), exclusive, each above its start.
    """
    sums = np.concatenate(([0.0], np.exp(log_probs, dtype=np.float64).cumsum()))
    means = (sums[ends] - sums[starts]) / (ends - starts)
    return tuple(np.clip(means, 0.0, 1.0).tolist())


def _to_hypothesis(
    log_probs: LogProbs, path: npt.NDArray[np.intp], gloss_ids: tuple[int, ...], score: float
) -> Hypothesis:
    """Read times and confidences off a path of states, shape (T',)."""
    gloss_states = 2 * np.arange(len(gloss_ids)) + 1
    # The states of a path never decrease, so the steps of one gloss are adjacent.
    starts, ends = np.searchsorted(path, gloss_states), np.searchsorted(path, gloss_states + 1)
    labels = _state_labels([gloss_ids])[0]
    on_path = log_probs[np.arange(len(path)), labels[path]]  # (T', V) -> (T',)
    steps = tuple(zip(starts.tolist(), ends.tolist(), strict=True))
    return Hypothesis(gloss_ids, score, steps, mean_posteriors(on_path, starts, ends))


def _state_labels(labellings: Sequence[tuple[int, ...]]) -> npt.NDArray[np.intp]:
    """Return the class of each state, shape (N, S), padded with blanks."""
    labels = np.full((len(labellings), 2 * max(map(len, labellings)) + 1), BLANK_ID, dtype=np.intp)
    for row, gloss_ids in zip(labels, labellings, strict=True):
        row[1 : 2 * len(gloss_ids) : 2] = gloss_ids
    return labels


def _best_paths(log_probs: LogProbs, labellings: Sequence[tuple[int, ...]]) -> npt.NDArray[np.intp]:
    """Return the state of each step on the most probable path of each labelling, shape (N, T').

    All labellings are computed together. Padding a shorter one changes nothing: a state is reached from lower states
    only, and each path is traced back from the last state of its own labelling.
    """
    labels = _state_labels(labellings)  # (N, S)
    emissions = np.maximum(log_probs[:, labels], _ZERO_LOG_PROB)  # (T', N, S)
    # A gloss may follow another without a blank between, unless the two are equal.
    skip = np.full(labels.shape, -np.inf)
    skip[:, 3::2] = np.where(labels[:, 3::2] != labels[:, 1:-2:2], 0.0, -np.inf)

    num_labellings, num_states = labels.shape
    rows, states = np.arange(num_labellings)[:, None], np.arange(num_states)  # (N, 1), (S,)
    arrivals = np.full((3, *labels.shape), -np.inf)  # from the same state, the one before, two before
    best = np.full(labels.shape, -np.inf)
    best[:, :2] = emissions[0, :, :2]
    came_from = np.zeros(emissions.shape, dtype=np.intp)  # difference to the state of the previous step
    for step in range(1, len(log_probs)):
        arrivals[0] = best
        arrivals[1, :, 1:] = best[:, :-1]
        arrivals[2, :, 2:] = best[:, :-2] + skip[:, 2:]
        came_from[step] = arrivals.argmax(axis=0)
        best = arrivals[came_from[step], rows, states] + emissions[step]
    return _trace_back(came_from, best, np.array([2 * len(gloss_ids) for gloss_ids in labellings]))


def _trace_back(
    came_from: npt.NDArray[np.intp], best: npt.NDArray[Any], last_blanks: npt.NDArray[Any]
) -> npt.NDArray[np.intp]:
    """Return the paths, shape (N, T'), that end in the last blank or the last gloss, whichever is better."""
    num_steps, num_labellings = came_from.shape[:2]
    rows = np.arange(num_labellings)
    last_glosses = np.maximum(last_blanks - 1, 0)
    paths = np.empty((num_labellings, num_steps), dtype=np.intp)
    ends_in_gloss = best[rows, last_glosses] > best[rows, last_blanks]
    paths[:, -1] = np.where(ends_in_gloss, last_glosses, last_blanks)
    for step in range(num_steps - 1, 0, -1):
        paths[:, step - 1] = paths[:, step] - came_from[step, rows, paths[:, step]]
    return paths
