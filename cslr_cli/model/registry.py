"""The registry of networks: name, defining file and default parts of each.

To add a network, write one file in this folder with a `NetworkDefinition` (see `definition.py`) and add one line
to `NETWORKS`. This module does not import torch, so that configurations can be checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pool = Literal["max", "lifting"]
Classifier = Literal["linear", "normalised"]


@dataclass(frozen=True)
class PoolRules:
    """Requirements of a kind of temporal pool, and the losses that it adds.

    Attributes:
        size: the only supported pool size, in steps; None for any size.
        min_output_steps: smallest number of steps after the pool.
        losses: names of its losses: fields of `LossConfig` and keys of `NetworkOutput.losses`.
    """

    size: int | None = None
    min_output_steps: int = 1
    losses: tuple[str, ...] = ()


POOLS: Mapping[Pool, PoolRules] = {
    "max": PoolRules(),
    # Its instance norm needs two steps.
    "lifting": PoolRules(size=2, min_output_steps=2, losses=("lifting_update", "lifting_prediction")),
}


@dataclass(frozen=True)
class NetworkParts:
    """Parts of a network's head; a configuration can replace each of them.

    Attributes:
        pool: pool of the temporal convolution: maximum, or CorrNet+'s lifting pool.
        classifier: `linear` (a linear layer) or `normalised` (cosine similarity to one direction per class, SMKD).
        shared_classifier: whether both heads share one classifier.
    """

    pool: Pool = "max"
    classifier: Classifier = "normalised"
    shared_classifier: bool = True


@dataclass(frozen=True)
class NetworkEntry:
    """One line of the registry.

    Attributes:
        definition: `module:NAME` of the network's `NetworkDefinition`, which is imported when needed.
        parts: default parts of the head.
    """

    definition: str
    parts: NetworkParts = NetworkParts()


NETWORKS: dict[str, NetworkEntry] = {
    "vac": NetworkEntry("cslr_cli.model.vac:VAC", NetworkParts(classifier="linear", shared_classifier=False)),
    "vac-smkd": NetworkEntry("cslr_cli.model.vac:VAC_SMKD"),
    "corrnet": NetworkEntry("cslr_cli.model.corrnet:CORRNET"),
    "corrnet-plus": NetworkEntry("cslr_cli.model.corrnet_plus:CORRNET_PLUS", NetworkParts(pool="lifting")),
}
