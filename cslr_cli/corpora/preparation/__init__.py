"""Preparation of a corpus: from its release to the folder that training reads.

The output folder is the only state. A clip is finished when its file exists, because files appear only when they
are complete; the corpus is finished when `corpus.yaml` exists, which is written last. The result does not depend on
the order of the clips or on the time: a preparation that was interrupted, or divided among machines, writes the same
bytes as any other.

- `options`: options of a preparation.
- `prepare_corpus`: the steps of a preparation.
- `prepared_clips`, `clip_writer`: frames of the clips, resized and written.
- `clip_sources`: what changes if clips are added to your own corpus.
- `release_check`: what a release has and lacks.
- `output_folder`: lock and identity of the output folder.
- `report`: result of a preparation.
"""

from cslr_cli.corpora.preparation.options import PreparationOptions, Shard
from cslr_cli.corpora.preparation.prepare_corpus import prepare, prepare_shard
from cslr_cli.corpora.preparation.report import REPORT_FILE, PreparationReport, ShardReport

__all__ = [
    "REPORT_FILE",
    "PreparationOptions",
    "PreparationReport",
    "Shard",
    "ShardReport",
    "prepare",
    "prepare_shard",
]
