"""`ClipDataset` reads the frames of one clip of a prepared corpus, augmented for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from torch.utils.data import Dataset

from cslr_cli.config import DataConfig
from cslr_cli.dataset.augmentation import draw_training_plan
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import CslrError, DataError
from cslr_cli.media.clip_plan import ClipPlan, Frames, apply_clip_plan, make_evaluation_plan
from cslr_cli.media.frame_source import Frame, FrameSource
from cslr_cli.media.frames import open_frames


@dataclass(frozen=True)
class ClipKey:
    """A clip and the pass over the corpus that reads it; the clip's random choices follow from both.

    Attributes:
        index: index of the sample in the data set.
        epoch: epoch, from 1; 0 in evaluation.
    """

    index: int
    epoch: int = 0


@dataclass(frozen=True)
class Clip:
    """One clip, cropped and augmented, before padding.

    Attributes:
        sample_id: name of the clip.
        frames: uint8 (T, H, W, 3), RGB.
        gloss_ids: ids of the reference's glosses.
    """

    sample_id: str
    frames: Frames
    gloss_ids: tuple[int, ...]


class ClipDataset(Dataset[Clip | CslrError]):
    """Reads one clip at a time, and decodes only the frames that training needs.

    The random choices of training follow from (seed, epoch, index). So they do not depend on the process that reads
    the clip, or on an interruption of the training.

    Args:
        corpus: prepared corpus.
        samples: clips of the data set.
        config: sizes and augmentation.
        training: whether clips are augmented; otherwise every frame is cropped to its middle.
        seed: seed of the augmentation.
    """

    def __init__(
        self,
        corpus: PreparedCorpus,
        samples: Sequence[Sample],
        config: DataConfig,
        *,
        training: bool,
        seed: int = 0,
    ) -> None:
        self.corpus = corpus
        self.samples = list(samples)
        self.config = config
        self.training = training
        self.seed = seed
        self._vocabulary = corpus.vocabulary

    def __len__(self) -> int:
        """The number of clips."""
        return len(self.samples)

    def __getitem__(self, key: ClipKey) -> Clip | CslrError:
        """Read a clip; return an error instead of raising it, because torch would change it in a worker process."""
        sample = self.samples[key.index]
        try:
            return Clip(sample.sample_id, self._read_frames(sample, key), self._gloss_ids(sample))
        except CslrError as error:
            return error

    def read_middle_frame(self, key: ClipKey) -> Frame:
        """Read only the middle frame of the clip that `self[key]` reads.

        Raises:
            CslrError: the clip cannot be read.
        """
        source = self._open(self.samples[key.index])
        plan = self._make_plan(source.num_frames, key)
        plan = replace(plan, indices=(plan.indices[len(plan.indices) // 2],))
        return cast("Frame", apply_clip_plan(self._check_sizes(source, plan.indices), plan, self.config)[0])

    def _read_frames(self, sample: Sample, key: ClipKey) -> Frames:
        source = self._open(sample)
        plan = self._make_plan(source.num_frames, key)
        return apply_clip_plan(self._check_sizes(source, plan.indices), plan, self.config)

    def _open(self, sample: Sample) -> FrameSource:
        """Open the frames of a sample; raise a DataError if there are not as many as in the manifest."""
        source = open_frames(self.corpus.frames_path(sample))
        if sample.num_frames not in (None, source.num_frames):
            raise DataError(
                f"{source.path}: {source.num_frames} frames, but {sample.num_frames} in the manifest",
                "prepare the corpus again in an empty folder",
            )
        return source

    def _make_plan(self, num_frames: int, key: ClipKey) -> ClipPlan:
        if not self.training:
            return make_evaluation_plan(num_frames, self.corpus.frame_size, self.config)
        rng = np.random.default_rng([self.seed, key.epoch, key.index])
        return draw_training_plan(num_frames, self.corpus.frame_size, self.config, rng)

    def _check_sizes(self, source: FrameSource, indices: Sequence[int]) -> Iterator[Frame]:
        expected = self.corpus.frame_size
        for frame in source.iterate(indices):
            height, width, _ = frame.shape
            if (height, width) != (expected, expected):
                raise DataError(
                    f"{source.path}: frames of {width}×{height} pixels, but the corpus has {expected}×{expected}",
                    "prepare the corpus again in an empty folder",
                )
            yield frame

    def _gloss_ids(self, sample: Sample) -> tuple[int, ...]:
        return tuple(self._vocabulary.encode(sample.glosses, unknown="skip"))
