"""The head that all networks share: temporal convolution, BiLSTM and classifiers.

Axes: B clips, T frames, T' steps, C channels, V classes with the blank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cslr_cli.temporal_plan import TemporalPlan


class TemporalConvolution(nn.Sequential):
    """Frame features (B, C, T) -> step features (B, hidden_size, T'), by the plan's layers.

    Args:
        num_features: C of the frame features.
        hidden_size: channels of every convolution.
        plan: the schedule; no layer pads, the clip comes padded.
    """

    def __init__(self, num_features: int, hidden_size: int, plan: TemporalPlan) -> None:
        layers: list[nn.Module] = []
        for layer in plan.layers:
            if layer.kind == "P":
                layers.append(nn.MaxPool1d(layer.size))
                continue
            layers += [
                nn.Conv1d(num_features, hidden_size, layer.size),
                nn.BatchNorm1d(hidden_size),
                nn.ReLU(inplace=True),
            ]
            num_features = hidden_size
        super().__init__(*layers)


class BiLSTM(nn.Module):
    """Two bidirectional LSTM layers over the steps of each clip, and no further.

    Args:
        size: features that come in, and that go out (half from each direction).
        dropout: between the two layers.
    """

    def __init__(self, size: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.rnn = nn.LSTM(size, size // 2, num_layers=2, dropout=dropout, bidirectional=True, batch_first=True)

    def forward(self, steps: Tensor, step_lengths: Tensor) -> Tensor:
        """(B, T', size) -> (B, T', size), zeros beyond each clip's steps.

        Args:
            steps: step features.
            step_lengths: int64 (B,), on the CPU.
        """
        packed = pack_padded_sequence(steps, step_lengths, batch_first=True, enforce_sorted=False)
        output, _ = self.rnn(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True, total_length=steps.shape[1])
        return padded


class NormalisedClassifier(nn.Module):
    """Logits by the cosine to each class's direction: `x @ normalize(W, dim=0)`, no bias (SMKD).

    Args:
        num_features: C.
        num_classes: V.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_features, num_classes))
        nn.init.xavier_uniform_(self.weight, gain=nn.init.calculate_gain("relu"))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., V)."""
        return x @ functional.normalize(self.weight, dim=0)
