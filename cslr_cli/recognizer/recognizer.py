"""`Recognizer`: from any source of frames to glosses with times.

A picture is a frame after resampling, fit and crop, as the network sees it.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cslr_cli.checkpoints.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.choices import Precision
from cslr_cli.config import DecodingConfig
from cslr_cli.decoding.clip_decoder import ClipDecoder, ClipLogProbs
from cslr_cli.decoding.decoders import decoder_from_config
from cslr_cli.decoding.gloss_timing import to_timed_glosses
from cslr_cli.media.clip_reader import ClipReader, LoadedClip, Source
from cslr_cli.media.options import ReadOptions
from cslr_cli.model.device import precision_name, resolve_device, resolve_precision, translate_out_of_memory
from cslr_cli.model.inference import prepare_for_inference
from cslr_cli.recognition import Alternative, DivisionFacts, Recognition, Sentence, StepLogits, confidence_warnings
from cslr_cli.recognizer.joining import RecognizedSegment, join_logits, remove_overlaps
from cslr_cli.recognizer.options import Segmentation
from cslr_cli.recognizer.segmentation import describe_division, iterate_frame_features, iterate_segments
from cslr_cli.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

_OUT_OF_MEMORY_HINT = "use --precision bf16 or --device cpu; divide a long recording: --segment rests"


class Recognizer:
    """A trained network that recognizes glosses. Videos are preprocessed like its training clips.

    Example:
        >>> from cslr_cli import Recognizer
        >>> recognizer = Recognizer.load("runs/quickstart/best.pt")
        >>> recognition = recognizer.recognize("runs/quickstart/example.mp4")
        >>> print(recognition.text)

    Args:
        checkpoint: network with its vocabulary and preprocessing.
        device: device of the computation.
        precision: precision of the computation.
        decoding: settings of the decoder; None for those of the checkpoint.
        name: path or name of the checkpoint, for results.

    Attributes:
        checkpoint: checkpoint that was given.
        device: device of the computation.
        name: path or name of the checkpoint.
        dtype: data type of the computation.
        network: network on the device, optimized for inference.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: torch.device,
        precision: Precision = "auto",
        decoding: DecodingConfig | None = None,
        name: str | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.name = name
        self.device = device
        self.dtype = resolve_precision(precision, device)
        self.network = prepare_for_inference(checkpoint.build_network().to(device), self.dtype)
        decoding = decoding or checkpoint.config.decoding
        self._decode = ClipDecoder(
            decoder_from_config(decoding, checkpoint.vocabulary),
            decoding.keep_repeats,
            time_by_conv=checkpoint.config.loss.conv_ctc > 0,
        )
        _log.debug("network on %s in %s; decoding: %s", device, precision_name(self.dtype), decoding)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto", precision: Precision = "auto") -> Recognizer:
        """Load a recognizer from a checkpoint file.

        Args:
            path: path of the checkpoint.
            device: `auto`, `cpu`, `cuda`, or the number of a GPU.
            precision: `auto`, `fp32`, `bf16` or `fp16`.

        Raises:
            CheckpointError: the file is not a checkpoint of this project.
            DeviceError: the device does not exist, or does not support this precision.
        """
        return cls(load_checkpoint(Path(path)), device=resolve_device(device), precision=precision, name=str(path))

    @property
    def fps(self) -> float:
        """Frames per second of the corpus that the network was trained on."""
        return self.checkpoint.corpus.fps

    @property
    def network_fps(self) -> float:
        """Frames per second that the network sees: `fps`, or less if it skips frames."""
        return self.fps / self.checkpoint.config.data.frame_interval

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the network."""
        return self.checkpoint.vocabulary

    def open(self, source: Source, options: ReadOptions | None = None) -> ClipReader:
        """Open a source for reading its pictures one by one.

        Args:
            source: path of a video, a folder or `.zip` of pictures, a uint8 array (T, H, W, 3), a list of arrays
                (H, W, 3), or an iterator of them; RGB.
            options: which segment of the source is read, and how; None for the defaults.

        Raises:
            MediaError: there is no such file or folder.
        """
        options = options or ReadOptions()
        config = self.checkpoint.config.data
        fit = self.checkpoint.corpus.frame_fit(config, options.frame_fit)
        return ClipReader(source, options, fit, fps=self.fps, frame_interval=config.frame_interval)

    def read(self, source: Source, options: ReadOptions | None = None) -> LoadedClip:
        """Read all pictures of a source into memory; otherwise like `open`."""
        with self.open(source, options) as clip:
            return clip.read()

    def recognize(
        self,
        source: Source | ClipReader,
        options: ReadOptions | None = None,
        *,
        segmentation: Segmentation | None = None,
        keep_logits: bool = False,
        on_sentence: Callable[[Sentence], None] | None = None,
        long: Segmentation | None = None,
    ) -> Recognition:
        """Recognize the glosses of one video.

        Frames are preprocessed like training frames: resampled to the corpus' frame rate by their time stamps,
        fitted, resized, cropped and normalised. A thread decodes frames while the network computes; memory use does
        not depend on the length of the video.

        Args:
            source: a source as in `open`, or the reader that `open` returned.
            options: which segment of the source is read, and how; None for the defaults.
            segmentation: how a long recording is divided; None for the defaults.
            keep_logits: whether the result contains the logits.
            on_sentence: called with the recognition of each segment of a long recording as soon as it is known.
            long: deprecated name of `segmentation`.

        Raises:
            MediaError: the source cannot be read, or is shorter than the network's minimum.
            DeviceError: the device is out of memory.
        """
        if long is not None:
            warnings.warn("`long` is now `segmentation`; version 1.0 will remove the old name", DeprecationWarning, 2)
        segmentation = segmentation or long or Segmentation()
        sentences: list[Sentence] = []
        logits: list[StepLogits] = []
        with source if isinstance(source, ClipReader) else self.open(source, options) as clip:
            for segment in self._recognize_segments(clip.read_ahead(), segmentation):
                sentences.append(segment.sentence)
                if keep_logits:
                    logits.append(segment.logits)
                if on_sentence is not None:
                    on_sentence(segment.sentence)
        _log.debug(
            "%s: %d frames for the network, %.2f s at %g frames per second; %d segments",
            *(clip.name, clip.num_pictures, clip.duration, clip.fps, len(sentences)),
        )
        nbest = sentences[0].nbest if len(sentences) == 1 else (_concatenate(sentences),)
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
            warnings=(*clip.warnings, *confidence_warnings(nbest[0].glosses)),
            logits=join_logits(logits or [self._empty_logits()]) if keep_logits else None,
            checkpoint=self.name,
            network_fps=self.network_fps,
            source_fps=clip.source_fps,
            source_num_frames=clip.source_num_frames,
            segmentation=describe_division(clip, segmentation),
        )

    def recognize_pictures(
        self, pictures: NDArray[np.uint8], name: str = "", *, keep_logits: bool = False
    ) -> Recognition:
        """Recognize pictures, for example of a `LoadedClip`.

        Args:
            pictures: uint8 (T, S, S, 3), RGB, at the network's frame rate.
            name: name of the source in the result.
            keep_logits: whether the result contains the logits.

        Raises:
            MediaError: there are fewer pictures than the network's minimum.
        """
        self.network.plan.check_length(len(pictures), name or "the pictures")
        features = torch.cat(list(iterate_frame_features(pictures, self.network, self.device, self.inference)))
        fps = self.network_fps
        segment = self._recognize_segment(features, np.arange(len(pictures) + 1) / fps)
        nbest = segment.sentence.nbest
        return Recognition(
            source=name,
            glosses=nbest[0].glosses,
            score=nbest[0].score,
            num_frames=len(pictures),
            fps=fps,
            duration=len(pictures) / fps,
            nbest=nbest,
            sentences=(segment.sentence,),
            warnings=confidence_warnings(nbest[0].glosses),
            logits=segment.logits if keep_logits else None,
            checkpoint=self.name,
            network_fps=fps,
            segmentation=DivisionFacts("none"),
        )

    def _recognize_segments(self, clip: ClipReader, segmentation: Segmentation) -> Iterator[RecognizedSegment]:
        """Recognize the segments of a clip, in order."""
        results = (
            self._recognize_segment(segment.features, clip.edges(segment.frames.first, segment.frames.end))
            for segment in iterate_segments(clip, self.network, self.device, segmentation, self.inference)
        )
        return remove_overlaps(results) if segmentation.method == "windows" else results

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Return the context of the network's computation; if memory runs out in it, it raises a DeviceError."""
        with translate_out_of_memory(_OUT_OF_MEMORY_HINT), torch.inference_mode():
            yield

    def recognize_features(self, features: Tensor, edges: NDArray[np.float64]) -> Sentence:
        """Recognize frames by their features, for example of a `FeatureStream`.

        Args:
            features: (P, C), features of T frames, padded like a clip.
            edges: float64 (T + 1,), start of each frame and end of the last one, seconds.
        """
        return self._recognize_segment(features, edges).sentence

    def _recognize_segment(self, features: Tensor, edges: NDArray[np.float64]) -> RecognizedSegment:
        """Recognize one segment; see `recognize_features`."""
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
        return RecognizedSegment(Sentence(float(edges[0]), float(edges[-1]), nbest, conv_glosses), logits)

    def _empty_logits(self) -> StepLogits:
        none = np.empty((0, self.vocabulary.num_classes), np.float32)
        return StepLogits(none, none, np.empty((0, 2)), ("", *self.vocabulary.glosses))


def _concatenate(sentences: list[Sentence]) -> Alternative:
    """Concatenate the best hypotheses of sentences."""
    glosses = tuple(timed for sentence in sentences for timed in sentence.glosses)
    return Alternative(glosses, math.fsum(sentence.score for sentence in sentences))
