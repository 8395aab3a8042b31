"""Sign language corpora: readers of their releases, and your own corpus.

- `registry`: the published corpora, one line per corpus.
- `reader`: `CorpusReader`, the facts of a corpus and the reading of its release.
- `phoenix2014`, `phoenix2014_t`, `csl`, `csl_daily`: the readers with the facts of each corpus.
- `own_corpus`: a corpus that a manifest describes.
- `transcripts`: a corpus from annotation documents of ELAN, Praat and others.
- `annotation_files`, `release_paths`, `clip_locations`, `archives`: reading annotation files, and where they and the
  frames are on disk.
- `preparation`, `inspection`, `synthetic`: prepare a release, inspect a prepared corpus, draw a corpus.
"""

from __future__ import annotations

from cslr_cli.corpora.annotation_files import AnnotationError, Fault, LeftOutClip
from cslr_cli.corpora.own_corpus import OwnCorpus, SplitDrawing
from cslr_cli.corpora.reader import CorpusReader, Release
from cslr_cli.corpora.registry import CORPORA, find_reader, open_prepared_corpus, read_release
from cslr_cli.corpora.release_paths import ReleasePaths

__all__ = [
    "CORPORA",
    "AnnotationError",
    "CorpusReader",
    "Fault",
    "LeftOutClip",
    "OwnCorpus",
    "Release",
    "ReleasePaths",
    "SplitDrawing",
    "find_reader",
    "open_prepared_corpus",
    "read_release",
]
