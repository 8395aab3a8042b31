"""Random numbers that follow from a seed and a name, and from nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """A random generator of its own for `name`, the same in every process and in any order of calls."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
