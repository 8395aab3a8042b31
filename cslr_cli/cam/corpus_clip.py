"""A clip of a prepared corpus, to be explained as a video is."""

from __future__ import annotations

from pathlib import Path

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import DataError, UsageError, did_you_mean


def find_sample(corpus: PreparedCorpus, sample_id: str) -> Sample:
    """The clip of this name, in whatever split it is.

    Raises:
        UsageError: there is none; says which names are the nearest.
        DataError: a manifest cannot be read.
    """
    names: list[str] = []
    for split in corpus.splits:
        for sample in corpus.samples(split):
            if sample.sample_id == sample_id:
                return sample
            names.append(sample.sample_id)
    hint = did_you_mean(sample_id, names, most=3) or (f"its first clip is {names[0]}" if names else None)
    raise UsageError(f"{corpus.path}: {corpus.name} has no clip {sample_id!r} among {len(names)}", hint)


def clip_path(corpus: PreparedCorpus, sample: Sample, checkpoint: Checkpoint) -> Path:
    """Where the pictures of a clip are, as a network takes them.

    Raises:
        DataError: the corpus was prepared without frames, or with frames of another size than the network's.
    """
    size = checkpoint.corpus.frame_size
    if corpus.frame_size != size:
        raise DataError(
            f"{corpus.path}: its frames have {corpus.frame_size} pixels, "
            f"those that the checkpoint was trained on {size}",
            f"prepare it with --size {size}",
        )
    return corpus.frames_path(sample)
