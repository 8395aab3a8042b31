"""The lifting pool: a learned wavelet that halves the number of steps (TLP; Hu et al., ECCV 2022).

Axes: B clips, T input steps (an even number), C channels.
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
        features: (B, C, T / 2), zero beyond the end of a clip.
        update: scalar loss, Euclidean distance between the sums and the odd steps.
        prediction: scalar loss, Euclidean distance between the odd steps and their prediction.
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
        """Pool each clip by itself: convolutions and norms do not see the steps beyond its end.

        Args:
            x: (B, C, T).
            lengths: number of steps of each clip; even and at least 4, because the norm needs two output steps.
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
        """Return features, s − o and d, each (b, C, T / 2), of x, (b, C, T)."""
        even, odd = x[:, :, 0::2], x[:, :, 1::2]
        differences = odd - self.predict(even)
        sums = even + self.update(differences)
        return self.sums(sums) + self.differences(differences), sums - odd, differences


def _euclidean_norm(parts: Sequence[Tensor]) -> Tensor:
    """Compute the Euclidean norm of all elements together, in fp32 or better."""
    dtype = torch.promote_types(parts[0].dtype, torch.float32)
    norms = [torch.linalg.vector_norm(part.to(dtype)) for part in parts]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def _make_step_map(channels: int) -> nn.Sequential:
    """Build P or U: maps a step and its neighbours to -1…1; its output starts at zero."""
    neighbours = nn.Conv1d(channels, channels, 3, padding=1, groups=channels)
    channels_mixed = nn.Conv1d(channels, channels, 1)
    nn.init.zeros_(channels_mixed.weight)
    return nn.Sequential(neighbours, nn.ReLU(inplace=True), channels_mixed, nn.Tanh())


class _Emphasis(nn.Module):
    """L: `x + x · (sigma(norm(conv(x))) − ½)`; the convolution's weights start at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 5, padding=2)
        self.norm = nn.InstanceNorm1d(channels, affine=True)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, T) -> (b, C, T)."""
        importance: Tensor = self.norm(self.conv(x))
        return x + x * (importance.sigmoid() - 0.5)
