"""Which networks exist: the name of each, the file that defines it, and its default parts.

To add a network, write one file in this folder with a `NetworkDefinition` and add one line to `NETWORKS`.
This module needs no torch, so that a configuration can be checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pool = Literal["max", "lifting"]
Classifier = Literal["linear", "normalised"]


@dataclass(frozen=True)
class PoolRules:
    """What a temporal pool asks of a schedule, and the losses that it adds.

    Attributes:
        size: the only size that it supports, in steps; None for any size.
        min_output_steps: steps that must remain after it.
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
    """The parts of a network that a configuration can replace.

    Attributes:
        pool: pool of the temporal convolution.
        classifier: a linear layer, or cosines to the directions of the classes.
        shared_classifier: whether both heads share one classifier.
    """

    pool: Pool = "max"
    classifier: Classifier = "normalised"
    shared_classifier: bool = True


@dataclass(frozen=True)
class NetworkEntry:
    """One line of the registry.

    Attributes:
        definition: `module:NAME` of the network's `NetworkDefinition`; imported when the network is built.
        parts: default parts.
    """

    definition: str
    parts: NetworkParts = NetworkParts()


NETWORKS: dict[str, NetworkEntry] = {
    "vac": NetworkEntry("cslr_cli.model.vac:VAC", NetworkParts(classifier="linear", shared_classifier=False)),
    "vac-smkd": NetworkEntry("cslr_cli.model.vac:VAC_SMKD"),
    "corrnet": NetworkEntry("cslr_cli.model.corrnet:CORRNET"),
    "corrnet-plus": NetworkEntry("cslr_cli.model.corrnet_plus:CORRNET_PLUS", NetworkParts(pool="lifting")),
}
