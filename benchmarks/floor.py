"""Time of a training step and of inference, compared with the lower bound of this machine.

    python -m benchmarks.floor
    python -m benchmarks.floor --frames 100 --json

The lower bound is the larger of two times: the number of floating-point operations divided by the machine's best
rate for matrix products in this precision; and the number of bytes that must be moved divided by the machine's
rate for copying memory. These bytes are the tensors kept for the backward pass, written and read once, and the
optimizer's reads and writes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference import make_recognition_run
from benchmarks.measuring import THREADS, report
from benchmarks.train_step import DTYPES, make_network, make_training_step

# Passes of Adam over the parameters: reads value, gradient and two moments; writes all but the gradient.
ADAM_PASSES = 7


def measure_best_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest time of several runs after a warm-up run, seconds."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def measure_matrix_rate(dtype: torch.dtype) -> float:
    """Return the best rate of matrix products and convolutions, floating-point operations per second."""
    size = 2048
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    rates = [2 * size**3 / measure_best_seconds(lambda: a @ b)]
    x = torch.randn(64, 256, 14, 14).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    operations = 2 * x.numel() * 256 * 9
    rates.append(operations / measure_best_seconds(lambda: torch.nn.functional.conv2d(x, weight, padding=1)))
    return max(rates)


def measure_bandwidth() -> float:
    """Return the rate of copying an array larger than the caches, bytes read and written per second."""
    source, target = torch.randn(2**26), torch.zeros(2**26)
    return 2 * source.numel() * 4 / measure_best_seconds(lambda: target.copy_(source))


def count_kept_bytes(work: Callable[[], float]) -> int:
    """Count the bytes of all tensors that a step keeps for the backward pass."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        work()
    return sum(kept.values())


def measure_row(task: str, side: str, arguments: tuple[int, int, int]) -> dict[str, object]:
    """Measure operations, bytes, lower bounds and time of a side."""
    is_training = task == "training step"
    work = (make_training_step if is_training else make_recognition_run)(side, *arguments, "cpu")
    with FlopCounterMode(display=False) as counter:
        work()
    parameters = sum(parameter.numel() for parameter in make_network().parameters())
    moved = 2 * count_kept_bytes(work) + 4 * ADAM_PASSES * parameters if is_training else 4 * parameters
    dtype = next(dtype for name, dtype in DTYPES.items() if name in side)
    compute = counter.get_total_flops() / measure_matrix_rate(dtype)
    memory = moved / measure_bandwidth()
    seconds = measure_best_seconds(work, repeats=2)
    return {
        "task": f"{task}, {side}",
        "gflop": round(counter.get_total_flops() / 1e9),
        "matrix_gflop_per_second": round(measure_matrix_rate(dtype) / 1e9),
        "floor_by_operations": round(compute, 2),
        "gib": round(moved / 2**30, 2),
        "floor_by_bytes": round(memory, 2),
        "seconds": round(seconds, 2),
        "times_the_floor": round(seconds / max(compute, memory), 2),
    }


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="clips per batch")
    parser.add_argument("--frames", type=int, default=48, help="frames per clip, a multiple of 4")
    parser.add_argument("--size", type=int, default=224, help="side of the frames, pixels")
    parser.add_argument("--threads", type=int, default=THREADS, help="number of CPU threads")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = given.batch, given.frames, given.size
    rows = [measure_row(task, side, sizes) for task in ("training step", "inference") for side in ("fp32", "bf16")]
    title = f"Lower bounds, B = {given.batch}, T = {given.frames}, {given.size} pixels, {given.threads} threads"
    report(title, rows, as_json=given.json)


if __name__ == "__main__":
    main()
