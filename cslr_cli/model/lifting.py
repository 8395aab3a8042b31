"""The lifting pool: pairs of steps become one by a learned wavelet (Hu et al., ECCV 2022: TLP).

Axes: B clips, T steps that come in (an even number), C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LiftingOutput:
    """Output of a lifting pool.

    Attributes:
        features: (B, C, T / 2), zeros beyond a clip's end.
        update: scalar, Euclidean distance of the sums from the odd steps.
        prediction: scalar, Euclidean distance of the odd steps from their prediction.
    """

    features: Tensor
    update: Tensor
    prediction: Tensor


class LiftingPool(nn.Module):
    """Halve the number of steps by a lifting scheme: predict the odd steps, update the even ones.

    With even and odd steps e and o: `d = o − P(e)`, `s = e + U(d)`; the output is `L1(s) + L2(d)`.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.predict = _make_step_map(channels)
        self.update = _make_step_map(channels)
        self.sums = _Emphasis(channels)
        self.differences = _Emphasis(channels)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> LiftingOutput:
        """Pool each clip by itself: convolutions and norms end where the clip ends.

        Args:
            x: (B, C, T).
            lengths: steps of each clip; even and at least 4, because the norm needs two steps after the pool.
        """
        if all(length == x.shape[2] for length in lengths):
            features, sums, differences = self._lift(x)
            return LiftingOutput(features, _euclidean_norm([sums]), _euclidean_norm([differences]))
        features = x.new_zeros(len(x), x.shape[1], x.shape[2] // 2)
        all_sums, all_differences = [], []
        for clip, length in enumerate(lengths):
            lifted, sums, differences = self._lift(x[clip : clip + 1, :, :length])
            features[clip, :, : length // 2] = lifted[0]
            all_sums.append(sums)
            all_differences.append(differences)
        return LiftingOutput(features, _euclidean_norm(all_sums), _euclidean_norm(all_differences))

    def _lift(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, C, T) -> features, s − o and d, each (b, C, T / 2)."""
        even, odd = x[:, :, 0::2], x[:, :, 1::2]
        differences = odd - self.predict(even)
        sums = even + self.update(differences)
        return self.sums(sums) + self.differences(differences), sums - odd, differences


def _euclidean_norm(parts: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements together, in fp32 or better."""
    dtype = torch.promote_types(parts[0].dtype, torch.float32)
    norms = [torch.linalg.vector_norm(part.to(dtype)) for part in parts]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def _make_step_map(channels: int) -> nn.Sequential:
    """P and U: from a step and its neighbours to -1…1; zero at the start of training."""
    neighbours = nn.Conv1d(channels, channels, 3, padding=1, groups=channels)
    channels_mixed = nn.Conv1d(channels, channels, 1)
    nn.init.zeros_(channels_mixed.weight)
    return nn.Sequential(neighbours, nn.ReLU(inplace=True), channels_mixed, nn.Tanh())


class _Emphasis(nn.Module):
    """L: `x + x · (sigma(norm(conv(x))) − ½)`, with weights of zero at the start of training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 5, padding=2)
        self.norm = nn.InstanceNorm1d(channels, affine=True)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, T) -> (b, C, T)."""
        importance: Tensor = self.norm(self.conv(x))
        return x + x * (importance.sigmoid() - 0.5)
