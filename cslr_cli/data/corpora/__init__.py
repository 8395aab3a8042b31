"""The corpora that can be prepared, by name."""

from __future__ import annotations

import difflib

from cslr_cli.data.corpora.base import CorpusReader, LeftOut, Release
from cslr_cli.data.corpora.phoenix2014 import Phoenix2014
from cslr_cli.errors import UsageError

__all__ = ["CORPORA", "CorpusReader", "LeftOut", "Release", "find_corpus"]

CORPORA: dict[str, CorpusReader] = {
    reader.name: reader
    for reader in (
        Phoenix2014(),
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
    nearest = difflib.get_close_matches(name.lower(), CORPORA, n=1)
    question = f"did you mean {nearest[0]}? " if nearest else ""
    raise UsageError(f"there is no corpus named {name!r}", f"{question}the corpora are {', '.join(CORPORA)}")
