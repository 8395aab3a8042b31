"""A tiny synthetic corpus, prepared, and a network that was trained on it: made once, used by many tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.config import Config
    from cslr_cli.dataset.manifest import PreparedCorpus
    from cslr_cli.training.loop import TrainingResult

# Before torch is imported anywhere. Tests run side by side; and some fork, which a process must not do once it has
# started threads of OpenMP: they are not in the child, and it would wait for them for ever.
os.environ["OMP_NUM_THREADS"] = "1"

# What programs write is read here as it comes out of a pipe, wherever the tests themselves run.
for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
    os.environ.pop(name, None)

# A shell has what it runs in the background ignore Ctrl-C, and so would every program that a test starts and
# interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples at every run, and however long a busy machine takes over them: neither chance nor the clock decides
# whether the tests pass. For other examples: pytest --hypothesis-profile=default.
settings.register_profile(
    "tests", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# What is needed is imported where it is made: tests that need no torch do not wait for it.


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 8 train, 4 dev and 4 test clips by 3 signers, of whom the third is in test only."""
    from cslr_cli.corpora.synthetic import SyntheticOptions, make_release

    folder = tmp_path_factory.mktemp("tiny") / "release"
    options = SyntheticOptions(num_train_clips=8, num_dev_clips=4, num_test_clips=4, num_signers=3, num_glosses=8)
    make_release(folder, options, workers=1)
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tiny_release: Path) -> PreparedCorpus:
    """The release prepared, with frames of 36 pixels. Not to be changed: others read it too."""
    from cslr_cli.corpora import find_reader
    from cslr_cli.corpora.preparation import PreparationOptions, prepare
    from cslr_cli.dataset.manifest import PreparedCorpus

    folder = tiny_release.parent / "prepared" / "synthetic"
    prepare(find_reader("synthetic"), tiny_release, folder, PreparationOptions(frame_size=36), workers=1)
    return PreparedCorpus.open(folder)


@pytest.fixture(scope="session")
def tiny_config(tiny_corpus: PreparedCorpus) -> Config:
    """A recipe with every kind of chance in it: dropout, crops, flips, resampling and colours."""
    from cslr_cli.config import Config

    return Config.from_dict(
        {
            "corpus": {"name": "synthetic", "path": str(tiny_corpus.path)},
            "data": {"crop_size": 32, "min_clip_frames": 16, "colour_jitter": 0.2, "num_workers": 0},
            # Eight, not fewer: oneDNN writes beyond its memory for narrower networks where a processor has no AVX-512.
            "model": {"width": 8, "hidden_size": 16, "pretrained": False},
            "optimizer": {"lr": 3e-3},
            "training": {"epochs": 2, "batch_size": 2, "precision": "fp32"},
        },
        "the tiny configuration",
    )


@pytest.fixture(scope="session")
def tiny_training(tiny_config: Config, tiny_release: Path) -> TrainingResult:
    """A finished training of that recipe: `tiny_training.run` is its folder. Not to be changed."""
    import torch

    from cslr_cli.training.loop import train

    return train(tiny_config, tiny_release.parent / "runs" / "tiny", device=torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_training: TrainingResult, tiny_corpus: PreparedCorpus) -> Checkpoint:
    """That network with an opinion on each clip, as if it had learned something.

    Two epochs leave batch norm far from the features that it sees, and the LSTM deaf: the same
    glosses for every clip, whose likeness would hide what tests look for.
    """
    import dataclasses

    import torch

    from cslr_cli.checkpoints.checkpoint import load_checkpoint
    from cslr_cli.dataset.batching import evaluation_batches
    from cslr_cli.dataset.clip_dataset import ClipDataset
    from cslr_cli.dataset.loader import Loader

    checkpoint = load_checkpoint(tiny_training.run.last)
    network = checkpoint.build_network().train()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    samples = tiny_corpus.samples("train")
    dataset = ClipDataset(tiny_corpus, samples, checkpoint.config.data, training=False)
    with torch.no_grad():
        for batch in Loader(dataset, network.plan, 0).batches(evaluation_batches(samples, 2)):
            network(batch.frames, batch.frame_lengths)
    weights = {name: value * 6 if "lstm" in name else value for name, value in network.state_dict().items()}
    return dataclasses.replace(checkpoint, weights=weights, training=None)
