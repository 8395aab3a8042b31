"""Plain implementation of CorrNet, close to its paper and published code, as the reference of the benchmarks.

It computes the same as `cslr_cli.model` with the same weights, but with 3-D convolutions with kernels (1, k, k) over
(B, C, T, H, W), affinities of a whole clip by `einsum`, float frames from the loader, decoding of every frame before
sampling, and one clip at a time in evaluation.

Axes: B clips, T frames, T' steps, C channels, V classes with the blank, H, W (and S, D) positions in a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, Dataset

from cslr_cli.config import DataConfig
from cslr_cli.dataset.augmentation import draw_training_plan
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.media.clip_plan import ClipPlan, make_evaluation_plan
from cslr_cli.media.frames import open_frames
from cslr_cli.model.network import Network, NetworkOutput
from cslr_cli.temporal_plan import TemporalPlan

STAGES = (("layer1", 64, 1), ("layer2", 128, 2), ("layer3", 256, 2), ("layer4", 512, 2))
CORRELATED = ("layer2", "layer3", "layer4")


def _conv(in_channels: int, channels: int, size: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(in_channels, channels, (1, size, size), (1, stride, stride), (0, size // 2, size // 2), bias=False)


class PlainBlock(nn.Module):
    """A residual block over (B, C, T, H, W)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = _conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(_conv(in_channels, channels, 1, stride), nn.BatchNorm3d(channels))
            if stride != 1 or in_channels != channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, channels, T, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.downsample(x)
        result: Tensor = self.relu(y)
        return result


class PlainCorrelation(nn.Module):
    """A correlation block over (B, C, T, H, W), with the affinities of all frames at once."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = channels // 16
        self.reduce = nn.Conv3d(channels, reduced, 1, bias=False)
        self.keys = nn.Conv3d(channels, channels, 1, bias=False)
        self.aggregations = nn.ModuleList(
            nn.Conv3d(reduced, reduced, (9, 3, 3), 1, (4, dilation, dilation), (1, dilation, dilation), groups=reduced)
            for dilation in (1, 2, 3)
        )
        self.expand = nn.Conv3d(reduced, channels, 1, bias=False)
        self.aggregation_weights = nn.Parameter(torch.full((3,), 1 / 3))
        self.direction_weights = nn.Parameter(torch.full((2,), 1 / 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        keys = self.keys(x)
        following = torch.cat([keys[:, :, 1:], keys[:, :, -1:]], dim=2)
        preceding = torch.cat([keys[:, :, :1], keys[:, :, :-1]], dim=2)
        towards = torch.einsum("bcthw,bctsd->bthwsd", x, following)
        back = torch.einsum("bcthw,bctsd->bthwsd", x, preceding)
        features = torch.einsum("bctsd,bthwsd->bcthw", following, torch.sigmoid(towards) - 0.5)
        features = features * self.direction_weights[0] + self.direction_weights[1] * torch.einsum(
            "bctsd,bthwsd->bcthw", preceding, torch.sigmoid(back) - 0.5
        )
        reduced = self.reduce(x)
        first, second, third = (layer(reduced) for layer in self.aggregations)
        weights = self.aggregation_weights
        aggregated = first * weights[0] + second * weights[1] + third * weights[2]
        result: Tensor = features * (torch.sigmoid(self.expand(aggregated)) - 0.5)
        return result


class PlainBackbone(nn.Module):
    """ResNet-18 with the correlation blocks, over (B, 3, T, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        in_channels = 64
        for stage, channels, stride in STAGES:
            blocks = PlainBlock(in_channels, channels, stride), PlainBlock(channels, channels, 1)
            self.add_module(stage, nn.Sequential(*blocks))
            in_channels = channels
        self.correlation = nn.ModuleDict(
            {stage: PlainCorrelation(channels) for stage, channels, _ in STAGES if stage in CORRELATED}
        )
        self.alpha = nn.Parameter(torch.zeros(len(CORRELATED)))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, T, H, W) -> features (B, 512, T)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage, _, _ in STAGES:
            x = self.get_submodule(stage)(x)
            if stage in CORRELATED:
                x = x + self.correlation[stage](x) * self.alpha[CORRELATED.index(stage)]
        return x.mean(dim=(3, 4))


