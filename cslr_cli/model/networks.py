"""Networks put together of their parts; which parts make which is in `cslr_cli.network_parts`."""

from __future__ import annotations

from importlib import import_module
from itertools import count

from torch import nn

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.network import Network
from cslr_cli.model.temporal import BiLSTM, NormalisedClassifier, TemporalConvolution
from cslr_cli.network_parts import Classifier
from cslr_cli.temporal_plan import TemporalPlan


def temporal_plan(config: ModelConfig) -> TemporalPlan:
    """How this network turns frames into steps."""
    plan = TemporalPlan.parse(config.temporal_layers)
    if config.parts.pool != "lifting":
        return plan
    return TemporalPlan(plan.layers, min_frames=next(n for n in count(1) if _can_lift(plan, n)))


def build_network(config: ModelConfig, num_classes: int) -> Network:
    """A network with fresh weights; nothing is fetched.

    Args:
        config: what it is made of.
        num_classes: V, the vocabulary and the blank.
    """
    parts, plan, size = config.parts, temporal_plan(config), config.hidden_size
    backbone = backbone_class(parts.backbone).from_config(config)
    return Network(
        plan,
        backbone,
        TemporalConvolution(backbone.num_features, size, plan, parts.pool),
        BiLSTM(size),
        _classifier(parts.classifier, size, num_classes),
        None if parts.shared_classifier else _classifier(parts.classifier, size, num_classes),
    )


def backbone_class(name: str) -> type[ResNet]:
    """The class that `NetworkParts.backbone` names, `module.Class` in this package."""
    module, _, class_name = name.partition(".")
    found: type[ResNet] = getattr(import_module(f"cslr_cli.model.{module}"), class_name)
    return found


def _classifier(kind: Classifier, size: int, num_classes: int) -> nn.Module:
    return nn.Linear(size, num_classes) if kind == "linear" else NormalisedClassifier(size, num_classes)


def _can_lift(plan: TemporalPlan, num_frames: int) -> bool:
    """Whether every lifting pool has two steps to give: its instance norm needs two."""
    lengths = plan.layer_lengths(plan.padded_length(num_frames))
    return all(length >= 2 for layer, length in zip(plan.layers, lengths, strict=True) if layer.kind == "P")
