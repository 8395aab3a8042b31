"""The hypotheses of a recognition over all its sentences, for formats that show more than the best one."""

from __future__ import annotations

from cslr_cli.recognition import Alternative, Recognition, Sentence
from cslr_cli.scoring import TimedGloss


def sentences(recognition: Recognition) -> tuple[Sentence, ...]:
    """The sentences of a recording; one for all of it, where a recognition says nothing of them."""
    if recognition.sentences or not recognition.glosses:
        return recognition.sentences
    nbest = recognition.nbest or (Alternative(recognition.glosses, recognition.score),)
    return (Sentence(recognition.start, recognition.start + recognition.duration, nbest),)


def ranked_hypotheses(recognition: Recognition) -> list[tuple[TimedGloss, ...]]:
    """The glosses of each rank, the best first: at least one entry, which may be empty.

    In a long recording each sentence has its own n-best list; rank 2 holds the second best
    hypothesis of every sentence that has one.
    """
    lists = [[other.glosses for other in sentence.nbest] for sentence in sentences(recognition)]
    deepest = max(map(len, lists), default=0)
    lower = [
        tuple(timed for nbest in lists if rank < len(nbest) for timed in nbest[rank]) for rank in range(1, deepest)
    ]
    return [recognition.glosses, *lower]
