"""The `Recognizer` itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.config import DecodingConfig, Precision
from cslr_cli.decoding.clip_decoder import ClipDecoder, ClipLogProbs
from cslr_cli.decoding.decoders import decoder_from_config
from cslr_cli.decoding.gloss_timing import to_timed_glosses
from cslr_cli.media.clip_reader import ClipReader, LoadedClip, Source
from cslr_cli.media.options import ReadOptions
from cslr_cli.model.device import resolve_device, resolve_precision, translate_out_of_memory
from cslr_cli.model.inference import prepare_for_inference
from cslr_cli.recognition import Alternative, Recognition, Sentence, StepLogits
from cslr_cli.recognizer.joining import RecognisedStretch, joined_logits, without_overlaps
from cslr_cli.recognizer.long_video import LongVideo, clip_features, stretches
from cslr_cli.vocabulary import Vocabulary

_MEMORY_ADVICE = "use --precision bf16 or --device cpu; a long recording takes less in parts: --split rests"


class Recognizer:
    """A trained network that reads videos as it read its training clips.

    Args:
        checkpoint: the network, its vocabulary and its preprocessing.
        device: where to compute.
        precision: what to compute in.
        decoding: in place of the checkpoint's.

    Attributes:
        checkpoint: as given.
        device: as given.
        dtype: what is computed in.
        network: on the device, in its form for inference.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: torch.device,
        precision: Precision = "auto",
        decoding: DecodingConfig | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.dtype = resolve_precision(precision, device)
        self.network = prepare_for_inference(checkpoint.build_network().to(device), self.dtype)
        decoding = decoding or checkpoint.config.decoding
        self._decode = ClipDecoder(
            decoder_from_config(decoding, checkpoint.vocabulary),
            decoding.keep_repeats,
            time_by_conv=checkpoint.config.loss.conv_ctc > 0,
        )

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", precision: Precision = "auto") -> Recognizer:
        """Make a recognizer of a checkpoint file.

        Args:
            path: of the checkpoint.
            device: `auto`, `cpu` or the number of a GPU.
            precision: `auto`, `fp32`, `bf16` or `fp16`.

        Raises:
            CheckpointError: the file is no checkpoint of this project.
            DeviceError: the device is not there, or has not this precision.
        """
        return cls(load_checkpoint(Path(path)), device=resolve_device(device), precision=precision)

    @property
    def fps(self) -> float:
        """Frames a second of the corpus that the network was trained on."""
        return self.checkpoint.corpus.fps

    @property
    def vocabulary(self) -> Vocabulary:
        """What the network's classes mean."""
        return self.checkpoint.vocabulary

    def open(self, source: Source, reading: ReadOptions | None = None) -> ClipReader:
        """Give access to the pictures of a source, one after the other, just as the network wants them.

        Args:
            source: path of a video, a folder or `.zip` of pictures, a uint8 array (T, H, W, 3), a list of arrays
                (H, W, 3), or an iterator of them; RGB.
            reading: what of it, and how; None for the defaults.

        Raises:
            MediaError: there is no such file or folder.
        """
        reading = reading or ReadOptions()
        config = self.checkpoint.config.data
        fit = self.checkpoint.corpus.frame_fit(config, reading.fit)
        return ClipReader(source, reading, fit, fps=self.fps, frame_interval=config.frame_interval)

    def read(self, source: Source, reading: ReadOptions | None = None) -> LoadedClip:
        """Read all pictures of a source into memory; otherwise like `open`.

        Raises:
            MediaError: it cannot be read.
        """
        with self.open(source, reading) as clip:
            return clip.read()

    def recognize(
        self,
        source: Source | ClipReader,
        reading: ReadOptions | None = None,
        *,
        long: LongVideo | None = None,
        keep_logits: bool = False,
        on_sentence: Callable[[Sentence], None] | None = None,
    ) -> Recognition:
        """Recognise the glosses of one video.

        Frames go through what training frames went through: the corpus' frame rate (chosen by time
        stamps), its proportion and frame size, the crop, the normalisation. Decoding goes on in a thread while
        the network works; memory does not depend on the length of the video.

        Args:
            source: as in `open`, or what `open` gave.
            reading: what of it, and how; None for the defaults.
            long: how a long recording is split; None for the defaults.
            keep_logits: have the result hold them.
            on_sentence: told of each sentence of a long recording as soon as it is known.

        Raises:
            MediaError: it cannot be read, or is shorter than the network's shortest clip.
            DeviceError: the device is out of memory.
        """
        long = long or LongVideo()
        sentences: list[Sentence] = []
        logits: list[StepLogits] = []
        with source if isinstance(source, ClipReader) else self.open(source, reading) as clip:
            for part in self._parts(clip.read_ahead(), long):
                sentences.append(part.sentence)
                if keep_logits:
                    logits.append(part.logits)
                if on_sentence is not None:
                    on_sentence(part.sentence)
        nbest = sentences[0].nbest if len(sentences) == 1 else (_one_after_the_other(sentences),)
        return Recognition(
            source=clip.name,
            glosses=nbest[0].glosses,
            score=nbest[0].score,
            num_frames=clip.num_pictures,
            fps=clip.fps,
            duration=clip.duration,
            nbest=nbest,
            start=clip.start,
            sentences=tuple(sentences),
            warnings=clip.warnings,
            logits=joined_logits(logits or [self._no_logits()]) if keep_logits else None,
        )

    def recognize_pictures(
        self, pictures: NDArray[np.uint8], name: str = "", *, keep_logits: bool = False
    ) -> Recognition:
        """Recognise pictures that are just as the network wants them, for example of a `LoadedClip`.

        Args:
            pictures: uint8 (T, S, S, 3), RGB, at the rate that the network wants.
            name: what to call them.
            keep_logits: have the result hold them.

        Raises:
            MediaError: there are fewer than the network's shortest clip has.
            DeviceError: the device is out of memory.
        """
        self.network.plan.check_length(len(pictures), name or "the pictures")
        features = torch.cat(list(clip_features(pictures, self.network, self.device, self.inference)))
        fps = self.fps / self.checkpoint.config.data.frame_interval
        part = self._recognised(features, np.arange(len(pictures) + 1) / fps)
        nbest = part.sentence.nbest
        return Recognition(
            source=name,
            glosses=nbest[0].glosses,
            score=nbest[0].score,
            num_frames=len(pictures),
            fps=fps,
            duration=len(pictures) / fps,
            nbest=nbest,
            sentences=(part.sentence,),
            logits=part.logits if keep_logits else None,
        )

    def _parts(self, clip: ClipReader, long: LongVideo) -> Iterator[RecognisedStretch]:
        """What is recognised in the stretches of a clip, in order."""
        parts = (
            self._recognised(found.features, clip.edges(found.stretch.first, found.stretch.end))
            for found in stretches(clip, self.network, self.device, long, self.inference)
        )
        return without_overlaps(parts) if long.split == "windows" else parts

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Have the network compute as it does here: without gradients, in `dtype`.

        Raises:
            DeviceError: the device runs out of memory within.
        """
        with translate_out_of_memory(_MEMORY_ADVICE), torch.inference_mode():
            yield

    def recognize_features(self, features: Tensor, edges: NDArray[np.float64]) -> Sentence:
        """Recognise frames whose features are known, for example of a `FeatureStream`.

        Args:
            features: (P, C), of T frames with the padding of a clip.
            edges: float64 (T + 1,), seconds: when the frames begin, and the last one ends.

        Raises:
            DeviceError: the device is out of memory.
        """
        return self._recognised(features, edges).sentence

    def _recognised(self, features: Tensor, edges: NDArray[np.float64]) -> RecognisedStretch:
        """What is recognised in one stretch.

        Args:
            features: (P, C), padded.
            edges: float64 (T + 1,), seconds: when its pictures begin, and the last one ends.
        """
        num_frames = len(edges) - 1
        with self.inference():
            output = self.network.logits_from_features(features[None], torch.tensor([num_frames]))
        spans = self.network.plan.step_spans(edges.tolist())
        logits = StepLogits(
            output.sequence_logits[0].float().cpu().numpy(),
            output.conv_logits[0].float().cpu().numpy(),
            np.array(spans),
            ("", *self.vocabulary.glosses),
        )
        heads = {"sequence": output.sequence_logits[0], "conv": output.conv_logits[0]}
        log_probs = {head: values.float().log_softmax(-1).cpu().numpy() for head, values in heads.items()}
        hypotheses = self._decode(ClipLogProbs("", num_frames, log_probs)).heads
        nbest = tuple(
            Alternative(to_timed_glosses(hypothesis, self.vocabulary, spans), hypothesis.score)
            for hypothesis in hypotheses["sequence"]
        )
        conv_glosses = to_timed_glosses(hypotheses["conv"][0], self.vocabulary, spans)
        return RecognisedStretch(Sentence(float(edges[0]), float(edges[-1]), nbest, conv_glosses), logits)

    def _no_logits(self) -> StepLogits:
        none = np.empty((0, self.vocabulary.num_classes), np.float32)
        return StepLogits(none, none, np.empty((0, 2)), ("", *self.vocabulary.glosses))


def _one_after_the_other(sentences: list[Sentence]) -> Alternative:
    """The best hypotheses of sentences as one."""
    glosses = tuple(timed for sentence in sentences for timed in sentence.glosses)
    return Alternative(glosses, math.fsum(sentence.score for sentence in sentences))
