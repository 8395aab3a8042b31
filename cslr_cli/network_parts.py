"""Which parts make which network, in one table.

The parts themselves are in `cslr_cli.model`, which puts them together; here stands only what a
configuration needs to know of them, so that it can be read and checked without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Pool = Literal["max", "lifting"]
Classifier = Literal["linear", "normalised"]


@dataclass(frozen=True)
class NetworkParts:
    """What a network is made of; temporal layers and BiLSTM are the same for all.

    Attributes:
        backbone: `module.Class` in `cslr_cli.model`: a `ResNet` or a subclass of it.
        pool: of the temporal convolution.
        classifier: a linear layer, or cosines to the classes' directions.
        shared_classifier: one for both heads, or one for each.
    """

    backbone: str
    pool: Pool
    classifier: Classifier
    shared_classifier: bool


NETWORKS: Mapping[str, NetworkParts] = {
    # VAC, visual alignment constraint (Min et al., ICCV 2021)
    "vac": NetworkParts("backbone.ResNet", "max", "linear", shared_classifier=False),
    # VAC with self-mutual distillation (Hao et al., ICCV 2021)
    "vac-smkd": NetworkParts("backbone.ResNet", "max", "normalised", shared_classifier=True),
    # CorrNet (Hu et al., CVPR 2023)
    "corrnet": NetworkParts("backbone.CorrNetBackbone", "max", "normalised", shared_classifier=True),
    # CorrNet+ (Hu et al., arXiv 2404.11111)
    "corrnet-plus": NetworkParts("corrnet_plus.CorrNetPlusBackbone", "lifting", "normalised", shared_classifier=True),
}
