"""What a prepared corpus knows of the clips of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cslr_cli.dataset.manifest import NO_FRAMES, PreparedCorpus
from cslr_cli.report.sections import ClipFacts
from cslr_cli.scoring import TimedGloss


def corpus_clips(
    corpus: PreparedCorpus,
    splits: Iterable[str],
    recognised: Mapping[str, Sequence[TimedGloss]] | None = None,
) -> dict[str, ClipFacts]:
    """The clips of some splits: how long they are, and where their pictures lie.

    Args:
        corpus: the prepared corpus.
        splits: of it.
        recognised: for clips by name, the glosses with their times, to stand beside.
    """
    has_frames = corpus.info.layout != NO_FRAMES
    hypotheses = recognised or {}
    return {
        sample.sample_id: ClipFacts(
            seconds=None if sample.num_frames is None else sample.num_frames / corpus.fps,
            frames=corpus.frames_path(sample) if has_frames else None,
            recognised=hypotheses.get(sample.sample_id),
        )
        for split in splits
        for sample in corpus.samples(split)
    }


def training_glosses(corpus: PreparedCorpus) -> frozenset[str] | None:
    """Every gloss that is signed in the corpus' training split; None if it has no such split."""
    if "train" not in corpus.splits:
        return None
    return frozenset(gloss for sample in corpus.samples("train") for gloss in sample.glosses)
