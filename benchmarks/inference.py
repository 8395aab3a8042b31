"""Recognition by CorrNet at its published size, against the plain formulation: frames in, logits out.

    python -m benchmarks.inference
    python -m benchmarks.inference --sides "plain fp32" bf16 "bf16 compiled"      what torch.compile gains
    python -m benchmarks.inference --device cuda --frames 200

The value that the sides are compared by is the norm of all logits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.measuring import THREADS, alternate, report, serve, side_rows
from benchmarks.plain import PlainNetwork
from benchmarks.train_step import DTYPES, as_floats, make_batch, make_network, precision
from cslr_cli.model.inference import for_inference

CPU_SIDES = ("plain fp32", "fp32", "bf16")
GPU_SIDES = ("plain fp16", "bf16")


def recognition(side: str, batch: int, num_frames: int, size: int, device: str) -> Callable[[], float]:
    """What a side does in one run; gives the norm of the logits."""
    network = make_network().eval().to(device)
    frames, lengths = make_batch(batch, num_frames, size, network)
    if side.startswith("plain"):
        plain, floats = PlainNetwork.like(network), as_floats(frames).to(device)

        @torch.no_grad()
        def run_plain() -> float:
            with precision(side, device):
                return float(plain(floats, lengths).sequence_logits.float().norm())

        return run_plain
    network = for_inference(network, next(dtype for name, dtype in DTYPES.items() if name in side))
    if "compiled" in side:
        compile_first(network, batch, size, device)

    @torch.inference_mode()
    def run() -> float:
        return float(network(frames.to(device), lengths).sequence_logits.float().norm())

    return run


def compile_first(network: torch.nn.Module, batch: int, size: int, device: str) -> None:
    """Have torch compile what looks at single frames, and tell on standard error how long that took."""
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
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="clips")
    parser.add_argument("--frames", type=int, default=100, help="frames a clip, a multiple of 4")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, by turns; the medians count")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--sides", nargs="*", help="only these, the plain one first")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        torch.set_num_threads(given.threads)
        serve(recognition(given.side, given.batch, given.frames, given.size, given.device), given.device)
        return
    sides = given.sides or (CPU_SIDES if given.device == "cpu" else GPU_SIDES)
    arguments = [f"--{name}={getattr(given, name)}" for name in ("batch", "frames", "size", "threads", "device")]
    runs = alternate("benchmarks.inference", sides, arguments, given.repeats)
    title = f"Inference, B = {given.batch}, T = {given.frames}, {given.size} pixels, {given.threads} threads"
    report(title, side_rows(runs, sides[0], given.batch * given.frames), as_json=given.json)


if __name__ == "__main__":
    main()
