"""The corpora that can be prepared, by name."""

from __future__ import annotations

from cslr_cli.corpora.annotation import AnnotationError, Fault, LeftOut
from cslr_cli.corpora.csl import CSL
from cslr_cli.corpora.csl_daily import CSLDaily
from cslr_cli.corpora.lookup import ReleasePlaces, open_prepared_corpus, recognise_release
from cslr_cli.corpora.own import OwnCorpus
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.corpora.phoenix2014_si5 import Phoenix2014SI5
from cslr_cli.corpora.phoenix2014_t import Phoenix2014T
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.split_drawing import SplitDrawing
from cslr_cli.errors import UsageError, did_you_mean

__all__ = [
    "CORPORA",
    "AnnotationError",
    "CorpusReader",
    "Fault",
    "LeftOut",
    "OwnCorpus",
    "Release",
    "ReleasePlaces",
    "SplitDrawing",
    "find_corpus",
    "open_prepared_corpus",
    "recognise_release",
]

CORPORA: dict[str, CorpusReader] = {
    reader.name: reader
    for reader in (
        Phoenix2014(),
        Phoenix2014SI5(),
        Phoenix2014T(),
        CSL(),
        CSLDaily(),
        # The drawn corpus is written in PHOENIX2014's layout, and nothing of it is unusable.
        Phoenix2014(name="synthetic", title="the synthetic corpus", unusable={}),
    )
}


def find_corpus(name: str) -> CorpusReader:
    """Give the reader of a corpus by its name, in small or capital letters.

    Raises:
        UsageError: there is no such corpus; the message names those that there are and the nearest.
    """
    for known, reader in CORPORA.items():
        if known.lower() == name.lower():
            return reader
    raise UsageError(
        f"there is no corpus named {name!r}",
        f"{did_you_mean(name, CORPORA)} the corpora are {', '.join(CORPORA)}; "
        "one of your own is prepared with --manifest FILE".lstrip(),
    )
