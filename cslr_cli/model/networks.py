"""Which parts make which network."""

from __future__ import annotations

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import CorrNetBackbone
from cslr_cli.model.network import Network
from cslr_cli.temporal_plan import TemporalPlan


def temporal_plan(config: ModelConfig) -> TemporalPlan:
    """How this network turns frames into steps."""
    return TemporalPlan.parse(config.temporal_layers)


def build_network(config: ModelConfig, num_classes: int) -> Network:
    """A network with fresh weights; nothing is fetched.

    Args:
        config: what it is made of.
        num_classes: V, the vocabulary and the blank.
    """
    backbone = CorrNetBackbone(config.width, config.blocks, config.correlation_after)
    return Network(backbone, temporal_plan(config), config.hidden_size, num_classes)
