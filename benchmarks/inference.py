"""Inference with CorrNet at its published size, from frames to logits, compared with a plain implementation.

    python -m benchmarks.inference
    python -m benchmarks.inference --sides "plain fp32" bf16 "bf16 compiled"      # gain of torch.compile
    python -m benchmarks.inference --device cuda --frames 200

The compared value is the norm of all logits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from benchmarks.measuring import compare_sides
from benchmarks.plain import PlainNetwork
from benchmarks.train_step import DTYPES, as_floats, make_batch, make_network, precision
from cslr_cli.model.inference import prepare_for_inference

CPU_SIDES = ("plain fp32", "fp32", "bf16")
GPU_SIDES = ("plain fp16", "bf16")


def make_recognition_run(side: str, batch: int, num_frames: int, size: int, device: str) -> Callable[[], float]:
    """Return the work of a side in one run, which returns the norm of the logits."""
    network = make_network().eval().to(device)
    frames, lengths = make_batch(batch, num_frames, size, network)
    if side.startswith("plain"):
        plain, floats = PlainNetwork.like(network), as_floats(frames).to(device)

        @torch.no_grad()
        def run_plain() -> float:
            with precision(side, device):
                return float(plain(floats, lengths).sequence_logits.float().norm())

        return run_plain
    network = prepare_for_inference(network, next(dtype for name, dtype in DTYPES.items() if name in side))
    if "compiled" in side:
        compile_first(network, batch, size, device)

    @torch.inference_mode()
    def run() -> float:
        return float(network(frames.to(device), lengths).sequence_logits.float().norm())

    return run


def compile_first(network: torch.nn.Module, batch: int, size: int, device: str) -> None:
    """Compile the layers that see single frames, and print the time to standard error."""
    backbone = network.get_submodule("backbone")
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        backbone.get_submodule(stage).compile(dynamic=True)
    started = time.perf_counter()
    with torch.inference_mode():
        for num_frames in (8, 12):
            frames, lengths = make_batch(batch, num_frames, size, make_network())
            network(frames.to(device), lengths)
    print(f"compiling took {time.perf_counter() - started:.1f} s", file=sys.stderr)


def main() -> None:
    """Run the benchmark and print the results."""
    sides = {"cpu": CPU_SIDES, "cuda": GPU_SIDES}
    compare_sides(__doc__ or "", "inference", "Inference", make_recognition_run, sides=sides, repeats=3)


if __name__ == "__main__":
    main()
