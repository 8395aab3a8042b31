"""How far a training step and inference are from what the machine could do at best.

    python -m benchmarks.floor
    python -m benchmarks.floor --frames 100 --json

The floor is the larger of two times: the floating-point operations, counted as they are computed, over the
best rate at which this machine multiplies matrices in this precision; and the bytes that must be moved
(what is kept for the backward pass, written and read once, and what the optimizer reads and writes) over the
rate at which this machine copies memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference import recognition
from benchmarks.measuring import THREADS, report
from benchmarks.train_step import DTYPES, make_network, training_step

# What Adam touches of each parameter: reads value, gradient and two moments, writes all but the gradient.
ADAM_PASSES = 7


def best_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The least time of several runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def matrix_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of the best of some products and convolutions."""
    size = 2048
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    rates = [2 * size**3 / best_seconds(lambda: a @ b)]
    x = torch.randn(64, 256, 14, 14).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    operations = 2 * x.numel() * 256 * 9
    rates.append(operations / best_seconds(lambda: torch.nn.functional.conv2d(x, weight, padding=1)))
    return max(rates)


def bandwidth() -> float:
    """Bytes read and written a second by copying an array that no cache holds."""
    source, target = torch.randn(2**26), torch.zeros(2**26)
    return 2 * source.numel() * 4 / best_seconds(lambda: target.copy_(source))


def kept_bytes(work: Callable[[], float]) -> int:
    """Bytes of all tensors that a step keeps from forward to backward, each counted once."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        work()
    return sum(kept.values())


def row(task: str, side: str, arguments: tuple[int, int, int]) -> dict[str, object]:
    """What a side must compute and move, what that takes at best, and what it takes."""
    is_training = task == "training step"
    work = (training_step if is_training else recognition)(side, *arguments, "cpu")
    with FlopCounterMode(display=False) as counter:
        work()
    parameters = sum(parameter.numel() for parameter in make_network().parameters())
    moved = 2 * kept_bytes(work) + 4 * ADAM_PASSES * parameters if is_training else 4 * parameters
    dtype = next(dtype for name, dtype in DTYPES.items() if name in side)
    compute = counter.get_total_flops() / matrix_rate(dtype)
    memory = moved / bandwidth()
    seconds = best_seconds(work, repeats=2)
    return {
        "task": f"{task}, {side}",
        "gflop": round(counter.get_total_flops() / 1e9),
        "matrix_gflop_per_second": round(matrix_rate(dtype) / 1e9),
        "floor_by_operations": round(compute, 2),
        "gib": round(moved / 2**30, 2),
        "floor_by_bytes": round(memory, 2),
        "seconds": round(seconds, 2),
        "times_the_floor": round(seconds / max(compute, memory), 2),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="clips")
    parser.add_argument("--frames", type=int, default=48, help="frames a clip, a multiple of 4")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = given.batch, given.frames, given.size
    rows = [row(task, side, sizes) for task in ("training step", "inference") for side in ("fp32", "bf16")]
    title = f"The floor, B = {given.batch}, T = {given.frames}, {given.size} pixels, {given.threads} threads"
    report(title, rows, as_json=given.json)


if __name__ == "__main__":
    main()
