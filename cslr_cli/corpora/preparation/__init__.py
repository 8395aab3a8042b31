"""From a release to a prepared corpus: in several processes, and going on where an earlier call stopped.

The state of the work is the output itself. A clip is finished when its file is there, for files
appear only when they are whole; the corpus is finished when `corpus.yaml` is there, which is written
last. Nothing depends on the order in which clips are done or on the time of day, so that a
preparation that was killed and started again, or divided among machines, ends with the same bytes as
one that was not.

- `options`: how a corpus is prepared.
- `claim`: the output folder belongs to one preparation, and only to that.
- `clips`: the frames, or without frames their numbers.
- `report`: what has come out.
- `corpus`: all of it together.
"""

from cslr_cli.corpora.preparation.corpus import prepare, prepare_part
from cslr_cli.corpora.preparation.options import PreparationOptions, Shard
from cslr_cli.corpora.preparation.report import REPORT_FILE, PartReport, PreparationReport

__all__ = [
    "REPORT_FILE",
    "PartReport",
    "PreparationOptions",
    "PreparationReport",
    "Shard",
    "prepare",
    "prepare_part",
]
