"""From the labellings that a search found to hypotheses: when each gloss was signed, and how surely.

A search adds up many paths and so knows of no times; they come from the most probable path of the
labelling (CTC forced alignment), found for the hypotheses that are returned only.

Axes: N labellings, T' steps, V classes with the blank, S states: 2L + 1 for L glosses, a blank
before, between and after them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, merge_ids, merge_repeats
from cslr_cli.temporal_plan import ctc_steps_needed
from cslr_cli.vocabulary import BLANK_ID

# Impossible classes count as this improbable in an alignment, so that of two paths the one that
# needs fewer of them wins; -inf would make all such paths equal.
_IMPOSSIBLE = -1e6


def best_hypotheses(
    log_probs: LogProbs,
    labellings: Iterable[tuple[tuple[int, ...], float]],
    *,
    num_best: int,
    keep_repeats: bool,
) -> list[Hypothesis]:
    """Turn the labellings of a search into its answer: timed, merged, no glosses twice.

    Args:
        log_probs: float (T', V), what was decoded.
        labellings: glosses and score, the best first.
        num_best: how many hypotheses to return at most.
        keep_repeats: leave neighbouring equal glosses as they are.
    """
    chosen: dict[tuple[int, ...], tuple[tuple[int, ...], float]] = {}
    for gloss_ids, score in labellings:
        if len(chosen) == num_best:
            break
        shown = gloss_ids if keep_repeats else merge_ids(gloss_ids)
        chosen.setdefault(shown, (gloss_ids, score))
    hypotheses = time_glosses(log_probs, list(chosen.values()))
    return hypotheses if keep_repeats else [merge_repeats(hypothesis) for hypothesis in hypotheses]


def time_glosses(log_probs: LogProbs, labellings: Sequence[tuple[tuple[int, ...], float]]) -> list[Hypothesis]:
    """Give each gloss of each labelling its steps on the labelling's most probable path.

    Args:
        log_probs: float (T', V).
        labellings: glosses and score.

    Raises:
        ValueError: there are fewer steps than a labelling needs: one a gloss, and one more between
            two equal ones.
    """
    for gloss_ids, _ in labellings:
        if len(log_probs) < ctc_steps_needed(gloss_ids):
            raise ValueError(f"{len(gloss_ids)} glosses do not fit into {len(log_probs)} steps")
    if not len(log_probs):
        return [Hypothesis((), score, (), ()) for _, score in labellings]
    paths = _best_paths(log_probs, [gloss_ids for gloss_ids, _ in labellings])
    return [
        _on_path(log_probs, path, gloss_ids, score) for path, (gloss_ids, score) in zip(paths, labellings, strict=True)
    ]


def retimed(hypotheses: Sequence[Hypothesis], log_probs: LogProbs) -> list[Hypothesis]:
    """The same hypotheses with the steps of their most probable paths by other log-probabilities.

    A recurrent head sees all of a clip at each step and may speak of a gloss long before or after it is
    signed; a convolution cannot. So what the one recognises is timed by the other, as far as it was trained
    to know glosses. Confidences stay.

    Args:
        hypotheses: of one clip.
        log_probs: float (T', V), of the same steps and classes.
    """
    times = time_glosses(log_probs, [(hypothesis.gloss_ids, hypothesis.score) for hypothesis in hypotheses])
    return [
        dataclasses.replace(hypothesis, steps=timed.steps) for hypothesis, timed in zip(hypotheses, times, strict=True)
    ]


def mean_posteriors(log_probs: LogProbs, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> tuple[float, ...]:
    """The mean probability, 0 to 1, of the steps from each start to before its end.

    Args:
        log_probs: float (T',), of one class a step.
        starts: int (L,).
        ends: int (L,), each above its start.
    """
    sums = np.concatenate(([0.0], np.exp(log_probs, dtype=np.float64).cumsum()))
    means = (sums[ends] - sums[starts]) / (ends - starts)
    return tuple(np.clip(means, 0.0, 1.0).tolist())


def _on_path(log_probs: LogProbs, path: npt.NDArray[np.intp], gloss_ids: tuple[int, ...], score: float) -> Hypothesis:
    """Read times and confidences off a path (T',) of states."""
    gloss_states = 2 * np.arange(len(gloss_ids)) + 1
    # The path's states only rise, so the steps of one gloss lie together.
    starts, ends = np.searchsorted(path, gloss_states), np.searchsorted(path, gloss_states + 1)
    labels = _states_labels([gloss_ids])[0]
    on_path = log_probs[np.arange(len(path)), labels[path]]  # (T', V) -> (T',)
    steps = tuple(zip(starts.tolist(), ends.tolist(), strict=True))
    return Hypothesis(gloss_ids, score, steps, mean_posteriors(on_path, starts, ends))


def _states_labels(labellings: Sequence[tuple[int, ...]]) -> npt.NDArray[np.intp]:
    """The class of each state (N, S), filled up with blanks."""
    labels = np.full((len(labellings), 2 * max(map(len, labellings)) + 1), BLANK_ID, dtype=np.intp)
    for row, gloss_ids in zip(labels, labellings, strict=True):
        row[1 : 2 * len(gloss_ids) : 2] = gloss_ids
    return labels


def _best_paths(log_probs: LogProbs, labellings: Sequence[tuple[int, ...]]) -> npt.NDArray[np.intp]:
    """The state of each step (N, T') on the most probable path of each labelling.

    All labellings go side by side. The states that fill up a shorter one change nothing: a state is
    reached from lower ones only, and each path is traced back from its own last.
    """
    labels = _states_labels(labellings)  # (N, S)
    emissions = np.maximum(log_probs[:, labels], _IMPOSSIBLE)  # (T', N, S)
    # A gloss may follow another directly, passing over the blank, unless the two are equal.
    skip = np.full(labels.shape, -np.inf)
    skip[:, 3::2] = np.where(labels[:, 3::2] != labels[:, 1:-2:2], 0.0, -np.inf)

    num_labellings, num_states = labels.shape
    rows, states = np.arange(num_labellings)[:, None], np.arange(num_states)  # (N, 1), (S,)
    arrivals = np.full((3, *labels.shape), -np.inf)  # from the same state, the one before, two before
    best = np.full(labels.shape, -np.inf)
    best[:, :2] = emissions[0, :, :2]
    came_from = np.zeros(emissions.shape, dtype=np.intp)  # how many states lower the step before was
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
    """The paths (N, T') that end in the last blank or the gloss before it, whichever is better."""
    num_steps, num_labellings = came_from.shape[:2]
    rows = np.arange(num_labellings)
    last_glosses = np.maximum(last_blanks - 1, 0)
    paths = np.empty((num_labellings, num_steps), dtype=np.intp)
    ends_in_gloss = best[rows, last_glosses] > best[rows, last_blanks]
    paths[:, -1] = np.where(ends_in_gloss, last_glosses, last_blanks)
    for step in range(num_steps - 1, 0, -1):
        paths[:, step - 1] = paths[:, step] - came_from[step, rows, paths[:, step]]
    return paths
