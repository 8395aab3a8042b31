"""Recognition and scoring of a split."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from cslr_cli.config import Config, DecodingConfig
from cslr_cli.dataset.batching import evaluation_batches
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.loader import Loader
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.decoding.clip_decoder import ClipDecoder, ClipHypotheses, ClipLogProbs
from cslr_cli.decoding.decoder_pool import DecoderPool
from cslr_cli.decoding.decoders import decoder_from_config
from cslr_cli.decoding.gloss_timing import to_timed_glosses
from cslr_cli.errors import DataError
from cslr_cli.evaluation.network_pass import clip_log_probs, evaluation_mode
from cslr_cli.evaluation.results import HEADS, SplitResult, oracle_score
from cslr_cli.model.network import Network, build_temporal_plan
from cslr_cli.processes import available_cores
from cslr_cli.progress import Progress, ProgressCallback, no_progress
from cslr_cli.recognition import Alternative
from cslr_cli.scoring import Reference, Score, find_protocol, read_stm, score
from cslr_cli.vocabulary import Vocabulary


class Evaluator:
    """Scores a network on one split of a corpus, once or after each epoch.

    Recognition and scoring are separate, so that several processes can each recognise a shard of the clips.

    Args:
        corpus: prepared corpus.
        split: name of the split.
        config: configuration with batch size and decoding.
        vocabulary: vocabulary of the network.
        device: device of the network.
        dtype: type to compute in.
        num_workers: number of processes that read clips, and maximum number that decode.

    Raises:
        DataError: the corpus has no such split, the split has no clip, or a language model cannot be read.
    """

    def __init__(
        self,
        corpus: PreparedCorpus,
        split: str,
        config: Config,
        vocabulary: Vocabulary,
        *,
        device: torch.device,
        dtype: torch.dtype,
        num_workers: int,
    ) -> None:
        self.split = split
        self.samples = corpus.samples(split)
        if not self.samples:
            raise DataError(f"{corpus.path}: no clips in the split {split}")
        self.references = _read_references(corpus, split, self.samples)
        self.num_workers = num_workers
        self._fps, self._frame_interval = corpus.fps, config.data.frame_interval
        self._protocol = find_protocol(corpus.protocol)
        self._plan, self._device, self._dtype = build_temporal_plan(config.model), device, dtype
        self._vocabulary = vocabulary
        self._batches = evaluation_batches(self.samples, config.training.batch_size)
        dataset = ClipDataset(corpus, self.samples, config.data, training=False)
        self._loader = Loader(dataset, self._plan, num_workers, pin_memory=device.type == "cuda")
        self._time_by_conv = config.loss.conv_ctc > 0
        self._set_decoding(config.decoding)
        self._unseen_signers = _find_unseen_signers(corpus, self.samples)

    def __call__(self, network: Network, progress: ProgressCallback = no_progress) -> SplitResult:
        """Recognise and score the split; the network's training mode does not change."""
        return self.score(self.recognize(network, progress))

    def log_probs(self, network: Network, *, shard: int = 0, num_shards: int = 1) -> Iterator[ClipLogProbs]:
        """Run the network, in evaluation mode, over one of `num_shards` equally long shards of the clips."""
        batches = self._loader.batches(self._shard_batches(shard, num_shards))
        return clip_log_probs(network, batches, device=self._device, dtype=self._dtype)

    def recognize(
        self, network: Network, progress: ProgressCallback = no_progress, *, shard: int = 0, num_shards: int = 1
    ) -> list[ClipHypotheses]:
        """Run the network over the clips, or a shard of them, and decode both heads.

        Args:
            network: network; its training mode does not change.
            progress: called after each clip.
            shard: index of the shard, from 0.
            num_shards: number of shards that the clips are divided into.
        """
        num_clips = sum(map(len, self._shard_batches(shard, num_shards)))
        with evaluation_mode(network):
            return self.decode(self.log_probs(network, shard=shard, num_shards=num_shards), num_clips, progress)

    def decode(
        self, clips: Iterable[ClipLogProbs], num_clips: int, progress: ProgressCallback = no_progress
    ) -> list[ClipHypotheses]:
        """Decode both heads of clips, in worker processes if there is enough work; see `DecoderPool.map`.

        Raises:
            CslrError: the network's output is not finite, or a worker process was killed.
        """
        decoded = []
        for clip in self._decoder_pool.map(clips, num_clips):
            decoded.append(clip)
            progress(Progress(f"evaluate {self.split}", len(decoded), num_clips))
        return decoded

    def score(self, clips: Iterable[ClipHypotheses]) -> SplitResult:
        """Score the hypotheses of all clips of the split: each exactly once, in any order."""
        clips = list(clips)
        by_id = {clip.sample_id: clip for clip in clips}
        if len(clips) != len(self.samples) or by_id.keys() != {sample.sample_id for sample in self.samples}:
            raise ValueError(f"{len(clips)} clips, expected each of the {len(self.samples)} of {self.split} once")
        in_order = [by_id[sample.sample_id] for sample in self.samples]
        nbest = {head: self._nbest(in_order, head) for head in HEADS}
        glosses = {
            head: {name: [_labels(alternative) for alternative in nbest[head][name]] for name in nbest[head]}
            for head in HEADS
        }
        best = {
            head: {name: clip_glosses[0] for name, clip_glosses in alternatives.items()}
            for head, alternatives in glosses.items()
        }
        greedy = {
            head: {clip.sample_id: self._vocabulary.decode(clip.greedy[head].gloss_ids) for clip in in_order}
            for head in HEADS
        }
        oracle = {}
        if self.decoding.num_best > 1:
            oracle = {head: oracle_score(self.references, glosses[head], self._protocol) for head in HEADS}
        return SplitResult(
            split=self.split,
            scores={head: self.score_glosses(best[head]) for head in HEADS},
            hypotheses={
                head: {name: alternatives[0].glosses for name, alternatives in nbest[head].items()} for head in HEADS
            },
            unseen_signers=self._unseen_signers,
            greedy={head: self.score_glosses(greedy[head]) for head in HEADS},
            nbest=nbest,
            oracle=oracle,
            decoding=self.decoding,
        )

    def score_glosses(self, hypotheses: Mapping[str, Sequence[str]]) -> Score:
        """Score one hypothesis for each clip of the split, by the corpus' protocol."""
        return score(self.references, hypotheses, self._protocol)

    def with_decoding(self, decoding: DecodingConfig) -> Evaluator:
        """Return a copy with other decoding settings and other worker processes."""
        other = copy.copy(self)
        other._set_decoding(decoding)
        return other

    def close(self) -> None:
        """End the processes that read and decode clips, if any; they start again when they are needed."""
        self._decoder_pool.close()
        self._loader.close()

    def _set_decoding(self, decoding: DecodingConfig) -> None:
        self.decoding = decoding
        decoder = decoder_from_config(decoding, self._vocabulary)
        clip_decoder = ClipDecoder(decoder, decoding.keep_repeats, self._time_by_conv)
        # At least one core is left for the network.
        self._decoder_pool = DecoderPool(clip_decoder, min(self.num_workers, available_cores() - 1))

    def _shard_batches(self, shard: int, num_shards: int) -> list[list[ClipKey]]:
        return self._batches[shard::num_shards]

    def _nbest(self, clips: Sequence[ClipHypotheses], head: str) -> dict[str, tuple[Alternative, ...]]:
        """Return the alternatives of each clip of a head, with times in seconds."""
        nbest = {}
        for sample, clip in zip(self.samples, clips, strict=True):
            num_frames = sample.num_frames or clip.num_frames * self._frame_interval
            times = self._plan.step_times(num_frames, self._fps, self._frame_interval)
            nbest[sample.sample_id] = tuple(
                Alternative(to_timed_glosses(hypothesis, self._vocabulary, times), hypothesis.score)
                for hypothesis in clip.heads[head]
            )
        return nbest


def _find_unseen_signers(corpus: PreparedCorpus, samples: Sequence[Sample]) -> frozenset[str]:
    """Return the signers of the samples who are not in the training split; none if the corpus has no such split."""
    if "train" not in corpus.splits:
        return frozenset()
    signers = {sample.signer for sample in samples if sample.signer is not None}
    return frozenset(signers - {sample.signer for sample in corpus.samples("train")})


def _read_references(corpus: PreparedCorpus, split: str, samples: Sequence[Sample]) -> list[Reference]:
    """Read the references of the samples, in the samples' order.

    Signer names are the manifest's: the official references of PHOENIX2014 spell them differently.
    """
    by_id = {reference.sample_id: reference for reference in read_stm(corpus.references(split))}
    missing = [sample.sample_id for sample in samples if sample.sample_id not in by_id]
    if missing:
        raise DataError(
            f"{corpus.references(split)}: no reference for {len(missing)} clips, for example {missing[0]}",
            "prepare the corpus again",
        )
    found = [(sample, by_id[sample.sample_id]) for sample in samples]
    return [replace(reference, signer=sample.signer or reference.signer) for sample, reference in found]


def _labels(alternative: Alternative) -> list[str]:
    return [timed.gloss for timed in alternative.glosses]
