"""Which glosses maps are made for: those recognised, some of them by name, or a sentence that is given."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.decoding import Hypothesis
from cslr_cli.decoding.gloss_timing import time_glosses
from cslr_cli.decoding.hypothesis import LogProbs
from cslr_cli.errors import CslrError, UsageError, did_you_mean
from cslr_cli.vocabulary import Vocabulary

_NEAREST = 3  # names offered in place of one that is not known
_FEW = 20  # of so few glosses all are named


def aligned_sentence(log_probs: LogProbs, sentence: Sequence[str], vocabulary: Vocabulary) -> Hypothesis:
    """Where in a clip the glosses of a given sentence most probably are, whatever the network would say itself.

    Args:
        log_probs: float (T', V), of the clip.
        sentence: at least one gloss.
        vocabulary: of the network.

    Raises:
        UsageError: a gloss is not in the vocabulary, there is none, or there are more than fit into the clip.
    """
    if not sentence:
        raise UsageError("the reference has no gloss", "give its glosses with spaces between them")
    check_known(sentence, vocabulary)
    gloss_ids = tuple(vocabulary.encode(sentence))
    try:
        return time_glosses(log_probs, [(gloss_ids, 0.0)])[0]
    except ValueError as error:
        raise UsageError(
            f"the reference has {len(sentence)} glosses: more than fit into a clip of {len(log_probs)} steps",
            "give a shorter one, or a longer part of the video",
        ) from error


def chosen_places(names: Sequence[str], sentence: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    """Which glosses of a sentence have one of some names.

    Args:
        names: of glosses; none means all glosses of the sentence.
        sentence: what was recognised, or the reference.
        vocabulary: of the network.

    Raises:
        UsageError: a name is not in the vocabulary; says which are the nearest.
        CslrError: a name is not in the sentence; says what is.
    """
    check_known(names, vocabulary)
    missing = [name for name in names if name not in sentence]
    if missing:
        raise CslrError(
            f"not recognised: {', '.join(missing)}",
            f"what was recognised is: {' '.join(sentence)}\n"
            "for a gloss that should be there, give the whole sentence by --reference",
        )
    return [place for place, gloss in enumerate(sentence) if not names or gloss in names]


def check_known(glosses: Sequence[str], vocabulary: Vocabulary) -> None:
    """Refuse glosses that the network does not know.

    Raises:
        UsageError: some are not in the vocabulary; all are named, each with those that are nearest to it.
    """
    faults = [
        f"{gloss!r} is not in the vocabulary{_offer(gloss, vocabulary)}" for gloss in glosses if gloss not in vocabulary
    ]
    if faults:
        known = f"it has {len(vocabulary.glosses)} glosses"
        if len(vocabulary.glosses) <= _FEW:
            known = f"it has {', '.join(vocabulary.glosses)}"
        raise UsageError("\n".join(dict.fromkeys(faults)), known)


def _offer(gloss: str, vocabulary: Vocabulary) -> str:
    """`; did you mean A or B?`, or nothing if no gloss is like it."""
    question = did_you_mean(gloss, vocabulary.glosses, most=_NEAREST)
    return f"; {question}" if question else ""
