"""`Recognizer`: from a video, or a folder of pictures, to glosses with times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cslr_cli.checkpoint import Checkpoint, load_checkpoint
from cslr_cli.config import DecodingConfig, Precision
from cslr_cli.data.dataset import single_clip
from cslr_cli.data.frame_source import FrameSource
from cslr_cli.data.frames import open_frames, resample_indices
from cslr_cli.data.pictures import resize_frame
from cslr_cli.data.transforms import apply_plan, evaluation_plan
from cslr_cli.decoding.glosses import decoder_for, timed_glosses
from cslr_cli.errors import UsageError
from cslr_cli.model.device import autocast, memory_told, resolve_device, resolve_precision
from cslr_cli.recognition import Alternative, Recognition

# Frames a second that a source can be said to have; what lies beyond is a slip of the keyboard.
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 1000.0


class Recognizer:
    """A trained network that reads videos as it read its training clips.

    Args:
        checkpoint: the network, its vocabulary and its preprocessing.
        device: where to compute.
        precision: what to compute in.
        decoding: in place of the checkpoint's.
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
        self._dtype = resolve_precision(precision, device)
        self._network = checkpoint.network().to(device)
        self._decoder = decoder_for(decoding or checkpoint.config.decoding, checkpoint.vocabulary)

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

    def recognize(self, path: Path | str, fps: float | None = None) -> Recognition:
        """Recognise the glosses of one video.

        Frames go through what training frames went through: the corpus' frame rate (chosen by time
        stamps), its frame size, the crop, the normalisation.

        Args:
            path: a video file, or a folder or `.zip` of pictures.
            fps: frames a second of the source, where it does not say or says wrongly; pictures are
                taken to have the corpus' rate.

        Raises:
            MediaError: it cannot be read, or is shorter than the network's shortest clip.
            UsageError: `fps` is no frame rate of signing.
        """
        if fps is not None and not _SLOWEST_FPS <= fps <= _FASTEST_FPS:
            raise UsageError(
                f"{fps:g} frames a second: not a rate at which signing is filmed",
                f"expected {_SLOWEST_FPS:g} to {_FASTEST_FPS:g}",
            )
        source = open_frames(path)
        at_corpus_rate = self._chosen_frames(source, fps)
        config = self.checkpoint.config.data
        plan = evaluation_plan(len(at_corpus_rate), self.checkpoint.corpus.frame_size, config)
        frames = self._prepared_frames(source, at_corpus_rate[list(plan.indices)])
        return self._recognize_pictures(apply_plan(frames, plan, config), str(path), len(at_corpus_rate))

    def _chosen_frames(self, source: FrameSource, fps: float | None) -> NDArray[np.int64]:
        """Which frames show the video at the corpus' rate: indices, never decreasing."""
        times = source.timestamps if fps is None else np.arange(source.num_frames) / fps
        return np.arange(source.num_frames) if times is None else resample_indices(times, self.fps)

    def _prepared_frames(self, source: FrameSource, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames of the corpus' size: uint8 (T, frame_size, frame_size, 3)."""
        corpus = self.checkpoint.corpus
        size = corpus.frame_size
        prepared = np.empty((len(indices), size, size, 3), np.uint8)
        for place, frame in enumerate(source.iterate(indices)):
            if frame.shape[:2] != (size, size):
                frame = resize_frame(frame, size, corpus.interpolation, corpus.aspect)
            prepared[place] = frame
        return prepared

    def _recognize_pictures(self, pictures: NDArray[np.uint8], source: str, num_frames: int) -> Recognition:
        """Recognise pictures that are just as the network wants them, out of `num_frames` at the corpus' rate."""
        batch = single_clip(pictures, self._network.plan, source)
        with memory_told("give a shorter video"), torch.inference_mode(), autocast(self.device, self._dtype):
            logits = self._network(batch.frames.to(self.device), batch.frame_lengths).sequence_logits[0]
        hypotheses = self._decoder.decode(logits.float().log_softmax(-1).cpu().numpy())
        frame_interval = self.checkpoint.config.data.frame_interval
        times = self._network.plan.step_times(num_frames, self.fps, frame_interval)
        nbest = tuple(
            Alternative(timed_glosses(hypothesis, self.checkpoint.vocabulary, times), hypothesis.score)
            for hypothesis in hypotheses
        )
        fps, duration = self.fps / frame_interval, num_frames / self.fps
        return Recognition(source, nbest[0].glosses, nbest[0].score, len(pictures), fps, duration, nbest)
