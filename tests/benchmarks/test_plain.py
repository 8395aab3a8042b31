from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference import make_recognition_run
from benchmarks.plain import PlainDataset
from benchmarks.train_step import make_training_step
from cslr_cli.config import Config
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.manifest import PreparedCorpus

SMALL = 2, 12, 32  # clips, frames a clip, pixels
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("side", "limit"), [("fp32", 1e-5), ("fp32 checkpointed", 1e-5), ("bf16", 1e-2), ("bf16 checkpointed", 1e-2)]
)
def test_the_losses_of_two_training_steps_are_those_of_the_plain_formulation(side: str, limit: float) -> None:
    plain, ours = (make_training_step(name, *SMALL, "cpu") for name in ("plain fp32", side))
    assert ours() == pytest.approx(plain(), rel=limit)
    # The second step's loss depends on all gradients of the first.
    assert ours() == pytest.approx(plain(), rel=10 * limit)


@pytest.mark.parametrize(("side", "limit"), [("fp32", 1e-5), ("bf16", 2e-2)])
def test_the_logits_in_inference_are_those_of_the_plain_formulation(side: str, limit: float) -> None:
    assert make_recognition_run(side, *SMALL, "cpu")() == pytest.approx(
        make_recognition_run("plain fp32", *SMALL, "cpu")(), rel=limit
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_pictures_that_are_loaded_are_those_of_the_plain_formulation(
    tiny_corpus: PreparedCorpus, tiny_config: Config, *, training: bool
) -> None:
    samples = tiny_corpus.samples("train")
    config = tiny_config.data.model_copy(update={"colour_jitter": 0.0})  # the published code has none
    plain = PlainDataset(tiny_corpus, samples, config, training=training)
    ours = ClipDataset(tiny_corpus, samples, config, training=training)
    for index in range(len(samples)):
        clip = ours[ClipKey(index, 1)]
        assert not isinstance(clip, Exception)
        sample_id, frames = plain[index]
        assert clip.sample_id == sample_id
        np.testing.assert_allclose(clip.frames.transpose(0, 3, 1, 2) / 127.5 - 1, frames.numpy(), atol=1e-6)


def test_a_benchmark_compares_its_sides_and_describes_the_machine() -> None:
    arguments = ["--batch=1", "--frames=8", "--size=32", "--repeats=2", "--sides", "plain fp32", "fp32", "--json"]
    told = json.loads(
        subprocess.run(
            [sys.executable, "-m", "benchmarks.inference", *arguments],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
    assert told["machine"]["cores"] == os.cpu_count()
    plain, ours = told["rows"]
    assert (plain["side"], plain["times_as_fast"], plain["difference"]) == ("plain fp32", 1.0, 0.0)
    assert ours["difference"] < 1e-5
