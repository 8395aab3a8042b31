from __future__ import annotations

import pytest
import torch

from cslr_cli.choices import Precision
from cslr_cli.errors import DeviceError, UsageError
from cslr_cli.model.device import (
    autocast,
    precision_name,
    resolve_device,
    resolve_devices,
    resolve_precision,
    resolve_process_device,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the GPUs that torch sees; none until a test puts some in."""
    names: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: names[index])
    return names


def test_auto_is_the_first_gpu_and_without_one_the_cpu(gpus: list[str]) -> None:
    assert resolve_device("auto") == CPU
    gpus += ["RTX 3090", "RTX 3090"]
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda") == torch.device("cuda", 0)


def test_cpu_selects_the_cpu_on_any_machine(gpus: list[str]) -> None:
    gpus.append("RTX 3090")
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["1", "cuda:1"])
def test_a_gpu_is_named_by_its_number(gpus: list[str], name: str) -> None:
    gpus += ["RTX 3090", "RTX 4090"]
    assert resolve_device(name) == GPU


@pytest.mark.parametrize("name", ["0", "cuda", "cuda:0", "7"])
def test_a_gpu_where_there_is_none_is_an_error_and_no_fall_back(gpus: list[str], name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device(name)
    assert caught.value.message == f"--device {name}: no such GPU"
    assert caught.value.hint == "use one of the available devices: cpu (torch finds no GPU)"


def test_a_missing_gpu_is_an_error_that_lists_the_devices(gpus: list[str]) -> None:
    gpus += ["RTX 3090", "RTX 4090"]
    with pytest.raises(DeviceError) as caught:
        resolve_device("2")
    assert caught.value.hint == "use one of the available devices: cpu, 0 (RTX 3090), 1 (RTX 4090)"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda0", "-1", "", "1.0", "²", "٣", "CPU0", "mps"])
def test_a_name_that_no_device_has_is_wrong_usage(gpus: list[str], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_device(name)
    assert caught.value.message == f"--device {name}: unknown device"
    assert caught.value.hint == (
        "use auto, cpu, cuda, cuda:N, or N, the number of a GPU; available devices: cpu (torch finds no GPU)"
    )


def test_several_devices_are_named_with_commas(gpus: list[str]) -> None:
    gpus += ["RTX 3090"] * 3
    assert resolve_devices("0,2") == (torch.device("cuda", 0), torch.device("cuda", 2))
    assert resolve_devices("cpu, cpu") == (CPU, CPU)
    assert resolve_devices("1") == (GPU,)
    with pytest.raises(
        DeviceError, match=r"--device 3: no such GPU\nhint: use one of the available devices: cpu, 0 \(RTX 3090\)"
    ):
        resolve_devices("0,3")
    for wrong in ("0,0", "0,cpu", "auto,1", "0,", "0;1"):
        with pytest.raises(UsageError, match="--device"):
            resolve_devices(wrong)
    with pytest.raises(UsageError, match="one device"):
        resolve_device("0,1")


def test_each_process_of_a_machine_has_a_device_of_its_own(gpus: list[str]) -> None:
    assert [resolve_process_device("auto", process, 2) for process in range(2)] == [CPU, CPU]
    gpus += ["RTX 3090"] * 3
    assert [resolve_process_device("auto", process, 2) for process in range(2)] == [torch.device("cuda", 0), GPU]
    assert resolve_process_device("2,1", 1, 2) == GPU
    assert resolve_process_device("cpu", 1, 2) == CPU
    with pytest.raises(DeviceError, match=r"4 processes on this machine(.|\n)*--nproc-per-node 3"):
        resolve_process_device("auto", 0, 4)
    with pytest.raises(UsageError, match="1 listed for 2 processes"):
        resolve_process_device("0", 0, 2)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_precision_means_its_dtype_and_is_called_by_it(name: Precision, dtype: torch.dtype) -> None:
    assert resolve_precision(name, GPU) == dtype
    assert precision_name(dtype) == name


def test_fp16_on_a_cpu_is_refused_with_what_it_can_do() -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_precision("fp16", CPU)
    assert str(caught.value) == "--precision fp16: not supported on a CPU\nhint: use bf16 or fp32, or a GPU"
    assert resolve_precision("bf16", CPU) == torch.bfloat16


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_on_a_cpu_is_bf16_where_its_instructions_have_it(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16, raising=False)
    assert resolve_precision("auto", CPU) == dtype


def test_auto_on_a_cpu_is_fp32_if_torch_does_not_report_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert resolve_precision("auto", CPU) == torch.float32


def test_auto_on_a_gpu_asks_that_gpu_and_not_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {GPU: (7, 5), torch.device("cuda", 0): (8, 0)}.get)
    assert resolve_precision("auto", GPU) == torch.float16
    assert resolve_precision("auto", torch.device("cuda", 0)) == torch.bfloat16


def test_autocast_uses_bf16_and_leaves_fp32_unchanged() -> None:
    x = torch.randn(3, 3)
    with autocast(CPU, torch.bfloat16):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(CPU, torch.float32):
        assert (x @ x).dtype == torch.float32
