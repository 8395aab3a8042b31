"""The head of all networks: temporal convolution, BiLSTM and classifiers.

Axes: B clips, T frames, T' steps, C channels, V classes with the blank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cslr_cli.model.lifting import LiftingPool
from cslr_cli.model.registry import Pool
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class TemporalOutput:
    """Output of a temporal convolution.

    Attributes:
        features: (B, C, T'), step features.
        losses: scalar losses of the lifting pools, by name.
    """

    features: Tensor
    losses: Mapping[str, Tensor]


class TemporalConvolution(nn.ModuleList):
    """The layers of a temporal plan: frame features (B, C, T) -> step features (B, hidden_size, T').

    Args:
        num_features: C of the frame features.
        hidden_size: output channels of every convolution.
        plan: temporal plan; its layers do not pad, because the input is already padded.
        pool: kind of the `P` layers: maximum, or CorrNet+'s lifting pool over two steps.
    """

    def __init__(self, num_features: int, hidden_size: int, plan: TemporalPlan, pool: Pool = "max") -> None:
        layers: list[nn.Module] = []
        for layer in plan.layers:
            if layer.kind == "P":
                layers.append(nn.MaxPool1d(layer.size) if pool == "max" else LiftingPool(num_features))
                continue
            layers += [
                nn.Conv1d(num_features, hidden_size, layer.size),
                nn.BatchNorm1d(hidden_size),
                nn.ReLU(inplace=True),
            ]
            num_features = hidden_size
        super().__init__(layers)
        self.plan = plan
        self.num_features = num_features

    def forward(self, x: Tensor, lengths: Sequence[int]) -> TemporalOutput:
        """Compute step features.

        Args:
            x: (B, C, T), frame features.
            lengths: frames of each clip with its own padding; lifting pools ignore the frames beyond.
        """
        modules = iter(self)
        losses: dict[str, list[Tensor]] = {}
        for layer in self.plan.layers:
            if layer.kind == "K":
                for _ in ("convolution", "batch norm", "ReLU"):
                    x = next(modules)(x)
            elif isinstance(pool := next(modules), LiftingPool):
                lifted = pool(x, lengths)
                x = lifted.features
                losses.setdefault("lifting_update", []).append(lifted.update)
                losses.setdefault("lifting_prediction", []).append(lifted.prediction)
            else:
                x = pool(x)
            lengths = [layer.output_length(length) for length in lengths]
        return TemporalOutput(x, {name: torch.stack(values).sum() for name, values in losses.items()})


class BiLSTM(nn.Module):
    """Two bidirectional LSTM layers over the steps of each clip.

    Args:
        size: number of input and of output features (half from each direction).
        dropout: dropout probability between the layers.
    """

    def __init__(self, size: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.rnn = nn.LSTM(size, size // 2, num_layers=2, dropout=dropout, bidirectional=True, batch_first=True)

    def forward(self, steps: Tensor, step_lengths: Tensor) -> Tensor:
        """(B, T', size) -> (B, T', size), zero beyond each clip's steps; `step_lengths` is int64 (B,), on the CPU."""
        packed = pack_padded_sequence(steps, step_lengths, batch_first=True, enforce_sorted=False)
        output, _ = self.rnn(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True, total_length=steps.shape[1])
        return padded


class NormalisedClassifier(nn.Module):
    """Classifier by the direction of each class: `x @ normalize(W, dim=0)`, without bias (SMKD).

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
