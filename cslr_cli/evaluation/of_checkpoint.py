"""Scores a checkpoint on splits of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.config import DecodingConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.decoding.decoders import language_model_from_config
from cslr_cli.errors import DataError
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.scoring import protocol, read_stm
from cslr_cli.scoring.alignment import fold_case
from cslr_cli.scoring.gloss_counts import seen_glosses

# How far a corpus' frame rate may be from that of training. Below the first nobody sees a difference
# (30 and 29.97 frames a second), beyond the second signs have another length than the network knows.
_SAME_FPS, _ABSURD_FPS = 1.01, 2.0


def evaluate(
    checkpoint: Checkpoint,
    corpus: PreparedCorpus,
    splits: Sequence[str],
    *,
    device: torch.device,
    dtype: torch.dtype,
    decoding: DecodingConfig | None = None,
    num_workers: int | None = None,
    progress: ProgressCallback = no_progress,
) -> list[SplitResult]:
    """Score a checkpoint on some splits of a corpus.

    Args:
        checkpoint: the network and its preprocessing.
        corpus: prepared with frames of the size that the network was trained on.
        splits: in the order wanted, at least one.
        device: where to compute.
        dtype: what to compute in.
        decoding: in place of the checkpoint's.
        num_workers: processes that read clips, and as many at most that decode; by default as many
            as in training.
        progress: is told of each clip.

    Raises:
        DataError: the corpus' frames are of another size or another rate altogether, a split has no
            clip, or a language model cannot be read.
    """
    evaluators = [  # all of them first: what is wrong with the last one should not be told after the work
        evaluator_of(checkpoint, corpus, split, device=device, dtype=dtype, decoding=decoding, num_workers=num_workers)
        for split in splits
    ]
    network = checkpoint.build_network().to(device)
    results = []
    for evaluator in evaluators:
        with closing(evaluator):
            results.append(evaluator(network, progress))
    return results


def evaluator_of(
    checkpoint: Checkpoint,
    corpus: PreparedCorpus,
    split: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    decoding: DecodingConfig | None = None,
    num_workers: int | None = None,
) -> Evaluator:
    """The evaluator of a checkpoint's network; arguments and errors as `evaluate` has them."""
    _check_frames(checkpoint, corpus)
    config = checkpoint.config
    if decoding is not None:
        config = config.model_copy(update={"decoding": decoding})
    return Evaluator(
        corpus,
        split,
        config,
        checkpoint.vocabulary,
        device=device,
        dtype=dtype,
        num_workers=config.data.num_workers if num_workers is None else num_workers,
    )


def _check_frames(checkpoint: Checkpoint, corpus: PreparedCorpus) -> None:
    """Refuse frames that are not what the network was trained on."""
    size, fps = checkpoint.corpus.frame_size, checkpoint.corpus.fps
    if corpus.frame_size != size:
        raise DataError(
            f"{corpus.path}: its frames have {corpus.frame_size} pixels, "
            f"those that the checkpoint was trained on {size}",
            f"prepare it with --size {size}",
        )
    if max(corpus.fps / fps, fps / corpus.fps) >= _ABSURD_FPS:
        raise DataError(
            f"{corpus.path}: {corpus.fps:g} frames a second, and the checkpoint was trained on {fps:g}; "
            "signs would last another number of frames than it has learned",
            f"prepare it at {fps:g} frames a second (your own videos: --fps {fps:g})",
        )


def evaluation_warnings(
    checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str], decoding: DecodingConfig
) -> list[str]:
    """What the user should know before the figures: a rate that is not quite the network's, unknown glosses.

    Args:
        checkpoint: what is evaluated.
        corpus: what on.
        splits: which parts of it.
        decoding: how.

    Raises:
        DataError: the network knows no gloss of a split, or the language model cannot be read.
    """
    warnings = []
    fps = checkpoint.corpus.fps
    if max(corpus.fps / fps, fps / corpus.fps) > _SAME_FPS:
        warnings.append(
            f"{corpus.path}: {corpus.fps:g} frames a second, and the checkpoint was trained on {fps:g}; "
            "signs last another number of frames than it has learned"
        )
    warnings += _unknown_to_network(checkpoint, corpus, splits)
    language_model = language_model_from_config(decoding)
    if language_model is not None:
        glosses = checkpoint.vocabulary.glosses
        unknown = language_model.unknown_glosses(glosses)
        if unknown:
            warnings.append(
                f"{language_model.path}: the language model does not know {len(unknown)} of the "
                f"{len(glosses)} glosses, for example {', '.join(unknown[:3])}; it takes them for <unk>"
            )
    return warnings


def _unknown_to_network(checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str]) -> Iterator[str]:
    """A warning for each split with references that the network can never give, not even as normalised."""
    known = seen_glosses(checkpoint.vocabulary.glosses, protocol(corpus.protocol))
    for split in splits:
        signed = {gloss for reference in read_stm(corpus.references(split)) for gloss in reference.glosses}
        unknown = sorted(gloss for gloss in signed if fold_case(gloss) not in known)
        some = f"for example {', '.join(unknown[:3])}"
        if signed and len(unknown) == len(signed):
            raise DataError(
                f"{corpus.path}: the network knows none of the {len(signed)} glosses of {split}, {some}",
                "evaluate on a corpus whose glosses are spelt as those that it was trained on",
            )
        if unknown:
            yield (
                f"{corpus.path}: the network does not know {len(unknown)} of the {len(signed)} glosses of {split}, "
                f"{some}; they can only be errors"
            )
