"""The device and the precision of a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cslr_cli.choices import Precision
from cslr_cli.errors import DeviceError, UsageError

_NAMES = "use auto, cpu, cuda, cuda:N, or N, the number of a GPU"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """Return the device that `--device` names.

    Args:
        name: `auto` (the first GPU, else the CPU), `cpu`, `cuda` (the first GPU), or `cuda:N` or `N` (a GPU).

    Raises:
        DeviceError: the device does not exist.
        UsageError: unknown name.
    """
    gpus = _num_gpus()
    if name == "auto":
        return torch.device("cuda", 0) if gpus else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if "," in name:
        raise UsageError(f"--device {name}: this command uses only one device", _NAMES)
    number = "0" if name == "cuda" else name.removeprefix("cuda:")
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"--device {name}: unknown device", f"{_NAMES}; available devices: {_list_devices()}")
    if int(number) >= gpus:
        raise DeviceError(f"--device {name}: no such GPU", f"use one of the available devices: {_list_devices()}")
    return torch.device("cuda", int(number))


def resolve_devices(name: str) -> tuple[torch.device, ...]:
    """Return the devices that `--device` names, for commands that support several.

    Args:
        name: a name for `resolve_device`, or several with commas: `0,1` (for trials also `cpu,cpu`).

    Raises:
        UsageError: a GPU is listed twice, or GPUs are listed together with CPUs.
    """
    names = [part.strip() for part in name.split(",")]
    if len(names) > 1 and "auto" in names:
        raise UsageError(f"--device {name}: auto cannot be combined", "list the devices, for example --device 0,1")
    devices = tuple(resolve_device(part) for part in names)
    gpus = [device for device in devices if device.type == "cuda"]
    if len(set(gpus)) < len(gpus):
        raise UsageError(f"--device {name}: a GPU is listed twice", "list each GPU once: every process needs its own")
    if gpus and len(gpus) < len(devices):
        raise UsageError(f"--device {name}: GPUs and CPUs cannot be combined", "use only GPUs or only CPUs")
    return devices


def resolve_process_device(name: str, process: int, num_processes: int) -> torch.device:
    """Return the device of one of several training processes on this machine.

    Args:
        name: `auto` (one GPU per process, or the CPU without GPUs), `cpu`, or one device per process.
        process: index of the process on this machine, from 0.
        num_processes: number of processes on this machine.

    Raises:
        DeviceError: there are fewer GPUs than processes, or a listed GPU does not exist.
        UsageError: the number of listed devices differs from the number of processes.
    """
    if name == "cpu" or (name == "auto" and not _num_gpus()):
        return torch.device("cpu")
    if name == "auto":
        if num_processes > _num_gpus():
            raise DeviceError(
                f"{num_processes} processes on this machine need {num_processes} GPUs, but it has {_num_gpus()}",
                f"start one process per GPU: --nproc-per-node {_num_gpus()} (available devices: {_list_devices()})",
            )
        return torch.device("cuda", process)
    devices = resolve_devices(name)
    if len(devices) != num_processes:
        raise UsageError(
            f"--device {name}: {len(devices)} listed for {num_processes} processes on this machine",
            "list one device per process, or remove --device to use one GPU per process",
        )
    return devices[process]


def _num_gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _list_devices() -> str:
    names = [f"{index} ({torch.cuda.get_device_name(index)})" for index in range(_num_gpus())]
    return ", ".join(["cpu", *names]) if names else "cpu (torch finds no GPU)"


def resolve_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype that `--precision` selects on a device.

    `auto` is bf16 if the device computes it fast, else fp16 on a GPU and fp32 on a CPU.

    Raises:
        DeviceError: fp16 on a CPU.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if _gpu_has_fast_bf16(device) else torch.float16
        return torch.bfloat16 if _cpu_has_fast_bf16() else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("--precision fp16: not supported on a CPU", "use bf16 or fp32, or a GPU")
    return _DTYPES[name]


def _gpu_has_fast_bf16(device: torch.device) -> bool:
    # torch.cuda.is_bf16_supported checks the current GPU, which may be another one.
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def _cpu_has_fast_bf16() -> bool:
    # torch has no public function for this; the oldest supported versions do not even have the private one.
    is_supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return is_supported is not None and bool(is_supported())


def precision_name(dtype: torch.dtype) -> str:
    """Return `fp32`, `bf16` or `fp16`."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which a network computes in `dtype`."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


@contextmanager
def use_cpu_threads(number: int | None) -> Iterator[None]:
    """Use `number` CPU threads inside the block; None keeps torch's setting."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def translate_out_of_memory(advice: str) -> Iterator[None]:
    """Translate torch's out-of-memory errors into a `DeviceError`, with `advice` on how to use less as the hint."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError("the GPU is out of memory", advice) from error
    except RuntimeError as error:
        # On a CPU torch raises a plain RuntimeError, recognisable only by the allocator's name.
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise DeviceError("this machine is out of memory", advice) from error