class PlainNetwork(nn.Module):
    """CorrNet: backbone, temporal convolution K5 P2 K5 P2, BiLSTM, the shared classifier.

    Args:
        num_classes: V.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = PlainBackbone()
        self.temporal = nn.Sequential(
            *(nn.Conv1d(512, 1024, 5), nn.BatchNorm1d(1024), nn.ReLU(inplace=True), nn.MaxPool1d(2)),
            *(nn.Conv1d(1024, 1024, 5), nn.BatchNorm1d(1024), nn.ReLU(inplace=True), nn.MaxPool1d(2)),
        )
        self.lstm = nn.LSTM(1024, 512, num_layers=2, dropout=0.3, bidirectional=True)
        self.weight = nn.Parameter(torch.empty(1024, num_classes))

    @classmethod
    def like(cls, network: Network) -> PlainNetwork:
        """Build the plain version of a network, with the same weights and in the same mode."""
        state = network.state_dict()
        plain = cls(state["classifier.weight"].shape[1])
        names = {"lstm.rnn.": "lstm.", "classifier.weight": "weight"}
        renamed = {}
        for name, value in state.items():
            for prefix, plain_prefix in names.items():
                name = name.replace(prefix, plain_prefix)
            # (out, in, k, k) -> (out, in, 1, k, k)
            renamed[name] = value[:, :, None] if value.ndim == 4 else value
        plain.load_state_dict(renamed)
        return plain.train(network.training)

    def forward(self, frames: Tensor, frame_lengths: Tensor) -> NetworkOutput:
        """Compute the logits of a batch.

        Args:
            frames: float (B, T, 3, H, W), -1…1, padded.
            frame_lengths: int64 (B,), frames of each clip without padding.
        """
        features = self.backbone(frames.transpose(1, 2))  # (B, T, 3, H, W) -> (B, 3, T, H, W) -> (B, C, T)
        steps = self.temporal(features).permute(2, 0, 1)  # (B, C, T') -> (T', B, C)
        step_lengths = (frame_lengths + 3) // 4
        packed = pack_padded_sequence(steps, step_lengths, enforce_sorted=False)
        sequence, _ = pad_packed_sequence(self.lstm(packed)[0], total_length=len(steps))
        weight = functional.normalize(self.weight, dim=0)
        return NetworkOutput((sequence @ weight).transpose(0, 1), (steps @ weight).transpose(0, 1), step_lengths)


def normalised(frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """Normalise frames: uint8 (T, H, W, 3) -> float32 (T, 3, H, W), -1…1, contiguous."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def read_clip(path: Path, plan: ClipPlan, crop_size: int) -> Tensor:
    """Read a clip: decode and crop every frame with OpenCV, then select the sampled frames.

    Returns:
        float32 (T, 3, crop_size, crop_size), -1…1.
    """
    crop = slice(plan.top, plan.top + crop_size), slice(plan.left, plan.left + crop_size)
    with ZipFile(path) as archive:
        files = [np.frombuffer(archive.read(name), np.uint8) for name in archive.namelist()]
    frames = [cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)[crop] for file in files]
    if plan.mirrored:
        frames = [frame[:, ::-1] for frame in frames]
    return normalised(np.stack([frames[index] for index in plan.indices]))


class PlainDataset(Dataset[tuple[str, Tensor]]):
    """Clips of a corpus as float tensors.

    Args:
        corpus: prepared corpus.
        samples: clips of the corpus.
        config: sizes and augmentation, drawn as in `ClipDataset` in epoch 1.
        training: whether to augment.
        seed: random seed of the augmentation.
    """

    def __init__(
        self, corpus: PreparedCorpus, samples: Sequence[Sample], config: DataConfig, *, training: bool, seed: int = 0
    ) -> None:
        self.corpus, self.samples, self.config = corpus, samples, config
        self.training, self.seed = training, seed

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, Tensor]:
        """Return name and frames, float32 (T, 3, H, W), of a clip."""
        sample = self.samples[index]
        path, size = self.corpus.frames_path(sample), self.corpus.frame_size
        num_frames = open_frames(path).num_frames
        if self.training:
            rng = np.random.default_rng([self.seed, 1, index])
            plan = draw_training_plan(num_frames, size, self.config, rng)
        else:
            plan = make_evaluation_plan(num_frames, size, self.config)
        return sample.sample_id, read_clip(path, plan, self.config.crop_size)


def padded(clips: Sequence[Tensor], plan: TemporalPlan) -> tuple[Tensor, Tensor]:
    """Stack clips (T, 3, H, W), padded with copies of their first and last frames; also return their lengths."""
    longest = plan.padded_length(max(len(clip) for clip in clips))
    frames = torch.stack([clip[torch.as_tensor(plan.frame_index(len(clip), longest))] for clip in clips])
    return frames, torch.tensor([len(clip) for clip in clips])


def recognize_clips(
    network: PlainNetwork, dataset: PlainDataset, plan: TemporalPlan, num_workers: int
) -> Iterator[tuple[str, NetworkOutput]]:
    """Yield name and logits of each clip, one clip at a time."""
    loader = DataLoader(dataset, batch_size=None, num_workers=num_workers)
    with torch.no_grad():
        for sample_id, frames in loader:
            yield sample_id, network(*padded([frames], plan))
