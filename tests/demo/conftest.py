"""Checkpoints and clips for the page, and the page itself in a browser."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from cslr_cli.checkpoints.checkpoint import Checkpoint, save_checkpoint
from cslr_cli.corpora.synthetic import write_clip_video
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.training.loop import TrainingResult


@pytest.fixture(scope="session")
def runs(tiny_checkpoint: Checkpoint, tiny_training: TrainingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs with a best checkpoint, and a third whose checkpoint is broken."""
    folder = tmp_path_factory.mktemp("demo") / "runs"
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
        save_checkpoint(tiny_checkpoint, folder / name / "best.pt")
    flipped = {key: -value if "classifier" in key else value for key, value in tiny_checkpoint.weights.items()}
    save_checkpoint(dataclasses.replace(tiny_checkpoint, weights=flipped), folder / "second" / "best.pt")
    (folder / "broken").mkdir()
    (folder / "broken" / "best.pt").write_bytes(b"no checkpoint")
    for name in ("first", "second", "broken"):
        for file in (tiny_training.run.config, tiny_training.run.metrics):
            shutil.copy(file, folder / name)
    return folder


@pytest.fixture(scope="session")
def clip(tiny_release: Path, tiny_corpus: PreparedCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of a test clip."""
    video = tmp_path_factory.mktemp("clips") / "my clip.mp4"
    write_clip_video(tiny_release, tiny_corpus.samples("test")[0].sample_id, video)
    return video
