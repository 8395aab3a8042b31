"""Evaluation of a checkpoint on splits of a prepared corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import torch

from cslr_cli.checkpoints.checkpoint import Checkpoint
from cslr_cli.config import DecodingConfig
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.decoding.decoders import language_model_from_config
from cslr_cli.errors import DataError
from cslr_cli.evaluation.evaluator import Evaluator
from cslr_cli.evaluation.results import SplitResult
from cslr_cli.progress import ProgressCallback, no_progress
from cslr_cli.scoring import find_protocol, read_stm
from cslr_cli.scoring.alignment import fold_case
from cslr_cli.scoring.gloss_counts import fold_glosses

# Ratio of a corpus' frame rate to that of training, or its inverse: up to the first the rates count as equal (30 and
# 29.97 frames per second), from the second on signs last another number of frames than the network has learned.
_SAME_FPS_RATIO, _MAX_FPS_RATIO = 1.01, 2.0


def find_prepared_corpus(checkpoint: Checkpoint, path: Path | None) -> PreparedCorpus:
    """Find the prepared corpus of a checkpoint: at `path`, else where the network was trained, else in `prepared/NAME`.

    Raises:
        DataError: there is no such corpus.
    """
    if path is not None:
        return open_prepared_corpus(path)
    origin = checkpoint.corpus
    places = (Path(origin.path), Path("prepared") / origin.name)
    for place in places:
        if place.is_dir():
            return open_prepared_corpus(place)
    searched = dict.fromkeys(str(place.absolute()) for place in places)  # often the same folder
    raise DataError(
        f"{' and '.join(searched)}: the corpus that the network was trained on is not there",
        f"say by --corpus where it is, or make it with: cslr prepare {origin.name} --size {origin.frame_size}",
    )


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
        checkpoint: network with its preprocessing and decoding.
        corpus: prepared corpus with frames of the size that the network was trained on.
        splits: names of the splits, at least one; the results have this order.
        device: device to compute on.
        dtype: type to compute in.
        decoding: decoding settings that replace the checkpoint's.
        num_workers: number of processes that read clips, and maximum number that decode; default: as in training.
        progress: called after each clip.

    Raises:
        DataError: the corpus' frames have another size or a very different rate, a split has no clip, or a language
            model cannot be read.
    """
    evaluators = [  # all of them first, so that a fault of the last split shows before the work
        make_evaluator(
            checkpoint, corpus, split, device=device, dtype=dtype, decoding=decoding, num_workers=num_workers
        )
        for split in splits
    ]
    network = checkpoint.build_network().to(device)
    results = []
    for evaluator in evaluators:
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
            f"{corpus.path}: {corpus.fps:g} frames a second, and the checkpoint was trained on {fps:g}; "
            "signs would last another number of frames than it has learned",
            f"prepare it at {fps:g} frames a second (your own videos: --fps {fps:g})",
        )


def evaluation_warnings(
    checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str], decoding: DecodingConfig
) -> list[str]:
    """Return warnings about a different frame rate, and about glosses that the network or the language model lacks.

    Args:
        checkpoint: checkpoint to evaluate.
        corpus: prepared corpus to evaluate on.
        splits: names of the splits.
        decoding: decoding settings.

    Raises:
        DataError: the network knows no gloss of a split, or the language model cannot be read.
    """
    warnings = []
    fps = checkpoint.corpus.fps
    if max(corpus.fps / fps, fps / corpus.fps) > _SAME_FPS_RATIO:
        warnings.append(
            f"{corpus.path}: {corpus.fps:g} frames a second, and the checkpoint was trained on {fps:g}; "
            "signs last another number of frames than it has learned"
        )
    warnings += _unknown_gloss_warnings(checkpoint, corpus, splits)
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


def _unknown_gloss_warnings(checkpoint: Checkpoint, corpus: PreparedCorpus, splits: Sequence[str]) -> Iterator[str]:
    """Yield a warning for each split with reference glosses that the network cannot output."""
    known = fold_glosses(checkpoint.vocabulary.glosses, find_protocol(corpus.protocol))
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
