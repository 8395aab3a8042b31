"""Files as the published code leaves them: checkpoints of narrow networks, and their vocabulary."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cslr_cli.checkpoints.gloss_dict import write_gloss_dict
from cslr_cli.vocabulary import Vocabulary
from tests.model.deterministic import narrow_shapes, published_state

GLOSSES = Vocabulary.from_counts({gloss: place for place, gloss in enumerate("ABCDEFGHIJKÜ", start=1)})


def state_of(name: str, num_classes: int = 13) -> dict[str, Tensor]:
    """The tensors of a narrow network under their published names."""
    fixture = name.replace("-", "_")
    return published_state(fixture, narrow_shapes(fixture, num_classes))


def content_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """What the published training saves: random numbers of numpy and Python are among it."""
    moments = {0: {"step": 3, "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}}
    return {
        "epoch": 34,
        "model_state_dict": state,
        "optimizer_state_dict": {"state": moments, "param_groups": [{"lr": np.float64(1e-4), "params": [0]}]},
        "scheduler_state_dict": {"milestones": Counter([20, 35]), "gamma": 0.2, "_last_lr": [1e-4]},
        "rng_state": {
            "torch": torch.get_rng_state(),
            "cuda": [torch.get_rng_state()],
            "numpy": np.random.get_state(),
            "random": random.getstate(),
        },
    }


def save_published(path: Path, name: str, num_classes: int = 13) -> Path:
    """Write a published checkpoint of a narrow network."""
    torch.save(content_of(state_of(name, num_classes)), path)
    return path


def save_gloss_dict(folder: Path, vocabulary: Vocabulary = GLOSSES) -> Path:
    """Write a published vocabulary."""
    write_gloss_dict(vocabulary, folder / "gloss_dict.npy")
    return folder / "gloss_dict.npy"
