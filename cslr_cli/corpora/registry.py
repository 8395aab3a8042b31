"""The published corpora: one line per corpus in `CORPORA`.

To add a corpus, write a subclass of `CorpusReader` in a module of this package (`csl.py` is the shortest example)
and add one line here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from shlex import quote

from cslr_cli.corpora.csl import CSL
from cslr_cli.corpora.csl_daily import CSLDaily
from cslr_cli.corpora.phoenix2014 import Phoenix2014, Phoenix2014SI5
from cslr_cli.corpora.phoenix2014_t import Phoenix2014T
from cslr_cli.corpora.reader import CorpusReader, Release, ReleaseNotFoundError
from cslr_cli.corpora.release_paths import ReleasePaths, folders_below
from cslr_cli.dataset.manifest import CORPUS_FILE, NotPreparedError, PreparedCorpus
from cslr_cli.errors import DataError, UsageError, did_you_mean

# Reader of each corpus, by the name of the corpus on the command line.
CORPORA: dict[str, CorpusReader] = {
    reader.name: reader
    for reader in (
        Phoenix2014(),
        Phoenix2014SI5(),
        Phoenix2014T(),
        CSL(),
        CSLDaily(),
        # The synthetic corpus has PHOENIX2014's layout, and all of its clips are usable.
        Phoenix2014(
            "synthetic", "the synthetic corpus", vocabulary_size=None, release_marks=(), published_clips={}, unusable={}
        ),
    )
}


def find_reader(name: str) -> CorpusReader:
    """Find the reader of a corpus by its name, in small or capital letters.

    Raises:
        UsageError: unknown corpus; the message lists the corpora and the nearest name.
    """
    for known, reader in CORPORA.items():
        if known.lower() == name.lower():
            return reader
    raise UsageError(
        f"unknown corpus {name!r}",
        f"{did_you_mean(name, CORPORA)} the corpora are {', '.join(CORPORA)}; "
        "to prepare your own corpus, use --manifest FILE".lstrip(),
    )


def find_reader_by_vocabulary(num_glosses: int) -> CorpusReader | None:
    """Find the corpus whose published vocabulary has this many glosses; None if there is none."""
    return next((reader for reader in CORPORA.values() if reader.vocabulary_size == num_glosses), None)


def identify_release(folder: Path) -> str | None:
    """Identify the release in `folder` or up to two levels below it; return its title, or None."""
    marks = [(reader.title, mark) for reader in CORPORA.values() for mark in reader.release_marks]
    marks.append(("a prepared corpus", CORPUS_FILE))
    for level in range(3):
        for candidate in folders_below(folder, level):
            for title, mark in marks:
                if next(candidate.glob(mark), None) is not None:
                    return title
    return None


def read_release(reader: CorpusReader, paths: ReleasePaths) -> Release:
    """Read a release; if the release or an annotation file is of another corpus, the hint names that corpus."""
    try:
        release = reader.read(paths)
    except ReleaseNotFoundError as error:
        title = identify_release(paths.source)
        if title is None:
            raise
        raise ReleaseNotFoundError(error.message, f"this looks like {title}\n{error.hint}") from error
    titles = {known.annotation_header: known.title for known in reversed(CORPORA.values())}
    hints = [f"{path} looks like {titles[line]}" for path, line in release.unknown_headers.items() if line in titles]
    return dataclasses.replace(release, hint="\n".join(filter(None, [*hints, release.hint])) or None)


def open_prepared_corpus(path: Path | str) -> PreparedCorpus:
    """Open a prepared corpus; if the folder holds a release instead, the error says how to prepare it."""
    try:
        return PreparedCorpus.open(path)
    except NotPreparedError as error:
        title = identify_release(Path(path))
        if title is None:
            raise
        raise DataError(
            f"{path}: this looks like a release of {title}, not a prepared corpus",
            f"prepare it, then name the prepared corpus: cslr prepare CORPUS --source {quote(str(path))}",
        ) from error
