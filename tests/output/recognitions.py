"""Recognitions with characters and times that are difficult for formats."""

from __future__ import annotations

from cslr_cli.recognition import Alternative, Recognition, Sentence
from cslr_cli.scoring import TimedGloss

ONE = TimedGloss("GESTERN", 0.04, 0.36, 0.62)
ODD = TimedGloss("A<B&C>", 0.8, 1.12, 0.9)
CHINESE = TimedGloss('今天"x",ÄÖÜ', 3599.96, 3600.2, None)
GLOSSES = (ONE, ODD, CHINESE)


def recognised(
    *glosses: TimedGloss,
    nbest: tuple[Alternative, ...] = (),
    sentences: tuple[Sentence, ...] = (),
    source: str = "a folder/talk.mp4",
) -> Recognition:
    """A recognition of an hour and a bit, with these glosses as the best hypothesis."""
    best = Alternative(glosses, -1.25)
    return Recognition(source, glosses, -1.25, 90050, 25.0, 3602.0, (best, *nbest), sentences=sentences)


def two_sentences() -> Recognition:
    """A long recording: two sentences, both with glosses of the convolution head; the second has an alternative."""
    last = TimedGloss("MOND", 20.0, 20.5, 0.5)
    other = TimedGloss("SONNE", 20.0, 20.5, 0.3)
    sentences = (
        Sentence(0.0, 2.0, (Alternative((ONE, ODD), -1.0),), (ONE,)),
        Sentence(19.0, 21.0, (Alternative((last,), -0.25), Alternative((other,), -2.5)), (other,)),
    )
    return recognised(ONE, ODD, last, sentences=sentences)
