"""The published corpora that `cslr prepare` knows: one line per corpus."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from cslr_cli.corpora.csl import CSL
from cslr_cli.corpora.csl_daily import CSLDaily
from cslr_cli.corpora.phoenix2014 import SYNTHETIC, Phoenix2014, Phoenix2014SI5
from cslr_cli.corpora.phoenix2014_t import Phoenix2014T
from cslr_cli.corpora.reader import KNOWN_READERS, CorpusReader, recognise_release
from cslr_cli.dataset.manifest import NotPreparedError, PreparedCorpus
from cslr_cli.errors import DataError, UsageError, did_you_mean

CORPORA = KNOWN_READERS
for _reader in (
    Phoenix2014(),
    Phoenix2014SI5(),
    Phoenix2014T(),
    CSL(),
    CSLDaily(),
    SYNTHETIC,
):
    CORPORA[_reader.name] = _reader


def find_reader(name: str) -> CorpusReader:
    """Find the reader of a corpus by its name, in small or capital letters.

    Raises:
        UsageError: there is no such corpus; the message lists the corpora and the nearest name.
    """
    for known, reader in CORPORA.items():
        if known.lower() == name.lower():
            return reader
    raise UsageError(
        f"there is no corpus named {name!r}",
        f"{did_you_mean(name, CORPORA)} the corpora are {', '.join(CORPORA)}; "
        "one of your own is prepared with --manifest FILE".lstrip(),
    )


def find_reader_by_vocabulary(num_glosses: int) -> CorpusReader | None:
    """Find the corpus whose published vocabulary has this many glosses; None if there is none."""
    return next((reader for reader in CORPORA.values() if reader.vocabulary_size == num_glosses), None)


def open_prepared_corpus(path: Path | str) -> PreparedCorpus:
    """Open a prepared corpus; if the folder holds a release instead, the error says how to prepare it.

    Raises:
        DataError: as `PreparedCorpus.open`.
    """
    try:
        return PreparedCorpus.open(path)
    except NotPreparedError as error:
        release = recognise_release(Path(path))
        if release is None:
            raise
        command = f"cslr prepare CORPUS --source {quote(str(path))}"
        raise DataError(
            f"{path}: this looks like a release of {release}, not a prepared corpus",
            f"prepare it, and name what comes out: {command}",
        ) from error
