"""What a GPU does in another way than a CPU: it is not waited for, and decides by itself whether a step counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.model.network import build_network
from cslr_cli.training.loop import TrainingResult, train
from tests.training.test_loop import changed, copied, rewrite_samples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
GPU = torch.device("cuda", 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_learns_as_a_cpu_does(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, precision: str
) -> None:
    config = changed(tiny_config, training={"precision": precision})
    record = train(config, tmp_path / "run", device=GPU).history[0]
    expected = tiny_training.history[0]
    assert record.step == expected.step
    if not record.skipped_clips:  # fp16 may skip the first steps until it has found its scale
        assert record.losses["loss"] == pytest.approx(expected.losses["loss"], rel=0.15)  # dropout draws other numbers


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_skipped_step_leaves_the_weights_as_they_were(
    tiny_config: Config, tiny_corpus: PreparedCorpus, tmp_path: Path, precision: str
) -> None:
    corpus = copied(tiny_corpus, tmp_path / "prepared")
    rewrite_samples(corpus, "train", lambda sample: dataclasses.replace(sample, glosses=sample.glosses * 30))
    config = changed(tiny_config, corpus={"path": str(corpus.path)}, training={"epochs": 1, "precision": precision})
    result = train(config, tmp_path / "run", device=GPU)
    assert len(result.history[0].skipped_clips) == 8
    weights = load_checkpoint(result.run.last).weights
    torch.manual_seed(config.training.seed)
    fresh = build_network(config.model, corpus.vocabulary.num_classes)
    assert all(torch.equal(value, weights[name]) for name, value in fresh.state_dict().items())
