"""Choice of the device and of the precision of a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cslr_cli.config import Precision
from cslr_cli.errors import DeviceError, UsageError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """Return the device that `--device` names.

    Args:
        name: `auto` (the first GPU, else the CPU), `cpu`, or the number of a GPU.

    Raises:
        DeviceError: the device is missing; lists the available ones.
        UsageError: the name is none of these.
    """
    gpus = _num_gpus()
    if name == "auto":
        return torch.device("cuda", 0) if gpus else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if "," in name:
        raise UsageError(f"--device {name}: here one device computes", "expected auto, cpu, or the number of a GPU")
    number = name.removeprefix("cuda:")
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"--device {name}: no device is called so", "expected auto, cpu, or the number of a GPU")
    if int(number) >= gpus:
        raise DeviceError(f"--device {name}: there is no such GPU", f"this machine has {_list_devices()}")
    return torch.device("cuda", int(number))


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """Return the devices that `--device` names, for commands that can use several together.

    Args:
        name: as in `resolve_device`; or several, with commas between them: `0,1`, and for trying
            things `cpu,cpu`.

    Raises:
        DeviceError: a device is missing; lists the available ones.
        UsageError: one has another name, or a GPU is named twice.
    """
    names = [part.strip() for part in name.split(",")]
    if len(names) > 1 and "auto" in names:
        raise UsageError(f"--device {name}: 'auto' is one device", "name them all: --device 0,1")
    devices = tuple(resolve_device(part) for part in names)
    gpus = [device for device in devices if device.type == "cuda"]
    if len(set(gpus)) < len(gpus):
        raise UsageError(f"--device {name}: a GPU is named twice", "each process needs one of its own")
    if gpus and len(gpus) < len(devices):
        raise UsageError(f"--device {name}: GPUs and CPUs cannot compute together", "name the one or the other")
    return devices


def resolve_process_device(name: str, process: int, num_processes: int) -> torch.device:
    """The device of one of several processes that compute together on this machine.

    Args:
        name: `auto` (a GPU each, where there are GPUs), `cpu`, or as many devices as there are processes.
        process: from 0.
        num_processes: on this machine.

    Raises:
        DeviceError: there are fewer GPUs than processes, or not those that are named.
        UsageError: there are not as many devices named as there are processes.
    """
    if name == "cpu" or (name == "auto" and not _num_gpus()):
        return torch.device("cpu")
    if name == "auto":
        if num_processes > _num_gpus():
            raise DeviceError(
                f"{num_processes} processes on this machine, each of which needs a GPU",
                f"this machine has {_list_devices()}; start as many as there are: --nproc-per-node {_num_gpus()}",
            )
        return torch.device("cuda", process)
    devices = resolve_devices(name)
    if len(devices) != num_processes:
        raise UsageError(
            f"--device {name}: {len(devices)} for {num_processes} processes on this machine",
            "leave it out, and each process takes the GPU of its number; or name as many",
        )
    return devices[process]


def _num_gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _list_devices() -> str:
    names = [f"{index} ({torch.cuda.get_device_name(index)})" for index in range(_num_gpus())]
    return ", ".join(["cpu", *names]) if names else "cpu only: torch sees no GPU here"


def resolve_precision(name: Precision, device: torch.device) -> torch.dtype:
    """The dtype that `--precision` means on a device.

    `auto` is bf16 where the device computes it fast, else fp16 on a GPU and fp32 on a CPU.

    Raises:
        DeviceError: fp16 on a CPU, which cannot train with it.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if _gpu_has_fast_bf16(device) else torch.float16
        return torch.bfloat16 if _cpu_has_fast_bf16() else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("--precision fp16: not on a CPU", "use bf16 or fp32, or a GPU")
    return _DTYPES[name]


def _gpu_has_fast_bf16(device: torch.device) -> bool:
    # torch.cuda.is_bf16_supported asks the current GPU, which need not be this one.
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def _cpu_has_fast_bf16() -> bool:
    # torch has no public question for this, and its first versions that cslr runs with have none at all.
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return ask is not None and bool(ask())


def precision_name(dtype: torch.dtype) -> str:
    """`fp32`, `bf16` or `fp16`."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """The context in which the network computes in `dtype`."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


@contextmanager
def use_cpu_threads(number: int | None) -> Iterator[None]:
    """Compute with `number` CPU threads inside the block; None keeps torch's number."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def translate_out_of_memory(advice: str) -> Iterator[None]:
    """Translate torch's errors about exhausted memory into a `DeviceError`.

    Args:
        advice: hint on how to use less memory.

    Raises:
        DeviceError: the block ran out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError("the GPU is out of memory", advice) from error
    except RuntimeError as error:
        # On a CPU torch raises a plain RuntimeError: its allocator's name is all that marks it.
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise DeviceError("this machine is out of memory", advice) from error
