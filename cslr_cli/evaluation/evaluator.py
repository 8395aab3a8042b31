"""Recognises the clips of a split, and scores what was recognised."""

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
from cslr_cli.scoring import Reference, Score, protocol, read_stm, score
from cslr_cli.vocabulary import Vocabulary


class Evaluator:
    """Scores a network on one split of a corpus, as often as asked: after each epoch, or once.

    Recognising and scoring are steps of their own, so that several processes can each recognise a
    part of the clips and one of them score all.

    Args:
        corpus: the prepared corpus.
        split: which part of it.
        config: sizes and decoding.
        vocabulary: of the network.
        device: where the network is.
        dtype: what it computes in.
        num_workers: processes that read clips, and as many at most that decode, where that pays.

    Raises:
        DataError: the corpus has no such split, or no clip in it; a language model cannot be read.
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
            raise DataError(f"{corpus.path}: the split {split} has no clip")
        self.references = _references(corpus, split, self.samples)
        self.num_workers = num_workers
        self._fps, self._frame_interval = corpus.fps, config.data.frame_interval
        self._protocol = protocol(corpus.protocol)
        self._plan, self._device, self._dtype = build_temporal_plan(config.model), device, dtype
        self._vocabulary = vocabulary
        self._batches = evaluation_batches(self.samples, config.training.batch_size)
        dataset = ClipDataset(corpus, self.samples, config.data, training=False)
        self._loader = Loader(dataset, self._plan, num_workers, pin_memory=device.type == "cuda")
        self._time_by_conv = config.loss.conv_ctc > 0
        self._decode_by(config.decoding)
        self._unseen_signers = _unseen_signers(corpus, self.samples)

    def __call__(self, network: Network, progress: ProgressCallback = no_progress) -> SplitResult:
        """Recognise and score the split; the network is left in the mode that it was in."""
        return self.score(self.recognise(network, progress))

    def log_probs(self, network: Network, *, part: int = 0, num_parts: int = 1) -> Iterator[ClipLogProbs]:
        """Run the network over the clips, the longest first.

        Args:
            network: in evaluation mode.
            part: which share of the clips, from 0.
            num_parts: into how many shares the clips are divided, of about the same length together.
        """
        batches = self._loader.batches(self._keys(part, num_parts))
        return clip_log_probs(network, batches, device=self._device, dtype=self._dtype)

    def recognise(
        self, network: Network, progress: ProgressCallback = no_progress, *, part: int = 0, num_parts: int = 1
    ) -> list[ClipHypotheses]:
        """Run the network over the clips, or a share of them, and decode both heads.

        Args:
            network: is left in the mode that it was in.
            progress: is told of each clip.
            part: which share of the clips, from 0.
            num_parts: into how many shares the clips are divided.

        Returns:
            The clips of the share, in no order that means anything.
        """
        num_clips = sum(map(len, self._keys(part, num_parts)))
        with evaluation_mode(network):
            return self.decode(self.log_probs(network, part=part, num_parts=num_parts), num_clips, progress)

    def decode(
        self, clips: Iterable[ClipLogProbs], num_clips: int, progress: ProgressCallback = no_progress
    ) -> list[ClipHypotheses]:
        """Decode both heads of clips, in other processes where that pays.

        Args:
            clips: a generator's own work, such as the network's, goes on meanwhile.
            num_clips: how many there are.
            progress: is told of each clip.

        Raises:
            CslrError: the network's output is not finite, or a process was ended by the system.
        """
        decoded = []
        for clip in self._decoder_pool.map(clips, num_clips):
            decoded.append(clip)
            progress(Progress(f"evaluate {self.split}", len(decoded), num_clips))
        return decoded

    def score(self, clips: Iterable[ClipHypotheses]) -> SplitResult:
        """Score what was recognised.

        Args:
            clips: each clip of the split exactly once, in any order.

        Raises:
            ValueError: a clip is missing, there twice, or not of this split.
        """
        recognised = list(clips)
        by_id = {clip.sample_id: clip for clip in recognised}
        if len(recognised) != len(self.samples) or by_id.keys() != {sample.sample_id for sample in self.samples}:
            raise ValueError(f"{len(recognised)} clips, expected each of the {len(self.samples)} of {self.split} once")
        in_order = [by_id[sample.sample_id] for sample in self.samples]
        nbest = {head: self._nbest(in_order, head) for head in HEADS}
        glosses = {
            head: {name: [_labels(alternative) for alternative in nbest[head][name]] for name in nbest[head]}
            for head in HEADS
        }
        best = {
            head: {name: found[0] for name, found in alternatives.items()} for head, alternatives in glosses.items()
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
            hypotheses={head: {name: found[0].glosses for name, found in nbest[head].items()} for head in HEADS},
            unseen_signers=self._unseen_signers,
            greedy={head: self.score_glosses(greedy[head]) for head in HEADS},
            nbest=nbest,
            oracle=oracle,
            decoding=self.decoding,
        )

    def score_glosses(self, hypotheses: Mapping[str, Sequence[str]]) -> Score:
        """Score one hypothesis for each clip of the split, by the corpus' protocol."""
        return score(self.references, hypotheses, self._protocol)

    def decoding_by(self, decoding: DecodingConfig) -> Evaluator:
        """This evaluator with another decoding; what it has of processes that decode is not shared.

        Raises:
            CslrError: there is no such decoder here, or it cannot be built.
        """
        other = copy.copy(self)
        other._decode_by(decoding)
        return other

    def close(self) -> None:
        """End the processes that decode, if any were started; they start again where they are needed."""
        self._decoder_pool.close()

    def _decode_by(self, decoding: DecodingConfig) -> None:
        self.decoding = decoding
        decoder = decoder_from_config(decoding, self._vocabulary)
        clip_decoder = ClipDecoder(decoder, decoding.keep_repeats, self._time_by_conv)
        # One core is the network's, at least.
        self._decoder_pool = DecoderPool(clip_decoder, min(self.num_workers, available_cores() - 1))

    def _keys(self, part: int, num_parts: int) -> list[list[ClipKey]]:
        return self._batches[part::num_parts]

    def _nbest(self, clips: Sequence[ClipHypotheses], head: str) -> dict[str, tuple[Alternative, ...]]:
        """The alternatives of the split's clips, in its order, with times in seconds."""
        nbest = {}
        for sample, clip in zip(self.samples, clips, strict=True):
            num_frames = sample.num_frames or clip.num_frames * self._frame_interval
            times = self._plan.step_times(num_frames, self._fps, self._frame_interval)
            nbest[sample.sample_id] = tuple(
                Alternative(to_timed_glosses(hypothesis, self._vocabulary, times), hypothesis.score)
                for hypothesis in clip.heads[head]
            )
        return nbest


def _unseen_signers(corpus: PreparedCorpus, samples: Sequence[Sample]) -> frozenset[str]:
    """Who of the signers of some clips is not in the corpus' training split; nobody where it has none."""
    if "train" not in corpus.splits:
        return frozenset()
    signers = {sample.signer for sample in samples if sample.signer is not None}
    return frozenset(signers - {sample.signer for sample in corpus.samples("train")})


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


def _labels(alternative: Alternative) -> list[str]:
    return [timed.gloss for timed in alternative.glosses]
