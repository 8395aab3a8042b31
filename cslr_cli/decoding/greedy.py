"""Greedy CTC decoding: the most probable class of each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cslr_cli.decoding.gloss_timing import mean_posteriors
from cslr_cli.decoding.hypothesis import Hypothesis, LogProbs, check_log_probs, merge_repeats
from cslr_cli.vocabulary import BLANK_ID


@dataclass(frozen=True)
class GreedyDecoder:
    """Takes the most probable path, collapses repeats and removes blanks. It gives exactly one hypothesis.

    Attributes:
        keep_repeats: whether adjacent equal glosses (with a blank between) stay separate.
    """

    keep_repeats: bool = False

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Decode one clip; see `Decoder.decode`."""
        check_log_probs(log_probs)
        classes = log_probs.argmax(axis=1)  # (T',)
        on_path = log_probs.max(axis=1)  # (T',)
        # A run of one class begins where it differs from the step before, and ends at the next run.
        edges = np.append(np.flatnonzero(np.diff(classes, prepend=-1)), len(classes))
        starts, ends = edges[:-1], edges[1:]
        is_gloss = classes[starts] != BLANK_ID
        starts, ends = starts[is_gloss], ends[is_gloss]
        hypothesis = Hypothesis(
            gloss_ids=tuple(classes[starts].tolist()),
            score=float(on_path.sum(dtype=np.float64)),
            steps=tuple(zip(starts.tolist(), ends.tolist(), strict=True)),
            confidences=mean_posteriors(on_path, starts, ends),
        )
        return [hypothesis if self.keep_repeats else merge_repeats(hypothesis)]
