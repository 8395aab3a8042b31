"""Training steps of CorrNet at its published size, compared with a plain implementation.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --batch 2 --frames 100 --size 224 --repeats 3 --json
    python -m benchmarks.train_step --device cuda --frames 200

Every side starts from the same weights and sees the same frames. Dropout is off, so the losses of the first step
must be equal. A step consists of forward pass, losses, backward pass and optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from benchmarks.measuring import compare_sides
from benchmarks.plain import PlainNetwork
from cslr_cli.config import ModelConfig
from cslr_cli.corpora.phoenix2014 import Phoenix2014
from cslr_cli.model.losses import Targets, weighted_loss
from cslr_cli.model.network import Network, build_network

assert Phoenix2014.vocabulary_size is not None
NUM_CLASSES = Phoenix2014.vocabulary_size + 1  # with the blank
GLOSSES = 8  # per clip
LOSS_WEIGHTS = {"sequence_ctc": 1.0, "conv_ctc": 1.0, "distillation": 25.0}
# The plain side is first, because it is the reference.
CPU_SIDES = ("plain fp32", "fp32", "bf16", "fp32 checkpointed", "bf16 checkpointed")
GPU_SIDES = ("plain fp16", "bf16", "bf16 checkpointed")
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def make_network() -> Network:
    """Build CorrNet with random weights, active correlation and random running variances."""
    torch.manual_seed(0)
    network = build_network(ModelConfig(pretrained=False), NUM_CLASSES)
    network.lstm.rnn.dropout = 0.0
    with torch.no_grad():
        network.backbone.get_parameter("alpha").fill_(0.1)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network


def make_batch(batch: int, num_frames: int, size: int, network: Network) -> tuple[Tensor, Tensor]:
    """Draw random padded clips, uint8 (B, T, 3, H, W); also return their lengths."""
    generator = torch.Generator().manual_seed(0)
    padded = network.plan.padded_length(num_frames)
    frames = torch.randint(0, 256, (batch, padded, size, size, 3), dtype=torch.uint8, generator=generator)
    return frames.permute(0, 1, 4, 2, 3), torch.tensor([num_frames] * batch)


def as_floats(frames: Tensor) -> Tensor:
    """Convert frames to the floats of the plain side's loader."""
    return frames.contiguous().float().div_(127.5).sub_(1)


def precision(side: str, device: str) -> AbstractContextManager[object]:
    """Return autocast for the precision in the side's name."""
    dtype = next(dtype for name, dtype in DTYPES.items() if name in side)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)


def make_training_step(side: str, batch: int, num_frames: int, size: int, device: str) -> Callable[[], float]:
    """Return the work of a side in one run, which returns the loss."""
    network: torch.nn.Module = make_network().train()
    assert isinstance(network, Network)
    frames, lengths = make_batch(batch, num_frames, size, network)
    network.backbone.checkpoint_activations = "checkpointed" in side
    if side.startswith("plain"):
        network, frames = PlainNetwork.like(network), as_floats(frames)
        network.lstm.dropout = 0.0
    network = network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=not side.startswith("plain"))
    generator = torch.Generator().manual_seed(1)
    glosses = min(GLOSSES, max(1, num_frames // 8))
    targets = Targets(
        torch.randint(1, NUM_CLASSES, (batch * glosses,), generator=generator), torch.tensor([glosses] * batch)
    )

    def step() -> float:
        with precision(side, device):
            output = network(frames.to(device), lengths)
        loss = weighted_loss(output, targets, LOSS_WEIGHTS).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    """Run the benchmark and print the results."""
    sides = {"cpu": CPU_SIDES, "cuda": GPU_SIDES}
    compare_sides(__doc__ or "", "train_step", "Training step", make_training_step, sides=sides, repeats=2)


if __name__ == "__main__":
    main()
