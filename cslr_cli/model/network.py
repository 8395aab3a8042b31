"""The network: pictures of signing in, logits of glosses for every step out.

Axes: B clips, T frames, T' steps, V classes with the blank, C channels, H, W places.
It knows nothing of vocabularies, decoding, files or losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cslr_cli.model.backbone import ResNet
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.temporal import BiLSTM, NormalisedClassifier, TemporalConvolution
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class NetworkOutput:
    """What the network says of a batch.

    Attributes:
        sequence_logits: (B, T', V), from the LSTM: what is decoded.
        conv_logits: (B, T', V), from the temporal convolution.
        step_lengths: int64 (B,), on the CPU: steps of each clip; what lies beyond has no meaning.
    """

    sequence_logits: Tensor
    conv_logits: Tensor
    step_lengths: Tensor


class Network(nn.Module):
    """A backbone over frames, then temporal convolution, BiLSTM and classifiers.

    Args:
        backbone: makes one feature vector a frame.
        plan: how frames become steps.
        hidden_size: features of a step.
        num_classes: V, the vocabulary and the blank.
    """

    def __init__(self, backbone: ResNet, plan: TemporalPlan, hidden_size: int, num_classes: int) -> None:
        super().__init__()
        self.plan = plan
        self.backbone = backbone
        self.temporal = TemporalConvolution(backbone.num_features, hidden_size, plan)
        self.lstm = BiLSTM(hidden_size)
        # One classifier for both heads (SMKD): what the convolution learns, the LSTM's output shares.
        self.classifier = NormalisedClassifier(hidden_size, num_classes)

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Logits of a batch.

        Args:
            frames: uint8 (B, T, 3, H, W), RGB; clip i with its own padding is the first
                `plan.padded_length(frame_lengths[i])` of its frames.
            frame_lengths: int64 (B,), real frames before padding.
        """
        features = self.frame_features(frames, frame_lengths)
        # (B, T, C) -> (B, C, T) -> (B, C, T') -> (B, T', C)
        steps = self.temporal(features.transpose(1, 2)).transpose(1, 2)
        step_lengths = torch.tensor([self.plan.num_steps(int(length)) for length in frame_lengths])
        return NetworkOutput(
            sequence_logits=self.classifier(self.lstm(steps, step_lengths)),
            conv_logits=self.classifier(steps),
            step_lengths=step_lengths,
        )

    def frame_features(self, frames: Tensor, frame_lengths: Tensor) -> Tensor:
        """The backbone's features (B, T, C) of padded frames; zeros where a clip has none."""
        lengths = [self.plan.padded_length(int(length)) for length in frame_lengths]
        if self.training and self.backbone.sees_batch_padding:
            lengths = [frames.shape[1]] * len(lengths)
        clips = ClipLayout.of(lengths, frames.device)
        features = self.backbone(self._pictures(clips.fold(frames)), clips)
        return clips.unfold(features, frames.shape[1])

    def _pictures(self, frames: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), 0…255 -> the parameters' float dtype, -1…1, channels last."""
        pictures = frames.to(self.classifier.weight.dtype, memory_format=torch.channels_last)
        return pictures.div_(127.5).sub_(1)
