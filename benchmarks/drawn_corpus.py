"""A small synthetic corpus with frames of the published size, and a checkpoint with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.train_step import make_network
from cslr_cli.checkpoints.checkpoint import Checkpoint, save_checkpoint
from cslr_cli.checkpoints.corpus_origin import CorpusOrigin
from cslr_cli.config import Config
from cslr_cli.corpora import find_reader
from cslr_cli.corpora.preparation import PreparationOptions, prepare
from cslr_cli.corpora.synthetic import SyntheticOptions, make_release
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.model.network import build_network


@contextmanager
def drawn_corpus(num_train_clips: int, num_dev_clips: int) -> Iterator[Path]:
    """Yield the path of a prepared corpus with frames of 256 pixels; it is removed after the block."""
    with TemporaryDirectory() as folder:
        release, prepared = Path(folder) / "release", Path(folder) / "prepared"
        options = SyntheticOptions(num_train_clips=num_train_clips, num_dev_clips=num_dev_clips, num_test_clips=2)
        make_release(release, options, workers=2)
        prepare(find_reader("synthetic"), release, prepared, PreparationOptions(frame_size=256), workers=2)
        yield prepared


def write_checkpoint(corpus: PreparedCorpus, path: Path) -> None:
    """Write a checkpoint of CorrNet of the published size, with the random weights of `make_network`."""
    config = Config.from_dict({"model": {"pretrained": False}, "corpus": {"name": corpus.name}}, "the benchmark")
    weights = dict(build_network(config.model, corpus.vocabulary.num_classes).state_dict())
    drawn = make_network().state_dict()
    weights.update({name: value for name, value in drawn.items() if not name.startswith("classifier")})
    save_checkpoint(Checkpoint(config, corpus.vocabulary, CorpusOrigin.from_corpus(corpus), weights), path)
