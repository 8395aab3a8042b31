"""The network: from frames to the logits of glosses for every step.

Axes: B clips, T frames, T' steps, V classes with the blank, C channels, H, W positions.
This module does not use vocabularies, decoding, files or losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor, nn

from cslr_cli.config import ModelConfig
from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.definition import Normalisation, load_definition
from cslr_cli.model.registry import POOLS, Classifier
from cslr_cli.model.temporal import BiLSTM, NormalisedClassifier, TemporalConvolution
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class NetworkOutput:
    """Output of the network for a batch.

    Attributes:
        sequence_logits: (B, T', V), logits of the LSTM's head, which are decoded.
        conv_logits: (B, T', V), logits of the temporal convolution's head.
        step_lengths: int64 (B,), on the CPU, number of steps of each clip; logits beyond them are meaningless.
        losses: scalar losses of the network's parts (lifting pools), by name.
    """

    sequence_logits: Tensor
    conv_logits: Tensor
    step_lengths: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)


class Network(nn.Module):
    """A backbone over frames, then temporal convolution, BiLSTM and classifiers.

    Args:
        plan: temporal plan: padding of clips, and the number of steps.
        backbone: frames (N, 3, H, W) -> one feature vector per frame.
        temporal: frame features -> step features.
        lstm: recurrent layers over the steps.
        classifier: step features -> logits of V classes.
        conv_classifier: classifier of the temporal convolution's features; None if both heads share one.
        normalisation: normalisation of the input pixels.
    """

    def __init__(
        self,
        plan: TemporalPlan,
        backbone: ResNet,
        temporal: TemporalConvolution,
        lstm: BiLSTM,
        classifier: nn.Module,
        conv_classifier: nn.Module | None = None,
        normalisation: Normalisation = Normalisation(),  # noqa: B008 - it is frozen
    ) -> None:
        super().__init__()
        self.plan = plan
        self.backbone = backbone
        self.temporal = temporal
        self.lstm = lstm
        self.classifier = classifier
        self.conv_classifier = conv_classifier
        self.normalisation = normalisation

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Compute the logits of a batch.

        Args:
            frames: uint8 (B, T, 3, H, W), RGB. The first `plan.padded_length(frame_lengths[i])` frames are
                clip i with its own padding.
            frame_lengths: int64 (B,), frames of each clip without padding.
        """
        return self.logits_from_features(self.frame_features(frames, frame_lengths), frame_lengths)

    def logits_from_features(self, features: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Compute logits from the backbone's features.

        Args:
            features: (B, T, C), features of padded clips, from `frame_features`.
            frame_lengths: int64 (B,), frames of each clip without padding.
        """
        # (B, T, C) -> (B, C, T) -> (B, C, T') -> (B, T', C)
        temporal = self.temporal(features.transpose(1, 2), self._visible_lengths(features, frame_lengths))
        steps = temporal.features.transpose(1, 2)
        step_lengths = torch.tensor([self.plan.num_steps(int(length)) for length in frame_lengths])
        return NetworkOutput(
            sequence_logits=self.classifier(self.lstm(steps, step_lengths)),
            conv_logits=(self.conv_classifier or self.classifier)(steps),
            step_lengths=step_lengths,
            losses=temporal.losses,
        )

    def frame_features(self, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """Compute the backbone's features (B, T, C) of padded frames; zero beyond the frames of a clip."""
        clips = ClipLayout.from_lengths(self._visible_lengths(frames, frame_lengths), frames.device)
        features = self.backbone(self.normalise_frames(clips.fold(frames)), clips)
        return clips.unfold(features, frames.shape[1])

    def _visible_lengths(self, frames: Tensor, frame_lengths: Tensor) -> list[int]:
        """Return how many frames of each clip the network sees; in evaluation without the padding of the batch.

        Args:
            frames: (B, T, ...), padded frames or their features.
            frame_lengths: int64 (B,), frames of each clip without padding.
        """
        if self.training and self.backbone.batch_norm_includes_padding:
            return [frames.shape[1]] * len(frames)
        return [self.plan.padded_length(int(length)) for length in frame_lengths]

    def normalise_frames(self, frames: Tensor) -> Tensor:
        """Normalise uint8 frames (N, 3, H, W) to the dtype of the parameters, channels last."""
        dtype = next(self.backbone.parameters()).dtype
        return self.normalisation.apply_(frames.to(dtype, memory_format=torch.channels_last))


def build_temporal_plan(config: ModelConfig) -> TemporalPlan:
    """Build the temporal plan of a network, including the length of the shortest supported clip."""
    plan = TemporalPlan.parse(config.temporal_layers)
    min_steps = POOLS[config.parts.pool].min_output_steps
    min_frames = next(num_frames for num_frames in count(1) if _can_pool(plan, num_frames, min_steps))
    return TemporalPlan(plan.layers, min_frames)


def build_network(config: ModelConfig, num_classes: int) -> Network:
    """Build a network with random weights; downloads nothing.

    Args:
        config: model section of a configuration.
        num_classes: V, number of glosses plus the blank.
    """
    definition = load_definition(config.name)
    parts, plan, size = config.parts, build_temporal_plan(config), config.hidden_size
    backbone = definition.backbone.from_config(config)
    return Network(
        plan,
        backbone,
        TemporalConvolution(backbone.num_features, size, plan, parts.pool),
        BiLSTM(size),
        _classifier(parts.classifier, size, num_classes),
        None if parts.shared_classifier else _classifier(parts.classifier, size, num_classes),
        definition.normalisation,
    )


def _classifier(kind: Classifier, size: int, num_classes: int) -> nn.Module:
    return nn.Linear(size, num_classes) if kind == "linear" else NormalisedClassifier(size, num_classes)


def _can_pool(plan: TemporalPlan, num_frames: int, min_steps: int) -> bool:
    """Return whether every pool leaves at least `min_steps` steps of a clip of `num_frames` frames."""
    lengths = plan.layer_lengths(plan.padded_length(num_frames))
    return all(length >= min_steps for layer, length in zip(plan.layers, lengths, strict=True) if layer.kind == "P")
