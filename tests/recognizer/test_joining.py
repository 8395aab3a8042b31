from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest

from cslr_cli.recognition import Alternative, Sentence, StepLogits
from cslr_cli.recognizer.joining import RecognizedSegment, join_logits, remove_overlaps
from cslr_cli.scoring import TimedGloss


def window(start: float, end: float, *found: tuple[str, float, float]) -> RecognizedSegment:
    """What a window was recognised as; its logits count its steps of 0.2 s."""
    timed = tuple(TimedGloss(gloss, first, last, 0.9) for gloss, first, last in found)
    starts = np.arange(start, end - 1e-9, 0.2)
    times = np.stack([starts, starts + 0.2], axis=1)
    logits = np.arange(len(starts), dtype=np.float32)[:, None]
    return RecognizedSegment(
        Sentence(start, end, (Alternative(timed, -1.0), Alternative((), -5.0)), timed),
        StepLogits(logits, logits, times, ("",)),
    )


def joined(*windows: RecognizedSegment) -> list[list[str]]:
    return [[timed.gloss for timed in part.sentence.glosses] for part in remove_overlaps(windows)]


def glosses(*windows: RecognizedSegment) -> list[str]:
    return list(chain.from_iterable(joined(*windows)))


def test_a_single_window_is_unchanged() -> None:
    assert joined(window(0, 4, ("A", 1, 2))) == [["A"]]
    assert joined() == []


def test_a_gloss_of_both_windows_is_kept_once() -> None:
    left = window(0, 4, ("A", 1.0, 1.4), ("B", 2.4, 2.8), ("C", 3.2, 3.6))
    right = window(2, 6, ("B", 2.4, 2.8), ("C", 3.2, 3.6), ("D", 5.0, 5.4))
    assert glosses(left, right) == ["A", "B", "C", "D"]


@pytest.mark.parametrize("shift", [-0.4, -0.2, 0.2, 0.4])
def test_a_gloss_with_different_times_in_both_windows_is_kept_once(shift: float) -> None:
    # The middle of the overlap is 3.0: one window has the gloss before it, the other behind.
    left = window(0, 4, ("A", 1.0, 1.4), ("B", 2.9 - shift / 2, 3.1 - shift / 2))
    right = window(2, 6, ("B", 2.9 + shift / 2, 3.1 + shift / 2), ("D", 5.0, 5.4))
    assert glosses(left, right) == ["A", "B", "D"]


def test_a_true_repetition_is_kept() -> None:
    left = window(0, 4, ("A", 1.0, 1.4), ("A", 2.0, 2.4))
    right = window(2, 6, ("A", 2.0, 2.4), ("A", 4.6, 5.0))
    assert glosses(left, right) == ["A", "A", "A"]


def test_a_gloss_at_the_edge_of_one_window_is_left_to_the_other() -> None:
    left = window(0, 4, ("A", 1.0, 1.4), ("EDGE", 3.8, 4.0))
    right = window(2, 6, ("EDGE", 2.0, 2.2), ("D", 5.0, 5.4))
    assert glosses(left, right) == ["A", "D"]


def test_joined_windows_have_no_gap_or_overlap() -> None:
    parts = list(remove_overlaps([window(0, 4, ("A", 2.8, 3.4)), window(2, 6), window(4, 8)]))
    edges = [(part.sentence.start, part.sentence.end) for part in parts]
    assert (edges[0][0], edges[-1][1]) == (0, 8)
    assert all(left[1] == right[0] for left, right in pairwise(edges))
    logits = join_logits([part.logits for part in parts])
    assert logits.step_times[:, 0] == pytest.approx(np.arange(40) * 0.2)
    assert all(len(part.sentence.nbest) == 1 for part in parts)


def test_a_last_window_that_overlaps_two_others_takes_nothing_from_the_first() -> None:
    last = window(6, 16, ("LONG", 6.2, 15.8))  # torn by every cut but those that lie in the first window
    parts = list(remove_overlaps([window(0, 10, ("A", 6.2, 6.6)), window(5, 15), last]))
    edges = [edge for part in parts for edge in (part.sentence.start, part.sentence.end)]
    assert edges == sorted(edges)
    starts = join_logits([part.logits for part in parts]).step_times[:, 0]
    assert starts == pytest.approx(np.arange(80) * 0.2)


@pytest.mark.parametrize("seed", range(40))
def test_glosses_never_overlap_even_if_every_cut_splits_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    windows = []
    for first in range(0, 12, 2):
        edges = np.round(np.sort(draw.uniform(first, first + 4, 6)), 1)
        timed = [(f"{first} {number}", *edge) for number, edge in enumerate(pairwise(edges)) if edge[0] < edge[1]]
        windows.append(window(first, first + 4, *timed))
    found = [timed for part in remove_overlaps(windows) for timed in part.sentence.glosses]
    assert len(found) > 5
    assert all(timed.start < timed.end for timed in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
