"""From a checkpoint and a corpus to hypotheses, and from those to scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cslr_cli.atomic import write_text
from cslr_cli.checkpoint import Checkpoint
from cslr_cli.config import Config, DecodingConfig
from cslr_cli.data.dataset import ClipDataset, Loader, evaluation_batches
from cslr_cli.data.manifest import PreparedCorpus
from cslr_cli.data.sample import Sample
from cslr_cli.decoding import Decoder, Hypothesis
from cslr_cli.decoding.glosses import decoder_for, timed_glosses
from cslr_cli.errors import DataError
from cslr_cli.model.device import autocast, memory_told
from cslr_cli.model.network import Network
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.scoring import Counts, Reference, Score, TimedGloss, protocol, read_stm, score, write_ctm
from cslr_cli.temporal_plan import TemporalPlan
from cslr_cli.vocabulary import Vocabulary

HEADS = ("sequence", "conv")
_MEMORY_ADVICE = "evaluate with a smaller training.batch_size, or --precision bf16"


@dataclass(frozen=True)
class ClipHypotheses:
    """What was recognised in one clip.

    Attributes:
        sample_id: the clip.
        num_frames: frames that the network saw, without padding.
        heads: for `sequence` and `conv`, the n-best hypotheses, best first.
    """

    sample_id: str
    num_frames: int
    heads: Mapping[str, list[Hypothesis]]


@dataclass(frozen=True)
class SplitResult:
    """A split recognised and scored.

    Attributes:
        split: `train`, `dev` or `test`.
        scores: for each head, its score; `sequence` is the one that papers quote.
        hypotheses: for each head, the glosses of each clip with their times.
        unseen_signers: signers of this split who are not in training; empty if unknown.
    """

    split: str
    scores: Mapping[str, Score]
    hypotheses: Mapping[str, Mapping[str, Sequence[TimedGloss]]]
    unseen_signers: frozenset[str]

    @property
    def wer(self) -> float:
        """Word error rate of the sequence head, percent."""
        return self.scores["sequence"].wer

    @property
    def of_unseen_signers(self) -> Counts:
        """The counts of the clips by signers who are not in training."""
        return self._of_signers(seen=False)

    @property
    def known_signers(self) -> Counts:
        """The counts of the clips by signers who are in training, or who are not known by name."""
        return self._of_signers(seen=True)

    def _of_signers(self, *, seen: bool) -> Counts:
        by_signer = self.scores["sequence"].by_signer().items()
        return sum((counts for signer, counts in by_signer if (signer not in self.unseen_signers) == seen), Counts())


def recognise_split(
    network: Network,
    loader: Loader,
    samples: Sequence[Sample],
    decoder: Decoder,
    *,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
    on_clip: Callable[[int], None],
) -> Iterator[ClipHypotheses]:
    """Run the network over a split and decode both heads, the longest clips first.

    Args:
        network: on `device`, in evaluation mode.
        loader: reads `samples` without augmentation.
        samples: the clips.
        decoder: makes glosses of logits.
        batch_size: clips a batch.
        device: where the network is.
        dtype: what it computes in.
        on_clip: is told after each batch how many clips it held.
    """
    for batch in loader.batches(evaluation_batches(samples, batch_size)):
        with memory_told(_MEMORY_ADVICE), torch.inference_mode(), autocast(device, dtype):
            output = network(batch.frames.to(device, non_blocking=True), batch.frame_lengths)
        logits = {"sequence": output.sequence_logits, "conv": output.conv_logits}
        log_probs = {head: values.float().log_softmax(-1).cpu().numpy() for head, values in logits.items()}
        for index, sample_id in enumerate(batch.sample_ids):
            steps = int(output.step_lengths[index])
            yield ClipHypotheses(
                sample_id,
                int(batch.frame_lengths[index]),
                {head: decoder.decode(log_probs[head][index, :steps]) for head in HEADS},
            )
        on_clip(len(batch.sample_ids))


class Evaluator:
    """Scores a network on one split of a corpus, as often as asked: after each epoch, or once.

    Args:
        corpus: the prepared corpus.
        split: which part of it.
        config: sizes and decoding.
        plan: the network's temporal plan.
        device: where the network is.
        dtype: what it computes in.
        vocabulary: of the network.
        num_workers: processes that read clips.
        batch_size: clips a batch.

    Raises:
        DataError: the corpus has no such split, or no clip in it.
    """

    def __init__(
        self,
        corpus: PreparedCorpus,
        split: str,
        config: Config,
        vocabulary: Vocabulary,
        *,
        plan: TemporalPlan,
        device: torch.device,
        dtype: torch.dtype,
        num_workers: int,
    ) -> None:
        self.split = split
        self.samples = corpus.samples(split)
        if not self.samples:
            raise DataError(f"{corpus.path}: the split {split} has no clip")
        self.references = _references(corpus, split, self.samples)
        self._fps, self._frame_interval = corpus.fps, config.data.frame_interval
        self._protocol = protocol(corpus.protocol)
        self._plan, self._device, self._dtype = plan, device, dtype
        self._batch_size = config.training.batch_size
        self._vocabulary = vocabulary
        self._decoder = decoder_for(config.decoding, vocabulary)
        dataset = ClipDataset(corpus, self.samples, config.data, training=False)
        self._loader = Loader(dataset, plan, num_workers, pin_memory=device.type == "cuda")
        known = {sample.signer for sample in corpus.samples("train")}
        signers = {sample.signer for sample in self.samples if sample.signer is not None}
        self._unseen_signers = frozenset(signers - known)

    def __call__(self, network: Network, progress: ProgressCallback = no_progress) -> SplitResult:
        """Recognise and score the split; the network is left in the mode that it was in."""
        was_training = network.training
        network.eval()
        done = 0

        def on_clip(clips: int) -> None:
            nonlocal done
            done += clips
            progress(Progress(f"evaluate {self.split}", done, len(self.samples)))

        recognised = recognise_split(
            network,
            self._loader,
            self.samples,
            self._decoder,
            batch_size=self._batch_size,
            device=self._device,
            dtype=self._dtype,
            on_clip=on_clip,
        )
        by_id = {clip.sample_id: clip for clip in recognised}
        network.train(was_training)
        hypotheses = {
            head: {sample.sample_id: self._timed(sample, by_id[sample.sample_id], head) for sample in self.samples}
            for head in HEADS
        }
        return SplitResult(
            self.split,
            {head: self._score(hypotheses[head]) for head in HEADS},
            hypotheses,
            self._unseen_signers,
        )

    def _timed(self, sample: Sample, clip: ClipHypotheses, head: str) -> tuple[TimedGloss, ...]:
        num_frames = sample.num_frames or clip.num_frames * self._frame_interval
        times = self._plan.step_times(num_frames, self._fps, self._frame_interval)
        return timed_glosses(clip.heads[head][0], self._vocabulary, times)

    def _score(self, hypotheses: Mapping[str, Sequence[TimedGloss]]) -> Score:
        glosses = {sample_id: [timed.gloss for timed in clip] for sample_id, clip in hypotheses.items()}
        return score(self.references, glosses, self._protocol)


def _references(corpus: PreparedCorpus, split: str, samples: Sequence[Sample]) -> list[Reference]:
    """The references of the clips that were prepared, in the corpus' order.

    Signers are called as the manifest calls them: PHOENIX2014's official references write their
    names in another way than its annotations.
    """
    by_id = {reference.sample_id: reference for reference in read_stm(corpus.references(split))}
    missing = [sample.sample_id for sample in samples if sample.sample_id not in by_id]
    if missing:
        raise DataError(
            f"{corpus.references(split)}: no reference for {len(missing)} clips, first {missing[0]}",
            "prepare the corpus again",
        )
    found = [(sample, by_id[sample.sample_id]) for sample in samples]
    return [replace(reference, signer=sample.signer or reference.signer) for sample, reference in found]


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
        num_workers: processes that read clips; by default as many as in training.
        progress: is told of each batch.

    Raises:
        DataError: the corpus' frames are of another size, or a split has no clip.
    """
    if corpus.frame_size != checkpoint.corpus.frame_size:
        raise DataError(
            f"{corpus.path}: its frames have {corpus.frame_size} pixels, "
            f"those that the checkpoint was trained on {checkpoint.corpus.frame_size}",
            f"prepare it with --size {checkpoint.corpus.frame_size}",
        )
    config = checkpoint.config
    if decoding is not None:
        config = config.model_copy(update={"decoding": decoding})
    network = checkpoint.network().to(device)
    results = []
    for split in splits:
        evaluator = Evaluator(
            corpus,
            split,
            config,
            checkpoint.vocabulary,
            plan=network.plan,
            device=device,
            dtype=dtype,
            num_workers=config.data.num_workers if num_workers is None else num_workers,
        )
        results.append(evaluator(network, progress))
    return results


