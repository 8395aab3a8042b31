"""The network: pictures of signing in, logits of glosses for every step out.

Axes: B clips, T frames, T' steps, V classes with the blank, C channels, H, W places.
It knows nothing of vocabularies, decoding, files or losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count

import torch
from torch import Tensor, nn

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.temporal import BiLSTM, NormalisedClassifier, TemporalConvolution
from cslr_cli.network_parts import Classifier
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says of a batch.

    Attributes:
        sequence_logits: (B, T', V), from the LSTM: what is decoded.
        conv_logits: (B, T', V), from the temporal convolution.
        step_lengths: int64 (B,), on the CPU: steps of each clip; what lies beyond has no meaning.
        losses: those that the network's own parts have, by name: scalars.
    """

    sequence_logits: Tensor
    conv_logits: Tensor
    step_lengths: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)


class Network(nn.Module):
    """A backbone over frames, then temporal convolution, BiLSTM and classifiers.

    Args:
        plan: how frames become steps.
        backbone: makes one feature vector a frame.
        temporal: makes steps of them, by the plan.
        lstm: over the steps.
        classifier: step features -> logits of V classes.
        conv_classifier: for the temporal convolution's features; None: they share the other one.
    """

    def __init__(
        self,
        plan: TemporalPlan,
        backbone: ResNet,
        temporal: TemporalConvolution,
        lstm: BiLSTM,
        classifier: nn.Module,
        conv_classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.backbone = backbone
        self.temporal = temporal
        self.lstm = lstm
        self.classifier = classifier
        self.conv_classifier = conv_classifier

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Logits of a batch.

        Args:
            frames: uint8 (B, T, 3, H, W), RGB; clip i with its own padding is the first
                `plan.padded_length(frame_lengths[i])` of its frames.
            frame_lengths: int64 (B,), real frames before padding.
        """
        return self.logits_from_features(self.frame_features(frames, frame_lengths), frame_lengths)

    def logits_from_features(self, features: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Logits of clips whose frames the backbone has seen.

        Args:
            features: (B, T, C), as `frame_features` gives them: of padded clips.
            frame_lengths: int64 (B,), real frames before padding.
        """
        # (B, T, C) -> (B, C, T) -> (B, C, T') -> (B, T', C)
        temporal = self.temporal(features.transpose(1, 2), self._seen_lengths(features, frame_lengths))
        steps = temporal.features.transpose(1, 2)
        step_lengths = torch.tensor([self.plan.num_steps(int(length)) for length in frame_lengths])
        return NetworkOutput(
            sequence_logits=self.classifier(self.lstm(steps, step_lengths)),
            conv_logits=(self.conv_classifier or self.classifier)(steps),
            step_lengths=step_lengths,
            losses=temporal.losses,
        )

    def frame_features(self, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """The backbone's features (B, T, C) of padded frames; zeros where a clip has none."""
        clips = ClipLayout.from_lengths(self._seen_lengths(frames, frame_lengths), frames.device)
        features = self.backbone(self.normalise_frames(clips.fold(frames)), clips)
        return clips.unfold(features, frames.shape[1])

    def _seen_lengths(self, frames: Tensor, frame_lengths: Tensor) -> list[int]:
        """How many frames of each clip the network sees: in evaluation, no other clip's padding.

        Args:
            frames: (B, T, ...), padded frames or their features.
            frame_lengths: int64 (B,).
        """
        if self.training and self.backbone.batch_norm_includes_padding:
            return [frames.shape[1]] * len(frames)
        return [self.plan.padded_length(int(length)) for length in frame_lengths]

    def normalise_frames(self, frames: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), 0…255 -> the parameters' float dtype, -1…1, channels last."""
        pictures = frames.to(self.backbone.conv1.weight.dtype, memory_format=torch.channels_last)
        return pictures.sub_(127.5).div_(127.5)  # in this order the difference is exact even in bf16


def build_temporal_plan(config: ModelConfig) -> TemporalPlan:
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
    parts, plan, size = config.parts, build_temporal_plan(config), config.hidden_size
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
