"""The sheet of training frames."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cslr_cli.config import Config
from cslr_cli.dataset.augmentation_sheet import draw_augmentations
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.media.frame_source import Frame
from cslr_cli.temporal_plan import TemporalPlan
from cslr_cli.training.batches import EpochBatches


class RecordingDataset(ClipDataset):
    """Remembers the keys of the frames that were read."""

    keys: tuple[ClipKey, ...] = ()

    def read_middle_frame(self, key: ClipKey) -> Frame:
        self.keys += (key,)
        return super().read_middle_frame(key)


def sheet_of(config: Config, corpus: PreparedCorpus, num_clips: int, path: Path) -> tuple[ClipKey, ...]:
    samples = corpus.samples("train")[:num_clips]
    dataset = RecordingDataset(corpus, samples, config.data, training=True, seed=config.training.seed)
    plan = TemporalPlan.parse(config.model.temporal_layers)
    draw_augmentations(dataset, EpochBatches(samples, config, plan).keys(), path)
    return dataset.keys


def test_the_first_clips_of_the_training_are_drawn(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    keys = sheet_of(tiny_config, tiny_corpus, 8, tmp_path / "sheet.png")
    assert len(keys) == 8
    assert {key.epoch for key in keys} == {1}
    with Image.open(tmp_path / "sheet.png") as sheet:
        picture = np.asarray(sheet.convert("RGB"))
    rows, columns = np.array_split(picture, 2), 4
    cells = [cell for row in rows for cell in np.array_split(row, columns, axis=1)]
    assert all(cell.std() > 20 for cell in cells)


def test_a_small_corpus_is_repeated_as_in_its_next_epochs(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    keys = sheet_of(tiny_config, tiny_corpus, 3, tmp_path / "sheet.png")
    assert [key.epoch for key in keys] == [1, 1, 1, 2, 2, 2, 3, 3]


def test_drawing_leaves_the_random_numbers_of_the_process_alone(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    def seed() -> None:
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)

    def draw() -> tuple[float, float, float]:
        return torch.rand(1).item(), random.random(), float(np.random.random())

    seed()
    expected = draw()
    seed()
    sheet_of(tiny_config, tiny_corpus, 8, tmp_path / "sheet.png")
    assert draw() == expected
    first = (tmp_path / "sheet.png").read_bytes()
    sheet_of(tiny_config, tiny_corpus, 8, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == first
