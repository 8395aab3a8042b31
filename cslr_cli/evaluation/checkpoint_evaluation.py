"""Evaluation of a checkpoint on splits of a prepared corpus."""

from __future__ import annotations

import logging
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
from cslr_cli.scoring import find_protocol, read_stm
from cslr_cli.scoring.alignment import fold_case
from cslr_cli.scoring.gloss_counts import fold_glosses

_log = logging.getLogger(__name__)

# Ratio of a corpus' frame rate to that of training, or its inverse. Up to the first, the rates count as equal (30 and
# 29.97 frames per second). From the second on, it is an error.
_SAME_FPS_RATIO, _MAX_FPS_RATIO = 1.01, 2.0


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

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from cslr_cli import evaluate, load_checkpoint
        >>> from cslr_cli.corpora import open_prepared_corpus
        >>> checkpoint = load_checkpoint(Path("runs/quickstart/best.pt"))
        >>> corpus = open_prepared_corpus("prepared/synthetic")
        >>> (dev,) = evaluate(checkpoint, corpus, ["dev"], device=torch.device("cpu"), dtype=torch.float32)
        >>> print(f"WER on dev: {dev.wer:.1f} %")

    Args:
        checkpoint: network with its preprocessing and decoding.
        corpus: prepared corpus with frames of the size that the network was trained on.
        splits: names of the splits, at least one; the results have this order.
        device: device of the computation.
        dtype: dtype of the computation.
        decoding: decoding settings that replace the checkpoint's.
        num_workers: number of processes that read clips, and maximum number that decode; default: as in training.
        progress: called after each clip.

    Raises:
        DataError: the corpus' frames have another size or a very different rate, a split has no clip, or a language
            model cannot be read.
    """
    evaluators = [  # all of them first, so that errors of the last split are raised before the work
        make_evaluator(
            checkpoint, corpus, split, device=device, dtype=dtype, decoding=decoding, num_workers=num_workers
        )
        for split in splits
    ]
    network = checkpoint.build_network().to(device)
    results = []
    for evaluator in evaluators:
        _log.debug("evaluation of %s on %s in %s", evaluator.split, device, dtype)
        with closing(evaluator):
            results.append(evaluator(network, progress))
    return results


def make_evaluator(
    checkpoint: Checkpoint,
    corpus: PreparedCorpus,
    split: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
    decoding: DecodingConfig | None = None,
    num_workers: int | None = None,
) -> Evaluator:
    """Build the evaluator of a checkpoint for one split; arguments and exceptions are those of `evaluate`."""
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
    """Check that a corpus' frames have the size, and about the rate, of the frames that the network was trained on."""
    checkpoint.corpus.check_frame_size(corpus)
    fps = checkpoint.corpus.fps
    if max(corpus.fps / fps, fps / corpus.fps) >= _MAX_FPS_RATIO:
        raise DataError(
            f"{corpus.path}: has {corpus.fps:g} frames per second, but the checkpoint was trained at {fps:g}",
            f"prepare the corpus at {fps:g} frames per second (your own videos: --fps {fps:g}), so that signs last as "
            "many frames as in training",
        )


def evaluation_warnings(
    checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str], decoding: DecodingConfig
) -> list[str]:
    """Return warnings about a different frame rate, and about glosses that the network or the language model lacks.

    Raises:
        DataError: the network can recognise no gloss of a split, or the language model cannot be read.
    """
    warnings = []
    fps = checkpoint.corpus.fps
    if max(corpus.fps / fps, fps / corpus.fps) > _SAME_FPS_RATIO:
        warnings.append(
            f"{corpus.path}: has {corpus.fps:g} frames per second, but the checkpoint was trained at {fps:g}; "
            "signs last a different number of frames than in training"
        )
    warnings += _unknown_gloss_warnings(checkpoint, corpus, splits)
    language_model = language_model_from_config(decoding)
    if language_model is not None:
        glosses = checkpoint.vocabulary.glosses
        unknown = language_model.unknown_glosses(glosses)
        if unknown:
            warnings.append(
                f"{language_model.path}: the language model lacks {len(unknown)} of the {len(glosses)} glosses of the "
                f"vocabulary, for example {', '.join(unknown[:3])}; it scores them as <unk>"
            )
    return warnings


def _unknown_gloss_warnings(checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each split with reference glosses that the network cannot output."""
    known = fold_glosses(checkpoint.vocabulary.glosses, find_protocol(corpus.protocol))
    for split in splits:
        signed = {gloss for reference in read_stm(corpus.references(split)) for gloss in reference.glosses}
        unknown = sorted(gloss for gloss in signed if fold_case(gloss) not in known)
        some = f"for example {', '.join(unknown[:3])}"
        if signed and len(unknown) == len(signed):
            raise DataError(
                f"{corpus.path}: the network can recognise none of the {len(signed)} glosses of {split}, {some}",
                "use a corpus with the same spelling of the glosses as the training corpus",
            )
        if unknown:
            yield (
                f"{corpus.path}: the network cannot recognise {len(unknown)} of the {len(signed)} glosses of {split}, "
                f"{some}; they always count as errors"
            )
