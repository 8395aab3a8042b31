from __future__ import annotations

import numpy as np
import pytest

from cslr_cli.decoding import GreedyDecoder, PrefixBeamDecoder, log_softmax
from cslr_cli.decoding.clip_decoder import ClipDecoder, ClipLogProbs
from cslr_cli.decoding.gloss_timing import retime_glosses

# Ten steps, three glosses: the one head speaks of them early, the other where they are.
EARLY = {1: (0, 1), 2: (1, 2), 3: (2, 3)}
WHERE = {1: (2, 3), 2: (4, 6), 3: (8, 9)}


def log_probs(spikes: dict[int, tuple[int, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    logits = np.zeros((10, 4), np.float32)
    logits[:, 0] = 5
    for gloss_id, (start, end) in spikes.items():
        logits[start:end, gloss_id] = 10
    return log_softmax(logits)


def test_glosses_get_the_steps_at_which_the_other_head_has_them() -> None:
    (hypothesis,) = GreedyDecoder().decode(log_probs(EARLY))
    assert hypothesis.steps == tuple(EARLY.values())
    (moved,) = retime_glosses([hypothesis], log_probs(WHERE))
    assert moved.steps == tuple(WHERE.values())
    assert (moved.gloss_ids, moved.score, moved.confidences) == (
        hypothesis.gloss_ids,
        hypothesis.score,
        hypothesis.confidences,
    )


def test_glosses_that_the_other_head_does_not_know_keep_their_order_and_have_a_step_each() -> None:
    hypotheses = PrefixBeamDecoder(num_best=5).decode(log_probs(EARLY))
    for hypothesis in retime_glosses(hypotheses, log_probs({2: (4, 6)})):
        starts = [start for start, _ in hypothesis.steps]
        assert all(start < end for start, end in hypothesis.steps)
        assert starts == sorted(set(starts))


@pytest.mark.parametrize(("time_by_conv", "expected"), [(True, WHERE), (False, EARLY)])
def test_a_clip_is_timed_by_the_convolution_if_that_knows_glosses(
    time_by_conv: bool, expected: dict[int, tuple[int, int]]
) -> None:
    decode = ClipDecoder(GreedyDecoder(), time_by_conv=time_by_conv)
    heads = {"sequence": log_probs(EARLY), "conv": log_probs(WHERE)}
    found = decode(ClipLogProbs("clip", 40, heads)).heads
    assert found["sequence"][0].steps == tuple(expected.values())
    assert found["conv"][0].steps == tuple(WHERE.values())