def find_corpus(checkpoint: Checkpoint, path: Path | None) -> PreparedCorpus:
    """The prepared corpus to evaluate on: the one named, else where the network was trained, else `prepared/NAME`.

    Raises:
        DataError: there is none.
    """
    if path is not None:
        return PreparedCorpus.open(path)
    origin = checkpoint.corpus
    places = (Path(origin.path), Path("prepared") / origin.name)
    for place in places:
        if place.is_dir():
            return PreparedCorpus.open(place)
    searched = dict.fromkeys(str(place.absolute()) for place in places)  # often the same folder
    raise DataError(
        f"{' and '.join(searched)}: the corpus that the network was trained on is not there",
        f"say by --corpus where it is, or make it with: cslr prepare {origin.name} --size {origin.frame_size}",
    )


def write_hypotheses(result: SplitResult, corpus: PreparedCorpus, output: Path) -> tuple[Path, Path]:
    """Write a split's hypotheses of the sequence head as CTM, and its references as STM beside them."""
    ctm, stm = output / f"{result.split}.ctm", output / f"{result.split}.stm"
    output.mkdir(parents=True, exist_ok=True)
    write_ctm(ctm, result.hypotheses["sequence"])
    write_ctm(output / f"{result.split}.conv.ctm", result.hypotheses["conv"])
    write_text(stm, corpus.references(result.split).read_text(encoding="utf-8"))
    return ctm, stm
